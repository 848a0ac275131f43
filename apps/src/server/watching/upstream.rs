//! Streams that this server watches at other servers, to send them on.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_signal::message::{Hops, Refused, WatchRequest, Watching, reason};
use framewire_signal::{ClientEvent, SignalClient};
use framewire_transport::{Announcement, IncomingStream, Receiver, ReceiverConfig};

use super::source::Place;
use super::wish::Wanted;
use super::{Peer, Source, Watches, too_far};

/// A stream that nobody asks for here any more is let go after so long.
const UNWANTED_AFTER: Duration = Duration::from_secs(5);
/// One that cannot be had where it was asked for is asked for anew after so long, and each time that it cannot again after twice as long as before.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// At the most.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);
/// How often is looked for what has come, and what others say.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How often is looked for what is wanted.
const WANTED_INTERVAL: Duration = Duration::from_millis(100);
/// Connections that may be ending at once.
const LEAVING_MAX: usize = 64;

/// Where such streams are received.
pub(crate) struct UpstreamPlace {
    /// Of this server; on any port.
    pub(crate) bind: SocketAddr,
    /// How; announced streams alone.
    pub(crate) config: ReceiverConfig,
}

impl Watches {
    /// Watches elsewhere what is asked for here, until the program stops.
    pub(in crate::server) fn watch_elsewhere(&self, stop: &Stop) {
        if self.peers.own().is_none() {
            return;
        }
        std::thread::scope(|scope| {
            let mut elsewhere = Elsewhere {
                watches: self,
                receiver: OnceLock::new(),
                all: Vec::new(),
                again: Vec::new(),
                scope,
                leaving: Arc::default(),
            };
            let mut looked = None::<Instant>;
            while !stop.is_stopped() {
                let now = Instant::now();
                if looked.is_none_or(|looked| now.saturating_duration_since(looked) >= WANTED_INTERVAL) {
                    looked = Some(now);
                    elsewhere.ask_for_wanted(now);
                }
                elsewhere.hear(now);
                elsewhere.take_what_comes();
                if stop.sleep_until(now + LOOK_INTERVAL) {
                    break;
                }
            }
            for upstream in std::mem::take(&mut elsewhere.all) {
                elsewhere.let_go(upstream, "the server stops");
            }
        });
    }
}

/// Streams that are watched elsewhere.
struct Elsewhere<'scope, 'env> {
    watches: &'env Watches,
    /// Bound when the first is wanted.
    receiver: OnceLock<Receiver>,
    all: Vec<Upstream>,
    /// Those that are asked for anew just now, as they could not be had before.
    again: Vec<(Place, Trouble)>,
    /// Where connections end, which takes up to a second where nobody answers.
    scope: &'scope Scope<'scope, 'env>,
    /// Held by each that is ending.
    leaving: Arc<()>,
}

/// Why a stream cannot be had where it is.
#[derive(Debug, Clone, Default)]
struct Trouble {
    /// As it was said last to those who wait.
    why: Option<String>,
    /// How often in a row it was given up.
    given_up: u32,
    /// There was no room for it on the way here.
    had_no_room: bool,
}

impl Trouble {
    /// How long until it is asked for anew.
    fn wait(&self) -> Duration {
        let doubled = AGAIN_AFTER.saturating_mul(1 << self.given_up.saturating_sub(1).min(16));
        doubled.min(AGAIN_AFTER_MAX)
    }
}

/// One of them.
struct Upstream {
    peer: Peer,
    client: SignalClient,
    /// Its id here.
    stream: u32,
    /// What it goes on through, for which it was asked for.
    onward: Hops,
    /// What it comes through, as was said there last; `None` where it is not taken.
    hops: Option<Hops>,
    /// What has come, and what it is to those who watch here.
    come: Option<(u64, Arc<IncomingStream>)>,
    /// Its sender has closed it there.
    is_over: bool,
    /// It cannot be had there; when it is asked for anew.
    again_at: Option<Instant>,
    trouble: Trouble,
    /// Its server answers.
    is_connected: bool,
    unwanted_since: Option<Instant>,
}

