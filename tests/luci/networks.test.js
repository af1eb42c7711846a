// Networks and peers, the bridge, and what a user without rights may not, against the stand-in. Read first: docs/luci.md.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, open } from './browser.js';
import { golden } from './meshes.js';
import { PROGRAM, Router } from './server.js';

const CONFIG = {
	quicap: {
		home: { '.type': 'network', '.name': 'home', tap: 'quicap0', enabled: 'yes', carrier: 'peers' },
		spare: { '.type': 'network', '.name': 'spare', enabled: '0', tap: 'quicap1' },
		office: { '.type': 'peer', '.name': 'office', network: 'home', name: 'office', endpoint: [ 'office.example.org' ] }
	},
	network: {
		lan: { '.type': 'interface', '.name': 'lan', device: 'br-lan' },
		bridge: { '.type': 'device', '.name': 'bridge', name: 'br-lan', type: 'bridge', ports: [ 'lan1', 'lan2' ] },
		plain: { '.type': 'device', '.name': 'plain', name: 'eth0' }
	}
};

let browser, router, address;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => {
	router = new Router(structuredClone(CONFIG));
	router.says('status', 'home', golden());
	address = await router.start();
});
afterEach(() => router.stop());

const edit = (page, section) => page.click(`[data-section="${section}"] button:has-text("Edit")`);
const field = (page, name) => page.locator(`#modal [data-option="${name}"]`);
const save = page => page.click('#modal button:text-is("Save")');
const complaints = page => page.innerText('#complaints');

async function apply(page) {
	await Promise.all([ page.waitForNavigation(), page.click('#apply') ]);
	return fs.readFileSync(router.at('config.quicap'), 'utf8');
}

test('a network that is saved untouched stays as it was, and only what changed is written', async () => {
	const page = await open(browser, address, 'quicap.networks');
	const before = fs.readFileSync(router.at('config.quicap'), 'utf8');
	await edit(page, 'home');
	assert.equal(await field(page, 'enabled').isChecked(), true);
	assert.equal(await field(page, 'listen_port').getAttribute('placeholder'), '443');
	assert.equal(await field(page, 'key').getAttribute('placeholder'), '/etc/quicap/home/node.key');
	await save(page);
	// What says the default goes: the daemon takes it by itself.
	assert.equal(await apply(page), before.replace("\toption enabled 'yes'\n", '').replace("\toption carrier 'peers'\n", ''));
	await page.show();
	await edit(page, 'home');
	await field(page, 'listen_port').fill('4433');
	await field(page, 'log_level').selectOption('debug');
	await field(page, 'fast_detect').check();
	await field(page, 'listen_address').fill('192.0.2.1\n2001:db8::1');
	await save(page);
	const text = await apply(page);
	for (const line of [ "option listen_port '4433'", "option log_level 'debug'", "option fast_detect '1'", "list listen_address '2001:db8::1'" ])
		assert.ok(text.includes(`\t${line}\n`), line);
	assert.deepEqual(page.faults, []);
	await page.close();
});

test('a peer is added, and the daemon reads the file without a complaint about it', async () => {
	const page = await open(browser, address, 'quicap.networks');
	await page.click('[data-type="peer"] .cbi-button-add');
	await field(page, 'name').fill('barn');
	await field(page, 'endpoint').fill('barn.example.org:4433\n[2001:db8::7]:443');
	await save(page);
	const text = await apply(page);
	assert.match(text, /config peer\n\toption network 'home'\n\toption name 'barn'\n\tlist endpoint 'barn\.example\.org:4433'\n\tlist endpoint '\[2001:db8::7\]:443'\n/);
	const shown = execFileSync(PROGRAM, [ 'uci-show', router.at('config.quicap') ], { encoding: 'utf8' });
	assert.match(shown, /quicap\.@peer\[1\]\.name='barn'/);
	await page.close();
});

