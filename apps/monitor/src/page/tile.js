// A stream's tile: its picture, what is known of it, which values are black and white. What streams, servers and programs call
// themselves is text of strangers, and is never markup.
'use strict';

const CAUSES = [
  ['skipped_at_source', 'skipped at the source'],
  ['no_credit', 'skipped without credit'],
  ['lost', 'lost on the way'],
  ['incomplete', 'incomplete'],
  ['no_slot', 'without memory'],
  ['slow_consumer', 'too fast for a sink'],
];

// ---- which values are black and white

class ValueRange {
  constructor(form, changed) {
    this.form = form;
    // What is sent with a request; null where the server finds it by what is in the frame.
    this.chosen = null;
    this.changed = changed;
    [this.low, this.high, this.automatic] = ['low', 'high', 'automatic'].map((name) => form.querySelector('.' + name));
    form.addEventListener('submit', (event) => event.preventDefault());
    for (const input of [this.low, this.high]) input.addEventListener('change', () => this.choose());
    this.automatic.addEventListener('click', () => {
      [this.low.value, this.high.value] = ['', ''];
      this.choose();
    });
  }

  // What one field has not is what the last picture had.
  choose() {
    const value = (input) => Number(input.value === '' ? input.placeholder : input.value);
    const [low, high] = [value(this.low), value(this.high)];
    const isAutomatic = this.low.value === '' && this.high.value === '';
    const isRange = isAutomatic || low < high;
    this.high.setCustomValidity(isRange ? '' : 'White is above black');
    this.high.reportValidity();
    if (!isRange) return;
    this.chosen = isAutomatic ? null : `${low}-${high}`;
    this.automatic.setAttribute('aria-pressed', isAutomatic);
    this.changed();
  }

  show(stream) {
    this.form.hidden = !stream.ranged;
    if (!stream.value_range) return;
    // Of floats three digits are enough to see what there is.
    const short = (value) => String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
    for (const [input, value] of [[this.low, stream.value_range.low], [this.high, stream.value_range.high]]) {
      if (input.placeholder !== short(value)) input.placeholder = short(value);
    }
  }
}

// ---- tiles

class Tile {
  constructor(stream) {
    const root = byId('tile').content.firstElementChild.cloneNode(true);
    this.root = root;
    this.id = stream.id;
    this.node = stream.node;
    this.number = ++numbers;
    // Where it stands among those of its server.
    this.nth = 0;
    // Others are told of once a second.
    this.samples = SECONDS_SHOWN * (stream.hearsay ? 1 : EVENTS_A_SECOND);
    // Nobody is asked again before.
    this.pausedUntil = 0;
    this.history = [];
    this.seen = 0;
    this.asked = false;
    this.visible = false;
    // When the frame in the picture came, on this page's clock.
    this.taken = null;
    const find = (name) => root.querySelector('.' + name);
    this.picture = find('picture');
    this.shot = find('shot');
    this.placeholder = find('placeholder');
    this.curve = find('curve');
    for (const name of ['name', 'place', 'place-name', 'place-state', 'format', 'captured', 'age', 'rate', 'bytes', 'p50', 'p99', 'losses', 'granted', 'readers', 'watchers', 'key-rate', 'key-latency', 'metadata', 'metadata-kind', 'metadata-text']) {
      this[name.replace('-', '')] = find(name);
    }
    this.range = new ValueRange(find('range'), () => this.look());
    root.dataset.stream = stream.id;
    byNumber.set(this.number, this);
    byRoot.set(root, this);
    this.picture.addEventListener('click', () => full.open(this));
    watcher.observe(root);
  }

