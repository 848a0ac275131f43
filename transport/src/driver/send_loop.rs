//! The sending thread: moves what the protocol core wants out, and what the receiver says in.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::backend_thread;
use super::errors::Remedy;
use super::protection::Protection;
use super::sender::handover::{Figures, HandedOver, Handover};
use super::sender::way::Carried;
use super::sender::{ConnectError, SendError, SenderConfig};
use super::threads::ThreadConfig;
use super::wire_end::{Fields, WireEnd, fill, set_send_buffer};
use super::{batch_of, send_batch_datagrams};
use crate::backend::{BackendConfig, BackendKind, ConnectedSocket, SendBatch, wait, wall_clock};
use crate::frame::SLOTS_MAX;
use crate::send::{Publication, Subscriber};
use crate::time::Time;
use crate::wire::Cut;

/// How long a thread that pauses sleeps at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a batch waits for a socket that fails; then its slices are lost, as they may be on any way.
const BATCH_PATIENCE: Duration = Duration::from_millis(30);

/// Starts the thread; returns once its backend is open.
pub(super) fn start(
    socket: ConnectedSocket,
    config: &SenderConfig,
    (publication, subscriber): (Publication, Subscriber),
    handover: Arc<Handover>,
) -> io::Result<(BackendKind, JoinHandle<()>)> {
    let cut = subscriber.cut();
    let datagrams = send_batch_datagrams(&cut);
    set_send_buffer(&socket, cut.frame_bytes());
    let backend_config = BackendConfig {
        send_trains: config.trains,
        sqpoll: config.sqpoll,
        ..BackendConfig::new(datagrams, cut.slice_bytes())
    };
    let protection = config.protection;
    let ThreadConfig { busy_poll, cpus } = config.threads.clone();
    backend_thread::start("framewire-send", config.backend, socket, backend_config, cpus, move |backend| {
        let mut send_loop = SendLoop {
            publication,
            subscriber,
            handover,
            handed_over: VecDeque::with_capacity(2 * SLOTS_MAX),
            wire: WireEnd::new(backend, backend_config),
            cut,
            busy_poll,
            batch: batch_of(&cut, datagrams),
            protection,
            fields: Fields::new(),
            paused: false,
            failed: None,
            clocks_compared: Time::now(),
        };
        // Also where it panics: somebody may wait for its word.
        let _end = EndNoted(send_loop.handover.clone());
        send_loop.run();
    })
}

/// Tells whoever waits for the thread that it is no more.
struct EndNoted(Arc<Handover>);

impl Drop for EndNoted {
    fn drop(&mut self) {
        self.0.note_end();
    }
}

struct SendLoop {
    publication: Publication,
    subscriber: Subscriber,
    handover: Arc<Handover>,
    /// What was handed over and has not been looked at.
    handed_over: VecDeque<HandedOver>,
    wire: WireEnd,
    /// How frames are cut that leave in `batch`.
    cut: Cut,
    busy_poll: Duration,
    batch: SendBatch,
    protection: Protection,
    fields: Fields,
    /// Nothing leaves and nothing comes in: another way is being tried.
    paused: bool,
    /// When the program was told that the stream cannot go on, if it was.
    failed: Option<Time>,
    /// When this machine's clocks were last compared.
    clocks_compared: Time,
}

/// So often the wall clock is looked at, whether it has been set.
const COMPARE_CLOCKS_EVERY: Duration = Duration::from_secs(1);

/// What the loop does next.
enum Next {
    Stop,
    Send,
    /// Something was handed over meanwhile.
    Again,
    /// See which address the far end is spoken to from.
    Look,
    /// Nothing to do before this time.
    Sleep(Time),
    /// Nothing to do until somebody wishes for something.
    Wait,
}

impl SendLoop {
    fn run(&mut self) {
        loop {
            self.fields.inbox.clear();
            if !self.paused
                && let Some(pause) = self.wire.receive(&mut self.fields.inbox, Time::now())
            {
                self.handover.waker().sleep(pause);
            }
            match self.advance() {
                Next::Stop => return,
                Next::Send => self.send(),
                Next::Again => {}
                Next::Look => self.look(),
                Next::Sleep(until) => {
                    self.sleep(false, until.since(Time::now()));
                    self.handover.note_awake();
                }
                Next::Wait => {
                    self.handover.waker().sleep(LOOK_AGAIN);
                    self.handover.note_awake();
                }
            }
        }
    }

