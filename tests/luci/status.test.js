// The status page in a browser, against the stand-in. Read first: docs/luci.md.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { contrast, launch, open, overlaps } from './browser.js';
import { golden, grown, report } from './meshes.js';
import { Router } from './server.js';

const CONFIG = { quicap: { home: { '.type': 'network', '.name': 'home', tap: 'quicap0' } } };
const HOSTILE = '<img src=x onerror="window.owned=1">';

let browser, router, address;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => {
	router = new Router(structuredClone(CONFIG));
	router.says('status', 'home', golden());
	address = await router.start();
});
afterEach(() => router.stop());

async function looked_at(status, options, look) {
	router.says('status', 'home', status);
	const page = await open(browser, address, 'quicap.status', options);
	await look(page);
	assert.deepEqual(page.faults, []);
	await page.close();
}

test('what the daemon knows is on the page', () => looked_at(golden(), {}, async page => {
	const text = await page.innerText('#maincontent');
	for (const words of [ 'our certificate expires in 6 days', 'quicap0, carrier, in br-lan', 'trusted', 'no answer from 192.0.2.9:443 (UDP blocked?)',
		'24 ms', '0.3 %', '11.8 MiB', '[2001:db8::1]:52011 → [2001:db8::2]:443', 'link office: up after 212 ms', '2029-11-21' ])
		assert.ok(text.includes(words), words);
	await page.click('text=Dropped frames, by reason');
	assert.match(await page.innerText('tr:has-text("no_route")'), /no_route\s+7/);
	await page.click('summary:has-text("Tables")');
	assert.match(await page.innerText('tr:has-text("owners")'), /3 \/ 4096\s+88\.0 KiB/);
}));

test('a link that dies turns red on the page and in the picture, with its reason', () => looked_at(golden(), {}, async page => {
	const line = page.locator('[data-line="1 2"]');
	assert.equal(await line.getAttribute('data-state'), 'up');
	const red = 'rgb(217, 64, 58)';
	const color = line => line.evaluate(line => getComputedStyle(line.querySelector('path')).stroke);
	assert.equal(await color(page.locator('[data-line="1 link1"]')), red);
	assert.notEqual(await color(line), red);
	const cut = golden();
	Object.assign(cut.links[0], { state: 'down', reason: 'no answer for 5 s', rtt_us: 0, connections: [] });
	router.says('status', 'home', cut);
	await page.waitForSelector('[data-line="1 2"][data-state="down"]', { state: 'attached' });
	assert.equal(await color(line), red);
	assert.match(await page.innerText('tr:has-text("office")'), /down\s+no answer for 5 s/);
	assert.match(await line.locator('title').textContent(), /no answer for 5 s/);
	cut.links[0].state = 'connecting';
	router.says('status', 'home', cut);
	await page.waitForSelector('tr:has-text("office") :text-is("connecting")');
	assert.equal(await color(line), red);
}));

test('the way to a node is shown when it is chosen by click, key or name', () => looked_at(golden(), {}, async page => {
	const words = () => page.innerText('.quicap-way-words');
	await page.click('[data-node="c"] circle');
	assert.match(await words(), /^c \(3\): a → office → c, round trip 31 ms, revocation list 4$/);
	assert.deepEqual(await page.$$eval('.quicap-line.quicap-way', lines => lines.map(line => line.dataset.line).sort()), [ '1 2', '2 3' ]);
	await page.focus('[data-node="office"]');
	await page.keyboard.press('Enter');
	assert.match(await words(), /^office \(2\): a → office,/);
	await page.fill('#quicap-find', 'd');
	assert.match(await words(), /^d: out of reach/);
	await page.fill('#quicap-find', '');
	assert.match(await words(), /^Choose a node/);
}));

test('a dead link to a node that is reached another way does not run through the nodes between', () => {
	const status = grown(4, 1);
	status.links.push({ ...golden().links[1], name: 'site-4', id: 4 });
	return looked_at(status, {}, async page => {
		const through = await page.$eval('[data-line="1 4"] path', path => {
			const circles = [ 'site-2', 'site-3' ].map(name => document.querySelector(`[data-node="${name}"] circle`));
			const points = Array.from({ length: 50 }, (_, at) => path.getPointAtLength(path.getTotalLength() * at / 50));
			return circles.some(circle => points.some(point => Math.hypot(point.x - circle.cx.baseVal.value, point.y - circle.cy.baseVal.value) < 12));
		});
		assert.equal(through, false);
		const [ frame, line ] = [ await page.locator('.quicap-mesh').boundingBox(), await page.locator('[data-line="1 4"] path').boundingBox() ];
		assert.ok(line.x >= frame.x && line.x + line.width <= frame.x + frame.width);
	});
});

test('a daemon that does not run is said, and is seen when it comes', async () => {
	fs.unlinkSync(router.at('status.home.json'));
	const page = await open(browser, address, 'quicap.status');
	assert.match(await page.innerText('.alert-message'), /no daemon of network 'home'/);
	router.says('status', 'home', golden());
	await page.waitForSelector('[data-node="office"]', { state: 'attached' });
	assert.deepEqual(page.faults, []);
	await page.close();
});

