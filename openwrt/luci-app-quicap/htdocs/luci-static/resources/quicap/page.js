'use strict';
'require baseclass';
'require uci';
'require ui';
'require quicap.format as format';

// What the pages have in common: which networks there are, which of them is looked at, and how an answer of the router
// or text to be carried elsewhere is shown.

return baseclass.extend({
	networks: function() {
		return uci.sections('quicap', 'network').map(section => section['.name']);
	},

	// The network of the last visit, while it exists.
	chosen: function() {
		const names = this.networks();
		const last = window.sessionStorage.getItem('quicap.network');
		return names.includes(last) ? last : names[0];
	},

	choose: function(name) {
		window.sessionStorage.setItem('quicap.network', name);
		window.location.reload();
	},

	chooser: function() {
		return format.chooser(this.networks(), this.chosen(), name => this.choose(name));
	},

	// What a page says while there is no network at all.
	nothing: function() {
		return E('div', { 'class': 'quicap' }, [ format.alert(_('There is no network yet. Add one on the page "Networks and peers".'), 'notice') ]);
	},

	background: function() {
		for (let element = document.querySelector('#maincontent') || document.body; element; element = element.parentElement) {
			const color = window.getComputedStyle(element).backgroundColor;
			if (color && color != 'transparent' && color != 'rgba(0, 0, 0, 0)')
				return color;
		}
		return 'Canvas';
	},

	frame: function(children) {
		return E('div', { 'class': 'quicap', 'style': '--quicap-backdrop: ' + this.background() }, [ format.style(), ...children ]);
	},

	// Puts what the router answered in place of what `target` shows.
	tell: function(target, answer) {
		const text = answer.error || answer.message || _('Done');
		target.replaceChildren(format.alert(text, answer.error ? 'danger' : 'success'));
		return answer;
	},

	download: function(name, text) {
		const url = URL.createObjectURL(new Blob([ text ], { type: 'application/x-pem-file' }));
		E('a', { 'href': url, 'download': name }).click();
		window.setTimeout(() => URL.revokeObjectURL(url), 1000);
	},

	// Browsers copy by themselves on https only; elsewhere the text is selected, and Ctrl-C copies it.
	copy: function(area) {
		area.select();
		return navigator.clipboard ? navigator.clipboard.writeText(area.value) : document.execCommand('copy');
	},

	// Text that somebody is to carry to another router.
	carry: function(id, file, text, more) {
		const area = E('textarea', { 'id': id, 'class': 'quicap-paste', 'rows': 8, 'readonly': '' }, [ text ]);
		return E('div', {}, [
			area,
			E('div', { 'class': 'quicap-tools' }, [
				this.button(_('Copy'), () => this.copy(area)), ' ',
				this.button(_('Download'), () => this.download(file, text)), ' ',
				...(more || [])
			])
		]);
	},

	paste: function(id, words) {
		return E('textarea', { 'id': id, 'class': 'quicap-paste', 'rows': 8, 'placeholder': words, 'spellcheck': 'false' });
	},

	button: function(title, act, kind) {
		return E('button', { 'type': 'button', 'class': 'btn cbi-button cbi-button-' + (kind || 'neutral'), 'click': ui.createHandlerFn(this, act) }, [ title ]);
	},

	// A button that changes something: dead for those who may only look.
	changer: function(title, act, kind) {
		const button = this.button(title, act, kind);
		button.disabled = L.hasViewPermission() === false;
		return button;
	},

	// Asks before something that cannot be taken back.
	confirm: function(title, words, action, act) {
		ui.showModal(title, [
			E('p', {}, [ words ]),
			E('div', { 'class': 'button-row' }, [
				this.button(_('Cancel'), () => ui.hideModal()), ' ',
				this.button(action, () => {
					ui.hideModal();
					return act();
				}, 'negative')
			])
		]);
	}
});
