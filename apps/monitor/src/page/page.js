// The live page: figures come as server-sent events, which all tabs of a browser share, for it has few connections to a server;
// pictures over a WebSocket, each asked for when the last one is shown. A tab that nobody sees holds neither. All addresses are
// relative to the page's own, which may be below a path of a proxy's.
'use strict';

const SECONDS_SHOWN = 60;
const EVENTS_A_SECOND = 4;
const RETRY_MS = 500;
const RETRY_MAX_MS = 2000;
// Events come four a second: so long without one, and the server has gone.
const SILENCE_MS = 3000;

const byId = (id) => document.getElementById(id);
// By node and number at that node; the server's own have no node.
const tiles = new Map();
// The same by the number that their pictures are asked for by, and by what is seen of them.
const byNumber = new Map();
const byRoot = new WeakMap();
let numbers = 0;
// Where the server is: the page's own address.
const base = new URL('.', location.href);
byId('origin').textContent = base.href.replace(/\/$/, '');

const plain = (value, digits) => value.toFixed(digits);
const millis = (value) => (value < 10 ? plain(value, 2) : value < 1000 ? plain(value, 1) : plain(value, 0)) + ' ms';
const age = (seconds) => {
  if (seconds === null) return '–';
  if (seconds < 1) return Math.round(seconds * 1000) + ' ms';
  return seconds < 60 ? plain(seconds, 1) + ' s' : Math.round(seconds / 60) + ' min';
};
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

const whole = (value) => value.toLocaleString('en');
// Bytes that are no picture have a length, and no rows.
const size = (stream) => stream.pixel === 'bytes' ? `up to ${whole(stream.width)}` : `${stream.width}×${stream.height}`;

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = byRoot.get(entry.target);
    if (tile) tile.visible = entry.isIntersecting;
  }
  pictures.ask();
}, { rootMargin: '100px' });

// What is spoken of, to whoever does not see it.
const news = [];
function say(words) { news.push(words); }

function speak() {
  if (news.length) put(byId('news'), news.splice(0).join(' '));
}

// The server's own streams, as it knows them.
function show(snapshot) {
  update(snapshot.streams, (tile) => !tile.stream.hearsay, snapshot.server);
  showGuard(snapshot.server.guard);
  showAway(snapshot.server.turned_away ?? {});
  showLinks(snapshot.server.links ?? []);
  settle();
}

// What is known of other servers, and of their streams.
function showElsewhere({ cluster, streams }) {
  places.take(cluster);
  update(streams, (tile) => tile.stream.hearsay, { preview_fps: 1 });
  settle();
}

// Takes over these streams; those of this kind that are not among them have gone.
function update(streams, isOfThese, server) {
  const there = new Set();
  streams.forEach((stream, nth) => {
    const key = `${stream.node ?? ''}/${stream.id}`;
    there.add(key);
    let tile = tiles.get(key);
    if (!tile) {
      tile = new Tile(stream);
      tiles.set(key, tile);
      say(`Stream ${stream.name} has come.`);
    }
    tile.nth = nth;
    tile.show(stream, server);
  });
  for (const [key, tile] of tiles) {
    if (isOfThese(tile) && !there.has(key)) {
      say(`Stream ${tile.stream.name} has gone.`);
      tile.gone();
      tiles.delete(key);
      full.lose(tile);
    }
  }
}

function settle() {
  byId('empty').hidden = tiles.size > 0;
  const streams = [...tiles.values()].map((tile) => tile.stream);
  // Nobody knows what a server carries that is silent.
  const known = streams.filter((stream) => (stream.state ?? 'live') === 'live');
  const sum = (of) => known.reduce((total, stream) => total + stream[of], 0);
  const servers = places.isCluster ? ` at ${places.nodes.size} servers` : '';
  put(byId('totals'), `${streams.length} ${streams.length === 1 ? 'stream' : 'streams'}${servers}, ${plain(sum('frames_per_second'), 0)} frames/s, ${plain(sum('gigabytes_per_second'), 2)} GB/s`);
  speak();
  full.show();
  places.arrange();
}

// What of each link is given away.
function showLinks(links) {
  const list = byId('links');
  list.hidden = links.length === 0;
  while (list.children.length > links.length) list.lastChild.remove();
  links.forEach((link, nth) => {
    const line = list.children[nth] ?? list.appendChild(document.createElement('li'));
    const refused = link.refused > 0 ? `, ${whole(link.refused)} refused` : '';
    put(line, `${link.name}: ${bits(link.received_bits_per_second)} in, ${bits(link.sent_bits_per_second)} out of ${bits(link.bits_per_second_max)}${refused}`);
    const most = Math.max(link.received_bits_per_second, link.sent_bits_per_second);
    line.classList.toggle('full', most > 0.95 * link.bits_per_second_max);
  });
}

