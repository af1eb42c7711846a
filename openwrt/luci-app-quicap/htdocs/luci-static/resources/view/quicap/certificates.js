'use strict';
'require view';
'require uci';
'require ui';
'require uqr';
'require quicap.router as router';
'require quicap.format as format';
'require quicap.page as page';
'require quicap.valid as valid';

// Two pastes join a site: its request goes out, the bundle comes in. The lower half is the CA's, on the one router that is it.

function lines_of(text) {
	return text.split(/[\s,]+/).filter(Boolean);
}

function field(id, title, attributes) {
	return E('label', {}, [ title, E('br'), E('input', { 'id': id, 'type': 'text', 'class': 'cbi-input-text', ...attributes }) ]);
}

function tick(id, title) {
	return E('label', {}, [ E('input', { 'id': id, 'type': 'checkbox' }), ' ', title ]);
}

function value(id) {
	return document.getElementById(id).value.trim();
}

function is_ticked(id) {
	return document.getElementById(id).checked;
}

return view.extend({
	load: function() {
		return uci.load('quicap').then(() => {
			this.network = page.chosen();
			if (!this.network)
				return null;
			const nothing = () => ({ error: '' });
			return Promise.all([
				router.files(this.network), router.status(this.network).catch(nothing), router.ca.list(this.network).catch(nothing),
				uci.load('system').catch(nothing)
			]);
		});
	},

	render: function(loaded) {
		if (!loaded)
			return page.nothing();
		const [ files, status, authority ] = loaded;
		this.files = files;
		this.authority = E('div', { 'id': 'quicap-authority' });
		this.show_authority(authority);
		return page.frame([
			E('h2', {}, [ _('Certificates of %s').format(this.network) ]),
			page.chooser(),
			this.node_section(status),
			this.request_section(status),
			this.install_section(),
			this.authority
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	node_section: function(status) {
		const is_there = present => present ? _('there') : _('missing');
		const until = status.cert ? _('%s, number %d, until %s').format(status.node.name, status.node.id, status.cert.not_after.slice(0, 10)) : _('not in use');
		return format.section(_('This node'), [
			E('dl', { 'class': 'quicap-facts' }, [ [ _('Private key'), is_there(this.files.key) ], [ _('Certificate'), is_there(this.files.certificate) ], [ _('In use'), until ] ]
				.map(([ title, words ]) => E('div', {}, [ E('dt', {}, [ title ]), E('dd', {}, [ words ]) ])))
		]);
	},

	request_section: function(status) {
		const host = (uci.sections('system', 'system')[0] || {}).hostname || '';
		const name = status.node ? status.node.name : host.toLowerCase().replace(/[^a-z0-9-]/g, '-');
		this.request_out = E('div', { 'id': 'quicap-request-out' });
		return format.section(_('1. Request'), [
			E('p', {}, [ _('The private key is made on this router and never leaves it. The request is no secret: bring it to the CA.') ]),
			E('div', { 'class': 'quicap-rights' }, [
				field('quicap-name', _('Name of this node'), { 'value': name }),
				tick('quicap-new-key', _('with a new key, which counts from the installation on'))
			]),
			page.changer(_('Make request'), () => this.make_request(), 'action'),
			this.request_out
		]);
	},

	make_request: function() {
		const name = value('quicap-name');
		const judged = valid.node_name(name);
		if (judged !== true)
			return page.tell(this.request_out, { error: _('Name of this node: %s').format(judged) });
		return router.request(this.network, name, is_ticked('quicap-new-key')).then(answer => {
			page.tell(this.request_out, answer);
			if (answer.error)
				return;
			this.request_out.appendChild(page.carry('quicap-request', name + '.csr', answer.text,
				[ page.button(_('QR code'), () => this.show_code(answer.text)) ]));
		});
	},

	show_code: function(text) {
		const code = E('div', { 'class': 'quicap-qr' });
		code.innerHTML = uqr.renderSVG(text, { border: 2 });
		ui.showModal(_('Request'), [ code, E('div', { 'class': 'button-row' }, [ page.button(_('Close'), () => ui.hideModal()) ]) ]);
	},

	install_section: function() {
		const out = E('div', { 'id': 'quicap-install-out' });
		const paste = page.paste('quicap-bundle', '-----BEGIN CERTIFICATE-----');
		return format.section(_('2. Bundle'), [
			E('p', {}, [ _('What the CA gave back: certificate, CA and revocation list. All is checked before anything is replaced.') ]),
			paste,
			E('div', { 'class': 'quicap-tools' }, [
				page.changer(_('Install'), () => router.install(this.network, paste.value).then(answer => page.tell(out, answer)), 'apply') ]),
			out
		]);
	},

	show_authority: function(list) {
		const title = _('Certificate authority');
		if (list.certificates)
			this.authority.replaceChildren(format.section(title, this.authority_parts(list)));
		else if (list.error !== '' && !this.files.authority)
			this.authority.replaceChildren(format.section(title, this.begin_parts()));
		else if (list.error !== '')
			this.authority.replaceChildren(format.section(title, [ format.alert(list.error, 'danger') ]));
		else
			this.authority.replaceChildren();
	},

	begin_parts: function() {
		const out = E('div', { 'id': 'quicap-init-out' });
		const begin = () => page.confirm(_('Certificate authority'),
			_('This router will be able to let others into the network, and so will everybody who controls it. Do this on one router only, and back up its directory %s.').format('/etc/quicap-ca/' + this.network),
			_('Become the CA'), () => router.ca.init(this.network).then(answer => page.tell(out, answer).error ? null : this.renew_authority()));
		return [ E('p', {}, [ _('One machine of the network signs certificates. It may be this router, or any other machine.') ]), page.changer(_('Become the CA'), begin), out ];
	},

	renew_authority: function() {
		return router.ca.list(this.network).then(list => this.show_authority(list));
	},

	authority_parts: function(list) {
		this.sign_out = E('div', { 'id': 'quicap-sign-out' });
		return [
			this.sign_part(),
			this.sign_out,
			E('h4', {}, [ _('Signed certificates') ]),
			this.list_part(list),
			E('p', {}, [ _('Revocation list number %d, to be renewed until %s').format(list.crl.number, list.crl.next_update || '-'), ' ',
				page.button(_('Download the list'), () => this.download_list()) ])
		];
	},

	sign_part: function() {
		return E('div', {}, [
			page.paste('quicap-csr', '-----BEGIN CERTIFICATE REQUEST-----'),
			E('details', {}, [
				E('summary', {}, [ _('Rights and dates') ]),
				E('div', { 'class': 'quicap-rights' }, [
					field('quicap-days', _('Days'), { 'placeholder': '1095', 'inputmode': 'numeric' }),
					field('quicap-id', _('Number of the node'), { 'placeholder': _('its own, or the next free one'), 'inputmode': 'numeric' }),
					field('quicap-macs', _('MAC addresses behind it at most'), { 'inputmode': 'numeric' }),
					field('quicap-mac', _('These MAC addresses only'), { 'placeholder': '02:00:00:00:00:01' }),
					field('quicap-prefix', _('Prefixes that it may own'), { 'placeholder': '10.1.0.0/16' }),
					tick('quicap-gateway', _('may be the gateway to everywhere')),
					tick('quicap-no-transit', _('carries nobody else\'s frames')),
					tick('quicap-no-l2', _('takes no part in the Ethernet')),
					tick('quicap-replace', _('the node has a new key'))
				])
			]),
			E('div', { 'class': 'quicap-tools' }, [ page.changer(_('Sign'), () => this.sign(), 'action') ])
		]);
	},

	sign: function() {
		const number = id => Number(value(id)) || 0;
		return router.ca.sign(this.network, document.getElementById('quicap-csr').value, number('quicap-days'), number('quicap-id'), number('quicap-macs'),
			lines_of(value('quicap-prefix')), lines_of(value('quicap-mac')), is_ticked('quicap-replace'), is_ticked('quicap-gateway'),
			is_ticked('quicap-no-transit'), is_ticked('quicap-no-l2')
		).then(answer => {
			if (answer.error)
				return page.tell(this.sign_out, answer);
			return this.renew_authority().then(() => {
				page.tell(this.sign_out, { message: _('%s. Compare the key with what the node showed, then bring the bundle there.').format(answer.message) });
				const name = answer.message.match(/^([a-z0-9-]+): key /m);
				this.sign_out.appendChild(page.carry('quicap-signed', (name ? name[1] : 'node') + '.pem', answer.text));
			});
		});
	},

	list_part: function(list) {
		const titles = [ _('Name'), _('Number'), _('State'), _('Until'), _('Key'), _('Rights'), '' ];
		return format.table(titles, list.certificates.map(certificate => [
			certificate.name, certificate.id, format.badge(certificate.state), certificate.not_after.slice(0, 10), certificate.key,
			certificate.rights.join(' ').replace(/quicap:/g, '') || '-',
			certificate.state == 'valid' ? page.changer(_('Revoke'), () => this.ask_revoke(certificate), 'remove') : ''
		]));
	},

	ask_revoke: function(certificate) {
		page.confirm(_('Revoke'), _('%s (serial %s) will be put out of the network by every node that has the new list. This cannot be taken back.').format(certificate.name, certificate.serial),
			_('Revoke'), () => router.ca.revoke(this.network, certificate.serial).then(answer =>
				this.renew_authority().then(() => page.tell(this.sign_out, answer))));
	},

	download_list: function() {
		return router.ca.crl(this.network).then(answer => answer.error ? page.tell(this.sign_out, answer) : page.download('crl.pem', answer.text));
	}
});
