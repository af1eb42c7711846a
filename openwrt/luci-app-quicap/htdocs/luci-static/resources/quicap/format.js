'use strict';
'require baseclass';

// Numbers and states in words, and the few elements that all pages are made of. Text goes into elements in arrays only:
// what LuCI gets as a bare string it takes for HTML.

const UNITS = [ 'B', 'KiB', 'MiB', 'GiB', 'TiB' ];

function states() {
	return {
		up: _('up'),
		suspect: _('suspect'),
		connecting: _('connecting'),
		down: _('down'),
		ok: _('good'),
		warning: _('warning'),
		fault: _('fault'),
		valid: _('valid'),
		expired: _('expired'),
		revoked: _('revoked')
	};
}

return baseclass.extend({
	bytes: function(count) {
		const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
		return '%s %s'.format(power ? (count / 1024 ** power).toFixed(1) : String(count), UNITS[power]);
	},

	milliseconds: function(us) {
		return us ? '%s ms'.format((us / 1000).toFixed(us < 10000 ? 1 : 0)) : '-';
	},

	percent: function(permille) {
		return '%s %%'.format((permille / 10).toFixed(1));
	},

	// The two largest units that matter.
	duration: function(seconds) {
		const parts = [ [ 86400, 'd' ], [ 3600, 'h' ], [ 60, 'min' ], [ 1, 's' ] ];
		const first = parts.findIndex(([ length ]) => seconds >= length);
		if (first < 0)
			return '0 s';
		let rest = seconds;
		return parts.slice(first, first + 2).map(([ length, unit ]) => {
			const count = Math.floor(rest / length);
			rest -= count * length;
			return count ? '%d %s'.format(count, unit) : '';
		}).filter(Boolean).join(' ');
	},

	days_left: function(date) {
		return Math.floor((Date.parse(date) - Date.now()) / 86400000);
	},

	// A link that is dialed again and again without success is as good as down.
	shade: function(link) {
		return link.state == 'connecting' && link.reason ? 'down' : link.state;
	},

	badge: function(state, shade) {
		return E('span', { 'class': 'quicap-badge quicap-' + (shade || state), 'data-state': shade || state }, [ states()[state] || state ]);
	},

	// A table that becomes a list of cards on a phone. `rows` are arrays of text or elements.
	table: function(titles, rows, none) {
		const cell = (content, column) => E('td', { 'class': 'td', 'data-title': titles[column] }, [ content ]);
		const lines = rows.map(row => E('tr', { 'class': 'tr' }, row.map(cell)));
		if (!rows.length)
			lines.push(E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ none || _('None') ]) ]));
		return E('table', { 'class': 'table quicap-table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ]))),
			...lines
		]);
	},

	section: function(title, children) {
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]), ...children ]);
	},

	alert: function(text, kind) {
		return E('div', { 'class': 'alert-message ' + (kind || 'warning') }, [ text ]);
	},

	style: function() {
		return E('link', { 'rel': 'stylesheet', 'href': L.resource('quicap/style.css') });
	},

	// Which network a page is about; nothing to choose from where there is one.
	chooser: function(networks, chosen, choose) {
		if (networks.length < 2)
			return E('span');
		return E('label', { 'class': 'quicap-chooser' }, [
			_('Network'), ' ',
			E('select', { 'class': 'cbi-input-select', 'change': ev => choose(ev.target.value) },
				networks.map(name => E('option', { 'value': name, 'selected': name == chosen ? '' : null }, [ name ])))
		]);
	}
});
