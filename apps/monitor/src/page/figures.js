// One connection for the figures of all tabs: a browser has six to a server, and each tab would hold one for itself.
'use strict';

const RETRY_MS = 500;
// Events come four a second: so long without one, and the server has gone.
const SILENCE_MS = 3000;
// A tab says each half second that it looks; one that has not for so long is closed, or sleeps.
const LOOK_MS = 5000;

// When each tab that looks last said so.
const looking = new Map();
let source = null;
let heard = 0;
let retry;

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data === 'leave') looking.delete(port); else looking.set(port, Date.now());
    tend();
  };
};

// Holds a connection as long as anybody looks.
function tend() {
  const now = Date.now();
  for (const [port, said] of looking) if (now - said > LOOK_MS) looking.delete(port);
  if (looking.size === 0) {
    clearTimeout(retry);
    source?.close();
    source = null;
  } else if (!source) {
    listen();
  } else if (now - heard > SILENCE_MS) {
    lost();
  }
}

function listen() {
  clearTimeout(retry);
  source?.close();
  heard = Date.now();
  source = new EventSource('api/events?scope=cluster');
  for (const event of ['streams', 'cluster']) {
    source.addEventListener(event, ({ data }) => { heard = Date.now(); tell({ event, data }); });
  }
  source.addEventListener('error', lost);
}

function lost() {
  tell(null);
  source?.close();
  heard = Date.now();
  clearTimeout(retry);
  retry = setTimeout(listen, RETRY_MS);
}

function tell(data) {
  for (const port of looking.keys()) port.postMessage(data);
}

setInterval(tend, SILENCE_MS / 2);
