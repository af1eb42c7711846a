// What the pages ask to be translated, and the files of translations.

import fs from 'node:fs';
import path from 'node:path';
import { APP } from './server.js';

const PO = path.join(APP, 'po');
export const TEMPLATE = path.join(PO, 'templates/quicap.pot');
export const languages = () => fs.readdirSync(PO).filter(name => name != 'templates').map(name => path.join(PO, name, 'quicap.po'));

export const scripts = () => fs.readdirSync(path.join(APP, 'htdocs'), { recursive: true }).filter(name => name.endsWith('.js')).sort()
	.map(name => path.join(APP, 'htdocs', name));

const CALL = /(?<![\w.])_\(/g;
const LITERAL = /(?<![\w.])_\('((?:[^'\\\n]|\\.)*)'\)/g;

// Texts in scripts, menu and access lists, each with the files that have it. A call without a plain text cannot be found by LuCI's
// tools either, and is an error.
export function asked() {
	const found = new Map();
	const add = (text, file) => found.set(text, new Set([ ...found.get(text) ?? [], path.relative(APP, file) ]));
	for (const file of scripts()) {
		const source = fs.readFileSync(file, 'utf8');
		const literals = [ ...source.matchAll(LITERAL) ];
		if (literals.length != [ ...source.matchAll(CALL) ].length)
			throw new Error(`${file}: a call of _() without one plain text`);
		literals.forEach(([ , text ]) => add(text.replace(/\\(.)/g, '$1'), file));
	}
	const read = name => [ path.join(APP, name), JSON.parse(fs.readFileSync(path.join(APP, name), 'utf8')) ];
	const [ menu, entries ] = read('root/usr/share/luci/menu.d/luci-app-quicap.json');
	Object.values(entries).forEach(entry => add(entry.title, menu));
	const [ acl, groups ] = read('root/usr/share/rpcd/acl.d/luci-app-quicap.json');
	Object.values(groups).forEach(group => add(group.description, acl));
	return found;
}

const quoted = text => `"${text.replace(/[\\"]/g, '\\$&')}"`;

export function template() {
	const entries = [ ...asked() ].sort(([ a ], [ b ]) => a < b ? -1 : 1);
	const blocks = entries.map(([ text, files ]) => `${[ ...files ].sort().map(file => `#: ${file}\n`).join('')}msgid ${quoted(text)}\nmsgstr ""\n`);
	return [ 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n', ...blocks ].join('\n');
}

// Pairs of text and translation, by the text. Each stands on one line.
export function translations(file) {
	const source = fs.readFileSync(file, 'utf8');
	const pairs = [ ...source.matchAll(/^msgid (".+")\nmsgstr (".*")$/gm) ].map(pair => pair.slice(1).map(text => JSON.parse(text)));
	return new Map(pairs.filter(([ text ]) => text));
}
