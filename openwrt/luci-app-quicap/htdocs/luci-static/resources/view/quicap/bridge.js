'use strict';
'require view';
'require uci';
'require ui';
'require quicap.format as format';
'require quicap.page as page';

// Puts a network's device into a bridge by /etc/config/network. Nothing happens before the changes were shown, and the router goes
// back to what it had if the browser cannot reach it afterwards: that is LuCI's own "Save & Apply".

function bridges() {
	return uci.sections('network', 'device').filter(device => device.type == 'bridge' && device.name);
}

function ports_of(bridge) {
	const ports = bridge.ports || [];
	return Array.isArray(ports) ? ports : ports.split(/\s+/).filter(Boolean);
}

return view.extend({
	load: function() {
		return Promise.all([ uci.load('quicap'), uci.load('network') ]);
	},

	render: function() {
		const networks = uci.sections('quicap', 'network').filter(network => network.tap);
		if (!networks.length)
			return E('div', { 'class': 'quicap' }, [ format.alert(_('No network has a device yet. Name one on the page "Networks and peers".'), 'notice') ]);
		return page.frame([
			E('h2', {}, [ _('Bridge') ]),
			E('p', {}, [ _('In a bridge, a network\'s device joins the LAN here with those of the other sites. Two sites that are joined otherwise too would make a loop, and of several DHCP servers each answers all sites.') ]),
			...networks.map(network => this.network_section(network))
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	network_section: function(network) {
		const rows = bridges().map(bridge => {
			const ports = ports_of(bridge);
			const is_in = ports.includes(network.tap);
			const change = is_in ? ports.filter(port => port != network.tap) : [ ...ports, network.tap ];
			const title = is_in ? _('Take %s out').format(network.tap) : _('Put %s in').format(network.tap);
			return [ bridge.name, ports.join(' ') || '-', page.changer(title, () => this.propose(bridge, change), is_in ? 'remove' : 'add') ];
		});
		return format.section('%s: %s'.format(network['.name'], network.tap), [
			format.table([ _('Bridge'), _('Ports'), '' ], rows, _('This router has no bridge. Make one in Network, Interfaces, Devices.'))
		]);
	},

	// LuCI shows the change and asks; `Revert` there forgets it.
	propose: function(bridge, ports) {
		uci.set('network', bridge['.name'], 'ports', ports);
		return uci.save().then(() => ui.changes.init()).then(() => ui.changes.displayChanges());
	}
});
