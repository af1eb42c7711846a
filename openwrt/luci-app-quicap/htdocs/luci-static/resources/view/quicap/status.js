'use strict';
'require view';
'require poll';
'require uci';
'require quicap.router as router';
'require quicap.format as format';
'require quicap.mesh as mesh';
'require quicap.page as page';

// What the daemon of one network knows, redrawn every few seconds.

const EVERY_S = 3;
const EVENTS_MAX = 64;

function fact(title, ...words) {
	return E('div', {}, [ E('dt', {}, [ title ]), E('dd', {}, [ ...words ]) ]);
}

function device(tap) {
	if (!tap)
		return [ _('none: this node only relays') ];
	const carrier = tap.carrier ? _('carrier') : _('no carrier');
	return [ '%s, %s, %s'.format(tap.name, tap.up ? carrier : _('not set up'), tap.bridge ? _('in %s').format(tap.bridge) : _('in no bridge')) ];
}

function memory(status) {
	const tables = status.tables.reduce((sum, table) => sum + table.bytes, 0);
	return _('%s, of which tables at most %s').format(format.bytes(status.rss_kib * 1024), format.bytes(tables));
}

function facts(status) {
	const days = format.days_left(status.cert.not_after);
	return E('dl', { 'class': 'quicap-facts' }, [
		fact(_('This node'), _('%s, number %d').format(status.node.name, status.node.id)),
		fact(_('Device'), ...device(status.tap)),
		fact(_('Clock'), status.clock == 'trusted' ? _('trusted') : _('not trusted: %s').format(status.clock_reason)),
		fact(_('Certificate until'), _('%s, %d days').format(status.cert.not_after.slice(0, 10), days)),
		fact(_('Revocation list'), status.crl ? String(status.crl.number) : _('none')),
		fact(_('Memory'), memory(status)),
		fact(_('Running for'), format.duration(status.uptime_s)),
		fact(_('Version'), status.version)
	]);
}

function warnings(status, restart) {
	const alerts = status.warnings.map(text => format.alert(text));
	if (status.config.error)
		alerts.push(format.alert(_('The last change was not taken: %s').format(status.config.error), 'danger'));
	const waiting = status.events.filter(event => event.at_s >= status.config.loaded_s && event.text.includes('restart to apply it'));
	if (waiting.length)
		alerts.push(E('div', { 'class': 'alert-message warning' }, [ waiting[waiting.length - 1].text, ' ', restart ]));
	return alerts;
}

// The connection that carries, or all of them.
function ways(link) {
	const active = link.connections.filter(connection => connection.active);
	return (active.length ? active : link.connections).map(connection => '%s → %s'.format(connection.local, connection.remote)).join(', ');
}

function links(status) {
	const titles = [ _('Peer'), _('State'), _('Reason'), _('Round trip'), _('Loss'), _('MTU'), _('Since'), _('Sent'), _('Received'), _('Way') ];
	return format.table(titles, status.links.map(link => [
		link.id ? '%s (%d)'.format(link.name, link.id) : link.name,
		format.badge(link.state, format.shade(link)),
		link.reason || '-',
		format.milliseconds(link.rtt_us),
		format.percent(link.loss_permille),
		link.mtu || '-',
		format.duration(status.uptime_s - link.since_s),
		format.bytes(link.tx_bytes),
		format.bytes(link.rx_bytes),
		ways(link) || '-'
	]), _('No peer is configured, and none has dialed in'));
}

function bar(used, capacity) {
	const percent = Math.min(100, Math.round(100 * used / Math.max(1, capacity)));
	return E('span', { 'class': 'quicap-bar' + (percent >= 90 ? ' quicap-full' : '') }, [ E('span', { 'style': 'width: %d%%'.format(percent) }) ]);
}

function tables(status) {
	const titles = [ _('Table'), _('Filled'), _('Entries'), _('Memory') ];
	return format.table(titles, status.tables.map(table => [
		table.name, bar(table.used, table.capacity), '%d / %d'.format(table.used, table.capacity), format.bytes(table.bytes)
	]));
}

function numbers(title, counts) {
	const rows = Object.entries(counts).sort(([ , a ], [ , b ]) => b - a);
	return format.table([ title, _('Count') ], rows);
}

function events(status) {
	const lines = status.events.slice(-EVENTS_MAX).reverse();
	const text = lines.map(event => _('%s ago: %s').format(format.duration(status.uptime_s - event.at_s), event.text)).join('\n');
	return E('pre', { 'class': 'quicap-events' }, [ text || _('None') ]);
}

function findings(report) {
	if (report.error)
		return format.alert(report.error, 'danger');
	return format.table([ _('Result'), _('Check'), _('Finding'), _('Advice') ],
		report.findings.map(line => [ format.badge(line.result), line.check, line.text, line.advice || '-' ]));
}

// The way to a node, in words.
function way_words(status, node) {
	if (!node)
		return _('Choose a node to see the way to it.');
	if (node.here)
		return _('%s: this node').format(node.name);
	if (!node.reachable)
		return _('%s: out of reach. %s').format(node.name, node.link ? node.link.reason : '');
	return _('%s (%d): %s, round trip %s, revocation list %d').format(node.name, node.id,
		[ status.node.name, ...node.path ].join(' → '), format.milliseconds(node.cost_us), node.crl);
}

