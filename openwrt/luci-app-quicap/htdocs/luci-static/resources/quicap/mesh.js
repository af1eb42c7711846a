'use strict';
'require baseclass';
'require quicap.format as format';

// The picture of the mesh: this node in the middle, every other on the ring of its distance, in the direction of the
// neighbor that leads to it. The same mesh always gives the same picture.

const SVG = 'http://www.w3.org/2000/svg';
const FEW = 14;             // up to so many nodes have room for level names
const ROOM_FEW = 104;       // pixels along a ring between neighbors, with level names
const ROOM_MANY = 15;       // with names that point away from the middle
const RING_FEW = 130;       // between rings
const RING_MANY = 118;
const NAME_MAX = 15;        // characters of a name in the picture; all of it is in its tooltip
const EDGES_TOLD = 24;      // up to so many links have their round trip written beside

function svg(tag, attributes, children) {
	const element = document.createElementNS(SVG, tag);
	for (const [ name, value ] of Object.entries(attributes || {}))
		if (value != null)
			element.setAttribute(name, value);
	for (const child of children || [])
		element.appendChild(typeof child == 'object' ? child : document.createTextNode(child));
	return element;
}

function pair(a, b) {
	return a < b ? a + ' ' + b : b + ' ' + a;
}

function shortened(name) {
	return name.length > NAME_MAX ? name.slice(0, NAME_MAX - 1) + '…' : name;
}

// All there is to draw, by key: a node's number, or for a peer that has none yet its place among the links.
function nodes_of(status) {
	const nodes = new Map();
	const add = (key, node) => nodes.set(key, { key, below: [], ...node });
	add(String(status.node.id), { name: status.node.name, id: status.node.id, here: true, hops: 0, path: [] });
	for (const node of status.nodes)
		add(String(node.id), { ...node });
	status.links.forEach((link, at) => {
		link.key = link.id ? String(link.id) : 'link' + at;
		if (!nodes.has(link.key))
			add(link.key, { name: link.name, id: link.id, hops: 0, path: [] });
		nodes.get(link.key).link = link;
	});
	return nodes;
}

// Hangs each node below the one before it on its way. Who is out of reach hangs at the rim, or, with a link that is
// to lead there, beside us.
function grow(status, nodes) {
	const root = nodes.get(String(status.node.id));
	const by_name = new Map([ ...nodes.values() ].map(node => [ node.name, node ]));
	const rim = [];
	for (const node of nodes.values()) {
		if (node === root)
			continue;
		const before = by_name.get(node.path[node.path.length - 2]);
		const parent = before && before.hops && before.hops < node.hops ? before : root;
		if (node.reachable || node.link)
			parent.below.push(node);
		else
			rim.push(node);
	}
	return { root, rim };
}

// Gives each node its depth, and its share of the circle by how many ends are behind it.
function share(root, rim) {
	const rings = [];
	const weigh = (node, depth) => {
		node.depth = depth;
		(rings[depth] = rings[depth] || []).push(node);
		node.weight = Math.max(1, node.below.reduce((sum, child) => sum + weigh(child, depth + 1), 0));
		return node.weight;
	};
	let weight = weigh(root, 0);
	const outermost = rings.length;
	for (const node of rim)
		weight += weigh(node, outermost);
	const turn = (node, begin) => {
		node.angle = begin + node.weight / weight * Math.PI;
		for (const child of node.below) {
			turn(child, begin);
			begin += child.weight / weight * 2 * Math.PI;
		}
	};
	turn(root, -Math.PI / 2);
	let begin = -Math.PI / 2 + root.weight / weight * 2 * Math.PI;
	if (!root.below.length)
		begin = -Math.PI / 2;
	for (const node of rim) {
		turn(node, begin);
		begin += node.weight / weight * 2 * Math.PI;
	}
	return { rings, weight };
}

function place(rings, weight, few) {
	let radius = 0;
	rings.forEach((ring, depth) => {
		if (depth) {
			const smallest = Math.min(...ring.map(node => node.weight));
			const needed = (few ? ROOM_FEW : ROOM_MANY) * weight / smallest / (2 * Math.PI);
			radius = Math.max(radius + (few ? RING_FEW : RING_MANY), needed);
		}
		for (const node of ring) {
			node.x = radius * Math.cos(node.angle);
			node.y = radius * Math.sin(node.angle);
		}
	});
}

function layout(status) {
	const nodes = nodes_of(status);
	const { root, rim } = grow(status, nodes);
	const few = nodes.size <= FEW;
	const { rings, weight } = share(root, rim);
	place(rings, weight, few);
	return { nodes, few };
}

// Links between nodes: those that the mesh knows, and ours, of which the state is known here.
function lines_of(status, nodes) {
	const lines = new Map();
	for (const edge of status.edges)
		lines.set(pair(String(edge.a), String(edge.b)), { a: String(edge.a), b: String(edge.b), edge });
	for (const link of status.links) {
		const at = pair(String(status.node.id), link.key);
		lines.set(at, { a: String(status.node.id), b: link.key, ...lines.get(at), link });
	}
	const drawn = [ ...lines ].filter(([ , line ]) => nodes.has(line.a) && nodes.has(line.b));
	drawn.forEach(([ , line ]) => bend(line, nodes.get(line.a), nodes.get(line.b)));
	return drawn;
}

// Straight from a node to those that hang below it. Any other line is bowed, or it would run through the nodes between.
function bend(line, a, b) {
	const bow = a.below.includes(b) || b.below.includes(a) ? 0 : 0.3;
	line.by = { x: (a.x + b.x) / 2 + bow * (a.y - b.y), y: (a.y + b.y) / 2 + bow * (b.x - a.x) };
	line.middle = { x: (a.x + b.x) / 4 + line.by.x / 2, y: (a.y + b.y) / 4 + line.by.y / 2 };
}

