//! What is said to and by a server over Socket.IO, for one stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use framewire_figures::latency::LatencyHistogram;
use framewire_figures::summary::TurnFigures;
use framewire_process::address::Address;
use framewire_process::exit::{Failure, say};
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_signal::message::{Grant, OpenRequest};
use framewire_signal::{ClientError, ClientEvent, SignalClient, UdpWatch};
use framewire_transport::{PathKind, SendError, Sender};

use super::refusals::Refusals;
use super::target::{InTurn, Target, target_of};
use super::trouble::too_late;
use super::way::{Directions, LookUp, Moved, Way};

/// How long the server may take to say that the stream is closed; what it said before is still heard.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// What is told of one server while none has the stream: why it is gone, why it cannot be reached, that it answers, and why it refuses.
const TOLD_A_SERVER_MAX: usize = 8;

/// One stream's words with the server that has it.
pub(super) struct Talk {
    signal: SignalClient,
    targets: InTurn,
    /// Which has the stream, or is asked for it: one of them, or one that they have told of.
    target: Target,
    directions: Directions,
    /// As people are told of it: `the server`, where there is one.
    who: String,
    /// Whether there is more than one that takes it in turn.
    takes_turns: bool,
    is_verbose: bool,
    latency: LatencyHistogram,
    /// Where frames go.
    peer: Option<SocketAddr>,
    /// Whether the stream has a key, once it was opened.
    is_keyed: bool,
    refused: Option<Failure>,
    refusals: Refusals,
    /// Frames that the server should have recorded and did not, once it has said anything of frames.
    unrecorded: Option<u64>,
    /// Why there is no connection, while there is none; it has been told.
    away: Option<String>,
    /// What has been told of that since a server had the stream.
    told: Vec<String>,
    /// The same, with when it is asked again.
    asking: String,
    udp_watch: UdpWatch,
    /// The server is back, and it is not known yet where frames go.
    moved: Option<Moved>,
    /// Who had the stream in turn, each with what all before it had.
    turns: Vec<TurnFigures>,
    /// What the server wants of the stream, and has not been done.
    wishes: Vec<Wish>,
}

/// What a server wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wish {
    /// Nobody wants its frames, or somebody does.
    Idle(bool),
    /// It has so much of a link; all of it, where none is shared out.
    Grant(Option<Grant>),
}

/// What is left of it when it is over.
#[derive(Default)]
pub(super) struct Said {
    pub(super) latency: LatencyHistogram,
    pub(super) unrecorded: Option<u64>,
    /// Where frames went last.
    pub(super) peer: Option<SocketAddr>,
    /// Who had the stream in turn, each with what all before it had.
    turns: Vec<TurnFigures>,
}

impl Said {
    /// What each server had that took a turn, where there were several.
    pub(super) fn turns(&self, delivered: u64) -> Vec<TurnFigures> {
        if self.turns.len() < 2 {
            return Vec::new();
        }
        let ends = self.turns.iter().skip(1).map(|next| next.frames_delivered).chain([delivered]);
        let turn = |(turn, end): (&TurnFigures, u64)| TurnFigures {
            server: turn.server.clone(),
            frames_delivered: end.saturating_sub(turn.frames_delivered),
        };
        self.turns.iter().zip(ends).map(turn).collect()
    }
}

impl Talk {
    /// Begins to ask the first of these for the stream; with `is_one_of_several`, messages say which server is meant.
    ///
    /// # Errors
    /// An address or a stream that cannot be; no thread.
    pub(super) fn start(
        targets: InTurn,
        open: OpenRequest,
        directions: Directions,
        (is_one_of_several, is_verbose): (bool, bool),
    ) -> Result<Self, Failure> {
        let is_named = is_one_of_several || targets.len() > 1;
        // Where frames go to several, each of them has the stream already; and where the user says where they go, they go nowhere else.
        let may_roam = !is_one_of_several && directions.udp.as_ref().is_none_or(Address::is_unspecified);
        let others: Vec<_> = targets[1..].iter().map(|target| target.config().into()).collect();
        let signal =
            SignalClient::start(targets[0].config().open(open).others(others).roams(may_roam)).map_err(|error| {
                match error {
                    ClientError::Thread(_) | ClientError::Random(_) => Failure::runtime(error),
                    _ => Failure::usage(error),
                }
            })?;
        Ok(Self {
            who: if is_named { targets[0].server.clone() } else { "the server".to_owned() },
            takes_turns: targets.len() > 1,
            signal,
            target: targets[0].clone(),
            targets,
            directions,
            is_verbose,
            latency: LatencyHistogram::new(),
            peer: None,
            is_keyed: false,
            refused: None,
            refusals: Refusals::default(),
            unrecorded: None,
            away: None,
            told: Vec::new(),
            asking: String::new(),
            udp_watch: UdpWatch::default(),
            moved: None,
            turns: Vec::new(),
            wishes: Vec::new(),
        })
    }