// On loopback there is nothing to say.
function showGuard(guard) {
  const words = { protected: 'Protected', insecure: 'Not protected: --insecure' }[guard];
  const element = byId('guard');
  element.hidden = !words;
  element.dataset.guard = guard ?? '';
  put(element, words ?? '');
  // The line to paste there is the server's to print: it is a secret.
  if (guard === 'protected') put(document.querySelector('#empty code'), 'framewire-client --join -');
}

// Who had not what lets them in.
function showAway({ proofs, tls, openings_forged: forged, openings_replayed: replayed }) {
  const all = [[proofs, 'by a failed proof'], [tls, 'without TLS to its end'], [forged, 'by a forged opening'], [replayed, 'by a replayed opening']];
  const said = all.filter(([count]) => count > 0).map(([count, what]) => `${whole(count)} ${what}`);
  byId('away').hidden = said.length === 0;
  put(byId('away'), said.length ? `Turned away: ${said.join(', ')}` : '');
}

// ---- figures

const figures = {
  heard: 0,
  asked: 0,
  connected: false,
  // Of all tabs, where the browser has one; else this tab's own.
  worker: null,
  source: null,

  // Looks, as long as this tab is seen. The worker forgets a tab that does not say so again and again.
  look() {
    if (document.hidden) return;
    if (this.worker) this.worker.port.postMessage('look');
    if (this.connected) return;
    this.connected = true;
    this.heard = Date.now();
    if (!this.worker) this.listen();
  },

  // Gives up what it holds.
  leave() {
    this.connected = false;
    this.worker?.port.postMessage('leave');
    this.source?.close();
    this.source = null;
    clearTimeout(this.retry);
    pictures.drop();
  },

  share() {
    if (!window.SharedWorker) return;
    this.worker = new SharedWorker('figures.js', { name: 'framewire' });
    this.worker.port.onmessage = ({ data }) => { if (this.connected) this.take(data?.event, data?.data ?? null); };
    // Where there is none after all, as in some private windows.
    this.worker.onerror = () => {
      this.worker = null;
      if (this.connected) this.listen();
    };
  },

  listen() {
    this.source?.close();
    this.heard = Date.now();
    this.source = new EventSource('api/events?scope=cluster');
    for (const name of ['streams', 'cluster']) this.source.addEventListener(name, (event) => this.take(name, event.data));
    this.source.addEventListener('error', () => this.lost());
  },

  // A pass ends with its server and with the day: then the page asks for the password again.
  mayLook() {
    if (Date.now() - this.asked < RETRY_MAX_MS) return;
    this.asked = Date.now();
    fetch('api/streams', { cache: 'no-store' }).then((answer) => { if (answer.status === 401) location.reload(); }, () => {});
  },

  // What the server says; null where it is lost.
  take(event, data) {
    if (data === null) {
      this.lost();
      return;
    }
    this.heard = Date.now();
    tell('live', 'Live');
    if (event === 'cluster') showElsewhere(JSON.parse(data)); else show(JSON.parse(data));
    pictures.connect();
  },

  lost() {
    pictures.drop();
    tell('lost', 'Server lost, trying again …');
    this.mayLook();
    if (!this.source) return;
    this.source.close();
    clearTimeout(this.retry);
    this.retry = setTimeout(() => { if (this.connected) this.listen(); }, RETRY_MS);
  },
};

setInterval(() => {
  figures.look();
  if (figures.connected && Date.now() - figures.heard > SILENCE_MS) figures.lost();
  for (const tile of tiles.values()) { tile.showAge(); if (tile.stream.hearsay) tile.showPlace(); }
  places.showAges();
}, SILENCE_MS / 6);

function tell(state, words) {
  const element = byId('state');
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.textContent = words;
  document.body.classList.toggle('is-lost', state === 'lost');
  // The large picture covers the state.
  if (full.tile && state === 'lost') put(byId('full-figures'), words);
}

// ---- pictures

