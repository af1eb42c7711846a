// The pages in OpenWrt's real LuCI, by clicks: login, CA, request, certificate, two live nodes, one more peer, the bridge, a cut link, and a
// user who may only look. QUICAP_LUCI is the address of a router that is set up for it, as docs/luci.md says; without it there is
// nothing to do. QUICAP_LUCI_PICTURES names a directory for pictures.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.js';

const { QUICAP_LUCI: ADDRESS, QUICAP_LUCI_HELP: HELP, QUICAP_LUCI_PASSWORD: PASSWORD = 'secret', QUICAP_LUCI_PICTURES: PICTURES } = process.env;
const options = { skip: ADDRESS ? false : 'QUICAP_LUCI names no router with LuCI' };
const PAGES = `${ADDRESS}/cgi-bin/luci/admin/vpn/quicap`;
const SLOW = 60000;

let browser, page;
const faults = [];
const help = (...words) => execFileSync(HELP, words, { encoding: 'utf8', stdio: [ 'ignore', 'pipe', 'inherit' ] });
const status = () => JSON.parse(help('status'));
const link = name => status().links.find(link => link.name == name);

async function login(user, view) {
	const context = await browser.newContext(view ?? { viewport: { width: 1200, height: 1000 } });
	const page = await context.newPage();
	page.setDefaultTimeout(20000);
	page.on('pageerror', error => faults.push(error.stack));
	await page.goto(`${ADDRESS}/cgi-bin/luci/`);
	await page.fill('[name="luci_username"]', user);
	await page.fill('[name="luci_password"]', PASSWORD);
	await Promise.all([ page.waitForNavigation(), page.locator('[name="luci_password"]').press('Enter') ]);
	return page;
}

async function visit(name, shows, of = page) {
	await of.goto(`${PAGES}/${name}`);
	await of.waitForSelector(shows, { state: 'attached' });
}

async function picture(name, of = page) {
	if (PICTURES)
		await of.screenshot({ path: path.join(PICTURES, `luci-${name}.png`) });
}

const click = title => page.locator(`button:text-is("${title}"):visible`).first().click();

// LuCI shows that changes were applied, confirms them and loads the page anew.
async function applied(act) {
	await Promise.all([ page.waitForNavigation({ timeout: SLOW }), act() ]);
	await page.waitForSelector('.quicap');
}

before(async () => {
	if (ADDRESS)
		browser = await launch();
});
after(() => browser?.close());

test('root logs in and makes the router the CA', options, async () => {
	page = await login('root');
	await visit('certificates', '.quicap');
	await click('Become the CA');
	await page.click('#modal_overlay button:text-is("Become the CA")');
	await page.waitForSelector('#quicap-csr');
});

test('a request is made, signed and installed', options, async () => {
	await page.fill('#quicap-name', 'office');
	await click('Make request');
	const request = await page.waitForSelector('#quicap-request').then(area => area.inputValue());
	await click('QR code');
	assert.ok(await page.locator('.quicap-qr svg path, .quicap-qr svg rect').count() > 0);
	await click('Close');
	await page.fill('#quicap-csr', request);
	await click('Sign');
	const bundle = await page.waitForSelector('#quicap-signed').then(area => area.inputValue());
	await page.fill('#quicap-bundle', bundle);
	await click('Install');
	await page.waitForSelector('#quicap-install-out .success');
	await page.locator('#quicap-authority').scrollIntoViewIfNeeded();
	await picture('certificates');
});

test('two live nodes are seen', options, async () => {
	for (const name of [ 'barn', 'hill', 'lake', 'mill' ])
		help('join', name);
	await visit('status', '.quicap');
	await page.waitForSelector('.quicap-line[data-state="up"]', { state: 'attached', timeout: SLOW });
	await page.waitForSelector('[data-node="hill"]', { state: 'attached', timeout: SLOW });
	await page.click('[data-node="hill"] circle');
	assert.match(await page.innerText('.quicap-way-words'), /office → barn → lake → mill → hill/);
});