test('values that the daemon would refuse are refused by the form, and nothing is written', async () => {
	const page = await open(browser, address, 'quicap.networks');
	const before = fs.readFileSync(router.at('config.quicap'), 'utf8');
	for (const [ section, name, value, words ] of [
		[ 'home', 'listen_port', '65536', /expected 0 to 65535/ ], [ 'home', 'mtu', 'big', /576 to 2000, or auto/ ], [ 'home', 'tap', 'a/b', /1 to 15 letters/ ],
		[ 'home', 'tap', 'same', /in use already/, 'tun' ], [ 'home', 'tunlink', 'quicap0', /not the network's own/ ],
		[ 'office', 'name', 'Office', /a-z, 0-9/ ], [ 'office', 'endpoint', 'a:b:c', /host name or address/ ],
		[ 'office', 'endpoint', Array.from({ length: 9 }, (_, n) => `host-${n}`).join('\n'), /at most 8 endpoints/ ]
	]) {
		await edit(page, section);
		if (value == 'same')
			await field(page, 'tun').fill('same');
		await field(page, name).fill(value);
		await save(page);
		assert.match(await complaints(page), words);
		await page.evaluate(() => document.getElementById('modal').remove());
	}
	await page.click('[data-type="peer"] .cbi-button-add');
	await field(page, 'name').fill('office');
	await save(page);
	assert.match(await complaints(page), /a peer of this name already/);
	assert.equal(fs.readFileSync(router.at('config.quicap'), 'utf8'), before);
	await page.close();
});

test('what the daemon says of the file stands above the form', async () => {
	const page = await open(browser, address, 'quicap.networks');
	assert.match(await page.innerText('#quicap-check'), /\/etc\/quicap\/home\/node\.crt/);
	await page.close();
});

test('a network without a name is not made, one with a name is', async () => {
	const page = await open(browser, address, 'quicap.networks');
	await page.fill('.cbi-section-create-name', 'third');
	await page.click('[data-type="network"] .cbi-button-add');
	assert.equal(await field(page, 'crl').getAttribute('placeholder'), '/etc/quicap/third/crl.pem');
	await field(page, 'tap').fill('quicap3');
	await save(page);
	assert.match(await apply(page), /config network 'third'\n\toption tap 'quicap3'\n/);
	await page.close();
});

test('the TAP goes into a bridge only after the change was shown and accepted', async () => {
	const page = await open(browser, address, 'quicap.bridge');
	const ports = () => router.files.network.bridge.ports;
	assert.match(await page.innerText('.quicap'), /br-lan\s+lan1 lan2/);
	await page.click('button:has-text("Put quicap0 in")');
	await page.waitForSelector('#changes');
	assert.match(await page.innerText('#changes'), /list ports 'lan2'\s+list ports 'quicap0'/);
	assert.deepEqual(ports(), [ 'lan1', 'lan2' ]);
	await Promise.all([ page.waitForNavigation(), page.click('#modal button:has-text("Save & Apply")') ]);
	assert.deepEqual(ports(), [ 'lan1', 'lan2', 'quicap0' ]);
	await page.show();
	await page.click('button:has-text("Take quicap0 out")');
	await page.waitForSelector('#changes');
	await Promise.all([ page.waitForNavigation(), page.click('#modal button:has-text("Save & Apply")') ]);
	assert.deepEqual(ports(), [ 'lan1', 'lan2' ]);
	await page.close();
});

test('who may only read changes nothing, sees no buttons alive, and never gets /etc/config/network', async () => {
	const page = await open(browser, address, 'quicap.networks', { user: 'reader' });
	const asked = await page.evaluate(async () => {
		const denied = async (kind, payload) => (await (await fetch(`/ask/${kind}`, { method: 'POST', body: JSON.stringify(payload) })).json()).denied === true;
		const call = (object, method, args) => denied('ubus', { object, method, args: { network: 'home', ...args } });
		return {
			request: await call('luci.quicap.node', 'request', { name: 'a' }), install: await call('luci.quicap.node', 'install', { bundle: '' }),
			restart: await call('luci.quicap.node', 'restart'), init: await call('luci.quicap.ca', 'init'), sign: await call('luci.quicap.ca', 'sign', { request: '' }),
			revoke: await call('luci.quicap.ca', 'revoke', { name: 'a' }), network: await denied('uci', { name: 'network' }),
			change: await denied('stage', { quicap: {} }), allowed: await call('luci.quicap', 'status')
		};
	});
	assert.deepEqual(asked, { request: true, install: true, restart: true, init: true, sign: true, revoke: true, network: true, change: true, allowed: false });
	await page.close();
	const certificates = await open(browser, address, 'quicap.certificates', { user: 'reader' });
	assert.equal(await certificates.locator('button:has-text("Make request")').isDisabled(), true);
	assert.equal(await certificates.locator('button:has-text("Install")').isDisabled(), true);
	await certificates.close();
});