impl Upstream {
    fn place(&self) -> Place {
        let Peer { node, name, stream, .. } = &self.peer;
        Place { stream: stream.clone(), node: (*node, name.clone()) }
    }

    /// Whether it is what is wanted, on a way that it may go on.
    fn serves(&self, wanted: &Wanted) -> bool {
        let way = match &self.hops {
            Some(hops) => hops.followed_by(&wanted.onward),
            None => wanted.onward.after(self.peer.node),
        };
        way.is_ok() && self.place().is_called(&wanted.name)
    }
}

impl Elsewhere<'_, '_> {
    /// Asks for what is wanted and lets go of what is not.
    fn ask_for_wanted(&mut self, now: Instant) {
        let is_due = |upstream: &mut Upstream| upstream.again_at.is_some_and(|again| again <= now);
        for upstream in self.all.extract_if(.., is_due).collect::<Vec<_>>() {
            self.again.push((upstream.place(), upstream.trouble.clone()));
            self.let_go(upstream, "it is asked for anew");
        }
        let wanted = self.watches.wanted();
        for wanted in &wanted {
            self.ask_for(wanted);
        }
        // Nobody wants the rest any more.
        self.again.clear();
        let is_unwanted = |upstream: &mut Upstream| {
            if wanted.iter().any(|wanted| upstream.serves(wanted)) {
                upstream.unwanted_since = None;
                return false;
            }
            let since = *upstream.unwanted_since.get_or_insert(now);
            now.saturating_duration_since(since) >= UNWANTED_AFTER
        };
        for upstream in self.all.extract_if(.., is_unwanted).collect::<Vec<_>>() {
            tracing::info!(stream = ?upstream.peer.stream, node = ?upstream.peer.name, "watched there no more");
            self.let_go(upstream, "nobody watches it here any more");
        }
    }

    fn ask_for(&mut self, wanted: &Wanted) {
        let found = self.watches.peers.find(&wanted.name, &wanted.onward);
        let is_there = |upstream: &Upstream| found.as_ref().is_none_or(|peer| peer.is_where(&upstream.peer));
        if let Some(upstream) = self.all.iter().find(|upstream| upstream.serves(wanted) && is_there(upstream)) {
            if let Some(why) = &upstream.trouble.why {
                self.watches.tell_newcomers(wanted, why);
            }
            return;
        }
        if let Some(at) = self.all.iter().position(|upstream| upstream.serves(wanted)) {
            if self.all[at].come.is_some() {
                // It comes from where it is.
                return;
            }
            let moved = self.all.swap_remove(at);
            self.let_go(moved, "it is elsewhere now");
        }
        let Some(peer) = found else { return };
        if wanted.onward.after(peer.node).is_err() {
            return self.watches.tell_waiting(|waits| waits == wanted, &too_far(&wanted.name, &peer));
        }
        let is_same = |upstream: &Upstream| upstream.peer.is_where(&peer) && upstream.peer.stream == peer.stream;
        if self.all.iter().any(is_same) {
            // It comes from there to others, on a way that this one cannot go on.
            return self.watches.tell_waiting(|waits| waits == wanted, &too_far(&wanted.name, &peer));
        }
        match self.ask(peer, &wanted.onward) {
            Ok(upstream) => self.all.push(upstream),
            Err(why) => {
                tracing::warn!(stream = ?wanted.name, "not asked for elsewhere: {why}");
                self.watches.tell_waiting(|waits| waits == wanted, &why);
            }
        }
    }

    fn ask(&mut self, peer: Peer, onward: &Hops) -> Result<Upstream, String> {
        let receiver = self.receiver().map_err(|failure| format!("frames cannot be received here: {failure}"))?;
        let stream = getrandom::u32().map_err(|error| format!("the system gives no random number ({error})"))?;
        let request = WatchRequest::new(stream, &peer.stream, receiver.local_addr().port()).hops(onward.clone());
        let client = SignalClient::start(peer.client.clone().watch(request)).map_err(|error| error.to_string())?;
        let place = Place { stream: peer.stream.clone(), node: (peer.node, peer.name.clone()) };
        let before = self.again.iter().find(|(of, _)| *of == place).map(|(_, trouble)| trouble.clone());
        match &before {
            None => tracing::info!(stream = ?peer.stream, node = ?peer.name, "asked for there"),
            Some(_) => tracing::debug!(stream = ?peer.stream, node = ?peer.name, "asked for there again"),
        }
        Ok(Upstream {
            peer,
            client,
            stream,
            onward: onward.clone(),
            hops: None,
            come: None,
            is_over: false,
            again_at: None,
            trouble: before.unwrap_or_default(),
            is_connected: false,
            unwanted_since: None,
        })
    }