test('stations are found by address and by node, and no answer is too long', () => looked_at(grown(250, 6), {}, async page => {
	await page.waitForSelector('#quicap-stations tr:has-text("02:00:00")');
	assert.equal(await page.locator('#quicap-stations td[data-title="MAC address"]').count(), 200);
	assert.match(await page.innerText('#quicap-stations p'), /and 298 more/);
	await page.fill('#quicap-station', 'site-77');
	await page.waitForFunction(() => document.querySelectorAll('#quicap-stations td[data-title="MAC address"]').length == 2);
	await page.fill('#quicap-station', '02:00:00:00:4D:02');
	await page.waitForFunction(() => document.querySelectorAll('#quicap-stations td[data-title="MAC address"]').length == 1);
	assert.match(await page.innerText('#quicap-stations'), /02:00:00:00:4d:02\s+site-77/);
}));

test('the doctor examines when asked', () => looked_at(golden(), {}, async page => {
	router.says('doctor', 'home', report);
	await page.click('button:has-text("Examine")');
	await page.waitForSelector('#quicap-doctor [data-state="fault"]');
	assert.match(await page.innerText('#quicap-doctor'), /fault\s+peer\s+barn: no answer from 192\.0\.2\.9:443\s+Open UDP port 443 at barn/);
}));

test('a restart is offered when an option waits for it, and done when confirmed', () => {
	const status = golden();
	status.events.push({ at_s: 11, text: 'option mtu has changed: restart to apply it' });
	return looked_at(status, {}, async page => {
		await page.click('.alert-message button:has-text("Restart")');
		await page.click('#modal button:has-text("Cancel")');
		assert.equal(router.calls.filter(([ , asked ]) => asked.method == 'restart').length, 0);
		await page.click('.alert-message button:has-text("Restart")');
		await page.click('#modal button:has-text("Restart")');
		await page.waitForSelector('#quicap-doctor .success');
		assert.equal(router.calls.filter(([ , asked ]) => asked.method == 'restart').length, 1);
	});
});

test('names that are HTML stay text everywhere', () => {
	const status = JSON.parse(JSON.stringify(golden()).replaceAll('"office"', JSON.stringify(HOSTILE)).replaceAll('UDP blocked?', HOSTILE.replaceAll('"', '\\"')));
	Object.assign(status, { warnings: [ HOSTILE ], clock: 'untrusted', clock_reason: HOSTILE, config: { loaded_s: 0, error: HOSTILE } });
	status.tap.bridge = HOSTILE;
	status.drops[HOSTILE] = 1;
	status.events.push({ at_s: 10, text: `${HOSTILE} restart to apply it` });
	return looked_at(status, {}, async page => {
		router.says('doctor', 'home', { findings: [ { check: HOSTILE, result: HOSTILE, text: HOSTILE, advice: HOSTILE } ] });
		await page.click('button:has-text("Examine")');
		await page.waitForSelector('#quicap-doctor td');
		await page.fill('#quicap-find', '<img');
		assert.ok((await page.innerText('.quicap-way-words')).includes(HOSTILE));
		assert.ok((await page.textContent('#quicap-doctor')).includes(HOSTILE));
		assert.equal(await page.locator('img').count(), 0);
		assert.equal(await page.evaluate(() => window.owned), undefined);
	});
});

for (const [ shape, fan ] of [ [ 'a star', 250 ], [ 'a tree', 6 ], [ 'a deep tree', 2 ] ])
	test(`250 nodes, ${shape}, are drawn within a second and no name lies upon another`, t => looked_at(golden(), {}, async page => {
		const status = grown(250, fan);
		const ms = await page.evaluate(async status => {
			const mesh = await window.load_module('quicap.mesh');
			const before = performance.now();
			const { picture } = mesh.draw(status, () => {});
			document.querySelector('.quicap-frame').replaceChildren(picture);
			picture.getBoundingClientRect();
			await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
			return performance.now() - before;
		}, status);
		t.diagnostic(`${Math.round(ms)} ms`);
		assert.ok(ms < 1000, `${ms} ms`);
		assert.equal(await page.locator('.quicap-node').count(), 250);
		assert.deepEqual(await overlaps(page), []);
		const size = await page.$eval('.quicap-node text', text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a);
		assert.ok(size >= 11, `letters of ${size} pixels`);
	}));

for (const dark of [ false, true ])
	for (const width of [ 1200, 360 ])
		test(`small meshes are readable, ${dark ? 'dark' : 'light'}, ${width} pixels wide`, () => looked_at(grown(9, 3), { dark, width }, async page => {
			assert.deepEqual(await overlaps(page), []);
			for (const [ selector, property, least ] of [ [ '.quicap-node text', 'fill', 4.5 ], [ '[data-state="up"] path', 'stroke', 3 ],
				[ '.quicap-badge', 'borderTopColor', 3 ], [ '.quicap-badge', 'color', 4.5 ] ])
				assert.ok(await contrast(page, selector, property) >= least, `${selector} ${property}`);
			const wide = await page.evaluate(() => [ ...document.querySelectorAll('.quicap > :not(.cbi-section), .quicap-frame') ]
				.filter(element => element.getBoundingClientRect().right > window.innerWidth + 1).map(element => element.className));
			assert.deepEqual(wide, []);
		}));
