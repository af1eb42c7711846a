// The router's side of the stand-in: serves the pages' files and answers what they ask, with the access lists of the package.
// The plugin is the real one, and so is the program, but for what only a running daemon could answer.

import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { load } from './plugin.js';

export const ROOT = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
export const APP = path.join(ROOT, 'openwrt/luci-app-quicap');
export const PROGRAM = process.env.QUICAP ?? path.join(ROOT, 'target/debug/quicap');
export const ACL = JSON.parse(fs.readFileSync(path.join(APP, 'root/usr/share/rpcd/acl.d/luci-app-quicap.json'), 'utf8'));

// What a user may: groups with "read" or "write", as in /etc/config/rpcd. Writing includes reading.
const USERS = {
	root: { read: Object.keys(ACL), write: Object.keys(ACL) },
	reader: { read: Object.keys(ACL), write: [] },
	member: { read: [ 'luci-app-quicap' ], write: [ 'luci-app-quicap' ] }
};

// The rights of a user as pairs: rpcd's `ubus OBJECT METHOD` and `uci FILE read|write`.
function rights(user) {
	const found = new Set();
	for (const verb of [ 'read', 'write' ])
		for (const group of USERS[user][verb])
			for (const [ scope, entries ] of Object.entries(ACL[group][verb] ?? {}))
				for (const [ object, functions ] of Array.isArray(entries) ? entries.map(name => [ name, [ verb ] ]) : Object.entries(entries))
					functions.forEach(name => found.add(`${scope} ${object} ${name}`));
	return found;
}

const PAGE = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><style>body { font: 14px sans-serif; margin: 1em; background: #fff; color: #222 } .dark { background: #222; color: #ddd }
table { border-collapse: collapse } td, th { border: 1px solid #8888; padding: .2em .5em; text-align: left }</style></head>
<body><div id="maincontent"></div><script src="/runtime.js"></script></body></html>`;

const quoted = value => `'${String(value).replace(/'/g, `'\\''`)}'`;

// Sections, as LuCI's uci module has them, as the text of a file.
export function uci_text(sections) {
	const lines = Object.values(sections).flatMap(section => [
		`config ${section['.type']}${section['.anonymous'] ? '' : ` ${quoted(section['.name'])}`}`,
		...Object.entries(section).filter(([ name ]) => !name.startsWith('.')).flatMap(([ name, value ]) =>
			Array.isArray(value) ? value.map(item => `\tlist ${name} ${quoted(item)}`) : [ `\toption ${name} ${quoted(value)}` ])
	]);
	return `${lines.join('\n')}\n`;
}

export class Router {
	constructor(files) {
		this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'quicap-luci-'));
		this.files = files;
		this.calls = [];
		this.write();
		// Answers of a daemon are files that the tests write; all else the program says itself.
		fs.writeFileSync(this.at('quicap'), `#!/bin/sh
case "$1" in
doctor) sleep 1; cat "${this.home}/$1.$2.json"; exit 1 ;;
status) cat "${this.home}/$1.$2.json" 2>/dev/null || { echo "quicap: no daemon of network '$2'" >&2; exit 1; } ;;
check) exec "${PROGRAM}" check --config "${this.home}/config.quicap" ;;
*) exec "${PROGRAM}" "$@" ;;
esac
`, { mode: 0o755 });
		fs.writeFileSync(this.at('init'), `#!/bin/sh\necho "$@" >>"${this.home}/restarts"\n`, { mode: 0o755 });
		this.plugin = load({ PROGRAM: this.at('quicap'), INIT: this.at('init'), KEYS: this.at('keys'), CAS: this.at('cas'), RUN: this.at('run') });
	}

	at(name) {
		return path.join(this.home, name);
	}

	write() {
		for (const [ name, sections ] of Object.entries(this.files))
			fs.writeFileSync(this.at(`config.${name}`), uci_text(sections));
	}

	// What `quicap status` and `quicap doctor` are to say of a network.
	says(command, network, answer) {
		fs.writeFileSync(this.at(`${command}.${network}.json`), JSON.stringify(answer));
	}

	answer(kind, asked, user) {
		const may = rights(user);
		this.calls.push([ kind, asked ]);
		switch (kind) {
		case 'ubus': {
			const method = (this.plugin[asked.object] ?? {})[asked.method];
			if (!may.has(`ubus ${asked.object} ${asked.method}`) || !method)
				return { denied: true };
			return { value: method.call({ args: asked.args }) };
		}
		case 'uci':
			return may.has(`uci ${asked.name} read`) ? { value: this.files[asked.name] ?? {} } : { denied: true };
		case 'stage': {
			const changed = Object.keys(asked).filter(name => uci_text(asked[name]) != uci_text(this.files[name] ?? {}));
			if (!changed.every(name => may.has(`uci ${name} write`)))
				return { denied: true };
			this.staged = Object.fromEntries(changed.map(name => [ name, asked[name] ]));
			return { value: changed };
		}
		case 'changes':
			return { value: Object.values(this.staged ?? {}).map(uci_text).join('\n') };
		case 'apply':
			Object.assign(this.files, this.staged);
			this.staged = {};
			this.write();
			return { value: null };
		default:
			return { denied: true };
		}
	}

	// Listens on loopback only; gives the address of the pages.
	async start() {
		this.server = http.createServer((request, response) => this.serve(request, response));
		await new Promise(resolve => this.server.listen(0, '127.0.0.1', resolve));
		return `http://127.0.0.1:${this.server.address().port}`;
	}

	async serve(request, response) {
		const url = new URL(request.url, 'http://router');
		const send = (type, text) => response.writeHead(200, { 'Content-Type': type }).end(text);
		if (url.pathname.startsWith('/ask/')) {
			const parts = [];
			for await (const part of request)
				parts.push(part);
			const user = new URL(request.headers.referer).searchParams.get('user') ?? 'root';
			return send('application/json', JSON.stringify(this.answer(url.pathname.slice(5), JSON.parse(Buffer.concat(parts)), user)));
		}
		if (url.pathname == '/')
			return send('text/html', PAGE);
		const file = url.pathname == '/runtime.js' ? path.join(ROOT, 'tests/luci/runtime.js') : path.join(APP, 'htdocs', path.normalize(url.pathname));
		if (!fs.existsSync(file))
			return response.writeHead(404).end();
		return send(file.endsWith('.css') ? 'text/css' : 'text/javascript', fs.readFileSync(file));
	}

	stop() {
		this.server.close();
		this.server.closeAllConnections();
		fs.rmSync(this.home, { recursive: true, force: true });
	}
}
