// Runs the plugin of rpcd (openwrt/luci-app-quicap/root/usr/share/rpcd/ucode/luci.quicap) outside of rpcd. It is written in what
// ucode and JavaScript have in common; ucode's own functions, those that it uses, are here.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';

export const SOURCE = new URL('../../openwrt/luci-app-quicap/root/usr/share/rpcd/ucode/luci.quicap', import.meta.url);

const quietly = act => (...args) => {
	try {
		return act(...args);
	} catch {
		return null;
	}
};

const modules = {
	fs: {
		mkdir: quietly(path => (fs.mkdirSync(path), true)),
		mkdtemp: quietly(pattern => fs.mkdtempSync(pattern.replace(/X+$/, ''))),
		readfile: quietly(path => fs.readFileSync(path, 'utf8')),
		writefile: quietly((path, text) => (fs.writeFileSync(path, text), text.length)),
		unlink: quietly(path => (fs.unlinkSync(path), true)),
		rmdir: quietly(path => (fs.rmdirSync(path), true)),
		stat: quietly(path => ({ mtime: Math.floor(fs.statSync(path).mtimeMs / 1000) }))
	}
};

const functions = {
	replace: (text, pattern, by) => text.replace(pattern, () => by),
	match: (text, pattern) => text.match(pattern),
	map: (list, act) => list.map(item => act(item)),
	filter: (list, act) => list.filter(item => act(item)),
	join: (separator, list) => list.join(separator),
	length: value => value.length,
	slice: (list, from, to) => list.slice(from, to),
	index: (text, part) => text.indexOf(part),
	trim: text => text.trim(),
	lc: text => text.toLowerCase(),
	json: text => JSON.parse(text),
	type: value => typeof value,
	time: () => Math.floor(Date.now() / 1000),
	system: (command, timeout) => spawnSync('/bin/sh', [ '-c', command ], { timeout }).status
};

// The objects of the plugin. `places` are what to put for its constants, such as PROGRAM.
export function load(places) {
	let text = fs.readFileSync(SOURCE, 'utf8').replace(/^#!.*/, '');
	text = text.replace(/^import (\{.*\}) from '(\w+)';$/gm, 'const $1 = modules.$2;');
	for (const [ name, value ] of Object.entries(places)) {
		const line = new RegExp(`^const ${name} = .*;$`, 'm');
		if (!line.test(text))
			throw new Error(`the plugin has no constant ${name}`);
		text = text.replace(line, () => `const ${name} = ${JSON.stringify(value)};`);
	}
	return new Function('modules', ...Object.keys(functions), text)(modules, ...Object.values(functions));
}