  show(stream, snapshot) {
    this.stream = stream;
    put(this.name, stream.name);
    this.name.title = stream.name;
    const from = stream.source ? ' from ' + stream.source : '';
    const idle = stream.idle ? ', idle: nobody wants it' : '';
    put(this.format, `${size(stream)} ${stream.pixel}${from}${stream.delivery ? ', ' + stream.delivery : ''}${stream.cipher ? ', ' + stream.cipher : ''}${idle}`);
    this.root.classList.toggle('hearsay', stream.hearsay === true);
    this.showPlace();
    this.showAge();
    put(this.rate, plain(stream.frames_per_second, 1));
    put(this.bytes, plain(stream.gigabytes_per_second, 3));
    put(this.p50, stream.latency_ms ? millis(stream.latency_ms.p50) : '–');
    put(this.p99, stream.latency_ms ? millis(stream.latency_ms.p99) : '–');
    this.picture.setAttribute('aria-label', `Show ${stream.name} full size`);
    if (stream.hearsay) this.showHearsay(stream); else this.showLosses(stream);
    if (stream.pictured === false) put(this.placeholder, `${stream.pixel}: no picture${stream.newest ? `, ${whole(stream.newest.bytes)} bytes` : ''}`);
    else if (!snapshot.preview_fps) put(this.placeholder, 'Pictures are switched off at the server');
    this.picture.disabled = stream.pictured === false;
    this.showReaders(stream.readers ?? []);
    this.showWatchers(stream.watchers ?? []);
    this.showGrant(stream.grant);
    this.showNewest(stream.newest);
    this.range.show(stream);
    // What a silent server said last is no figure of now.
    if (stream.hearsay && stream.state !== 'live') return;
    this.history.push([stream.frames_per_second, stream.latency_ms ? stream.latency_ms.p99 : null]);
    if (this.history.length > this.samples) this.history.shift();
    if (this.visible) this.draw();
  }

  showLosses(stream) {
    const losses = CAUSES.filter(([cause]) => stream.frames_dropped[cause] > 0)
      .map(([cause, words]) => `${stream.frames_dropped[cause]} ${words}`);
    for (const sink of stream.sinks ?? []) {
      const unrecorded = sink.frames_failed + sink.frames_dropped;
      if (sink.state === 'failed') losses.push(`recording to ${sink.sink} fails, ${unrecorded} not recorded: ${sink.reason}`);
      else if (sink.frames_failed > 0) losses.push(`${unrecorded} not recorded to ${sink.sink}`);
    }
    put(this.losses, losses.length ? losses.join(', ') : 'No frame missing');
    this.losses.classList.toggle('some', losses.length > 0);
  }

  // Its node counts what is missing; this server knows no more than that node says.
  showHearsay(stream) {
    put(this.losses, stream.activity === 'silent' ? 'No frame of late' : '');
    this.losses.classList.toggle('some', stream.activity === 'silent');
    if (!this.shot.hidden) return;
    const node = places.nodes.get(stream.node);
    put(this.placeholder, node?.trouble ? `No picture: ${node.trouble}` : node?.state === 'unreachable' ? 'No picture: its server is unreachable' : 'Waiting for a picture …');
  }

  // Of a cluster: which server has it, and how fresh that is.
  showPlace() {
    const node = places.nodes.get(places.nodeOf(this));
    this.place.hidden = !places.isCluster || !node;
    if (this.place.hidden) return;
    put(this.placename, node.name || 'unnamed');
    put(this.placestate, places.words(node));
    this.place.dataset.state = node.state;
    this.root.dataset.state = node.state;
  }

  showGrant(grant) {
    this.granted.hidden = !grant;
    if (!grant) return;
    const thinned = grant.frames_per_second === undefined ? '' : `, thinned to ${plain(grant.frames_per_second, 1)} frames/s`;
    put(this.granted, `Granted ${bits(grant.bits_per_second)} of ${grant.link}, priority ${grant.priority}${thinned}`);
    this.granted.classList.toggle('some', thinned !== '');
  }

  // Whom the server sends it on to.
  showWatchers(watchers) {
    this.watchers.hidden = watchers.length === 0;
    while (this.watchers.children.length > watchers.length) this.watchers.lastChild.remove();
    watchers.forEach((watcher, nth) => {
      const line = this.watchers.children[nth] ?? this.watchers.appendChild(document.createElement('li'));
      const who = watcher.node ? `${watcher.node} (${watcher.address})` : watcher.address;
      const most = watcher.frames_per_second_max === undefined ? '' : ` up to ${plain(watcher.frames_per_second_max, 1)} frames/s`;
      put(line, `Watched by ${who}, ${watcher.delivery}${most}: ${whole(watcher.frames_sent)} sent, ${whole(watcher.frames_skipped)} skipped${watcher.state === 'open' ? '' : ', ' + watcher.state}`);
    });
  }

