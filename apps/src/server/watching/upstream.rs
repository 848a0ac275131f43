//! Streams that this server watches at other servers, to send them on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::lock::lock;
use framewire_process::stop::Stop;
use framewire_signal::message::{Refused, WatchRequest, Watching, reason};
use framewire_signal::{ClientEvent, SignalClient};
use framewire_transport::{Announcement, IncomingStream, Receiver, ReceiverConfig};

use super::source::Place;
use super::{Peer, Source, Watches};

/// A stream that nobody asks for here any more is let go after so long.
const UNWANTED_AFTER: Duration = Duration::from_secs(5);
/// How often is looked for what has come, and what others say.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How often is looked for what is wanted.
const WANTED_INTERVAL: Duration = Duration::from_millis(100);

/// Where such streams are received.
pub(crate) struct UpstreamPlace {
    /// Of this server; on any port.
    pub(crate) bind: SocketAddr,
    /// How; announced streams alone.
    pub(crate) config: ReceiverConfig,
}

/// Streams that are watched elsewhere.
pub(super) struct Upstreams {
    place: UpstreamPlace,
    /// Bound when the first is wanted.
    receiver: OnceLock<Receiver>,
    all: Mutex<Vec<Upstream>>,
}

/// One of them.
struct Upstream {
    peer: Peer,
    client: SignalClient,
    /// Its id here.
    stream: u32,
    watching: Option<Watching>,
    /// What has come, and what it is to those who watch here.
    come: Option<(u64, Arc<IncomingStream>)>,
    /// Its sender has closed it there.
    is_over: bool,
    unwanted_since: Option<Instant>,
}

impl Upstream {
    fn place(&self) -> Place {
        let Peer { node, name, stream, .. } = &self.peer;
        Place { stream: stream.clone(), node: (node.clone(), name.clone()) }
    }
}

impl Upstreams {
    pub(super) fn new(place: UpstreamPlace) -> Self {
        Self { place, receiver: OnceLock::new(), all: Mutex::default() }
    }
}

impl Watches {
    /// Watches elsewhere what is asked for here, until the program stops.
    pub(in crate::server) fn watch_elsewhere(&self, stop: &Stop) {
        if self.peers.own().is_none() {
            return;
        }
        let mut looked = None::<Instant>;
        while !stop.is_stopped() {
            let now = Instant::now();
            if looked.is_none_or(|looked| now.saturating_duration_since(looked) >= WANTED_INTERVAL) {
                looked = Some(now);
                self.ask_for_wanted(now);
            }
            self.hear();
            self.take_what_comes();
            if stop.sleep_until(now + LOOK_INTERVAL) {
                break;
            }
        }
        for upstream in std::mem::take(&mut *lock(&self.upstreams.all)) {
            self.let_go(upstream, "the server stops");
        }
    }

    /// Asks for what is wanted and lets go of what is not.
    fn ask_for_wanted(&self, now: Instant) {
        let wanted: BTreeMap<_, _> = self.wanted().into_iter().collect();
        let mut all = lock(&self.upstreams.all);
        for (name, passed) in &wanted {
            let found = self.peers.find(name, passed);
            if let Some(at) = all.iter().position(|upstream| upstream.place().is_called(name)) {
                let upstream = &mut all[at];
                upstream.unwanted_since = None;
                // It comes, or would if it could, from where it is.
                let has_moved = found.as_ref().is_some_and(|peer| peer.node != upstream.peer.node);
                if upstream.come.is_some() || !has_moved {
                    continue;
                }
                self.let_go(all.swap_remove(at), "it is elsewhere now");
            }
            let Some(peer) = found else { continue };
            match self.ask(peer, passed) {
                Ok(upstream) => all.push(upstream),
                Err(why) => {
                    tracing::warn!(stream = ?name, "not asked for elsewhere: {why}");
                    self.tell_waiting(|waits| waits == name, &why);
                }
            }
        }
        let is_unwanted = |upstream: &mut Upstream| {
            let place = upstream.place();
            if wanted.keys().any(|name| place.is_called(name)) {
                return false;
            }
            let since = *upstream.unwanted_since.get_or_insert(now);
            now.saturating_duration_since(since) >= UNWANTED_AFTER
        };
        for upstream in all.extract_if(.., is_unwanted).collect::<Vec<_>>() {
            tracing::info!(stream = ?upstream.peer.stream, node = ?upstream.peer.name, "watched there no more");
            self.let_go(upstream, "nobody watches it here any more");
        }
    }

    fn ask(&self, peer: Peer, passed: &[String]) -> Result<Upstream, String> {
        let receiver = self.receiver().map_err(|failure| format!("frames cannot be received here: {failure}"))?;
        let stream = getrandom::u32().map_err(|error| format!("the system gives no random number ({error})"))?;
        let (own, _) = self.peers.own().ok_or("this server is in no cluster")?;
        let hops = passed.iter().cloned().chain([own]).collect::<Vec<_>>();
        let request = WatchRequest::new(stream, &peer.stream, receiver.local_addr().port()).hops(hops);
        let client = SignalClient::start(peer.client.clone().watch(request)).map_err(|error| error.to_string())?;
        tracing::info!(stream = ?peer.stream, node = ?peer.name, "asked for there");
        Ok(Upstream { peer, client, stream, watching: None, come: None, is_over: false, unwanted_since: None })
    }

