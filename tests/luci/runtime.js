// A stand-in for LuCI's runtime in the browser: as much of it as the pages of QUICAP use, and with its traps (a bare string
// as content is HTML). Not LuCI's code, and no substitute for a look at the real one. Read first: docs/luci.md.

'use strict';

String.prototype.format = function(...values) {
	return this.replace(/%([sdfh%])/g, (whole, kind) => {
		if (kind == '%')
			return '%';
		const value = values.shift();
		return kind == 's' ? String(value) : kind == 'd' ? String(Math.trunc(Number(value))) : kind == 'f' ? String(Number(value))
			: String(value).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
	});
};

// Every text that a page asks to be translated is remembered for the tests.
window.asked = new Set();
window._ = text => {
	window.asked.add(text);
	return (window.translations || {})[text] || text;
};

const dom = {
	append(node, children) {
		if (Array.isArray(children))
			children.filter(child => child != null).forEach(child => node.appendChild(child instanceof Node ? child : document.createTextNode(`${child}`)));
		else if (children instanceof Node)
			node.appendChild(children);
		else if (children != null)
			node.innerHTML = `${children}`;
		return node;
	}
};

window.E = (tag, attributes, children) => {
	const plain = attributes && attributes.constructor === Object;
	const element = document.createElement(tag);
	for (const [ name, value ] of Object.entries(plain ? attributes : {}))
		if (typeof value == 'function')
			element.addEventListener(name, value);
		else if (value != null)
			element.setAttribute(name, value);
	return dom.append(element, plain || attributes == null ? children : attributes);
};

class Base {
	static extend(members) {
		const Child = class extends this {};
		Object.assign(Child.prototype, members);
		return Child;
	}
	constructor(...args) {
		if (this.__init__)
			this.__init__(...args);
	}
}

async function ask(kind, payload) {
	const reply = await (await fetch(`/ask/${kind}`, { method: 'POST', body: JSON.stringify(payload) })).json();
	if (reply.denied)
		throw new Error('Access denied');
	return reply.value;
}

const rpc = {
	declare: ({ object, method, params }) => (...given) => ask('ubus', {
		object, method, args: Object.fromEntries((params || []).map((name, at) => [ name, given[at] ]).filter(([ , value ]) => value !== undefined))
	})
};

const uci = {
	files: {}, changes: [], added: 0,
	load(name) { return ask('uci', { name }).then(sections => { this.files[name] = sections; }); },
	sections(name, type) { return Object.values(this.files[name] || {}).filter(section => section['.type'] == type); },
	get(name, sid, option) { return ((this.files[name] || {})[sid] || {})[option]; },
	set(name, sid, option, value) {
		if (value == null || value === '' || value.length === 0)
			delete this.files[name][sid][option];
		else
			this.files[name][sid][option] = value;
	},
	add(name, type, given) {
		const sid = given || `cfg${++this.added}new`;
		this.files[name][sid] = { '.name': sid, '.type': type, '.anonymous': !given };
		return sid;
	},
	remove(name, sid) { delete this.files[name][sid]; },
	save() { return ask('stage', this.files); }
};

const ui = {
	createHandlerFn: (self, act, ...args) => ev => Promise.resolve((typeof act == 'string' ? self[act] : act).call(self, ...args, ev)).catch(error =>
		document.body.prepend(E('div', { 'class': 'alert-message danger', 'id': 'failure' }, [ error.message ]))),
	showModal(title, children) {
		this.hideModal();
		document.body.appendChild(E('div', { 'id': 'modal', 'class': 'modal' }, [ E('h4', {}, title), ...children ]));
	},
	hideModal() {
		const modal = document.getElementById('modal');
		if (modal)
			modal.remove();
	},
	changes: {
		init: () => Promise.resolve(),
		apply: () => ask('apply', {}),
		displayChanges: () => ask('changes', {}).then(text => ui.showModal('Changes', [
			E('pre', { 'id': 'changes' }, [ text ]), E('button', { 'click': () => ui.changes.apply().then(() => location.reload()) }, [ 'Save & Apply' ])
		]))
	}
};

// Forms: a table for each kind of section, and a dialog with all options of one.
const maps = [];

class Option extends Base {
	value(key, title) { (this.choices = this.choices || []).push([ key, title ]); }
	cfgvalue(sid) { return uci.get(this.map.config, sid, this.option); }
	textvalue(sid) { return [].concat(this.cfgvalue(sid) ?? this.default ?? '').join(' '); }
	getUIElement(sid) { return this.shown == sid ? this.input : null; }
	isActive() { return true; }
	judge(sid, value) { return this.validate ? this.validate(sid, value) : true; }
	formvalue() { return this.input.value; }
	render(sid) {
		this.shown = sid;
		this.input = this.widget(this.cfgvalue(sid));
		this.input.setAttribute('data-option', this.option);
		return E('div', { 'class': 'cbi-value' }, [ E('label', {}, [ this.title ]), this.input, E('small', {}, this.description) ]);
	}
	complaints(sid) {
		const values = [].concat(this.formvalue() ?? '').filter(value => value !== '');
		if (!values.length && this.rmempty === false)
			return [ `${this.title}: must not be empty` ];
		return values.map(value => this.judge(sid, value)).filter(judged => judged !== true).map(words => `${this.title}: ${words}`);
	}
	store(sid) {
		const value = this.formvalue();
		uci.set(this.map.config, sid, this.option, value === this.default ? null : value);
	}
}

