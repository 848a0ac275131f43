//! A stream that may be watched: one that came from its sender, or one that this server watches at another.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use framewire_monitor::LiveStream;
use framewire_signal::directory::NodeId;
use framewire_signal::message::Hops;
use framewire_transport::{
    ConsumerPolicy, IncomingStream, Relay, RelayError, RelayStream, RelayStreamConfig, StreamInfo,
};

use crate::server::interest::Interest;
use crate::server::voice::Voice;

/// Frames that wait for the relay while its thread is busy with others.
const QUEUE: ConsumerPolicy = ConsumerPolicy::Queue(3);
/// One that nobody watches any more is taken from the relay after so long: closing it to the last one takes as long at most.
const LINGER: Duration = Duration::from_secs(2);

/// A stream that may be watched.
pub(crate) struct Source {
    pub(super) id: u64,
    pub(super) info: StreamInfo,
    stream: Weak<IncomingStream>,
    pub(super) called: Called,
    /// Frames a second that its sender means to keep.
    pub(super) frames_per_second: Option<f64>,
    /// The servers that it came through, without this one.
    pub(super) hops: Hops,
    pub(super) interest: Arc<Interest>,
    /// There while somebody watches.
    relayed: Option<RelayStream>,
    unwatched_since: Option<Instant>,
}

/// What a source is called.
pub(super) enum Called {
    /// As the board calls it now.
    Here(Arc<LiveStream>),
    /// As that node calls it which sends it here.
    Elsewhere(Place),
}

/// A stream of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: String,
    /// The node's id and name.
    pub(super) node: (NodeId, String),
}

impl Place {
    /// Whether it may be called so: by its name alone, or with that or the id of its node behind it.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let (id, node) = &self.node;
        let is_at =
            |(stream, at): (&str, &str)| stream == self.stream && (at == node || at.parse::<NodeId>() == Ok(*id));
        name == self.stream || name.rsplit_once('@').is_some_and(is_at)
    }
}

impl Source {
    /// One that came from its sender.
    pub(crate) fn here(
        stream: &Arc<IncomingStream>,
        live: Arc<LiveStream>,
        frames_per_second: Option<f64>,
        interest: Arc<Interest>,
    ) -> Self {
        Self { frames_per_second, interest, ..Self::of(stream, Called::Here(live)) }
    }

    /// One that this server watches at another node, and that came through these.
    pub(super) fn elsewhere(stream: &Arc<IncomingStream>, place: Place, hops: Hops) -> Self {
        Self { hops, ..Self::of(stream, Called::Elsewhere(place)) }
    }

    fn of(stream: &Arc<IncomingStream>, called: Called) -> Self {
        let info = *stream.info();
        Self {
            id: 0,
            info,
            stream: Arc::downgrade(stream),
            called,
            frames_per_second: info.presentation.rate.map(|rate| rate.as_f64()),
            hops: Hops::default(),
            interest: Arc::new(Interest::new(false)),
            relayed: None,
            unwatched_since: None,
        }
    }

    pub(super) fn is_here(&self) -> bool {
        matches!(self.called, Called::Here(_))
    }

    pub(super) fn name(&self) -> String {
        match &self.called {
            Called::Here(live) => live.label(),
            Called::Elsewhere(place) => place.stream.clone(),
        }
    }

    /// Whether it is another node's that may be called so.
    pub(super) fn is_elsewhere_called(&self, name: &str) -> bool {
        matches!(&self.called, Called::Elsewhere(place) if place.is_called(name))
    }

    /// Whether it may go on through these: no more than a stream may come through, and none that it came through.
    pub(super) fn may_go_on(&self, onward: &Hops) -> bool {
        self.hops.followed_by(onward).is_ok()
    }

    /// What sends it on, from now on.
    ///
    /// # Errors
    /// It has just ended; the system has no descriptor left.
    pub(super) fn relayed(&mut self, relay: &Relay) -> Result<&RelayStream, RelayError> {
        self.unwatched_since = None;
        let relayed = match self.relayed.take() {
            Some(relayed) if !relayed.has_ended() => relayed,
            _ => {
                let stream = self.stream.upgrade().ok_or(RelayError::Ended)?;
                relay.stream(stream.subscribe(QUEUE), RelayStreamConfig::of(&self.info))?
            }
        };
        Ok(self.relayed.insert(relayed))
    }

    /// Somebody watches: its client hears that at once, if it had been told that nobody does.
    pub(super) fn wake(&self, voice: &Voice) {
        self.interest.come(|idle| {
            if let Called::Here(live) = &self.called {
                live.set_idle(idle);
            }
            voice.say(|signal| signal.tell_idle(self.info.stream, idle));
        });
    }

    /// Looks whether it is still sent on for nobody.
    pub(super) fn rest(&mut self, is_watched: bool, now: Instant) {
        if is_watched || self.relayed.is_none() {
            self.unwatched_since = None;
            return;
        }
        let since = *self.unwatched_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= LINGER {
            self.relayed = None;
        }
    }
}