    /// Runs the protocol: takes in what was read, sends datagrams of fields, and fills the batch.
    fn advance(&mut self) -> Next {
        let wishes = self.handover.take(&mut self.handed_over);
        if wishes.stop {
            return Next::Stop;
        }
        let now = Time::now();
        if let Some(key) = wishes.key {
            self.subscriber.protect(key, now);
        }
        if let Some(pace) = wishes.pace {
            self.subscriber.set_pace(pace);
        }
        if let Some(peer) = wishes.redirect {
            self.redirect(peer);
        }
        self.wire.hand_over(&self.fields.inbox, &mut self.subscriber, now);
        if wishes.room {
            // Before what was handed over since: that is newer.
            self.subscriber.drop_replaceable();
        }
        self.take_in(now);
        if wishes.close {
            self.subscriber.close(now);
        }
        if let Some(pause) = wishes.pause {
            self.paused = pause && self.subscriber.is_opening();
            self.handover.note_paused(self.paused, Figures::of(&self.subscriber));
        }
        if wishes.retire && self.retire(now) {
            return Next::Stop;
        }
        if self.paused {
            return if self.publish(true) { Next::Wait } else { Next::Again };
        }
        self.look_at_the_wall_clock(now);
        self.subscriber.handle_timeout(now);
        // After what the far end has said: it may have been heard just now.
        if now >= self.wire.look_due(&self.subscriber) {
            self.publish(false);
            return Next::Look;
        }
        self.wire.send_fields(&mut self.fields, &mut self.subscriber, now);
        self.update_failure(now);
        self.batch.clear();
        let cut = self.subscriber.cut();
        if cut != self.cut {
            self.publish(false);
            self.fit_slices(cut);
            return Next::Send;
        }
        fill(&mut self.batch, (&mut self.subscriber, &mut self.publication), now);
        let idle = self.batch.is_sent();
        if self.publish(idle) {
            Next::Sleep(self.subscriber.poll_timeout().min(self.wire.look_due(&self.subscriber)))
        } else if idle {
            Next::Again
        } else {
            Next::Send
        }
    }

    /// Goes on to where the receiver is by now, unless nobody has said that the stream may leave the machine in plain text.
    fn redirect(&mut self, peer: SocketAddr) {
        match self.protection.decide(self.subscriber.is_protected(), peer) {
            Ok(_) => self.wire.redirect(peer),
            Err(why) => {
                let error = ConnectError::undecided(why, peer);
                tracing::error!(%peer, %error, "the stream is not sent to where the receiver is said to be");
                self.fail(error.to_string());
            }
        }
    }

    /// It may have been set, which nothing tells.
    fn look_at_the_wall_clock(&mut self, now: Time) {
        if now.since(self.clocks_compared) >= COMPARE_CLOCKS_EVERY {
            self.clocks_compared = now;
            if let Some(utc) = wall_clock::compare() {
                self.subscriber.set_utc(Some(utc));
            }
        }
    }

    /// Takes in what the program has handed over.
    fn take_in(&mut self, now: Time) {
        for handed_over in self.handed_over.drain(..) {
            match handed_over {
                HandedOver::Frame(_) if !self.subscriber.has_room() && self.publication.skip() => {
                    // As many as a pool can have slots are on their way.
                    self.subscriber.handle_skipped();
                }
                HandedOver::Frame(frame) => {
                    let Ok(published) = self.publication.publish(frame) else { continue };
                    if let Err(error) = self.subscriber.handle_frame(&published, now) {
                        tracing::error!(%error, "a frame was not sent");
                    }
                }
                HandedOver::Skipped(count) => {
                    for _ in 0..count {
                        if self.publication.skip() {
                            self.subscriber.handle_skipped();
                        }
                    }
                }
            }
        }
    }

