// Every text that a page shows of its own is translated: with a made-up language all of it is in double brackets.
// Read first: docs/luci.md.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.js';
import { golden, report } from './meshes.js';
import { Router } from './server.js';
import { asked } from './words.js';

const CONFIG = {
	quicap: {
		home: { '.type': 'network', '.name': 'home', tap: 'quicap0' }, spare: { '.type': 'network', '.name': 'spare', enabled: '0' },
		office: { '.type': 'peer', '.name': 'office', network: 'home', name: 'office' }
	},
	network: { bridge: { '.type': 'device', '.name': 'bridge', name: 'br-lan', type: 'bridge', ports: [ 'lan1' ] } },
	system: {}
};
const BRACKETED = Object.fromEntries([ ...asked().keys() ].map(text => [ text, `⟦${text}⟧` ]));
// Of the stand-in, which has no translations, and names.
const NOT_OURS = [ 'Edit', 'Delete', 'Save', 'home', 'home: quicap0', '' ];

let browser, router, address;
before(async () => {
	browser = await launch();
	router = new Router(structuredClone(CONFIG));
	router.says('status', 'home', golden());
	router.says('doctor', 'home', report);
	address = await router.start();
});
after(async () => {
	await browser.close();
	router.stop();
});

async function plain_words(view, act) {
	const page = await open(browser, address, view, { translations: BRACKETED });
	await act(page);
	const texts = await page.$$eval(':is(.quicap, #modal) :is(h2, h3, h4, th, dt, summary, button, label, small, p)',
		elements => elements.map(element => [ ...element.childNodes ].filter(node => node.nodeType == 3).map(node => node.data).join('').trim()));
	const hints = await page.$$eval(':is(.quicap, #modal) [placeholder]', elements => elements.map(element => element.placeholder));
	assert.ok(texts.length > 5);
	await page.close();
	return [ ...texts, ...hints.filter(hint => / /.test(hint) && !hint.startsWith('-----')) ].filter(text => !text.includes('⟦') && !NOT_OURS.includes(text));
}

const VIEWS = {
	'quicap.status': async page => {
		await page.click('button:has-text("⟦Examine⟧")');
		await page.waitForSelector('#quicap-doctor td');
	},
	'quicap.networks': page => page.click('[data-section="home"] button:has-text("Edit")'),
	'quicap.certificates': async page => {
		await page.click('button:has-text("⟦Become the CA⟧")');
		await page.click('#modal button:has-text("⟦Become the CA⟧")');
		await page.waitForSelector('#quicap-csr');
		await page.fill('#quicap-name', 'office');
		await page.click('button:has-text("⟦Make request⟧")');
		await page.fill('#quicap-csr', await page.waitForSelector('#quicap-request').then(area => area.inputValue()));
		await page.click('button:has-text("⟦Sign⟧")');
		await page.waitForSelector('#quicap-signed');
		await page.click('button:has-text("⟦Revoke⟧")');
	},
	'quicap.bridge': async () => {}
};

for (const [ view, act ] of Object.entries(VIEWS))
	test(`${view} says nothing untranslated`, async () => assert.deepEqual(await plain_words(view, act), []));
