// Chromium for the tests, and what they look at again and again.

import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT } from './server.js';

const { chromium } = createRequire(path.join(ROOT, '.tools/luci/package.json'))('playwright-core');

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [ '--no-sandbox', '--disable-gpu' ] });

// A page of the stand-in, ready. Whatever a page throws fails the test.
export async function open(browser, address, view, { user = 'root', dark = false, width = 1200, height = 900, translations } = {}) {
	const page = await browser.newPage({ viewport: { width, height }, acceptDownloads: true });
	page.setDefaultTimeout(30000);
	page.faults = [];
	page.on('pageerror', error => page.faults.push(error.stack));
	page.show = async () => {
		await page.goto(`${address}/?user=${user}`);
		await page.evaluate(async ({ view, dark, user, translations }) => {
			document.body.classList.toggle('dark', dark);
			window.looks_only = user == 'reader';
			window.translations = translations;
			await window.open_view(view);
		}, { view, dark, user, translations });
	};
	// The stand-in has no menu: a page that loads itself anew is opened again.
	await page.show();
	return page;
}

// Pairs of names in the picture that lie upon each other, as rectangles that may be turned.
export const overlaps = page => page.evaluate(() => {
	const corners = text => {
		const box = text.getBBox(), matrix = text.getCTM();
		return [ [ box.x, box.y ], [ box.x + box.width, box.y ], [ box.x + box.width, box.y + box.height ], [ box.x, box.y + box.height ] ]
			.map(([ x, y ]) => [ matrix.a * x + matrix.c * y + matrix.e, matrix.b * x + matrix.d * y + matrix.f ]);
	};
	// Two rectangles are apart if a side of one of them has the other wholly beyond it. Letters do not fill their line.
	const apart = (a, b) => [ 0, 1 ].some(side => {
		const [ dx, dy ] = [ a[side + 1][0] - a[side][0], a[side + 1][1] - a[side][1] ];
		const along = ([ x, y ]) => (x * dx + y * dy) / Math.hypot(dx, dy);
		const [ p, q ] = [ a.map(along), b.map(along) ];
		const slack = 3;
		return Math.max(...p) - slack < Math.min(...q) || Math.max(...q) - slack < Math.min(...p);
	});
	const names = [ ...document.querySelectorAll('.quicap-node text') ].map(text => [ text.textContent, corners(text) ]);
	const found = [];
	names.forEach(([ name, a ], at) => names.slice(at + 1).forEach(([ other, b ]) => {
		if (!apart(a, b) && !apart(b, a))
			found.push(`${name} ${other}`);
	}));
	return found;
});

// The lowest contrast, by WCAG 2, of what these selectors show to the background; 3 is enough for graphics, 4.5 for text.
export const contrast = (page, selector, property) => page.evaluate(([ selector, property ]) => {
	const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
	const luminance = color => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		const parts = [ ...canvas.getImageData(0, 0, 1, 1).data ].slice(0, 3).map(part => part / 255)
			.map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
		return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
	};
	const back = luminance(getComputedStyle(document.body).backgroundColor);
	const elements = [ ...document.querySelectorAll(selector) ];
	return elements.length && Math.min(...elements.map(element => {
		const front = luminance(getComputedStyle(element)[property]);
		return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
	}));
}, [ selector, property ]);