    /// Gives back what is not settled, for another way; only while the stream is not open, for then nobody takes it in here.
    fn retire(&mut self, now: Time) -> bool {
        let handover = self.handover.clone();
        handover.retire(|queue| {
            self.handed_over.append(queue);
            self.take_in(now);
            let frames = self.subscriber.give_back()?;
            Some(Carried {
                frames,
                next_number: self.subscriber.next_number(),
                stats: *self.subscriber.stats(),
                epoch: Some(self.subscriber.epoch()),
            })
        })
    }

    /// Shows the program how the stream is by now. Where there is nothing to do, returns whether the thread may sleep.
    fn publish(&self, idle: bool) -> bool {
        self.handover.publish(Figures::of(&self.subscriber), idle)
    }

    /// Tells the program that the stream cannot go on, and takes that back where it does.
    fn update_failure(&mut self, now: Time) {
        if self.subscriber.is_blocked() {
            if self.failed.is_none() {
                self.failed = Some(now);
                self.handover.set_failure(Some(self.too_narrow()));
            }
        } else if self.failed.is_some_and(|failed| self.subscriber.heard().is_some_and(|heard| heard > failed)) {
            self.failed = None;
            self.handover.set_failure(None);
        }
    }

    fn send(&mut self) {
        let mut waited = Duration::ZERO;
        while let Err((remedy, error)) = self.wire.send(&mut self.batch) {
            match remedy {
                Remedy::Wait => self.sleep(true, Duration::from_millis(100)),
                Remedy::Smaller => {
                    self.subscriber.handle_too_large(self.wire.path_bytes(), Time::now());
                    break;
                }
                remedy => {
                    let pause = self.wire.fail(&error, Time::now());
                    if remedy == Remedy::Fatal {
                        self.fail(format!("{error}; make a new sender"));
                    }
                    self.handover.waker().sleep(pause);
                    waited += pause;
                    // Where another socket helps there is no use in waiting for this one.
                    if waited >= BATCH_PATIENCE || self.wire.wants_look() {
                        break;
                    }
                }
            }
            if self.handover.is_stopped() {
                break;
            }
        }
        self.batch.clear();
    }

    /// Goes on with another socket where this end has, or the far end is to be spoken to from, another address.
    fn look(&mut self) {
        let now = Time::now();
        if let Some(socket) = self.wire.look(&mut self.subscriber, now) {
            self.wire.go_on_with(socket, &mut self.subscriber, now);
        }
    }

    /// Slices are of another size from now on: has them leave in batches of their size, and in trains where they are so small.
    fn fit_slices(&mut self, cut: Cut) {
        let (slice_bytes, before) = (cut.slice_bytes(), self.cut.slice_bytes());
        let carries = if slice_bytes < before { "does not carry" } else { "carries more than" };
        // The same size where they are sealed from now on.
        if slice_bytes != before {
            tracing::info!(
                "the path to {} {carries} slices of {before} bytes; they have {slice_bytes} from now on",
                self.wire.socket().peer()
            );
        }
        let datagrams = send_batch_datagrams(&cut);
        self.cut = cut;
        self.batch = batch_of(&cut, datagrams);
        self.wire.fit_slices(slice_bytes, datagrams);
    }

    fn too_narrow(&self) -> SendError {
        let peer = self.handover.lock().peer;
        let slices = self.cut.slice_bytes();
        let path = self.wire.socket().path_datagram_bytes();
        let message = if path < slices {
            format!(
                "slices have {slices} bytes, and the path carries datagrams of {path}; use --slice {path} or --slice auto"
            )
        } else {
            format!(
                "slices have {slices} bytes, and the path drops datagrams of that size without a word; use a smaller --slice, or --slice auto"
            )
        };
        SendError::Failed { peer, message }
    }

    fn sleep(&mut self, writable: bool, timeout: Duration) {
        let socket = self.wire.socket().as_fd();
        if let Err(error) = wait(socket, writable, self.handover.waker(), timeout, self.busy_poll) {
            let pause = self.wire.fail(&error, Time::now());
            self.handover.waker().sleep(pause);
        }
    }

    fn fail(&mut self, message: String) {
        self.failed = Some(Time::now());
        let peer = self.handover.lock().peer;
        self.handover.set_failure(Some(SendError::Failed { peer, message }));
    }
}
