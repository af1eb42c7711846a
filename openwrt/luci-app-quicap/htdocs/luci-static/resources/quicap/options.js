'use strict';
'require baseclass';
'require form';
'require uci';
'require quicap.valid as valid';

// Every option of /etc/config/quicap: its default, who judges it, and its words. `fallback` is what the daemon takes when the
// option is absent, NETWORK standing for the section's name. Kinds: text, list,
// flag, choice, network. What has a `column` is shown in the table too, the rest only when a section is edited.

const PEERS_MAX = 32;
const ENDPOINTS_MAX = 8;
const TRUE = [ '1', 'on', 'true', 'yes', 'enabled' ];

function network_options() {
	return [
		{ tab: 'general', column: true, name: 'enabled', kind: 'flag', fallback: '1', title: _('Enabled') },
		{ tab: 'general', column: true, name: 'tap', kind: 'text', judge: valid.interface, title: _('Device'),
			help: _('Name of the TAP that is put into the bridge, for example quicap0. Absent: this node only relays for others.') },
		{ tab: 'general', column: true, name: 'listen_port', kind: 'text', fallback: '443', judge: valid.listen_port, title: _('UDP port'),
			help: _('That others dial. 0: this node only dials.') },
		{ tab: 'general', name: 'listen_address', kind: 'list', judge: valid.listen_address, title: _('Listen on'),
			help: _('Addresses, one socket for each. Absent: any address.') },
		{ tab: 'general', name: 'log_level', kind: 'choice', fallback: 'info', choices: [ 'error', 'warn', 'info', 'debug', 'trace' ],
			title: _('Log'), help: _('How much is logged.') },

		{ tab: 'lan', name: 'mtu', kind: 'text', fallback: '1500', judge: valid.mtu, title: _('MTU'),
			help: _('Of the device. Larger frames than a path carries are split on the way, so 1500 is right for a bridge. auto: the device follows the path.') },
		{ tab: 'lan', column: true, name: 'carrier', kind: 'choice', fallback: 'peers', choices: [ 'peers', 'always' ], title: _('Carrier'),
			help: _('peers: the device has carrier while a link is up. always: as long as the daemon runs.') },
		{ tab: 'lan', name: 'carrier_up_delay', kind: 'text', fallback: '0', judge: valid.delay_s, title: _('Carrier on after'),
			help: _('Seconds that a link must be up before.') },
		{ tab: 'lan', name: 'carrier_down_delay', kind: 'text', fallback: '5', judge: valid.delay_s, title: _('Carrier off after'),
			help: _('Seconds that all links must be down before.') },
		{ tab: 'lan', name: 'unknown_unicast', kind: 'choice', fallback: 'limited', choices: [ 'limited', 'drop', 'flood' ], title: _('Unknown destinations'),
			help: _('What happens to a frame for an address that nobody is known to have: sent to all at a bounded rate, to nobody, or to all.') },
		{ tab: 'lan', name: 'stp_pass', kind: 'flag', fallback: '0', title: _('Carry spanning tree'),
			help: _('All sites then have one spanning tree, which finds loops outside of the mesh.') },

		{ tab: 'wan', name: 'tunlink', kind: 'text', judge: valid.interface, title: _('Way out'),
			help: _('The only device that QUICAP itself sends and receives by, for example pppoe-wan. Absent: as the routes say.') },
		{ tab: 'wan', name: 'fwmark', kind: 'text', fallback: '0', judge: valid.fwmark, title: _('Mark'),
			help: _('Of what QUICAP itself sends, for routing rules and the firewall. 0: none.') },
		{ tab: 'wan', name: 'open_firewall', kind: 'flag', fallback: '1', title: _('Open the firewall'),
			help: _('For UDP from the zone wan to the port that others dial.') },
		{ tab: 'wan', name: 'fast_detect', kind: 'flag', fallback: '0', title: _('Fast detection'),
			help: _('Idle links are asked every second whether they live.') },

		{ tab: 'bounds', name: 'max_nodes', kind: 'text', fallback: '256', judge: valid.max_nodes, title: _('Nodes'),
			help: _('Of the mesh that this one knows, itself included.') },
		{ tab: 'bounds', name: 'max_macs', kind: 'text', fallback: '4096', judge: valid.max_macs, title: _('MAC addresses'),
			help: _('Of which this node knows the place.') },

		{ tab: 'files', name: 'cert', kind: 'text', fallback: '/etc/quicap/NETWORK/node.crt', judge: valid.path, title: _('Certificate') },
		{ tab: 'files', name: 'key', kind: 'text', fallback: '/etc/quicap/NETWORK/node.key', judge: valid.path, title: _('Private key') },
		{ tab: 'files', name: 'ca', kind: 'text', fallback: '/etc/quicap/NETWORK/ca.crt', judge: valid.path, title: _('CA') },
		{ tab: 'files', name: 'crl', kind: 'text', fallback: '/etc/quicap/NETWORK/crl.pem', judge: valid.path, title: _('Revocation list') },

		{ tab: 'reserved', name: 'tun', kind: 'text', judge: valid.interface, title: _('Layer 3 device'),
			help: _('Not used by this version.') },
		{ tab: 'reserved', name: 'address', kind: 'list', judge: valid.interface_address, title: _('Layer 3 addresses'),
			help: _('Not used by this version.') }
	];
}

