// The options that the daemon reads, as src/config/schema.rs lists them.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './server.js';

const SOURCE = fs.readFileSync(path.join(ROOT, 'src/config/schema.rs'), 'utf8');

// `option("mtu", "1500")`, `list("address")`; of a default that depends on the build, the ordinary one.
function options(name) {
	const block = SOURCE.match(new RegExp(`pub const ${name}: [^=]*=\\s*\\[([^]*?)\\];`))[1];
	const found = [ ...block.matchAll(/(option|list)\("(\w+)"(?:,\s*([^\n]*?))?\)(?=,|\s*$)/g) ];
	return found.map(([ , kind, option, fallback ]) => ({
		name: option, is_list: kind == 'list', fallback: fallback ? [ ...fallback.matchAll(/"([^"]*)"/g) ].pop()[1] : ''
	}));
}

export const schema = { network: options('NETWORK_OPTIONS'), peer: options('PEER_OPTIONS') };
