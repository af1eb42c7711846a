// Certificates by clicks: a CA, two pastes that join a site, a revocation. The plugin and the program are the real ones.
// Read first: docs/luci.md, docs/certificates.md.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.js';
import { golden } from './meshes.js';
import { Router } from './server.js';

const CONFIG = { quicap: { home: { '.type': 'network', '.name': 'home', tap: 'quicap0' } }, system: { main: { '.type': 'system', '.name': 'main', hostname: 'Office' } } };

let browser, router, address, page;
before(async () => {
	browser = await launch();
	router = new Router(structuredClone(CONFIG));
	address = await router.start();
	page = await open(browser, address, 'quicap.certificates');
});
after(async () => {
	await browser.close();
	router.stop();
});

const click = title => page.click(`button:text-is("${title}")`);
const told = (id, kind) => page.waitForSelector(`#${id} .alert-message.${kind}`).then(element => element.innerText());
let request, bundle;

test('this router becomes the CA after a warning', async () => {
	await click('Become the CA');
	assert.match(await page.innerText('#modal'), /everybody who controls it/);
	assert.equal(fs.existsSync(router.at('cas/home/ca.key')), false);
	await page.click('#modal button:has-text("Become the CA")');
	await page.waitForSelector('text=Revocation list number 1');
	assert.equal(fs.statSync(router.at('cas/home/ca.key')).mode & 0o777, 0o600);
});

test('a request comes out as text, file and picture, and the key stays', async () => {
	await page.fill('#quicap-name', 'Office!');
	await click('Make request');
	assert.match(await told('quicap-request-out', 'danger'), /Name of this node: expected 1 to 63 of a-z/);
	await page.fill('#quicap-name', 'office');
	await click('Make request');
	assert.match(await told('quicap-request-out', 'success'), /^office: key [0-9a-f]/);
	request = await page.inputValue('#quicap-request');
	assert.match(request, /^-----BEGIN CERTIFICATE REQUEST-----\n[^]*-----END CERTIFICATE REQUEST-----\n$/);
	const [ download ] = await Promise.all([ page.waitForEvent('download'), page.click('#quicap-request-out button:has-text("Download")') ]);
	assert.equal(download.suggestedFilename(), 'office.csr');
	assert.equal(fs.readFileSync(await download.path(), 'utf8'), request);
	await click('QR code');
	assert.equal(await page.getAttribute('.quicap-qr svg', 'data-length'), String(request.length));
	await click('Close');
	assert.equal(fs.statSync(router.at('keys/home/node.key')).mode & 0o777, 0o600);
});

test('the pasted request is signed with the rights that were asked for', async () => {
	await page.fill('#quicap-csr', 'not a request');
	await click('Sign');
	assert.match(await told('quicap-sign-out', 'danger'), /standard input/);
	await page.fill('#quicap-csr', request);
	await page.click('summary:has-text("Rights and dates")');
	await page.fill('#quicap-days', '30');
	await page.fill('#quicap-prefix', '10.1.0.0/16, 10.2.0.0/16');
	await page.check('#quicap-no-transit');
	await click('Sign');
	assert.match(await told('quicap-sign-out', 'success'), /office: key [^]*node 1 until/);
	bundle = await page.inputValue('#quicap-signed');
	assert.match(bundle, /BEGIN CERTIFICATE[^]*BEGIN CERTIFICATE[^]*BEGIN X509 CRL/);
	assert.match(await page.innerText('#quicap-authority tr:has-text("office")'), /office\s+1\s+valid\s+\S+\s+[^]*prefix=10\.1\.0\.0\/16 prefix=10\.2\.0\.0\/16 notransit/);
});

test('the pasted bundle is installed, and a wrong one changes nothing', async () => {
	await page.fill('#quicap-bundle', bundle.replace(/[A-Za-z]{4}\n/, 'AAAA\n'));
	await click('Install');
	assert.match(await told('quicap-install-out', 'danger'), /standard input/);
	assert.equal(fs.existsSync(router.at('keys/home/node.crt')), false);
	await page.fill('#quicap-bundle', bundle);
	await click('Install');
	assert.match(await told('quicap-install-out', 'success'), /office is node 1 of 'home' until/);
	assert.equal(fs.existsSync(router.at('keys/home/node.crt')), true);
});

test('a name that lives needs the tick for its new key', async () => {
	await page.check('#quicap-new-key');
	await click('Make request');
	const renewed = await page.waitForFunction(old => { const area = document.getElementById('quicap-request'); return area && area.value != old && area.value; }, request);
	await page.fill('#quicap-csr', await renewed.jsonValue());
	await click('Sign');
	assert.match(await told('quicap-sign-out', 'danger'), /office/);
	await page.click('summary:has-text("Rights and dates")');
	await page.check('#quicap-replace');
	await click('Sign');
	await told('quicap-sign-out', 'success');
	assert.equal(await page.locator('#quicap-authority [data-state="valid"]').count(), 2);
});

test('a certificate is revoked after a warning, and the list can be had', async () => {
	await page.locator('button:text-is("Revoke")').first().click();
	await page.click('#modal button:text-is("Cancel")');
	assert.equal(await page.locator('#quicap-authority [data-state="revoked"]').count(), 0);
	await page.locator('button:text-is("Revoke")').first().click();
	await page.click('#modal button:text-is("Revoke")');
	await page.waitForSelector('#quicap-authority [data-state="revoked"]');
	const [ download ] = await Promise.all([ page.waitForEvent('download'), click('Download the list') ]);
	assert.equal(fs.readFileSync(await download.path(), 'utf8'), fs.readFileSync(router.at('cas/home/crl.pem'), 'utf8'));
	assert.deepEqual(page.faults, []);
});

test('who is no CA sees nothing of it, and who may only read signs nothing', async () => {
	const member = await open(browser, address, 'quicap.certificates', { user: 'member' });
	await member.waitForSelector('text=2. Bundle');
	assert.equal((await member.innerText('#quicap-authority')).trim(), '');
	await member.close();
	const reader = await open(browser, address, 'quicap.certificates', { user: 'reader' });
	assert.equal(await reader.locator('button:text-is("Sign")').isDisabled(), true);
	assert.equal(await reader.locator('button:text-is("Revoke")').first().isDisabled(), true);
	await reader.close();
});

test('no method of the plugin tells a secret, whatever it is asked', () => {
	router.says('status', 'home', golden());
	const secrets = [ 'keys/home/node.key', 'keys/home/node.key.next', 'cas/home/ca.key' ]
		.map(name => fs.readFileSync(router.at(name), 'utf8').split('\n')[1]);
	const odd = [ 'home', '../../etc', 'home/../home', '', '$(id)', "'; id; '", 'home\n', null ];
	for (const [ object, methods ] of Object.entries(router.plugin))
		for (const [ name, method ] of Object.entries(methods))
			for (const network of odd) {
				const given = { network, name: 'x-y', bundle: bundle, request: request, search: '', days: 1 };
				const answer = JSON.stringify(method.call({ args: given }));
				for (const secret of secrets)
					assert.ok(!answer.includes(secret) && !answer.includes('PRIVATE KEY'), `${object} ${name} ${network}`);
				if (network != 'home' && Object.hasOwn(method.args ?? {}, 'network'))
					assert.match(answer, /expected its name/, `${object} ${name} ${network}`);
			}
	assert.deepEqual(fs.readdirSync(router.at('cas')), [ 'home' ]);
	assert.deepEqual(fs.readdirSync(router.at('keys')), [ 'home' ]);
	assert.deepEqual(fs.readdirSync(path.dirname(router.home)).filter(name => name.startsWith('luci-quicap-')), []);
});
