// What must fit together in the package luci-app-quicap, by its text alone. BLESS=1 rewrites the template of translations.
// Read first: docs/luci.md.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { load } from './plugin.js';
import { ACL, APP, ROOT } from './server.js';
import { TEMPLATE, asked, languages, scripts, template, translations } from './words.js';

const sources = scripts().map(file => fs.readFileSync(file, 'utf8')).join('\n');
const plugin = load({});
const MENU = JSON.parse(fs.readFileSync(path.join(APP, 'root/usr/share/luci/menu.d/luci-app-quicap.json'), 'utf8'));

// `SCOPE OBJECT` or `ubus OBJECT METHOD` of all groups, with the verbs that they stand under.
function entries() {
	const found = [];
	for (const [ group, verbs ] of Object.entries(ACL))
		for (const verb of [ 'read', 'write' ])
			for (const [ scope, objects ] of Object.entries(verbs[verb] ?? {}))
				for (const [ object, functions ] of Array.isArray(objects) ? objects.map(name => [ name, [ verb ] ]) : Object.entries(objects))
					functions.forEach(name => found.push({ group, verb, scope, object, name }));
	return found;
}

test('no right is given by a wildcard, and only calls and files of configuration are given', () => {
	assert.doesNotMatch(JSON.stringify(ACL), /[*?]/);
	for (const { scope, object, name } of entries()) {
		assert.match(`${object} ${name}`, /^[a-z._]+ [a-z_]+$/);
		assert.ok([ 'ubus', 'uci' ].includes(scope), scope);
	}
});

test('every method of the plugin is in one list, and every list names methods that are called', () => {
	const given = entries().filter(entry => entry.scope == 'ubus').map(({ object, name }) => `${object} ${name}`);
	const made = Object.entries(plugin).flatMap(([ object, methods ]) => Object.keys(methods).map(name => `${object} ${name}`));
	const declared = [ ...sources.matchAll(/method\('([\w.]+)', '(\w+)'/g) ].map(([ , object, name ]) => `${object} ${name}`);
	assert.deepEqual(given.sort(), made.sort());
	assert.deepEqual(declared.sort(), made);
	for (const [ , name ] of given.map(entry => entry.split(' ')))
		assert.match(sources, new RegExp(`router\\.(ca\\.)?${name}\\(`), name);
});

test('methods take the arguments that the pages give', () => {
	for (const [ , object, name, params ] of sources.matchAll(/method\('([\w.]+)', '(\w+)'((?:,\s*'\w+')*)\)/g))
		assert.deepEqual([ ...params.matchAll(/'(\w+)'/g) ].map(([ , param ]) => param).sort(), Object.keys(plugin[object][name].args ?? {}).sort(), name);
});

test('what changes something is granted by writing, what only tells by reading', () => {
	const writes = [ 'request', 'install', 'restart', 'init', 'sign', 'revoke' ];
	for (const { verb, scope, name } of entries())
		if (scope == 'ubus')
			assert.equal(verb, writes.includes(name) ? 'write' : 'read', name);
	const network = entries().filter(({ object }) => object == 'network');
	assert.deepEqual(network.map(({ group, verb }) => `${group} ${verb}`), Array(2).fill('luci-app-quicap-bridge write'));
});

test('every file of configuration that a list names is used', () => {
	const used = new Set([ ...sources.matchAll(/uci\.load\('(\w+)'\)/g) ].map(([ , name ]) => name));
	for (const { scope, object } of entries())
		assert.ok(scope != 'uci' || used.has(object), object);
});

test('menu entries lead to pages and ask for groups that exist', () => {
	const views = Object.values(MENU).filter(entry => entry.action.type == 'view');
	assert.equal(views.length, 4);
	for (const entry of views)
		assert.ok(fs.existsSync(path.join(APP, `htdocs/luci-static/resources/view/${entry.action.path}.js`)), entry.title);
	for (const group of Object.values(MENU).flatMap(entry => entry.depends?.acl ?? []))
		assert.ok(ACL[group], group);
});

test('text is put into elements in arrays, since LuCI takes a bare string for HTML', () => {
	// E('p', {}, text) or E('p', text) instead of E('p', {}, [ text ]); innerHTML is for the QR code alone.
	assert.doesNotMatch(sources, /\bE\('\w+', (?:\{[^{}]*\}, )?(?:'|_\(|`|[\w.]+\))/);
	assert.equal(sources.match(/innerHTML|insertAdjacentHTML|document\.write/g).length, 1);
	assert.match(sources, /code\.innerHTML = uqr\.renderSVG\(/);
});

test('the template has every text that is asked for, and no other', () => {
	if (process.env.BLESS)
		fs.writeFileSync(TEMPLATE, template());
	assert.equal(fs.readFileSync(TEMPLATE, 'utf8'), template());
	assert.ok(asked().size > 100);
});

for (const file of languages())
	test(`${path.basename(path.dirname(file))} has a translation of every text, with the same places for values`, () => {
		const known = translations(file);
		assert.deepEqual([ ...known.keys() ].sort(), [ ...asked().keys() ].sort());
		const places = text => (text.match(/%[sd%]/g) ?? []).join(' ');
		for (const [ text, translated ] of known) {
			assert.notEqual(translated, '', text);
			assert.equal(places(translated), places(text), text);
		}
	});

test('translations are compiled as LuCI reads them', () => {
	const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'quicap-lmo-'));
	const [ source, target ] = [ path.join(APP, 'po/zh_Hans/quicap.po'), path.join(directory, 'quicap.lmo') ];
	execFileSync('python3', [ '-B', '-m', 'pack.lmo', source, target ], { cwd: path.join(ROOT, 'openwrt') });
	const bytes = fs.readFileSync(target);
	fs.rmSync(directory, { recursive: true });
	const begin = bytes.readUInt32BE(bytes.length - 4);
	const found = new Map();
	for (let at = begin; at < bytes.length - 4; at += 16)
		found.set(bytes.readUInt32BE(at), bytes.subarray(bytes.readUInt32BE(at + 8), bytes.readUInt32BE(at + 8) + bytes.readUInt32BE(at + 12)).toString());
	// Hashes that LuCI's own po2lmo gave, of originals of each length modulo 4.
	const hashes = { 'Mesh': 0x6fc4a218, 'Links': 0x084d8735, 'up': 0xabd6e2a9, 'Status': 0x663359c9, 'Log': 0xeecc73fd };
	const known = translations(source);
	for (const [ text, hash ] of Object.entries(hashes))
		assert.equal(found.get(hash), known.get(text), text);
	assert.deepEqual([ ...found.keys() ], [ ...found.keys() ].sort((a, b) => a - b));
	assert.equal(found.size, 1 + [ ...known ].filter(([ text, translated ]) => text != translated).length);
	assert.equal(found.get(0), 'nplurals=1; plural=0;');
});
