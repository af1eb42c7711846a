'use strict';
'require baseclass';

// Judges single values as the daemon does (docs/configuration.md): `true`, or what was expected. An empty value is for the
// form to judge, since it means that the option is absent.

const INTERFACE = /^[^/:%'"\x00-\x20\x7f-\uffff]{1,15}$/;
const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;
const NODE = /^[a-z][a-z0-9-]{0,62}$/;

function is_number(text, least, most) {
	return /^[0-9]+$/.test(text) && Number(text) >= least && Number(text) <= most;
}

function is_v4(text) {
	const parts = text.split('.');
	return parts.length == 4 && parts.every(part => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

// As the browser writes it, or null.
function v6_of(text) {
	try {
		return /^[0-9A-Fa-f:.]+$/.test(text) ? new URL('http://[%s]/'.format(text)).hostname.slice(1, -1) : null;
	} catch (error) {
		return null;
	}
}

function is_address(text) {
	return is_v4(text) || v6_of(text) != null;
}

function is_unspecified(text) {
	return text == '0.0.0.0' || v6_of(text) == '::';
}

// Whether it can be the address of one host.
function is_host(text) {
	if (is_v4(text))
		return !is_unspecified(text) && text != '255.255.255.255' && !(Number(text.split('.')[0]) >> 4 == 14);
	const v6 = v6_of(text);
	return v6 != null && v6 != '::' && !/^ff[0-9a-f]{2}:/.test(v6);
}

function is_host_name(text) {
	const labels = text.split('.');
	return text.length <= 253 && labels.every(label => LABEL.test(label)) && !/^[0-9]+$/.test(labels[labels.length - 1]);
}

function is_endpoint(text) {
	const bracketed = text.match(/^\[([^\]]*)\](?::(.*))?$/s);
	if (bracketed)
		return v6_of(bracketed[1]) != null && is_host(bracketed[1]) && (bracketed[2] === undefined || is_number(bracketed[2], 1, 65535));
	if (v6_of(text) != null)
		return is_host(text);
	const [ host, port, more ] = text.split(':');
	if (more !== undefined || port !== undefined && !is_number(port, 1, 65535))
		return false;
	return is_v4(host) ? is_host(host) : is_host_name(host);
}

function between(least, most) {
	return text => is_number(text, least, most) || _('expected %d to %d').format(least, most);
}

return baseclass.extend({
	listen_port: between(0, 65535),
	delay_s: between(0, 3600),
	max_nodes: between(2, 256),
	max_macs: between(1, 4096),

	mtu: function(text) {
		return text == 'auto' || is_number(text, 576, 2000) || _('expected 576 to 2000, or auto');
	},

	fwmark: function(text) {
		const is_mark = /^0[xX][0-9A-Fa-f]+$/.test(text) ? Number(text) <= 0xffffffff : is_number(text, 0, 0xffffffff);
		return is_mark || _('expected 0 to 4294967295 or 0x0 to 0xffffffff');
	},

	interface: function(text) {
		return INTERFACE.test(text) && text != '.' && text != '..' || _('expected 1 to 15 letters, digits, "-", "_" or "."');
	},

	path: function(text) {
		return /^\/(.*[^/])?$/s.test(text) && text != '/' || _('expected the path of a file that begins with "/"');
	},

	interface_address: function(text) {
		const [ address, length, more ] = text.split('/');
		const is_good = more === undefined && length !== undefined && is_host(address) && is_number(length, 0, is_v4(address) ? 32 : 128)
			&& Number(length) <= 255;
		return is_good || _('expected an address with a prefix length, for example 10.99.0.1/24');
	},

	listen_address: function(text) {
		return is_address(text) && (is_unspecified(text) || is_host(text)) || _('expected an address to listen on, for example :: or 192.0.2.1');
	},

	endpoint: function(text) {
		return is_endpoint(text) || _('expected a host name or address, with :port if it is not 443; an IPv6 address with a port is written [2001:db8::1]:443');
	},

	server_name: function(text) {
		return is_host_name(text) || _('expected a host name, for example www.example.org');
	},

	node_name: function(text) {
		return NODE.test(text) || _('expected 1 to 63 of a-z, 0-9 and "-", beginning with a letter');
	}
});
