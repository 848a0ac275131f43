//! One watcher on the relay's thread: its subscriber, its socket, and what is between them.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::batches::{Batches, datagrams};
use super::poller::Poller;
use super::post::NewWatcher;
use super::watcher::WatcherShared;
use super::{Place, RelayConfig};
use crate::backend::{Backend, BackendConfig, ReceiveBatch, SendBatch, headers_bytes, wall_clock};
use crate::driver::backend_thread::{reopen, replace};
use crate::driver::errors::{REPORTS_MAX, Remedy, Trouble, remedy};
use crate::driver::rebind::{Look, Rebind};
use crate::driver::send_loop::{INBOX, INBOX_BYTES, set_send_buffer};
use crate::send::{CONTROL_MAX, Distribution, Publication, SendState, Subscriber, Untaken};
use crate::time::Time;
use crate::wire::Cut;

/// Batches that leave before others have their turn: so many small ones, or those up to the first that is full.
const TURN: u32 = 4;

/// Messages, trains or single datagrams, that leave in one call. Each takes memory that a thread's own sender has once, and a relay once a watcher.
const MESSAGES: usize = 64;

/// With a full socket, what is due is looked at again after this: until then nothing could leave.
const FULL_AGAIN: Duration = Duration::from_millis(5);

/// What all legs of a thread use one after the other.
pub(super) struct Shared {
    inbox: ReceiveBatch,
    /// Where datagrams of fields are written.
    control: Box<[u8; CONTROL_MAX]>,
    batches: Batches,
    pub(super) poller: Poller,
}

impl Shared {
    pub(super) fn new(poller: Poller) -> Self {
        Self {
            poller,
            inbox: ReceiveBatch::new(INBOX, INBOX_BYTES),
            control: Box::new([0; CONTROL_MAX]),
            batches: Batches::new(),
        }
    }
}

/// One watcher.
pub(super) struct Leg {
    pub(super) id: u64,
    pub(super) subscriber: Subscriber,
    backend: Box<dyn Backend>,
    backend_config: BackendConfig,
    cut: Cut,
    /// What the full socket did not take, and the frames that this holds.
    unsent: Option<(SendBatch, Option<Untaken>)>,
    /// The poller tells of its socket.
    is_told_of: bool,
    /// Also while it can be written.
    waits_for_room: bool,
    rebind: Rebind,
    trouble: Trouble,
    /// Nobody listens at the far end; the path does not carry so large a datagram: what errors have said and the protocol was not told yet.
    reports: (bool, bool),
    /// The socket fails, and is left alone until then.
    paused: Option<Time>,
    /// Since when it is being closed.
    closing: Option<Time>,
    /// It cannot go on, and that was told.
    is_blocked: bool,
    shared: Arc<WatcherShared>,
    _place: Place,
}

/// How a leg is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// Until then nothing is to be done unless something comes.
    pub(super) until: Time,
    /// It is done with.
    pub(super) is_over: bool,
}

impl Leg {
    pub(super) fn new(new: NewWatcher, distribution: &Distribution, config: &RelayConfig, now: Time) -> Self {
        let NewWatcher { id, socket, config: send, key, frames_per_second_max, link, shared, place, .. } = new;
        let mut subscriber = distribution.subscribe(send, now);
        if let Some(key) = key {
            subscriber.protect(key, now);
        }
        subscriber.set_utc(wall_clock::compare());
        if let Some(link) = link {
            subscriber.set_link(link);
        }
        if let Some(rate) = frames_per_second_max {
            subscriber.set_interval_min(rate.interval());
        }
        let cut = subscriber.cut();
        set_send_buffer(&socket, cut.frame_bytes());
        let messages = datagrams(&cut).min(MESSAGES);
        let backend_config =
            BackendConfig { send_trains: config.trains, ..BackendConfig::new(messages, cut.slice_bytes()) };
        let rebind = Rebind::new(socket.peer());
        Self {
            id,
            subscriber,
            backend: config.backend.open(socket, &backend_config),
            backend_config,
            cut,
            unsent: None,
            is_told_of: false,
            waits_for_room: false,
            rebind,
            trouble: Trouble::default(),
            reports: (false, false),
            paused: None,
            closing: None,
            is_blocked: false,
            shared,
            _place: place,
        }
    }