test('a peer is added, and the daemon takes it without dropping the other', options, async () => {
	const before = status();
	await visit('networks', '.cbi-map');
	await click('Add peer');
	await page.fill('.modal [data-name="name"] input[type="text"]', 'Hill');
	await page.locator('.modal [data-name="name"] input[type="text"]').blur();
	await page.waitForSelector('.modal [data-name="name"] .cbi-input-invalid');
	await page.fill('.modal [data-name="name"] input[type="text"]', 'hill');
	await page.fill('.modal [data-name="endpoint"] input[type="text"]', '192.0.2.2:443');
	await page.locator('.modal [data-name="endpoint"] input[type="text"]').press('Enter');
	await picture('peer');
	await page.click('.modal .cbi-button-positive');
	await page.waitForSelector('.modal', { state: 'hidden' });
	await applied(() => page.click('.cbi-page-actions .cbi-button-apply'));
	await visit('status', '.quicap');
	await page.waitForSelector('tr:has-text("hill") [data-state="up"]', { timeout: SLOW });
	const [ old, fresh ] = [ before.links.find(link => link.name == 'barn'), link('barn') ];
	assert.equal(fresh.since_s, old.since_s);
	assert.ok(status().uptime_s >= before.uptime_s, 'the daemon was not restarted');
	assert.equal(fresh.state, 'up');
});

test('the TAP goes into the bridge, after the change was shown', options, async () => {
	await visit('bridge', '.quicap');
	await click('Put quicap0 in');
	await page.waitForSelector('.uci-change-list');
	assert.match(await page.innerText('.uci-change-list'), /quicap0/);
	assert.doesNotMatch(help('bridge'), /quicap0/);
	await picture('bridge');
	await applied(() => page.click('.modal .cbi-button-positive'));
	await visit('status', '.quicap');
	await page.waitForSelector('dd:has-text("carrier, in br-lan")', { timeout: SLOW });
	assert.match(help('bridge'), /quicap0/);
});

test('the doctor examines the router', options, async () => {
	await click('Examine');
	await page.waitForSelector('#quicap-doctor [data-state="ok"]', { timeout: SLOW });
	await page.setViewportSize({ width: 1200, height: 1300 });
	await picture('status');
	await page.setViewportSize({ width: 1200, height: 1000 });
});

test('a cut link turns red with its reason, and the other way is shown', options, async () => {
	help('cut', 'hill');
	await page.waitForSelector('.quicap-line[data-state="down"]', { state: 'attached', timeout: SLOW });
	const color = await page.$eval('.quicap-line[data-state="down"] path', line => getComputedStyle(line).stroke);
	assert.equal(color, 'rgb(217, 64, 58)');
	await page.waitForSelector('tr:has-text("hill") [data-state="down"]');
	const told = await page.innerText('tr:has([data-state="down"])');
	assert.match(told, /hill \(3\)\s+(down|connecting)\s+\S/);
	assert.ok(told.includes(link('hill').reason), told);
	await page.click('[data-node="hill"] circle');
	await page.waitForFunction(() => /office → barn → lake → mill → hill/.test(document.querySelector('.quicap-way-words').textContent));
	await page.evaluate(() => window.scrollTo(0, document.querySelector('.quicap-frame').offsetTop - 200));
	await picture('cut');
});

test('all of it is seen on a phone, in the dark theme', options, async () => {
	const phone = await login('root', { viewport: { width: 390, height: 800 }, colorScheme: 'dark', deviceScaleFactor: 2, hasTouch: true });
	await visit('status', '.quicap-line[data-state="down"]', phone);
	await phone.locator('#quicap-find').scrollIntoViewIfNeeded();
	await phone.evaluate(() => window.scrollTo(0, document.querySelector('#quicap-find').getBoundingClientRect().top + window.scrollY - 60));
	assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
	await picture('phone', phone);
	await phone.context().close();
});

test('the pages speak Chinese to a Chinese browser', options, async () => {
	const chinese = await login('root', { locale: 'zh-CN' });
	await visit('status', '.quicap', chinese);
	assert.match(await chinese.innerText('.quicap'), /吊销列表[^]*网状网[^]*链路/);
	await chinese.context().close();
});

