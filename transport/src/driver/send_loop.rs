//! The sending thread: moves what the protocol core wants out, and what the receiver says in.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::backend_thread::{self, reopen, replace};
use super::errors::{REPORTS_MAX, Remedy, Trouble, remedy};
use super::protection::Protection;
use super::rebind::{Look, Rebind};
use super::sender::handover::{Figures, HandedOver, Handover};
use super::sender::way::Carried;
use super::sender::{ConnectError, SendError, SenderConfig};
use super::threads::ThreadConfig;
use super::{batch_of, send_batch_datagrams};
use crate::backend::{
    Backend, BackendConfig, BackendKind, ConnectedSocket, ReceiveBatch, SendBatch, headers_bytes, wait, wall_clock,
};
use crate::frame::SLOTS_MAX;
use crate::send::{CONTROL_MAX, Publication, Subscriber};
use crate::time::Time;
use crate::wire::Cut;

/// Datagrams from the receiver that are read at once: credit comes a few times a frame.
pub(super) const INBOX: usize = 16;
/// Room for the longest of them, a request for slices.
pub(super) const INBOX_BYTES: usize = 1024;
/// Less is not worth asking for.
const SEND_BUFFER_MIN: usize = 256 << 10;
/// The largest send buffer that a stream asks for, bytes: 8 MiB, a 4K frame.
pub const SEND_BUFFER_MAX: usize = 8 << 20;
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
    let peer = socket.peer();
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
            backend,
            backend_config,
            cut,
            busy_poll,
            batch: batch_of(&cut, datagrams),
            protection,
            inbox: ReceiveBatch::new(INBOX, INBOX_BYTES),
            control: Box::new([0; CONTROL_MAX]),
            rebind: Rebind::new(peer),
            reports: Reports::default(),
            trouble: Trouble::default(),
            paused: false,
            failed: None,
            clocks_compared: Time::now(),
        };
        // Also where it panics: somebody may wait for its word.
        let _end = EndNoted(send_loop.handover.clone());
        send_loop.run();
    })
}

/// The send buffer bounds what waits for a slow network card; a frame of it keeps the card busy.
pub(super) fn set_send_buffer(socket: &ConnectedSocket, frame_bytes: u32) {
    if let Err(error) = socket.set_send_buffer((frame_bytes as usize).clamp(SEND_BUFFER_MIN, SEND_BUFFER_MAX)) {
        tracing::debug!(%error, "the send buffer stays at the system's default");
    }
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
    backend: Box<dyn Backend>,
    backend_config: BackendConfig,
    /// How frames are cut that leave in `batch`.
    cut: Cut,
    busy_poll: Duration,
    batch: SendBatch,
    protection: Protection,
    inbox: ReceiveBatch,
    /// Where datagrams of fields are written.
    control: Box<[u8; CONTROL_MAX]>,
    rebind: Rebind,
    reports: Reports,
    trouble: Trouble,
    /// Nothing leaves and nothing comes in: another way is being tried.
    paused: bool,
    /// When the program was told that the stream cannot go on, if it was.
    failed: Option<Time>,
    /// When this machine's clocks were last compared.
    clocks_compared: Time,
}

/// So often the wall clock is looked at, whether it has been set.
const COMPARE_CLOCKS_EVERY: Duration = Duration::from_secs(1);