const pictures = {
  socket: null,
  pause: RETRY_MS,

  connect() {
    if (this.socket) return;
    const address = new URL('api/pictures', base);
    address.protocol = address.protocol.replace('http', 'ws');
    const socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.addEventListener('open', () => { this.pause = RETRY_MS; this.ask(); });
    socket.addEventListener('message', (event) => { if (this.socket === socket) this.take(event.data); });
    socket.addEventListener('close', () => {
      if (this.socket !== socket) return;
      // The figures' events say when the server is there again.
      setTimeout(() => { if (this.socket === socket) this.drop(); }, this.pause);
      this.pause = Math.min(this.pause * 2, RETRY_MAX_MS);
    });
  },

  // Forgets the connection, though the far end may not have said that it is gone, and what was asked over it.
  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    for (const tile of tiles.values()) tile.asked = false;
    full.asked = false;
  },

  // Asks for the next picture of all that can be seen; none while nobody looks.
  ask() {
    if (this.socket?.readyState !== WebSocket.OPEN || document.hidden) return;
    if (full.tile) {
      if (performance.now() >= full.pausedUntil) full.asked ||= this.send(full.tile, 'full', full.seen);
      return;
    }
    const now = performance.now();
    for (const tile of tiles.values()) {
      const isWanted = tile.visible && tile.stream.pictured !== false && now >= tile.pausedUntil;
      if (isWanted) tile.asked ||= this.send(tile, 'tile', tile.seen);
    }
  },

  send(tile, size, seen) {
    const range = tile.range.chosen ?? undefined;
    this.socket.send(JSON.stringify({ stream: tile.id, node: tile.node, size, seen, range, tag: tile.number }));
    return true;
  },

  take(bytes) {
    const view = new DataView(bytes);
    const [isFull, number, serial] = [view.getUint8(4) === 1, view.getUint32(4) & 0xffffff, Number(view.getBigUint64(8))];
    const tile = byNumber.get(number);
    const target = isFull ? full : tile;
    if (!target) return;
    if (isFull && full.tile?.number !== number) { full.asked = false; this.ask(); return; }
    if (serial === 0) {
      // The stream has gone, which the next figures say; ask again with them if it has not. Another server may be away for longer.
      target.asked = false;
      if (tile?.node) target.pausedUntil = performance.now() + RETRY_MAX_MS / 2;
      return;
    }
    const taken = performance.now() - Number(view.getBigUint64(24)) / 1000;
    const range = (isFull ? target.tile : target).range.chosen;
    createImageBitmap(new Blob([new Uint8Array(bytes, 32)], { type: 'image/jpeg' })).then((picture) => {
      draw(target.shot, picture, view.getBigUint64(16));
      if (target.placeholder) target.placeholder.hidden = true;
      target.taken = taken;
      performance.mark('picture');
    }).catch((error) => console.warn('a picture could not be shown:', error)).finally(() => {
      // Where the range was changed meanwhile, any picture of the new one will do.
      target.seen = (isFull ? target.tile : target)?.range.chosen === range ? serial : 0;
      target.asked = false;
      this.ask();
    });
  },
};

// A picture that is there at once: an <img> would be empty for a moment with each new one.
function draw(canvas, picture, frame) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext('bitmaprenderer').transferFromImageBitmap(picture);
  canvas.hidden = false;
  canvas.dataset.frame = frame;
}

document.addEventListener('visibilitychange', () => { if (document.hidden) figures.leave(); else figures.look(); });
// Of a page that may come back by the browser's own history, too.
window.addEventListener('pagehide', () => figures.leave());
window.addEventListener('pageshow', () => figures.look());

// ---- full size

const full = {
  dialog: byId('full'),
  shot: byId('full-picture'),
  tile: null,
  seen: 0,
  asked: false,
  pausedUntil: 0,

  open(tile) {
    this.tile = tile;
    this.seen = 0;
    this.pausedUntil = 0;
    this.shot.setAttribute('aria-label', 'Live picture of ' + tile.stream.name);
    this.shot.hidden = true;
    // The small picture, until the large one comes.
    if (!tile.shot.hidden) {
      createImageBitmap(tile.shot).then((picture) => {
        if (this.tile === tile && this.shot.hidden) draw(this.shot, picture, tile.shot.dataset.frame);
      });
    }
    put(byId('full-name'), tile.stream.name);
    byId('full-range').append(tile.range.form);
    this.show();
    this.dialog.showModal();
    pictures.ask();
  },

  show() {
    const stream = this.tile?.stream;
    if (!stream) return;
    const latency = stream.latency_ms ? `, p50 ${millis(stream.latency_ms.p50)}, p99 ${millis(stream.latency_ms.p99)}` : '';
    const node = places.isCluster ? places.nodes.get(places.nodeOf(this.tile)) : undefined;
    const place = node ? `${node.name}${node.state === 'live' ? '' : ' (' + places.words(node) + ')'}, ` : '';
    put(byId('full-figures'), `${place}${size(stream)} ${stream.pixel}, ${plain(stream.frames_per_second, 1)} frames/s${latency}`);
  },

  lose(tile) {
    if (this.tile === tile) this.dialog.close();
  },
};

byId('full-close').addEventListener('click', () => full.dialog.close());
full.dialog.addEventListener('close', () => {
  full.tile?.root.querySelector('.about').after(full.tile.range.form);
  full.tile = null;
  full.asked = false;
  delete full.shot.dataset.frame;
  pictures.ask();
});

places.begin();
figures.share();
figures.look();
