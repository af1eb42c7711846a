// The form's options are the daemon's, with the same defaults, and both judge a value alike. Read first: docs/luci.md.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.js';
import { schema } from './schema.js';
import { PROGRAM, Router, uci_text } from './server.js';

const CONFIG = { quicap: { home: { '.type': 'network', '.name': 'home', tap: 'quicap0' } } };
const LONG = 'a'.repeat(64);

// Odd values for every option: the daemon's own tests have most of them.
const VALUES = [
	'0', '1', '2', '00443', '443', '65535', '65536', '99999', '576', '575', '1500', '2000', '2001', '3600', '3601', '256', '257', '1025', '4096', '4097', '4294967295',
	'4294967296', '-1', '+1', '0x51', '0XFf', '0xffffffff', '0x1ffffffff', '0x', 'x51', '51h', '0.5', '5s', '443 ', ' 1', '4 43', '٤', '1e3', 'auto', 'Auto', 'on', 'TRUE', 'yes',
	'a', 'quicap0', 'br-lan.100', 'abcdefghijklmno', 'abcdefghijklmnop', '.', '..', 'a/b', 'a b', 'a:1', 'tap%d', 'é', 'a"b', 'a\'b', '/a/b c', '/', '/a/', './a', '/a',
	'peers', 'always', 'never', 'limited', 'drop', 'flood', 'error', 'warn', 'info', 'debug', 'trace', 'INFO', 'warning', 'disabled', 'office-2', 'Office', '1a', '-a', 'a-', 'a.b', 'a_b',
	LONG, LONG.slice(1), [ LONG.slice(1), LONG.slice(1), LONG.slice(1), LONG.slice(1) ].join('.').slice(0, 253), Array(128).fill('a').join('.'),
	'10.99.0.1', '10.99.0.1/24', '10.99.0.1/33', '10.99.0.1/', '/24', '::/0', '224.0.0.1/4', '10.99.0.1/24/1', '2001:db8::1/128', '2001:db8::1/129', '10.99.0.1/+8', '10.99.0.01/8',
	'2001:db8::1', '::', '0.0.0.0', 'ff02::1', 'fe80::1%eth0', '224.0.0.1', '255.255.255.255', '::ffff:192.0.2.2', '::1.2.3.4', '1::2::3', '2001:db8:::1', '12345::1', ':', ':::', '1.2.3',
	'office.example.org:443', 'office.example.org', 'under_score.Example.org:65535', '192.0.2.2:4433', '[2001:db8::1]:8443', '[2001:db8::1]', '[::1', '[::1]x', '[]', '[1.2.3.4]:1', '[ff02::1]:1',
	'[::]:1', '2001:db8::1:443x', 'a:1:2', '::1]:2', 'https://a', 'user@a', 'a..b', '.a', 'a.', ':443', 'a:', 'a:0', 'a:65536', 'a:x', 'a:+1', '300.1.2.3', '1.2.3.4.5', 'a.1', '*.example.org',
	'www.example.org', 'www.example.org:443', '0.0.0.0:1', '255.255.255.255:1', '[2001:db8::1]:', '[2001:DB8::A]:1', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8'
];

let browser, router, page;
before(async () => {
	browser = await launch();
	router = new Router(structuredClone(CONFIG));
	page = await open(browser, await router.start(), 'quicap.networks');
});
after(async () => {
	await browser.close();
	router.stop();
});

const form = type => page.evaluate(async type => {
	const options = await window.load_module('quicap.options');
	return options[type]().map(({ name, kind, fallback, choices }) => ({ name, kind, fallback: fallback ?? '', choices }));
}, type);

for (const type of [ 'network', 'peer' ])
	test(`every option of a ${type} is in the form, with its default, and the form has no other`, async () => {
		const shown = (await form(type)).map(({ name, kind, fallback }) => `${name} ${kind == 'list' ? 'list' : 'option'} ${fallback}`);
		const read = schema[type].map(({ name, is_list, fallback }) => `${name} ${is_list ? 'list' : 'option'} ${fallback}`);
		assert.deepEqual(shown.sort(), read.sort());
		assert.ok(read.length > 4);
	});

// Options about which the program complains in a file that has each value once, as `NAME VALUE`.
function refused(type, name) {
	const sections = { home: { '.type': 'network', '.name': 'home' } };
	VALUES.forEach((value, at) => {
		sections[`s${at}`] = type == 'network' ? { '.type': type, '.name': `n${at}`, enabled: '0', [name]: value }
			: { '.type': type, '.name': `s${at}`, network: 'home', disabled: '1', [name]: value };
	});
	const file = router.at('judged');
	fs.writeFileSync(file, uci_text(sections).replace(new RegExp(`\toption ${name} `, 'g'), is_list(type, name) ? `\tlist ${name} ` : `\toption ${name} `));
	const lines = fs.readFileSync(file, 'utf8').split('\n');
	const said = spawnSync(PROGRAM, [ 'check', '--config', file ], { encoding: 'utf8' }).stderr.split('\n').filter(line => !line.includes('warning: ')).join('\n');
	const bad = new Set();
	for (const [ , number ] of said.matchAll(new RegExp(`:(\\d+): (?:option|list) ${name}: '`, 'g')))
		bad.add(lines[number - 1]);
	return VALUES.filter(value => [ 'option', 'list' ].some(kind => bad.has(`\t${kind} ${name} '${value.replace(/'/g, `'\\''`)}'`)));
}

const is_list = (type, name) => schema[type].find(option => option.name == name).is_list;

for (const type of [ 'network', 'peer' ])
	test(`values of a ${type} are refused by the form if, and only if, the daemon refuses them`, async t => {
		let judged = 0;
		for (const { name, kind, choices, fallback } of await form(type)) {
			if (kind == 'flag' || kind == 'network')
				continue;
			const by_daemon = refused(type, name);
			const by_form = choices ? VALUES.filter(value => ![ fallback, ...choices ].includes(value)) : await page.evaluate(async ([ type, name, values ]) => {
				const options = await window.load_module('quicap.options');
				const { judge } = options[type]().find(option => option.name == name);
				return values.filter(value => judge(value) !== true);
			}, [ type, name, VALUES ]);
			assert.deepEqual(by_form, by_daemon, name);
			assert.ok(by_daemon.length > 0 && by_daemon.length < VALUES.length, name);
			judged += VALUES.length;
		}
		t.diagnostic(`${judged} values`);
	});