    /// The server that is spoken to.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Why there is no connection and when it is asked again, while there is none.
    pub(super) fn away(&self) -> Option<&str> {
        self.away.is_some().then_some(self.asking.as_str())
    }

    /// What ends the stream at this server, once.
    pub(super) fn take_refused(&mut self) -> Option<Failure> {
        self.refused.take()
    }

    /// What the server wants of the stream since this was asked last.
    pub(super) fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// Another one than before may have taken the stream.
    fn look_who_it_is(&mut self, delivered: u64) {
        let server = self.signal.server();
        let target = target_of(&self.targets, &server).into_owned();
        let before = std::mem::replace(&mut self.target, target).server;
        let server = &self.target.server;
        let is_another = !self.target.is(&before);
        if is_another || self.turns.is_empty() {
            self.turns.push(TurnFigures { server: server.clone(), frames_delivered: delivered });
        }
        if is_another {
            say(format_args!("framewire-client: {server} takes the stream in place of {before}"));
        }
        self.takes_turns |= is_another;
        if self.takes_turns {
            self.who.clone_from(server);
        }
    }

    /// Waits for the server, for at most `limit` where there is one; `None` where somebody asked to stop meanwhile, or all is `done`
    /// elsewhere.
    ///
    /// # Errors
    /// It refuses, or has not answered in time; where frames go is not known.
    pub(super) fn wait_until_opened(
        &mut self,
        limit: Option<Duration>,
        (stop, done): (&Stop, &Stop),
        mut look: impl FnMut(&Self),
    ) -> Result<Option<Way>, Failure> {
        let begun = Instant::now();
        while !stop.is_stopped() && !done.is_stopped() {
            if let Some(limit) = limit.filter(|limit| begun.elapsed() >= *limit) {
                return Err(too_late(limit, &self.target().server, self.away.as_deref()));
            }
            match self.signal.next_event(REFRESH) {
                Some(ClientEvent::Opened(opened)) => {
                    self.told.clear();
                    self.look_who_it_is(0);
                    let way = self.directions.way(&opened, self.target(), self.signal.peer())?;
                    self.peer = Some(way.peer);
                    self.is_keyed = way.key.is_some();
                    self.refusals.is_taken();
                    return Ok(Some(way));
                }
                Some(event) => self.handle(&event),
                None => {}
            }
            look(self);
            if let Some(refused) = self.refused.take() {
                return Err(refused);
            }
        }
        Ok(None)
    }

    /// Tells people, once, of a stream that leaves this machine as it is.
    pub(super) fn tell_of_protection(&self, way: &Way, path: PathKind) {
        self.target().tell(way.peer, path, way.key.as_ref());
    }

    /// Takes in what the server says while frames flow; waits a moment for it.
    pub(super) fn listen(&mut self, sender: &Sender) {
        match self.signal.next_event(REFRESH / 2) {
            // The server is back, maybe elsewhere.
            Some(ClientEvent::Opened(opened)) => {
                self.told.clear();
                self.look_who_it_is(sender.stats().frames_delivered);
                self.refusals.is_taken();
                // Whoever opens a stream wants it, until it says otherwise.
                self.wishes.extend([Wish::Idle(false), Wish::Grant(opened.grant)]);
                self.moved = Some(Moved::new(opened));
            }
            Some(event) => self.handle(&event),
            None => {}
        }
        self.follow(sender);
        self.look_at(sender);
    }

    /// Ends the stream at the server, and hears what it has still to say.
    pub(super) fn end(mut self) -> Said {
        self.signal.close_stream();
        self.drain();
        if let Some(told) = self.refusals.since() {
            say(format_args!("framewire-client: {} has not taken the stream again; {told}", self.who));
        }
        let Self { signal, latency, unrecorded, peer, turns, .. } = self;
        signal.shutdown();
        Said { latency, unrecorded, peer, turns }
    }

    /// Sends to where the server is now, once that is known. A name that is not found for a moment was found at the start: it is
    /// looked up again, as a server that is away is asked again.
    fn follow(&mut self, sender: &Sender) {
        let Some(mut moved) = self.moved.take() else { return };
        let server = self.signal.peer();
        match moved.look_up(Instant::now(), |opened| self.directions.resolve(opened, server)) {
            LookUp::Found(peer) => {
                // It was started again, maybe without what protected it, or another has its place: then nothing more goes there.
                match self.target().protection_after(self.is_keyed, &moved.opened) {
                    Ok(Some(key)) => {
                        self.is_keyed = true;
                        sender.set_key(key);
                    }
                    Ok(None) => {}
                    Err(failure) => {
                        self.refused = Some(failure);
                        return;
                    }
                }
                self.peer = Some(peer);
                sender.redirect_with(peer, self.directions.invitation(&moved.opened));
            }
            LookUp::NotDue => self.moved = Some(moved),
            LookUp::Failed { failure, is_first } => {
                if is_first {
                    say(format_args!("framewire-client: {failure}; it is looked up again until it is found"));
                }
                self.moved = Some(moved);
            }
        }
    }

