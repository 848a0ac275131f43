// Where streams are: the servers of the cluster and how fresh what is known of each is, which tiles are seen, and in which groups.
// What other servers say of themselves is text of strangers, and is never markup.
'use strict';

const NODE_WORDS = { live: '', stale: 'stale', unreachable: 'unreachable' };
const OTHERS = 'Others';
// Of a stream's name: what stands before the last is its group.
const SEPARATOR = '/';

const places = {
  // By node id, in the order in which the server tells of them: itself first.
  nodes: new Map(),
  own: '',
  chips: new Map(),
  groups: new Map(),
  // The node that alone is looked at.
  chosen: '',
  order: '',

  begin() {
    this.filter = document.getElementById('filter');
    this.group = document.getElementById('group');
    this.root = document.getElementById('streams');
    const asked = new URLSearchParams(location.hash.slice(1));
    this.filter.value = asked.get('filter') ?? '';
    this.group.value = asked.get('group') ?? '';
    // What was asked for by another page, perhaps.
    if (this.group.selectedIndex < 0) this.group.value = '';
    for (const [element, event] of [[this.filter, 'input'], [this.group, 'change']]) {
      element.addEventListener(event, () => { this.remember(); this.arrange(); });
    }
  },

  // So that the page comes back as it was, and can be handed on.
  remember() {
    const asked = new URLSearchParams();
    if (this.filter.value) asked.set('filter', this.filter.value);
    if (this.group.value) asked.set('group', this.group.value);
    history.replaceState(null, '', asked.size ? '#' + asked : location.pathname + location.search);
  },

  // Whether there are others than this server.
  get isCluster() { return this.nodes.size > 1; },

  take(cluster) {
    this.own = cluster.node;
    const heard = performance.now();
    const before = this.nodes;
    this.nodes = new Map(cluster.nodes.map((node, nth) => [node.node, { ...node, nth, heard: heard - node.age_seconds * 1000 }]));
    for (const node of this.nodes.values()) {
      const state = before.get(node.node)?.state;
      if (state && state !== node.state) say(`Server ${node.name} is ${node.state === 'live' ? 'live again' : node.state}.`);
    }
    this.showChips();
    this.showBanner(cluster);
    if (!this.nodes.has(this.chosen)) this.chosen = '';
  },

  showChips() {
    const list = document.getElementById('nodes');
    list.hidden = !this.isCluster;
    for (const [id, chip] of this.chips) {
      if (!this.nodes.has(id)) { chip.root.remove(); this.chips.delete(id); }
    }
    for (const node of this.nodes.values()) {
      let chip = this.chips.get(node.node);
      if (!chip) { chip = this.makeChip(node.node); this.chips.set(node.node, chip); }
      if (list.children[node.nth] !== chip.root) list.insertBefore(chip.root, list.children[node.nth] ?? null);
      put(chip.name, node.name || 'unnamed');
      put(chip.figures, `${node.streams} ${node.streams === 1 ? 'stream' : 'streams'}`);
      chip.root.dataset.state = node.state;
      chip.root.title = this.about(node);
      chip.link.hidden = node.node === this.own || !address(node.url);
      if (!chip.link.hidden) {
        chip.link.href = address(node.url);
        chip.link.setAttribute('aria-label', `Open the page of ${node.name}`);
      }
    }
    this.showAges();
  },

  makeChip(id) {
    const root = document.getElementById('node').content.firstElementChild.cloneNode(true);
    const find = (name) => root.querySelector('.' + name);
    const chip = { root, button: find('node-choose'), name: find('node-name'), figures: find('node-figures'), state: find('node-state'), link: find('node-link') };
    chip.button.addEventListener('click', () => {
      this.chosen = this.chosen === id ? '' : id;
      this.arrange();
    });
    return chip;
  },

  // What a server has to do, in one line.
  about(node) {
    const links = (node.links ?? []).map((link) => `${link.name} ${bits(link.received_bits_per_second)} in and ${bits(link.sent_bits_per_second)} out of ${bits(link.bits_per_second_max)} granted`);
    const cores = node.cores === undefined ? [] : [`${plain(node.cores, 1)} processors busy`];
    return [`${plain(node.gigabytes_per_second, 2)} GB/s come in`, `${node.watchers} watchers`, ...cores, ...links, ...(node.trouble ? [node.trouble] : [])].join('; ');
  },

  // How old what is known of a node is: said of one that is not live.
  words(node) {
    if (!node || node.state === 'live') return '';
    return `${NODE_WORDS[node.state] ?? node.state}, last heard ${age((performance.now() - node.heard) / 1000)} ago`;
  },

  showAges() {
    for (const [id, chip] of this.chips) {
      const node = this.nodes.get(id);
      put(chip.state, node?.state === 'live' ? (id === this.own ? 'this server' : 'live') : this.words(node));
    }
  },

  // Frames and the server's own streams go on without the engine, which is to be seen.
  showBanner(cluster) {
    const away = (cluster.engines ?? []).filter((engine) => engine.problem);
    const words = away.map((engine) => `The directory’s engine (${engine.engine}) is away: ${engine.problem.replace(/[.?!]?$/, (end) => end || '.')}`);
    if (away.length) words.push('This server’s own streams and all frames go on; what is shown of other servers grows old.');
    for (const node of cluster.nodes.filter((node) => node.twin)) {
      words.push(`Two servers have the id of ${node.name || node.node}, for a state directory was copied: what one of them has is not seen elsewhere. Delete the file “node” in its state directory, and start it again.`);
    }
    if (cluster.nodes_unlisted > 0) words.push(`${whole(cluster.nodes_unlisted)} more servers are not shown.`);
    if (cluster.streams_unlisted > 0) words.push(`${whole(cluster.streams_unlisted)} more streams are not shown.`);
    const banner = document.getElementById('banner');
    banner.hidden = words.length === 0;
    put(banner, words.join(' '));
  },

  // Puts tiles where they belong, those that are not looked for out of sight. Moves nothing that is in its place.
  arrange() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...tiles.values()].sort((one, other) => this.rank(one) - this.rank(other) || one.nth - other.nth);
    let seen = 0;
    for (const tile of all) {
      const text = `${tile.stream.name} ${tile.stream.node_name ?? ''} ${tile.stream.pixel}`.toLowerCase();
      const isSeen = words.every((word) => text.includes(word)) && (!this.chosen || this.nodeOf(tile) === this.chosen);
      tile.root.hidden = !isSeen;
      if (isSeen) seen += 1;
    }
    for (const [id, chip] of this.chips) chip.button.setAttribute('aria-pressed', id === this.chosen);
    document.getElementById('bar').hidden = tiles.size < 2 && !this.isCluster && !this.filter.value;
    this.group.querySelector('[value=node]').hidden = !this.isCluster;
    put(document.getElementById('seen'), seen < tiles.size ? `${seen} of ${tiles.size} shown` : '');
    this.place(all);
    pictures.ask();
  },

  place(all) {
    const grouped = new Map();
    for (const tile of all) {
      const group = this.groupOf(tile);
      if (!grouped.has(group)) grouped.set(group, []);
      grouped.get(group).push(tile);
    }
    let names = [...grouped.keys()];
    if (this.group.value === 'prefix') {
      names.sort((one, other) => (one === OTHERS) - (other === OTHERS) || one.localeCompare(other, 'en', { numeric: true }));
    }
    // Each with its key, which no name has a part in: two servers may call themselves alike.
    const order = JSON.stringify(names.map((name) => [name, grouped.get(name).map((tile) => tile.number)]));
    if (order !== this.order) {
      this.order = order;
      for (const [name, group] of this.groups) if (!grouped.has(name)) { group.root.remove(); this.groups.delete(name); }
      names.forEach((name, nth) => {
        const group = this.groups.get(name) ?? this.makeGroup(name);
        if (this.root.children[nth] !== group.root) this.root.insertBefore(group.root, this.root.children[nth] ?? null);
        grouped.get(name).forEach((tile, at) => {
          if (group.list.children[at] !== tile.root) group.list.insertBefore(tile.root, group.list.children[at] ?? null);
        });
      });
    }
    for (const [name, group] of this.groups) {
      const of = grouped.get(name);
      group.root.hidden = of.every((tile) => tile.root.hidden);
      const node = this.group.value === 'node' ? this.nodes.get(name) : undefined;
      group.root.dataset.state = node?.state ?? '';
      group.heading.hidden = this.group.value === '';
      put(group.heading, this.group.value === 'node' ? (node?.name || 'This server') : name);
      group.list.setAttribute('aria-label', group.heading.hidden ? 'Streams' : `Streams of ${group.heading.textContent}`);
    }
  },

  makeGroup(name) {
    const root = document.createElement('section');
    root.className = 'group';
    const heading = root.appendChild(document.createElement('h2'));
    const list = root.appendChild(document.createElement('ul'));
    list.className = 'tiles';
    const group = { root, heading, list };
    this.groups.set(name, group);
    return group;
  },

  nodeOf(tile) { return tile.stream.node ?? this.own; },

  rank(tile) { return tile.stream.node ? this.nodes.get(tile.stream.node)?.nth ?? Infinity : 0; },

  groupOf(tile) {
    if (this.group.value === 'node') return this.nodeOf(tile);
    if (this.group.value !== 'prefix') return '';
    const end = tile.stream.name.lastIndexOf(SEPARATOR);
    return end > 0 ? tile.stream.name.slice(0, end) : OTHERS;
  },
};

// A page's address, and nothing that does something else when it is clicked.
function address(url) {
  try {
    const parsed = new URL(url);
    return ['http:', 'https:'].includes(parsed.protocol) ? parsed.href : '';
  } catch {
    return '';
  }
}

function bits(rate) {
  if (rate < 1e6) return `${plain(rate / 1e3, 0)} kbit/s`;
  return rate < 1e9 ? `${plain(rate / 1e6, 0)} Mbit/s` : `${plain(rate / 1e9, 2)} Gbit/s`;
}
