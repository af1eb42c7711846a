'use strict';
'require baseclass';
'require rpc';

// The methods of /usr/share/rpcd/ucode/luci.quicap. An answer with `error` says in words what went wrong; what the user
// may not do is rejected.

function method(object, name, ...params) {
	return rpc.declare({ object, method: name, params, reject: true });
}

return baseclass.extend({
	status: method('luci.quicap', 'status', 'network'),
	macs: method('luci.quicap', 'macs', 'network', 'search'),
	files: method('luci.quicap', 'files', 'network'),
	doctor: method('luci.quicap', 'doctor', 'network', 'begin'),
	check: method('luci.quicap', 'check'),

	request: method('luci.quicap.node', 'request', 'network', 'name', 'new_key'),
	install: method('luci.quicap.node', 'install', 'network', 'bundle'),
	restart: method('luci.quicap.node', 'restart', 'network'),

	ca: {
		list: method('luci.quicap.ca', 'list', 'network'),
		crl: method('luci.quicap.ca', 'crl', 'network'),
		init: method('luci.quicap.ca', 'init', 'network'),
		sign: method('luci.quicap.ca', 'sign', 'network', 'request', 'days', 'id', 'macs', 'prefix', 'mac', 'replace',
			'gateway', 'no_transit', 'no_l2'),
		revoke: method('luci.quicap.ca', 'revoke', 'network', 'name')
	}
});