    /// Tells of a stream that the receiver refuses, or that does not open.
    fn look_at(&mut self, sender: &Sender) {
        match sender.wait_until_open(Duration::ZERO) {
            Ok(()) => {
                self.udp_watch.is_open();
                self.refusals.is_open();
            }
            Err(error @ SendError::Refused { reason, .. }) => {
                if self.refusals.is_final_there(reason, &error.to_string()) {
                    self.refused = Some(Failure::runtime(error));
                }
            }
            // Its cause is in the log, and at the end.
            Err(SendError::NoSharedMemory { .. }) => {}
            Err(_) => {
                if self.udp_watch.is_unopened(self.signal.last_heard(), Instant::now()) {
                    let at = self.peer.map(|peer| format!(" at {peer}")).unwrap_or_default();
                    say(format_args!(
                        "framewire-client: no frames flow: {} answers on Socket.IO, but not on UDP{at}; does a \
                         firewall drop it, or is another port published (--udp, and the server's --announce-udp)?",
                        self.who
                    ));
                }
            }
        }
    }

    /// What has been said but not heard yet, until the server confirms that the stream is closed.
    fn drain(&mut self) {
        let deadline = Instant::now() + LAST_WORDS_WAIT;
        while let Some(event) = self.signal.next_event(deadline.saturating_duration_since(Instant::now())) {
            self.handle(&event);
            if matches!(event, ClientEvent::Closed(_)) {
                break;
            }
        }
    }

    /// Tells people what they have not been told since a server had the stream: who is asked again and again says the same each time.
    fn tell_once(&mut self, what: String) {
        if self.told.len() < TOLD_A_SERVER_MAX * self.targets.len() && !self.told.contains(&what) {
            say(format_args!("framewire-client: {what}"));
            self.told.push(what);
        }
    }

    fn handle(&mut self, event: &ClientEvent) {
        let who = &self.who;
        match event {
            ClientEvent::Feedback(feedback) => {
                let before = self.unrecorded.unwrap_or(0);
                if before == 0 && feedback.frames_unrecorded > 0 {
                    say(format_args!(
                        "framewire-client: {who} does not record all of this stream: its disk, or another place of its frames, failed or \
                         is too slow; its log says why"
                    ));
                }
                self.unrecorded = Some(feedback.frames_unrecorded.max(before));
                if let Some(latency_ms) = feedback.latency_ms {
                    self.latency.record(Duration::from_secs_f64(latency_ms.clamp(0.0, 60_000.0) / 1e3));
                }
                if self.is_verbose {
                    let latency = feedback.latency_ms.map(|latency| format!(", {latency:.2} ms")).unwrap_or_default();
                    say(format_args!(
                        "feedback: frame {} of {} bytes{latency}, {} delivered, {} lost",
                        feedback.frame, feedback.frame_size, feedback.frames_delivered, feedback.frames_lost
                    ));
                }
            }
            ClientEvent::Retrying { in_, attempt, reason } => {
                // Of several each has a reason of its own, and one of them may be what there is to do.
                let is_another = self.takes_turns && self.away.as_ref() != Some(reason);
                if self.away.is_none() || is_another {
                    self.tell_once(format!("{reason}; it is asked again until it answers"));
                }
                self.asking = format!("{reason}; attempt {attempt} in {:.1} s", in_.as_secs_f64());
                self.away = Some(reason.clone());
            }
            ClientEvent::Connected => {
                if self.away.take().is_some() {
                    let server = self.signal.server();
                    let is_known = !self.takes_turns && self.target.is(&server);
                    let who = if is_known { who.clone() } else { server };
                    self.tell_once(format!("{who} answers"));
                }
            }
            ClientEvent::Refused(refused) => {
                if self.refusals.is_final(refused) {
                    let who = match self.targets.as_slice() {
                        [one] if self.takes_turns => format!("{} refuses", one.server),
                        [_] => format!("{who} refuses"),
                        all => {
                            let names: Vec<_> = all.iter().map(|target| target.server.as_str()).collect();
                            format!("none of {} takes the stream, the last because", names.join(", "))
                        }
                    };
                    self.refused = Some(Failure::runtime(format!("{who}: {refused}")));
                }
            }
            ClientEvent::Disconnected { reason } => {
                // Of several, the reason says which: it need not be the one that had the stream.
                self.tell_once(match self.takes_turns {
                    false => format!("{who} is gone: {reason}; it is asked again until it is back"),
                    true => format!("{reason}; it is asked again until it is back, or another one has its place"),
                });
                self.away = Some(reason.clone());
            }
            ClientEvent::Idle(idle) => self.wishes.push(Wish::Idle(idle.idle)),
            ClientEvent::Granted(grant) => self.wishes.push(Wish::Grant(Some(*grant))),
            ClientEvent::Replaced(replaced) => say(format_args!("framewire-client: {who}: {}", replaced.message)),
            ClientEvent::Closed(closed) => tracing::info!("{who} closed the stream: {}", closed.message),
            other => tracing::debug!(?other, "signal"),
        }
    }
}