function peer_options() {
	return [
		{ column: true, name: 'disabled', kind: 'flag', fallback: '0', title: _('Disabled') },
		{ column: true, name: 'network', kind: 'network', title: _('Network') },
		{ column: true, name: 'name', kind: 'text', judge: valid.node_name, title: _('Name'),
			help: _('That its certificate must carry. Absent: any member.') },
		{ column: true, name: 'endpoint', kind: 'list', judge: valid.endpoint, title: _('Endpoints'),
			help: _('Host names or addresses, with :port if it is not 443. All are tried. Absent: the peer dials us.') },
		{ name: 'sni', kind: 'text', judge: valid.server_name, title: _('Server name'),
			help: _('Sent in TLS. Absent: the host name of the endpoint, and nothing for addresses.') }
	];
}

function tabs() {
	return { general: _('General'), lan: _('LAN'), wan: _('WAN'), bounds: _('Bounds'), files: _('Files'), reserved: _('Reserved') };
}

// What stands in the form now, or else what was saved.
function value_of(map, section, name) {
	const found = map.lookupOption(name, section);
	return found && found[0].getUIElement(section) ? found[0].formvalue(section) : uci.get('quicap', section, name);
}

function is_on(map, section, name, fallback) {
	const value = value_of(map, section, name);
	return TRUE.includes(value || fallback);
}

// What no single value shows. Each takes the map, the section and the value; `null` means nothing is wrong.
const AMONG_NETWORKS = {
	tap: device_is_free,
	tun: device_is_free,
	tunlink: function(map, section, value) {
		const own = [ 'tap', 'tun' ].map(name => value_of(map, section, name));
		return own.includes(value) ? _('expected the device that leads to the others, not the network\'s own') : null;
	}
};

function device_is_free(map, section, value) {
	const others = uci.sections('quicap', 'network').filter(other => is_on(map, other['.name'], 'enabled', '1'));
	const uses = others.flatMap(other => [ 'tap', 'tun' ].filter(name => value_of(map, other['.name'], name) == value).map(() => other['.name']));
	const mine = [ 'tap', 'tun' ].filter(name => value_of(map, section, name) == value).length;
	return mine > 1 || uses.some(name => name != section) ? _('expected another name: this device is in use already') : null;
}

const AMONG_PEERS = {
	name: function(map, section, value) {
		const network = value_of(map, section, 'network');
		const twins = uci.sections('quicap', 'peer').map(other => other['.name']).filter(other => other != section
			&& value_of(map, other, 'name') == value && value_of(map, other, 'network') == network && !is_on(map, other, 'disabled', '0'));
		return twins.length && !is_on(map, section, 'disabled', '0') ? _('expected another name: there is a peer of this name already') : null;
	},
	network: function(map, section, value) {
		const peers = uci.sections('quicap', 'peer').filter(other => value_of(map, other['.name'], 'network') == value
			&& !is_on(map, other['.name'], 'disabled', '0'));
		return peers.length > PEERS_MAX ? _('expected at most %d enabled peers of a network').format(PEERS_MAX) : null;
	},
	endpoint: function(map, section) {
		const all = value_of(map, section, 'endpoint') || [];
		return all.length > ENDPOINTS_MAX ? _('expected at most %d endpoints').format(ENDPOINTS_MAX) : null;
	}
};

const WIDGETS = { text: form.Value, list: form.DynamicList, flag: form.Flag, choice: form.ListValue, network: form.ListValue };

function add(section, option, rules) {
	const widget = WIDGETS[option.kind];
	const args = [ widget, option.name, option.title, option.help ];
	const field = option.tab ? section.taboption(option.tab, ...args) : section.option(...args);
	field.rmempty = true;
	if (!option.column)
		field.modalonly = true;
	if (option.kind == 'flag') {
		field.default = option.fallback;
		// The daemon takes further words for yes and no.
		field.cfgvalue = section_id => {
			const value = uci.get('quicap', section_id, option.name);
			return value == null ? null : TRUE.includes(value) ? '1' : '0';
		};
	} else if (option.kind == 'choice') {
		field.value('', _('%s (default)').format(option.fallback));
		option.choices.filter(choice => choice != option.fallback).forEach(choice => field.value(choice, choice));
		field.cfgvalue = section_id => {
			const value = uci.get('quicap', section_id, option.name);
			return value == option.fallback ? '' : value;
		};
	} else if (option.kind == 'network') {
		field.rmempty = false;
		uci.sections('quicap', 'network').forEach(network => field.value(network['.name'], network['.name']));
	} else {
		field.placeholder = option.fallback;
	}
	field.validate = function(section_id, value) {
		if (value == null || value === '')
			return true;
		const judged = option.judge ? option.judge(value) : true;
		const complaint = judged === true && rules[option.name] ? rules[option.name](this.map, section_id, value) : null;
		return complaint || judged;
	};
	return field;
}

return baseclass.extend({
	network: network_options,
	peer: peer_options,
	tabs: tabs,

	add_network: function(section) {
		Object.entries(tabs()).forEach(([ name, title ]) => section.tab(name, title));
		return network_options().map(option => add(section, option, AMONG_NETWORKS));
	},

	add_peer: function(section) {
		return peer_options().map(option => add(section, option, AMONG_PEERS));
	}
});