    fn receiver(&self) -> Result<&Receiver, Failure> {
        if let Some(receiver) = self.receiver.get() {
            return Ok(receiver);
        }
        let UpstreamPlace { bind, config } = &self.watches.place;
        let bound = Receiver::bind(SocketAddr::new(bind.ip(), 0), config.clone()).map_err(Failure::runtime)?;
        Ok(self.receiver.get_or_init(|| bound))
    }

    /// What the others say.
    fn hear(&mut self, now: Instant) {
        let mut all = std::mem::take(&mut self.all);
        for upstream in &mut all {
            let name = upstream.peer.name.clone();
            while let Some(event) = upstream.client.next_event(Duration::ZERO) {
                match event {
                    ClientEvent::Watching(watching) => {
                        if let Err(refused) = self.announce(upstream, &watching) {
                            upstream.trouble.had_no_room |= refused.reason == reason::LINK_FULL;
                            self.give_up(upstream, now, &format!("from {name}: {refused}"));
                        }
                    }
                    ClientEvent::Unwatched(unwatched) => {
                        upstream.is_over = unwatched.over;
                        self.watches.links.unwatch_elsewhere(upstream.stream);
                    }
                    ClientEvent::WatchRefused { refused, .. } => {
                        let why = format!("{name} refuses it: {refused}");
                        if refused.is_for_now() {
                            // It is asked again by the client itself.
                            self.say_why(upstream, &why);
                        } else {
                            self.give_up(upstream, now, &why);
                        }
                    }
                    ClientEvent::Connected => {
                        upstream.is_connected = true;
                        if upstream.again_at.is_none() && upstream.trouble.given_up == 0 {
                            upstream.trouble.why = None;
                        }
                    }
                    ClientEvent::Disconnected { .. } => upstream.is_connected = false,
                    ClientEvent::Refused(refused) => {
                        self.say_why(upstream, &format!("{name} refuses this server: {refused}"));
                    }
                    ClientEvent::Retrying { reason, attempt, .. } => {
                        upstream.is_connected = false;
                        if attempt == 1 {
                            tracing::info!(stream = ?upstream.peer.stream, node = ?name, "not reached: {reason}");
                        }
                        // Why it was refused says more.
                        if upstream.trouble.why.is_none() {
                            self.say_why(
                                upstream,
                                &format!("{name} is not reached; it is asked again until it answers"),
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
        self.all = all;
    }

    /// It is sent: says so at the receiver, under its key.
    fn announce(&self, upstream: &mut Upstream, watching: &Watching) -> Result<(), Refused> {
        if watching.stream != upstream.stream || upstream.again_at.is_some() {
            return Ok(());
        }
        let format = watching.format()?;
        let hops = if watching.hops.is_empty() { Hops::new([upstream.peer.node])? } else { watching.hops.clone() };
        // What was asked for its way on may not come from there.
        hops.followed_by(&upstream.onward)?;
        if let Some(peer) = upstream.client.peer() {
            let (rate, again) = (watching.frames_per_second, upstream.trouble.had_no_room);
            self.watches.links.watch_elsewhere(peer.ip(), upstream.stream, format, rate, again)?;
        }
        let announced = Announcement::new(format).key(watching.key.clone());
        let receiver = self.receiver().map_err(|failure| Refused::new(reason::INTERNAL, failure.to_string()))?;
        receiver.announce(upstream.stream, announced).map_err(|error| Refused::new("memory", error.to_string()))?;
        if let Some((source, _)) = &upstream.come {
            self.watches.reroute(*source, &hops);
        }
        (upstream.hops, upstream.is_over, upstream.trouble) = (Some(hops), false, Trouble::default());
        Ok(())
    }

    /// It cannot be had there, for a while at least. Those who wait are told why.
    fn give_up(&self, upstream: &mut Upstream, now: Instant, why: &str) {
        upstream.trouble.given_up += 1;
        upstream.again_at = Some(now + upstream.trouble.wait());
        self.say_why(upstream, why);
        self.stop_taking(upstream, why);
    }

    /// Each reason is logged once in a row.
    fn say_why(&self, upstream: &mut Upstream, why: &str) {
        if upstream.trouble.why.as_deref() != Some(why) {
            tracing::warn!(stream = ?upstream.peer.stream, "not to be had: {why}");
            upstream.trouble.why = Some(why.to_owned());
        }
        let place = upstream.place();
        self.watches.tell_waiting(|wanted| place.is_called(&wanted.name), why);
    }

    /// Streams that have come, and those that have ended.
    fn take_what_comes(&mut self) {
        let Some(receiver) = self.receiver.get() else { return };
        while let Ok(stream) = receiver.accept_timeout(Duration::ZERO) {
            let stream = Arc::new(stream);
            let found = self.all.iter_mut().find(|upstream| upstream.stream == stream.info().stream);
            let Some((upstream, hops)) = found.and_then(|one| one.hops.clone().map(|hops| (one, hops))) else {
                stream.stop();
                continue;
            };
            let source = Source::elsewhere(&stream, upstream.place(), hops);
            let before = upstream.come.take();
            drop_ended(self.watches, before, false, "it began anew");
            tracing::info!(stream = ?upstream.peer.stream, node = ?upstream.peer.name, format = %stream.info().format, "comes from there");
            upstream.come = Some((self.watches.begin(source), stream));
        }
        for upstream in &mut self.all {
            let has_ended = |stream: &IncomingStream| {
                // Nobody takes frames here but the relay; what waits for this end is let go.
                while stream.try_recv().is_ok() {}
                stream.end_reason().is_some()
            };
            if upstream.come.as_ref().is_some_and(|(_, stream)| has_ended(stream)) {
                let why = format!("it ended at {}", upstream.peer.name);
                drop_ended(self.watches, upstream.come.take(), upstream.is_over, &why);
            }
        }
        self.all.iter().for_each(|upstream| self.give_place_back(upstream));
    }

    /// What comes no more from a server that does not answer has no place on its link: a server that died does not say that it sends no more. It is let on it
    /// again when the server says that it sends.
    fn give_place_back(&self, upstream: &Upstream) {
        if upstream.come.is_none() && !upstream.is_connected {
            self.watches.links.unwatch_elsewhere(upstream.stream);
        }
    }

    fn stop_taking(&self, upstream: &mut Upstream, why: &str) {
        upstream.hops = None;
        drop_ended(self.watches, upstream.come.take(), upstream.is_over, why);
        if let Some(receiver) = self.receiver.get() {
            receiver.withdraw(upstream.stream);
        }
        self.watches.links.unwatch_elsewhere(upstream.stream);
        upstream.client.unwatch(upstream.stream);
    }

    fn let_go(&self, mut upstream: Upstream, why: &str) {
        self.stop_taking(&mut upstream, why);
        let (client, leaving) = (upstream.client, self.leaving.clone());
        if Arc::strong_count(&leaving) > LEAVING_MAX {
            return drop(client);
        }
        let ends = Builder::new().name("framewire-leave".into()).spawn_scoped(self.scope, move || {
            drop(client);
            drop(leaving);
        });
        if let Err(error) = ends {
            tracing::debug!(%error, "no thread for the end of a connection, which was waited for");
        }
    }
}

fn drop_ended(watches: &Watches, come: Option<(u64, Arc<IncomingStream>)>, is_over: bool, why: &str) {
    if let Some((source, stream)) = come {
        watches.end(source, is_over, why);
        stream.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_asked_for_ever_less_often_and_once_a_minute_at_the_least() {
        let seconds =
            (1..=40).map(|given_up| Trouble { given_up, ..Trouble::default() }.wait().as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds[..6], [2, 4, 8, 16, 32, 60]);
        assert!(seconds[6..].iter().all(|seconds| *seconds == 60));
    }
}