  // What the newest frame says beside its pixels. Strangers wrote it: it is text, whatever it looks like.
  showNewest(newest) {
    const error = newest?.captured_utc_error_ms;
    this.captured.hidden = !newest?.captured_utc;
    put(this.captured, newest?.captured_utc ? `Captured ${newest.captured_utc}${error === undefined ? '' : ` ± ${millis(error)}`}` : '');
    const metadata = newest?.metadata;
    this.metadata.hidden = !metadata;
    if (!metadata) return;
    const cut = metadata.bytes_cut > 0 ? `, the last ${whole(metadata.bytes_cut)} not shown` : '';
    const kind = { json: 'JSON', cbor: 'CBOR', bytes: 'bytes' }[metadata.kind] ?? metadata.kind;
    put(this.metadatakind, `Metadata: ${kind}, ${whole(metadata.bytes)} ${metadata.bytes === 1 ? 'byte' : 'bytes'}${cut}`);
    put(this.metadatatext, metadata.text ?? '');
    this.metadatatext.hidden = metadata.text === undefined;
  }

  // Programs of the server's machine. They name themselves: that is text, too.
  showReaders(readers) {
    this.readers.hidden = readers.length === 0;
    while (this.readers.children.length > readers.length) this.readers.lastChild.remove();
    readers.forEach((reader, nth) => {
      const line = this.readers.children[nth] ?? this.readers.appendChild(document.createElement('li'));
      const wake = reader.wake_cpu_us > 0 ? `, ${plain(reader.wake_cpu_us, 1)} µs to wake` : '';
      const ended = reader.quarantined ? ', given no more' : '';
      put(line, `Read by ${reader.name} (process ${reader.pid}, user ${reader.uid}), ${reader.policy}: ${whole(reader.taken)} taken, ${whole(reader.dropped)} dropped, ${reader.held} held${wake}${ended}`);
      line.classList.toggle('ended', reader.quarantined);
    });
  }

  // Another range: what is shown is of the one before.
  look() {
    this.seen = 0;
    if (full.tile === this) full.seen = 0;
    pictures.ask();
  }

  // Of the picture that is shown, or of the newest frame where there is none.
  showAge() {
    const node = this.stream.hearsay ? places.nodes.get(this.node) : undefined;
    // Of a stream that was never pictured here: since its node was heard, where that is long ago.
    const told = node ? (node.state === 'live' ? null : (performance.now() - node.heard) / 1000) : this.stream.age_seconds ?? null;
    const seconds = this.taken === null ? told : (performance.now() - this.taken) / 1000;
    put(this.age, age(seconds));
    const interval = this.stream.frames_per_second > 0 ? 1 / this.stream.frames_per_second : 0;
    this.root.classList.toggle('stale', seconds !== null && seconds > 2 + 2 * interval);
  }

  draw() {
    const { curve: canvas, history } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, width, height);
    const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);
    const points = this.samples;
    const x = (nth) => (points - history.length + nth) * width / (points - 1);
    const curve = (of, most) => {
      context.beginPath();
      let pen = false;
      history.forEach((sample, nth) => {
        if (sample[of] === null) { pen = false; return; }
        const y = height - 1 - sample[of] / most * (height - 3 * ratio);
        if (pen) context.lineTo(x(nth), y); else context.moveTo(x(nth), y);
        pen = true;
      });
    };
    const most = (of) => Math.max(1e-9, ...history.map((sample) => sample[of] ?? 0));
    const [rate, latency] = [most(0), most(1)];
    context.lineWidth = 1.5 * ratio;
    curve(0, rate);
    context.strokeStyle = colour('--rate');
    context.stroke();
    if (history.length > 1) {
      context.lineTo(x(history.length - 1), height);
      context.lineTo(x(0), height);
      context.fillStyle = colour('--rate-area');
      context.fill();
    }
    curve(1, latency);
    context.strokeStyle = colour('--latency');
    context.stroke();
    put(this.keyrate, `frames/s, up to ${plain(rate, rate < 10 ? 1 : 0)}`);
    put(this.keylatency, latency > 1e-6 ? `p99, up to ${millis(latency)}` : '');
  }

  gone() {
    watcher.unobserve(this.root);
    byNumber.delete(this.number);
    this.root.remove();
  }
}