test('a user who may only read changes nothing and reads no secret', options, async () => {
	help('mend', 'hill');
	const reader = await login('reader');
	for (const [ name, shows ] of [ [ 'status', '[data-node="barn"]' ], [ 'networks', '.cbi-map' ], [ 'certificates', '#quicap-authority table' ] ])
		await visit(name, shows, reader);
	assert.equal(await reader.locator('button:text-is("Sign")').isDisabled(), true);
	assert.equal(await reader.locator('button:text-is("Install")').isDisabled(), true);
	const before = [ help('read', '/etc/config/quicap'), help('read', '/etc/config/network') ];
	const answers = await reader.evaluate(async () => {
		const results = {};
		const calls = [
			[ 'luci.quicap', 'status', { network: 'home' } ], [ 'luci.quicap.ca', 'list', { network: 'home' } ], [ 'uci', 'get', { config: 'quicap' } ],
			[ 'luci.quicap.node', 'request', { network: 'home', name: 'x' } ], [ 'luci.quicap.node', 'install', { network: 'home', bundle: '' } ],
			[ 'luci.quicap.node', 'restart', { network: 'home' } ], [ 'luci.quicap.ca', 'init', { network: 'other' } ],
			[ 'luci.quicap.ca', 'sign', { network: 'home', request: '' } ], [ 'luci.quicap.ca', 'revoke', { network: 'home', name: 'barn' } ],
			[ 'uci', 'set', { config: 'quicap', section: 'home', values: { enabled: '0' } } ], [ 'uci', 'apply', { rollback: false } ],
			[ 'uci', 'get', { config: 'network' } ], [ 'uci', 'set', { config: 'network', section: 'lan', values: { proto: 'dhcp' } } ],
			[ 'file', 'read', { path: '/etc/quicap/home/node.key' } ], [ 'file', 'read', { path: '/etc/quicap-ca/home/ca.key' } ]
		];
		for (const [ object, method, args ] of calls) {
			const body = { jsonrpc: '2.0', id: 1, method: 'call', params: [ L.env.sessionid, object, method, args ] };
			const reply = await (await fetch('/ubus/', { method: 'POST', body: JSON.stringify(body) })).json();
			results[`${object} ${method} ${args.path ?? args.config ?? ''}`.trim()] = reply.error ? 'denied' : reply.result[0] == 0 ? JSON.stringify(reply.result[1] ?? {}) : 'denied';
		}
		return results;
	});
	const granted = Object.entries(answers).filter(([ , answer ]) => answer != 'denied');
	assert.deepEqual(granted.map(([ call ]) => call).sort(), [ 'luci.quicap status', 'luci.quicap.ca list', 'uci get quicap' ]);
	const secrets = [ '/etc/quicap/home/node.key', '/etc/quicap-ca/home/ca.key' ].map(file => help('read', file).split('\n')[1]);
	for (const [ call, answer ] of granted)
		for (const secret of secrets)
			assert.ok(secret.length > 20 && !answer.includes(secret), call);
	assert.deepEqual([ help('read', '/etc/config/quicap'), help('read', '/etc/config/network') ], before);
	await reader.context().close();
});

// As if the change had cut the router off: the browser's word that it still reaches it is held back.
test('a change after which the browser cannot reach the router is taken back', options, async () => {
	const is_in = () => /quicap0/.test(help('bridge'));
	const until = async (wanted, deadline = Date.now() + 2 * SLOW) => {
		while (is_in() != wanted && Date.now() < deadline)
			await new Promise(resolve => setTimeout(resolve, 500));
		assert.equal(is_in(), wanted);
	};
	await visit('bridge', '.quicap');
	await page.route(/\/admin\/uci\/confirm/, route => route.abort());
	await click('Take quicap0 out');
	await page.waitForSelector('.uci-change-list');
	await page.click('.modal .cbi-button-positive');
	await until(false);
	await until(true);
	assert.match(help('read', '/etc/config/network'), /list ports 'quicap0'/);
	await page.unroute(/\/admin\/uci\/confirm/);
	assert.deepEqual(faults, []);
});