    fn receiver(&self) -> Result<&Receiver, Failure> {
        if let Some(receiver) = self.upstreams.receiver.get() {
            return Ok(receiver);
        }
        let UpstreamPlace { bind, config } = &self.upstreams.place;
        let bound = Receiver::bind(SocketAddr::new(bind.ip(), 0), config.clone()).map_err(Failure::runtime)?;
        Ok(self.upstreams.receiver.get_or_init(|| bound))
    }

    /// What the others say.
    fn hear(&self) {
        let mut all = lock(&self.upstreams.all);
        let mut told = Vec::new();
        for upstream in all.iter_mut() {
            let name = upstream.peer.stream.clone();
            while let Some(event) = upstream.client.next_event(Duration::ZERO) {
                match event {
                    ClientEvent::Watching(watching) => {
                        if let Err(refused) = self.announce(upstream, watching) {
                            told.push((upstream.place(), format!("{}: {refused}", upstream.peer.name)));
                        }
                    }
                    ClientEvent::Unwatched(unwatched) => upstream.is_over = unwatched.over,
                    ClientEvent::WatchRefused { refused, .. } => {
                        tracing::warn!(stream = ?name, node = ?upstream.peer.name, "refused there: {refused}");
                        told.push((upstream.place(), format!("{} refuses it: {refused}", upstream.peer.name)));
                    }
                    ClientEvent::Retrying { reason, attempt: 1, .. } => {
                        tracing::info!(stream = ?name, node = ?upstream.peer.name, "not reached: {reason}");
                    }
                    _ => {}
                }
            }
        }
        drop(all);
        for (place, why) in told {
            self.tell_waiting(|name| place.is_called(name), &why);
        }
    }

    /// It is sent: says so at the receiver, under its key.
    fn announce(&self, upstream: &mut Upstream, watching: Watching) -> Result<(), Refused> {
        // Who has the stream already goes on with it.
        if watching.stream != upstream.stream {
            return Ok(());
        }
        let format = watching.format()?;
        let announced = Announcement::new(format).key(watching.key.clone());
        let receiver = self.receiver().map_err(|failure| Refused::new(reason::INTERNAL, failure.to_string()))?;
        receiver.announce(upstream.stream, announced).map_err(|error| Refused::new("memory", error.to_string()))?;
        (upstream.watching, upstream.is_over) = (Some(watching), false);
        Ok(())
    }

    /// Streams that have come, and those that have ended.
    fn take_what_comes(&self) {
        let Some(receiver) = self.upstreams.receiver.get() else { return };
        while let Ok(stream) = receiver.accept_timeout(Duration::ZERO) {
            let stream = Arc::new(stream);
            let mut all = lock(&self.upstreams.all);
            let found = all.iter_mut().find(|upstream| upstream.stream == stream.info().stream);
            let Some(upstream) = found else { continue };
            let hops = upstream.watching.as_ref().map(|watching| watching.hops.clone()).unwrap_or_default();
            let node = upstream.watching.as_ref().and_then(|watching| watching.node.clone());
            let source =
                Source::elsewhere(&stream, upstream.place(), node.unwrap_or_else(|| upstream.peer.node.clone()), hops);
            let before = upstream.come.take();
            drop_ended(self, before, false, "it began anew");
            tracing::info!(stream = ?upstream.peer.stream, node = ?upstream.peer.name, format = %stream.info().format, "comes from there");
            upstream.come = Some((self.begin(source), stream));
        }
        let mut all = lock(&self.upstreams.all);
        for upstream in all.iter_mut() {
            let has_ended = |stream: &IncomingStream| {
                // Nobody takes frames here but the relay; what waits for this end is let go.
                while stream.try_recv().is_ok() {}
                stream.end_reason().is_some()
            };
            if upstream.come.as_ref().is_some_and(|(_, stream)| has_ended(stream)) {
                let why = format!("it ended at {}", upstream.peer.name);
                drop_ended(self, upstream.come.take(), upstream.is_over, &why);
            }
        }
    }

    fn let_go(&self, upstream: Upstream, why: &str) {
        drop_ended(self, upstream.come, upstream.is_over, why);
        if let Some(receiver) = self.upstreams.receiver.get() {
            receiver.withdraw(upstream.stream);
        }
        upstream.client.unwatch(upstream.stream);
    }
}

fn drop_ended(watches: &Watches, come: Option<(u64, Arc<IncomingStream>)>, is_over: bool, why: &str) {
    if let Some((source, stream)) = come {
        watches.end(source, is_over, why);
        stream.stop();
    }
}