// What all of it takes, names included.
function extent(nodes, lines, few) {
	const margin = few ? 58 : 112;
	const points = [ ...nodes.values(), ...lines.map(([ , line ]) => line.middle) ];
	const [ xs, ys ] = [ 'x', 'y' ].map(axis => points.map(point => point[axis]));
	const [ left, top ] = [ Math.min(...xs) - margin, Math.min(...ys) - margin ];
	return [ left, top, Math.max(...xs) + margin - left, Math.max(...ys) + margin - top ];
}

function line_words(line, nodes) {
	const words = [ '%s - %s'.format(nodes.get(line.a).name, nodes.get(line.b).name) ];
	if (line.link)
		words.push('%s, %s %s, %s %s'.format(line.link.state, _('round trip'), format.milliseconds(line.link.rtt_us),
			_('loss'), format.percent(line.link.loss_permille)), line.link.reason);
	else
		words.push('%s %s'.format(_('round trip'), format.milliseconds(line.edge.cost_us)));
	return words.filter(Boolean).join('\n');
}

// The round trip, and below it the loss if there is any.
function numbers(line) {
	const { x, y } = line.middle;
	const us = line.link ? line.link.rtt_us : line.edge.cost_us;
	const loss = line.link ? line.link.loss_permille : 0;
	return svg('text', { 'class': 'quicap-told' }, [
		svg('tspan', { 'x': x, 'y': y + 4 }, [ us ? format.milliseconds(us) : '×' ]),
		...(loss ? [ svg('tspan', { 'x': x, 'y': y + 16 }, [ '-' + format.percent(loss) ]) ] : [])
	]);
}

function draw_line(at, line, nodes, is_told) {
	const [ a, b ] = [ nodes.get(line.a), nodes.get(line.b) ];
	const state = line.link ? format.shade(line.link) : 'far';
	const is_used = line.edge && line.edge.used;
	const group = svg('g', { 'class': 'quicap-line quicap-' + state + (is_used ? ' quicap-used' : ''), 'data-line': at, 'data-state': state }, [
		svg('title', {}, [ line_words(line, nodes) ]),
		svg('path', { 'd': 'M%f %fQ%f %f %f %f'.format(a.x, a.y, line.by.x, line.by.y, b.x, b.y) })
	]);
	if (is_told)
		group.appendChild(numbers(line));
	return group;
}

function name_place(node, few) {
	if (node.here || few)
		return { 'x': node.x, 'y': node.y + 24, 'text-anchor': 'middle' };
	const degrees = node.angle * 180 / Math.PI;
	const is_left = Math.cos(node.angle) < 0;
	return {
		'x': is_left ? -12 : 12, 'y': 4, 'text-anchor': is_left ? 'end' : 'start',
		'transform': 'translate(%f %f) rotate(%f)'.format(node.x, node.y, is_left ? degrees + 180 : degrees)
	};
}

function draw_node(node, few, select) {
	const state = node.here ? 'here' : node.link && !node.reachable ? format.shade(node.link) : node.reachable ? 'reached' : 'lost';
	const choose = () => select(node.key);
	const group = svg('g', { 'class': 'quicap-node quicap-' + state, 'data-node': node.name, 'data-key': node.key, 'tabindex': 0, 'role': 'button' }, [
		svg('title', {}, [ node.name ]),
		svg('circle', { 'cx': node.x, 'cy': node.y, 'r': node.here ? 10 : few ? 8 : 5.5 }),
		svg('text', name_place(node, few), [ shortened(node.name) ])
	]);
	group.addEventListener('click', choose);
	group.addEventListener('keydown', ev => {
		if (ev.key == 'Enter' || ev.key == ' ') {
			ev.preventDefault();
			choose();
		}
	});
	return group;
}

// The lines and nodes on the way to a node get a mark.
function mark(picture, status, nodes, key) {
	const node = nodes.get(key);
	const by_name = new Map([ ...nodes.values() ].map(other => [ other.name, other.key ]));
	const way = [ String(status.node.id), ...(node ? node.path.map(name => by_name.get(name)) : []) ];
	const lines = new Set(way.slice(1).map((to, at) => pair(way[at], to)));
	picture.classList.toggle('quicap-choosing', !!node);
	for (const line of picture.querySelectorAll('.quicap-line'))
		line.classList.toggle('quicap-way', !!node && lines.has(line.dataset.line));
	for (const other of picture.querySelectorAll('.quicap-node'))
		other.classList.toggle('quicap-way', !!node && (way.includes(other.dataset.key) || other.dataset.key == key));
}

return baseclass.extend({
	// An SVG element of what `quicap status --json` says. `select(key)` is called for the node that somebody chooses.
	draw: function(status, select) {
		const { nodes, few } = layout(status);
		const lines = lines_of(status, nodes);
		const box = extent(nodes, lines, few);
		const is_told = lines.length <= EDGES_TOLD;
		const picture = svg('svg', {
			'class': 'quicap-mesh', 'viewBox': box.join(' '), 'width': box[2], 'height': box[3],
			'role': 'group', 'aria-label': _('The mesh as this node knows it')
		}, [
			...lines.map(([ at, line ]) => draw_line(at, line, nodes, is_told)),
			...[ ...nodes.values() ].map(node => draw_node(node, few, select))
		]);
		return { picture, nodes, here: { x: -box[0], y: -box[1] }, mark: key => mark(picture, status, nodes, key) };
	}
});
