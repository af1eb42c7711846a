'use strict';
'require view';
'require form';
'require uci';
'require quicap.router as router';
'require quicap.format as format';
'require quicap.options as options';
'require quicap.page as page';

// The form of /etc/config/quicap. Save & Apply makes procd tell the daemon, which applies what changed and keeps every link
// that did not.

return view.extend({
	load: function() {
		return Promise.all([ uci.load('quicap'), router.check() ]);
	},

	render: function([ , check ]) {
		const map = new form.Map('quicap', _('Networks and peers'),
			_('Changes of peers touch no other link. Device, ports, addresses, MTU, way out and mark are read when the daemon starts: the status page then offers a restart.'));

		const networks = map.section(form.GridSection, 'network', _('Networks'), _('A network has the same name on every node.'));
		networks.addremove = true;
		networks.sortable = false;
		networks.addbtntitle = _('Add network');
		networks.addModalOptions = (modal, section_id) => modal.children.filter(option => option.placeholder).forEach(option => {
			option.placeholder = option.placeholder.replace('NETWORK', section_id);
		});
		options.add_network(networks);

		const peers = map.section(form.GridSection, 'peer', _('Peers'),
			_('Nodes that this one dials. Those that dial this one need no entry.'));
		peers.addremove = true;
		peers.anonymous = true;
		peers.sortable = false;
		peers.addbtntitle = _('Add peer');
		options.add_peer(peers);

		return map.render().then(element => page.frame([ this.verdict(check), element ]));
	},

	// The daemon's own words about the file as it is now.
	verdict: function(check) {
		const text = check.error || check.text;
		return text ? E('div', { 'id': 'quicap-check', 'class': 'alert-message ' + (check.code == 0 ? 'notice' : 'danger') }, [
			E('pre', { 'class': 'quicap-events' }, [ text ]) ]) : E('div', { 'id': 'quicap-check' });
	}
});