/// What errors have said that the protocol has not been told yet.
#[derive(Default)]
struct Reports {
    /// Nobody listens at the far end.
    unreachable: bool,
    /// The way does not carry so large a datagram.
    narrow: bool,
}

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
            match self.paused {
                true => self.inbox.clear(),
                false => self.receive(),
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

    /// Reads what the receiver says, and what the system says of datagrams that were sent before.
    fn receive(&mut self) {
        self.inbox.clear();
        self.inbox.post_heads();
        let mut failures = 0;
        while let Err(error) = self.backend.receive(&mut self.inbox) {
            if self.note(&error) == Remedy::Wait {
                return;
            }
            failures += 1;
            if failures == REPORTS_MAX {
                self.tell(&error);
                let pause = self.trouble.pause();
                return self.handover.waker().sleep(pause);
            }
        }
    }

    /// Takes in an error of the socket.
    fn note(&mut self, error: &io::Error) -> Remedy {
        let remedy = remedy(error);
        match remedy {
            Remedy::Ask => self.reports.unreachable = true,
            Remedy::Smaller => self.reports.narrow = true,
            _ => {}
        }
        self.rebind.note(remedy);
        remedy
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
        let Reports { unreachable, narrow } = std::mem::take(&mut self.reports);
        if unreachable {
            self.subscriber.handle_unreachable(now);
        }
        if narrow {
            self.subscriber.handle_narrow_report(self.path_bytes(), now);
        }
        for datagram in self.inbox.datagrams() {
            self.subscriber.handle_datagram(datagram.head, now);
        }
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
        if now >= self.rebind.poll_timeout(self.subscriber.heard()) {
            self.publish(false);
            return Next::Look;
        }
        self.send_fields(now);
        self.update_failure(now);
        self.batch.clear();
        let cut = self.subscriber.cut();
        if cut != self.cut {
            self.publish(false);
            self.fit_slices(cut);
            return Next::Send;
        }
        self.fill_batch(now);
        let idle = self.batch.is_sent();
        if self.publish(idle) {
            Next::Sleep(self.subscriber.poll_timeout().min(self.rebind.poll_timeout(self.subscriber.heard())))
        } else if idle {
            Next::Again
        } else {
            Next::Send
        }
    }

    /// Goes on to where the receiver is by now, unless nobody has said that the stream may leave the machine in plain text.
    fn redirect(&mut self, peer: SocketAddr) {
        match self.protection.decide(self.subscriber.is_protected(), peer) {
            Ok(_) => self.rebind.redirect(peer),
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

    /// Sends the datagrams of fields that are due.
    fn send_fields(&mut self, now: Time) {
        while let Some(len) = self.subscriber.poll_transmit(now, &mut self.control) {
            // Lost ones are repeated by the protocol; whether somebody is there shows when reading.
            match self.send_control(len) {
                Ok(()) => self.trouble.end(),
                Err(error) if remedy(&error) == Remedy::Smaller => {
                    self.subscriber.handle_too_large(self.path_bytes(), now);
                }
                Err(error) => {
                    self.subscriber.handle_not_sent();
                    // A full socket is no failure.
                    if remedy(&error) != Remedy::Wait {
                        self.tell(&error);
                    }
                }
            }
        }
    }

    /// Has the batch filled with slices that may leave.
    fn fill_batch(&mut self, now: Time) {
        // Whole trains: none is cut in two by the end of the batch.
        let train = self.cut.train();
        while self.batch.room() >= train {
            let room = self.batch.room() - self.batch.room() % train;
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            let Some(mut run) = self.subscriber.poll_slices(&mut self.publication, room, now) else { break };
            let (payload, cell) = (run.payload(), run.payload_bytes());
            let pushed = if run.is_sealed() {
                self.batch.push_sealed(payload.len(), cell, |nth, head, payload| run.seal(nth, head, payload))
            } else {
                self.batch.push_slices(run.frame, payload, cell, |nth, head| run.emit_header(nth, head))
            };
            if let Err(error) = pushed {
                // Asked for again by the receiver, like what the network loses.
                tracing::error!(%error, "slices were not sent");
            }
        }
    }

    /// Shows the program how the stream is by now. Where there is nothing to do, returns whether the thread may sleep.
    fn publish(&self, idle: bool) -> bool {
        self.handover.publish(Figures::of(&self.subscriber), idle)
    }

    /// Sends the first bytes of `control`, again where the call was told of an earlier datagram instead.
    fn send_control(&mut self, len: usize) -> io::Result<()> {
        let mut tries = 1;
        loop {
            match self.backend.send_one(&self.control[..len]) {
                Err(error) if remedy(&error) != Remedy::Wait => {
                    self.note(&error);
                    if tries == REPORTS_MAX {
                        return Err(error);
                    }
                    tries += 1;
                }
                sent => return sent,
            }
        }
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
        let (mut failures, mut waited) = (0, Duration::ZERO);
        while !self.batch.is_sent() {
            let Err(error) = self.backend.send(&mut self.batch) else {
                failures = 0;
                continue;
            };
            let remedy = self.note(&error);
            failures += 1;
            match remedy {
                Remedy::Wait => {
                    failures = 0;
                    self.sleep(true, Duration::from_millis(100));
                }
                // It may have been said of an earlier datagram, in place of what this call was made for.
                _ if failures <= REPORTS_MAX => continue,
                Remedy::Smaller => {
                    self.subscriber.handle_too_large(self.path_bytes(), Time::now());
                    break;
                }
                remedy => {
                    self.tell(&error);
                    if remedy == Remedy::Fatal {
                        self.fail(format!("{error}; make a new sender"));
                    }
                    let pause = self.trouble.pause();
                    self.handover.waker().sleep(pause);
                    waited += pause;
                    // Where another socket helps there is no use in waiting for this one.
                    if waited >= BATCH_PATIENCE || self.rebind.is_wanted() {
                        break;
                    }
                }
            }
            if self.handover.is_stopped() {
                break;
            }
        }
        if self.batch.is_sent() {
            self.trouble.end();
        }
        self.batch.clear();
    }

    /// Goes on with another socket where this end has, or the far end is to be spoken to from, another address.
    fn look(&mut self) {
        let was_wanted = self.rebind.is_wanted();
        match self.rebind.look(self.backend.socket(), Time::now()) {
            Look::Same if was_wanted => self.subscriber.retry(Time::now()),
            Look::Same => {}
            Look::Other(socket) => {
                let local =
                    |socket: &ConnectedSocket| socket.local().map_or("nowhere".into(), |local| local.to_string());
                tracing::info!(
                    from = local(self.backend.socket()), to = local(&socket), peer = %socket.peer(),
                    "this end speaks from another address"
                );
                set_send_buffer(&socket, self.cut.frame_bytes());
                // At most 48.
                let headers_bytes = headers_bytes(socket.peer()) as u16;
                replace(&mut self.backend, socket, &self.backend_config);
                self.reports = Reports::default();
                self.trouble.end();
                self.subscriber.handle_redirect(headers_bytes, Time::now());
            }
            Look::Failed(error) => self.tell(&error),
        }
    }

    fn tell(&mut self, error: &io::Error) {
        if let Some(times) = self.trouble.tell(Time::now()) {
            tracing::warn!(
                peer = %self.backend.socket().peer(), %error, times, "datagrams cannot be sent or received at present; the stream goes on when they can"
            );
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
                self.backend.socket().peer()
            );
        }
        self.cut = cut;
        self.backend_config.datagrams_max = send_batch_datagrams(&cut);
        self.backend_config.slice_bytes = slice_bytes;
        self.batch = batch_of(&cut, self.backend_config.datagrams_max);
        reopen(&mut self.backend, &self.backend_config);
    }

    /// What the system knows the path to carry.
    fn path_bytes(&self) -> Option<usize> {
        self.backend.socket().known_path_datagram_bytes()
    }

    fn too_narrow(&self) -> SendError {
        let peer = self.handover.lock().peer;
        let slices = self.cut.slice_bytes();
        let path = self.backend.socket().path_datagram_bytes();
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
        if let Err(error) =
            wait(self.backend.socket().as_fd(), writable, self.handover.waker(), timeout, self.busy_poll)
        {
            self.tell(&error);
            let pause = self.trouble.pause();
            self.handover.waker().sleep(pause);
        }
    }

    fn fail(&mut self, message: String) {
        self.failed = Some(Time::now());
        let peer = self.handover.lock().peer;
        self.handover.set_failure(Some(SendError::Failed { peer, message }));
    }
}
