//! One watcher on the relay's thread: its subscriber, its socket, and what is between them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::batches::{Batches, datagrams};
use super::poller::Poller;
use super::post::NewWatcher;
use super::watcher::WatcherShared;
use super::{Place, RelayConfig};
use crate::backend::{BackendConfig, SendBatch, wall_clock};
use crate::driver::errors::Remedy;
use crate::driver::wire_end::{Fields, WireEnd, fill, set_send_buffer};
use crate::send::{Distribution, Publication, SendState, Subscriber, Untaken};
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
    fields: Fields,
    batches: Batches,
    pub(super) poller: Poller,
}

impl Shared {
    pub(super) fn new(poller: Poller) -> Self {
        Self { poller, fields: Fields::new(), batches: Batches::new() }
    }
}

/// One watcher.
pub(super) struct Leg {
    pub(super) id: u64,
    pub(super) subscriber: Subscriber,
    wire: WireEnd,
    cut: Cut,
    /// What the full socket did not take, and the frames that this holds.
    unsent: Option<(SendBatch, Option<Untaken>)>,
    /// The poller tells of its socket.
    is_told_of: bool,
    /// Also while it can be written.
    waits_for_room: bool,
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
        if !distribution.knows_utc() {
            subscriber.set_utc(wall_clock::compare());
        }
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
        let backend = config.backend.open(socket, &backend_config);
        Self {
            id,
            subscriber,
            wire: WireEnd::new(backend, backend_config),
            cut,
            unsent: None,
            is_told_of: false,
            waits_for_room: false,
            paused: None,
            closing: None,
            is_blocked: false,
            shared,
            _place: place,
        }
    }

    /// The socket, to wait for.
    pub(super) fn descriptor(&self) -> impl AsFd + '_ {
        self.wire.socket().as_fd()
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
        with.fields.inbox.clear();
        if readable && let Some(pause) = self.wire.receive(&mut with.fields.inbox, now) {
            self.pause(pause, with, now);
        }
        self.wire.hand_over(&with.fields.inbox, &mut self.subscriber, now);
        self.subscriber.handle_timeout(now);
        if now >= self.wire.look_due(&self.subscriber) {
            self.look(with, now);
        }
        self.wire.send_fields(&mut with.fields, &mut self.subscriber, now);
        let (more, full) = self.send_slices(publication, with, writable, now);
        self.tell_blocked();
        self.publish();
        let due = self.subscriber.poll_timeout().min(self.wire.look_due(&self.subscriber));
        let until = match self.paused {
            Some(until) => until,
            None if more => Time::ZERO,
            None if full => due.max(now + FULL_AGAIN),
            None => due,
        };
        self.wait_for_room(full, with, now);
        Left { until: until.min(lingers_until), is_over: self.is_over(linger, now) }
    }

    /// Leaves the socket alone for a while. The poller is to say nothing of it meanwhile: it would again and again.
    fn pause(&mut self, pause: Duration, with: &Shared, now: Time) {
        self.paused = Some(now + pause);
        with.poller.remove(self.descriptor());
        (self.is_told_of, self.waits_for_room) = (false, false);
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
                    let untaken = fill(&mut batch, (&mut self.subscriber, &mut *publication), now);
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

    fn send(&mut self, batch: &mut SendBatch, with: &Shared, now: Time) -> Sent {
        let Err((remedy, error)) = self.wire.send(batch) else { return Sent::Over };
        match remedy {
            Remedy::Wait => return Sent::Full,
            Remedy::Smaller => self.subscriber.handle_too_large(self.wire.path_bytes(), now),
            _ => {
                // Others wait for their turn: what does not leave is lost, as it may be on any way.
                let pause = self.wire.fail(&error, now);
                self.pause(pause, with, now);
            }
        }
        Sent::Over
    }

    /// Goes on with another socket where this end has another address than before.
    fn look(&mut self, with: &mut Shared, now: Time) {
        let Some(socket) = self.wire.look(&mut self.subscriber, now) else { return };
        if let Some((batch, _)) = self.unsent.take() {
            // Of an epoch that is over.
            with.batches.give_back(self.cut, batch);
        }
        with.poller.remove(self.descriptor());
        self.paused = None;
        self.wire.go_on_with(socket, &mut self.subscriber, now);
        self.wait_for_socket(with, now);
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
            Err(error) => self.wire.tell(&error, now),
        }
    }

    fn wait_for_room(&mut self, is_full: bool, with: &Shared, now: Time) {
        if is_full == self.waits_for_room || !self.is_told_of {
            return;
        }
        match with.poller.set_writable(self.descriptor(), self.id, is_full) {
            Ok(()) => self.waits_for_room = is_full,
            Err(error) => self.wire.tell(&error, now),
        }
    }

    /// Slices are of another size from now on.
    fn fit_slices(&mut self, cut: Cut, with: &mut Shared, now: Time) {
        if let Some((batch, _)) = self.unsent.take() {
            with.batches.give_back(self.cut, batch);
        }
        tracing::debug!(
            peer = %self.wire.socket().peer(), from = self.cut.slice_bytes(), to = cut.slice_bytes(),
            "the path to a watcher carries other slices"
        );
        self.cut = cut;
        // Before its descriptor is closed: the new one is of the same socket.
        with.poller.remove(self.descriptor());
        self.wire.fit_slices(cut.slice_bytes(), datagrams(&cut).min(MESSAGES));
        self.wait_for_socket(with, now);
    }

    fn tell_blocked(&mut self) {
        let is_blocked = self.subscriber.is_blocked();
        if is_blocked && !self.is_blocked {
            tracing::warn!(
                peer = %self.wire.socket().peer(), slice_bytes = self.cut.slice_bytes(),
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
