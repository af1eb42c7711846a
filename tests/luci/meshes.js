// What daemons say, made up: the one of tests/golden/status.json, and meshes of any size.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './server.js';

export const golden = () => JSON.parse(fs.readFileSync(path.join(ROOT, 'tests/golden/status.json'), 'utf8'));

export const report = {
	version: '0.1.0', network: 'home', warnings: 0, faults: 1,
	findings: [
		{ check: 'clock', result: 'ok', text: 'The clock is trusted', advice: '' },
		{ check: 'peer', result: 'fault', text: 'barn: no answer from 192.0.2.9:443', advice: 'Open UDP port 443 at barn' }
	]
};

// A mesh of `count` nodes: each but ourselves hangs below the one with its number divided by `fan`, and has one link more.
export function grown(count, fan) {
	const name = id => `site-${id}`;
	const above = id => Math.max(1, Math.floor((id - 2) / fan) + 1);
	const way = id => id == 1 ? [] : [ ...way(above(id)), id ];
	const status = golden();
	const ids = Array.from({ length: count - 1 }, (_, at) => at + 2);
	const link = id => ({ ...golden().links[0], name: name(id), id, rtt_us: 1000 * id, connections: [] });
	const edge = (a, b, used) => ({ a: Math.min(a, b), b: Math.max(a, b), cost_us: 5000, used });
	return {
		...status,
		node: { name: name(1), id: 1 },
		links: ids.filter(id => above(id) == 1).map(link),
		nodes: ids.map(id => ({
			name: name(id), id, hops: way(id).length, via: name(way(id)[0]), cost_us: 5000 * way(id).length, reachable: true,
			path: way(id).map(name), parent: name(way(id)[0]), children: [], crl: 4
		})),
		edges: [ ...ids.map(id => edge(above(id), id, true)), ...ids.slice(0, -1).filter(id => above(id) != id + 1).map(id => edge(id, id + 1, false)) ],
		macs: ids.flatMap(owner => [ 1, 2 ].map(n => ({
			mac: `02:00:00:00:${owner.toString(16).padStart(2, '0')}:0${n}`, owner, age_s: n
		})))
	};
}