class Value extends Option {
	widget(value) { return E('input', { 'type': 'text', 'value': value, 'placeholder': this.placeholder }); }
}

class DynamicList extends Option {
	widget(value) { return E('textarea', {}, [ [].concat(value || []).join('\n') ]); }
	formvalue() { return this.input.value.split('\n').filter(Boolean); }
}

class Flag extends Option {
	widget(value) { return E('input', { 'type': 'checkbox', 'checked': (value ?? this.default) == '1' ? '' : null }); }
	formvalue() { return this.input.checked ? '1' : '0'; }
}

class ListValue extends Option {
	widget(value) {
		return E('select', {}, this.choices.map(([ key, title ]) => E('option', { 'value': key, 'selected': key == (value ?? '') ? '' : null }, [ title ])));
	}
}

class GridSection extends Base {
	constructor(map, type, title, description) {
		super();
		Object.assign(this, { map, type, title, description, children: [] });
	}
	tab() {}
	taboption(tab, ...args) { return this.option(...args); }
	option(Class, option, title, description) {
		const made = Object.assign(new Class(), { map: this.map, option, title, description });
		this.children.push(made);
		return made;
	}
	render() {
		const columns = this.children.filter(option => !option.modalonly);
		const row = sid => E('tr', { 'data-section': sid }, [
			...(this.anonymous ? [] : [ E('td', {}, [ sid ]) ]), ...columns.map(option => E('td', {}, [ option.textvalue(sid) ])),
			E('td', {}, [ E('button', { 'click': () => this.edit(sid) }, [ 'Edit' ]), E('button', { 'click': () => this.drop(sid) }, [ 'Delete' ]) ])
		]);
		const name = E('input', { 'type': 'text', 'class': 'cbi-section-create-name' });
		const create = () => this.edit(uci.add(this.map.config, this.type, this.anonymous ? null : name.value));
		return E('div', { 'class': 'cbi-section', 'data-type': this.type }, [
			E('h3', {}, this.title), E('table', { 'class': 'table' }, uci.sections(this.map.config, this.type).map(section => row(section['.name']))),
			...(this.anonymous ? [] : [ name ]), E('button', { 'class': 'cbi-button-add', 'click': create }, [ this.addbtntitle ])
		]);
	}
	drop(sid) {
		uci.remove(this.map.config, sid);
		this.map.redraw();
	}
	edit(sid) {
		this.children.forEach(option => { option.own_placeholder = option.own_placeholder || option.placeholder; option.placeholder = option.own_placeholder; });
		if (this.addModalOptions)
			this.addModalOptions(this, sid);
		const complaints = E('p', { 'id': 'complaints' });
		const save = () => {
			const found = this.children.flatMap(option => option.complaints(sid));
			complaints.replaceChildren(found.join('\n'));
			if (found.length)
				return;
			this.children.forEach(option => option.store(sid));
			this.children.forEach(option => { option.shown = null; });
			ui.hideModal();
			this.map.redraw();
		};
		ui.showModal(this.title, [ ...this.children.map(option => option.render(sid)), complaints, E('button', { 'click': save }, [ 'Save' ]) ]);
	}
}

class Map_ extends Base {
	constructor(config, title, description) {
		super();
		Object.assign(this, { config, title, description, parts: [] });
		maps.push(this);
	}
	section(Class, ...args) {
		const made = new Class(this, ...args);
		this.parts.push(made);
		return made;
	}
	lookupOption(name, sid) {
		const found = this.parts.flatMap(part => part.children).find(option => option.option == name && option.shown == sid);
		return found ? [ found, sid ] : null;
	}
	redraw() { this.element.replaceChildren(E('h2', {}, this.title), E('p', {}, this.description), ...this.parts.map(part => part.render())); }
	render() {
		this.element = E('div', { 'class': 'cbi-map' });
		this.redraw();
		return Promise.resolve(this.element);
	}
}

const view = Base.extend({
	load() {},
	handleSaveApply() { return uci.save().then(() => ui.changes.apply()).then(() => location.reload()); }
});

const poll = { add: (act, seconds) => window.setInterval(act, seconds * 1000) };
const uqr = { renderSVG: text => `<svg data-length="${text.length}" viewBox="0 0 1 1"></svg>` };
const form = { Map: Map_, GridSection, Value, DynamicList, Flag, ListValue };

const loaded = { baseclass: Base, view, dom, rpc, uci, ui, poll, uqr, form };

window.L = { resource: path => `/luci-static/resources/${path}`, hasViewPermission: () => !window.looks_only };

window.load_module = load;

async function load(name) {
	if (loaded[name])
		return loaded[name];
	const source = await (await fetch(L.resource(`${name.replace(/\./g, '/')}.js`))).text();
	const wanted = [ ...source.matchAll(/^'require (\S+)(?: as (\w+))?';$/gm) ].map(([ , module, alias ]) => [ module, alias || module ]);
	const modules = [];
	for (const [ module ] of wanted)
		modules.push(await load(module));
	const Class = new Function(...wanted.map(([ , alias ]) => alias), `${source}\n//# sourceURL=${name}`)(...modules);
	return loaded[name] = new Class();
}

window.open_view = async name => {
	const page = await load(`view.${name}`);
	const element = await page.render(await page.load());
	document.querySelector('#maincontent').replaceChildren(element);
	if (page.handleSaveApply)
		document.querySelector('#maincontent').append(E('button', { 'id': 'apply', 'click': () => page.handleSaveApply() }, [ 'Save & Apply' ]));
	document.body.dataset.ready = 'yes';
};