return view.extend({
	load: function() {
		return uci.load('quicap').then(() => {
			this.network = page.chosen();
			return this.network ? router.status(this.network) : null;
		});
	},

	render: function(status) {
		if (!this.network)
			return page.nothing();
		const part = () => E('div');
		this.parts = { top: part(), mesh: E('div', { 'class': 'quicap-frame' }), links: part(), counters: part(), drops: part(), tables: part(), events: part() };
		this.words = E('p', { 'class': 'quicap-way-words', 'aria-live': 'polite' });
		this.doctor = E('div', { 'id': 'quicap-doctor' });
		this.stations = E('div', { 'id': 'quicap-stations' });
		this.restart = page.changer(_('Restart'), () => this.ask_restart(), 'apply');
		this.update(status);
		poll.add(() => router.status(this.network).then(fresh => this.update(fresh)), EVERY_S);
		this.find_stations('');
		return page.frame([
			E('h2', {}, [ _('QUICAP: %s').format(this.network) ]),
			page.chooser(),
			this.parts.top,
			format.section(_('Mesh'), [ this.find_box(), this.words, this.parts.mesh ]),
			format.section(_('Links'), [ this.parts.links ]),
			format.section(_('Examination'), [ page.button(_('Examine'), () => this.examine(), 'action'), this.doctor ]),
			format.section(_('Stations'), [ this.station_box(), this.stations ]),
			format.section(_('Counters'), [ this.folded(_('Frames and messages'), this.parts.counters), this.folded(_('Dropped frames, by reason'), this.parts.drops) ]),
			format.section(_('Bounds'), [ this.folded(_('Tables'), this.parts.tables) ]),
			format.section(_('Events'), [ this.parts.events ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	folded: function(title, content) {
		return E('details', {}, [ E('summary', {}, [ title ]), content ]);
	},

	update: function(status) {
		if (status.error) {
			this.parts.top.replaceChildren(format.alert(_('The daemon does not answer: %s').format(status.error), 'danger'));
			return;
		}
		this.status = status;
		this.parts.top.replaceChildren(...warnings(status, this.restart), facts(status));
		this.draw();
		this.parts.links.replaceChildren(links(status));
		this.parts.counters.replaceChildren(numbers(_('Counter'), status.counters));
		this.parts.drops.replaceChildren(numbers(_('Reason'), status.drops));
		this.parts.tables.replaceChildren(tables(status));
		this.parts.events.replaceChildren(events(status));
	},

	// Draws anew only what has changed, so that a chosen node keeps the focus.
	draw: function() {
		const { node, nodes, links, edges } = this.status;
		const shown = JSON.stringify([ node, nodes, edges, links.map(link => [ link.name, link.id, link.state, link.reason, link.rtt_us, link.loss_permille ]) ]);
		if (shown == this.shown)
			return;
		const focus = document.activeElement && document.activeElement.getAttribute('data-key');
		const frame = this.parts.mesh;
		const is_first = !this.shown;
		this.shown = shown;
		this.drawing = mesh.draw(this.status, key => this.choose(key));
		frame.replaceChildren(this.drawing.picture);
		this.choose(this.chosen);
		if (focus)
			for (const other of frame.querySelectorAll('.quicap-node'))
				if (other.dataset.key == focus)
					other.focus();
		if (is_first)
			window.requestAnimationFrame(() => this.center(frame, this.drawing.here));
	},

	// A picture that is larger than its frame begins with this node in view.
	center: function(frame, here) {
		frame.scrollTo(here.x - frame.clientWidth / 2, here.y - frame.clientHeight / 2);
	},

	choose: function(key) {
		this.chosen = key;
		this.drawing.mark(key);
		this.words.replaceChildren(way_words(this.status, this.drawing.nodes.get(key)));
	},

	find_box: function() {
		return E('input', {
			'type': 'search', 'id': 'quicap-find', 'class': 'cbi-input-text', 'placeholder': _('Find a node'), 'aria-label': _('Find a node'),
			'input': ev => {
				const found = [ ...this.drawing.nodes.values() ].find(node => ev.target.value && node.name.includes(ev.target.value));
				this.choose(found ? found.key : null);
				const element = found && [ ...this.parts.mesh.querySelectorAll('.quicap-node') ].find(node => node.dataset.key == found.key);
				if (element)
					element.scrollIntoView({ block: 'nearest', inline: 'center' });
			}
		});
	},

	station_box: function() {
		return E('input', {
			'type': 'search', 'id': 'quicap-station', 'class': 'cbi-input-text', 'placeholder': _('MAC address or node'),
			'aria-label': _('MAC address or node'), 'input': ev => this.find_stations(ev.target.value)
		});
	},

	// Of several answers on their way only the last question's counts.
	find_stations: function(search) {
		this.search = search;
		return router.macs(this.network, search).then(found => {
			if (search != this.search)
				return;
			if (found.error)
				return this.stations.replaceChildren(format.alert(found.error));
			const rows = found.macs.map(row => [ row.mac, row.name || String(row.owner), format.duration(row.age_s) ]);
			const more = found.total - rows.length;
			this.stations.replaceChildren(
				format.table([ _('MAC address'), _('Behind node'), _('Last frame') ], rows),
				E('p', {}, [ more ? _('and %d more').format(more) : '' ]));
		});
	},

	// Takes some seconds; the router is asked each second whether it has done.
	examine: function() {
		const pause = () => new Promise(resolve => window.setTimeout(resolve, 1000));
		const show = report => report.running ? pause().then(() => router.doctor(this.network, false)).then(show)
			: this.doctor.replaceChildren(findings(report));
		return router.doctor(this.network, true).then(show);
	},

	ask_restart: function() {
		page.confirm(_('Restart'), _('All links of this network end and come up again, within seconds.'), _('Restart'),
			() => router.restart(this.network).then(answer => page.tell(this.doctor, answer)));
	}
});