    /// The socket, to wait for.
    pub(super) fn descriptor(&self) -> impl AsFd + '_ {
        self.backend.socket().as_fd()
    }

    /// No frame follows; what waits is left out, `at_once`.
    pub(super) fn close(&mut self, at_once: bool, now: Time) {
        if at_once {
            self.subscriber.drop_replaceable();
        }
        self.closing.get_or_insert(now);
        self.subscriber.close(now);
    }

    /// Whether it is done with, where closing may take so long.
    pub(super) fn is_over(&self, linger: Duration, now: Time) -> bool {
        match (self.closing, self.subscriber.state()) {
            (_, SendState::Closed(_)) => true,
            // Whoever never took the stream, or is gone, is told nothing.
            (Some(_), SendState::Opening { .. } | SendState::Refused { .. }) => true,
            (Some(since), _) => now.since(since) >= linger,
            (None, _) => false,
        }
    }

    /// The subscriber, and the frames of which its full socket has not taken what was polled.
    pub(super) fn subscriber(&mut self) -> (&mut Subscriber, Option<Untaken>) {
        (&mut self.subscriber, self.unsent.as_ref().and_then(|(_, untaken)| *untaken))
    }

    /// After a frame has come: what its full socket has not taken of frames that nobody may hold any more is lost, as it may be on any way.
    pub(super) fn let_go_of_unsent(&mut self, distribution: &Distribution, with: &mut Shared) {
        let is_over = |untaken: &Option<Untaken>| untaken.is_some_and(|untaken| !distribution.lets_wait(untaken));
        if let Some((batch, _)) = self.unsent.take_if(|(_, untaken)| is_over(untaken)) {
            with.batches.give_back(self.cut, batch);
        }
    }

    /// Does what there is to do: reads what has come if something has, and sends what may leave.
    pub(super) fn run(
        &mut self,
        publication: &mut Publication,
        with: &mut Shared,
        (readable, writable): (bool, bool),
        linger: Duration,
        now: Time,
    ) -> Left {
        let lingers_until = self.closing.map_or(Time::MAX, |since| since + linger);
        if let Some(until) = self.paused.filter(|until| now < *until) {
            return Left { until: until.min(lingers_until), is_over: self.is_over(linger, now) };
        }
        self.paused = None;
        if !self.is_told_of {
            self.wait_for_socket(with, now);
        }
        // Of one that the poller does not know nobody tells.
        let (readable, writable) = (readable || !self.is_told_of, writable || !self.is_told_of);
        with.inbox.clear();
        if readable {
            self.receive(with, now);
        }
        let (unreachable, narrow) = std::mem::take(&mut self.reports);
        if unreachable {
            self.subscriber.handle_unreachable(now);
        }
        if narrow {
            self.subscriber.handle_narrow_report(self.path_bytes(), now);
        }
        for datagram in with.inbox.datagrams() {
            self.subscriber.handle_datagram(datagram.head, now);
        }
        self.subscriber.handle_timeout(now);
        if now >= self.rebind.poll_timeout(self.subscriber.heard()) {
            self.look(with, now);
        }
        self.send_fields(with, now);
        let (more, full) = self.send_slices(publication, with, writable, now);
        self.tell_blocked();
        self.publish();
        let due = self.subscriber.poll_timeout().min(self.rebind.poll_timeout(self.subscriber.heard()));
        let until = match self.paused {
            Some(until) => until,
            None if more => Time::ZERO,
            None if full => due.max(now + FULL_AGAIN),
            None => due,
        };
        self.wait_for_room(full, with, now);
        Left { until: until.min(lingers_until), is_over: self.is_over(linger, now) }
    }

    /// Reads what the receiver says, and what the system says of datagrams that were sent before.
    fn receive(&mut self, with: &mut Shared, now: Time) {
        with.inbox.post_heads();
        let mut failures = 0;
        while let Err(error) = self.backend.receive(&mut with.inbox) {
            if self.note(&error) == Remedy::Wait {
                return;
            }
            failures += 1;
            if failures == REPORTS_MAX {
                self.tell(&error, now);
                self.pause(with, now);
                return;
            }
        }
    }

    /// Takes in an error of the socket.
    fn note(&mut self, error: &io::Error) -> Remedy {
        let remedy = remedy(error);
        match remedy {
            Remedy::Ask => self.reports.0 = true,
            Remedy::Smaller => self.reports.1 = true,
            _ => {}
        }
        self.rebind.note(remedy);
        remedy
    }

    /// Leaves the socket alone for a while. The poller is to say nothing of it meanwhile: it would again and again.
    fn pause(&mut self, with: &Shared, now: Time) {
        self.paused = Some(now + self.trouble.pause());
        with.poller.remove(self.descriptor());
        (self.is_told_of, self.waits_for_room) = (false, false);
    }

    /// Sends the datagrams of fields that are due.
    fn send_fields(&mut self, with: &mut Shared, now: Time) {
        while let Some(len) = self.subscriber.poll_transmit(now, &mut with.control) {
            let mut tries = 1;
            let sent = loop {
                match self.backend.send_one(&with.control[..len]) {
                    // It may have been said of an earlier datagram.
                    Err(error) if remedy(&error) != Remedy::Wait => {
                        self.note(&error);
                        if tries == REPORTS_MAX {
                            break Err(error);
                        }
                        tries += 1;
                    }
                    sent => break sent,
                }
            };
            match sent {
                Ok(()) => self.trouble.end(),
                Err(error) if remedy(&error) == Remedy::Smaller => {
                    self.subscriber.handle_too_large(self.path_bytes(), now);
                }
                Err(error) => {
                    self.subscriber.handle_not_sent();
                    if remedy(&error) != Remedy::Wait {
                        self.tell(&error, now);
                    }
                }
            }
        }
    }

    /// Sends what may leave, as far as its turn goes; whether there is more, and whether the socket is full.
    fn send_slices(
        &mut self,
        publication: &mut Publication,
        with: &mut Shared,
        writable: bool,
        now: Time,
    ) -> (bool, bool) {
        for _ in 0..TURN {
            let cut = self.subscriber.cut();
            if cut != self.cut {
                self.fit_slices(cut, with, now);
            }
            let (mut batch, untaken) = match self.unsent.take() {
                Some(unsent) if !writable => {
                    self.unsent = Some(unsent);
                    return (false, true);
                }
                Some(unsent) => unsent,
                None => {
                    let mut batch = with.batches.take(&cut);
                    let untaken = self.fill(&mut batch, publication, now);
                    (batch, untaken)
                }
            };
            if batch.is_sent() {
                with.batches.give_back(cut, batch);
                return (false, false);
            }
            let is_full = batch.room() < cut.train();
            if self.send(&mut batch, with, now) == Sent::Full {
                self.unsent = Some((batch, untaken));
                return (false, true);
            }
            with.batches.give_back(self.cut, batch);
            if self.paused.is_some() {
                return (false, false);
            }
            if is_full {
                break;
            }
        }
        (true, false)
    }

    /// Has the batch filled with slices that may leave: whole trains, so that none is cut in two by the end of the batch. Returns the frames that it holds:
    /// of what is sealed it has copies.
    fn fill(&mut self, batch: &mut SendBatch, publication: &mut Publication, now: Time) -> Option<Untaken> {
        let (train, mut untaken) = (self.cut.train(), None::<Untaken>);
        while batch.room() >= train {
            let room = u32::try_from(batch.room() - batch.room() % train).unwrap_or(u32::MAX);
            let Some(mut run) = self.subscriber.poll_slices(publication, room, now) else { break };
            if !run.is_sealed() {
                let number = run.number();
                untaken = Some(untaken.map_or(Untaken::of(number), |untaken| untaken.and(number)));
            }
            let (payload, cell) = (run.payload(), run.payload_bytes());
            let pushed = if run.is_sealed() {
                batch.push_sealed(payload.len(), cell, |nth, head, payload| run.seal(nth, head, payload))
            } else {
                batch.push_slices(run.frame, payload, cell, |nth, head| run.emit_header(nth, head))
            };
            if let Err(error) = pushed {
                // Asked for again by the receiver, like what the network loses.
                tracing::error!(%error, "slices were not sent on");
            }
        }
        untaken
    }

    fn send(&mut self, batch: &mut SendBatch, with: &Shared, now: Time) -> Sent {
        let mut failures = 0;
        while !batch.is_sent() {
            let Err(error) = self.backend.send(batch) else {
                failures = 0;
                continue;
            };
            let remedy = self.note(&error);
            failures += 1;
            match remedy {
                Remedy::Wait => return Sent::Full,
                // It may have been said of an earlier datagram, in place of what this call was made for.
                _ if failures <= REPORTS_MAX => {}
                Remedy::Smaller => {
                    self.subscriber.handle_too_large(self.path_bytes(), now);
                    return Sent::Over;
                }
                _ => {
                    // Others wait for their turn: what does not leave is lost, as it may be on any way.
                    self.tell(&error, now);
                    self.pause(with, now);
                    return Sent::Over;
                }
            }
        }
        self.trouble.end();
        Sent::Over
    }

    /// Goes on with another socket where this end has another address than before.
    fn look(&mut self, with: &mut Shared, now: Time) {
        let was_wanted = self.rebind.is_wanted();
        match self.rebind.look(self.backend.socket(), now) {
            Look::Same if was_wanted => self.subscriber.retry(now),
            Look::Same => {}
            Look::Other(socket) => {
                tracing::info!(peer = %socket.peer(), "this end speaks to a watcher from another address");
                set_send_buffer(&socket, self.cut.frame_bytes());
                // At most 48.
                let headers_bytes = headers_bytes(socket.peer()) as u16;
                if let Some((batch, _)) = self.unsent.take() {
                    // Of an epoch that is over.
                    with.batches.give_back(self.cut, batch);
                }
                with.poller.remove(self.descriptor());
                replace(&mut self.backend, socket, &self.backend_config);
                (self.paused, self.reports) = (None, (false, false));
                self.trouble.end();
                self.wait_for_socket(with, now);
                self.subscriber.handle_redirect(headers_bytes, now);
            }
            Look::Failed(error) => self.tell(&error, now),
        }
    }

    /// Its socket, or the descriptor of that, is one that the poller does not know. Where the poller takes no more, it is tried again, and until then it is looked at
    /// whenever there is something to do.
    fn wait_for_socket(&mut self, with: &Shared, now: Time) {
        (self.is_told_of, self.waits_for_room) = (false, false);
        if self.paused.is_some() {
            return;
        }
        match with.poller.add(self.descriptor(), self.id) {
            Ok(()) => self.is_told_of = true,
            Err(error) => self.tell(&error, now),
        }
    }

    fn wait_for_room(&mut self, is_full: bool, with: &Shared, now: Time) {
        if is_full == self.waits_for_room || !self.is_told_of {
            return;
        }
        match with.poller.set_writable(self.descriptor(), self.id, is_full) {
            Ok(()) => self.waits_for_room = is_full,
            Err(error) => self.tell(&error, now),
        }
    }

    /// Slices are of another size from now on.
    fn fit_slices(&mut self, cut: Cut, with: &mut Shared, now: Time) {
        if let Some((batch, _)) = self.unsent.take() {
            with.batches.give_back(self.cut, batch);
        }
        tracing::debug!(
            peer = %self.backend.socket().peer(), from = self.cut.slice_bytes(), to = cut.slice_bytes(),
            "the path to a watcher carries other slices"
        );
        self.cut = cut;
        self.backend_config.datagrams_max = datagrams(&cut).min(MESSAGES);
        self.backend_config.slice_bytes = cut.slice_bytes();
        // Before its descriptor is closed: the new one is of the same socket.
        with.poller.remove(self.descriptor());
        reopen(&mut self.backend, &self.backend_config);
        self.wait_for_socket(with, now);
    }

    /// What the system knows the path to carry.
    fn path_bytes(&self) -> Option<usize> {
        self.backend.socket().known_path_datagram_bytes()
    }

    fn tell(&mut self, error: &io::Error, now: Time) {
        if let Some(times) = self.trouble.tell(now) {
            tracing::warn!(
                peer = %self.backend.socket().peer(), %error, times,
                "datagrams to a watcher cannot be sent or received at present; its stream goes on when they can"
            );
        }
    }

    fn tell_blocked(&mut self) {
        let is_blocked = self.subscriber.is_blocked();
        if is_blocked && !self.is_blocked {
            tracing::warn!(
                peer = %self.backend.socket().peer(), slice_bytes = self.cut.slice_bytes(),
                "the path to a watcher carries no slices of this size: it gets nothing; leave their size to SliceSize::Auto"
            );
        }
        self.is_blocked = is_blocked;
    }

    /// Shows the program how the watcher is by now.
    fn publish(&self) {
        let mut figures = self.shared.lock();
        figures.state = self.subscriber.state();
        figures.stats = *self.subscriber.stats();
        figures.round_trip = self.subscriber.round_trip();
        figures.slice_bytes = self.subscriber.slice_bytes();
        figures.suite = self.subscriber.suite();
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// It is sent, or what is not is lost.
    Over,
    /// The socket takes no more at present.
    Full,
}

#[cfg(test)]
mod tests;
