//! The listening thread: answers openings, and decides which of them become streams.

mod proving;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::errors::{Remedy, Trouble, remedy};
use super::opening::{
    Admission, Asked, Cookies, Ended, Limits, Opening, OpeningId, Patience, Refusal, Standing, Worker, admit,
    least_needed, least_needed_with, stream_bytes,
};
use super::receiver::{ReceiverShared, ReceiverState};
use super::stream_shared::StreamShared;
use crate::backend::listening::{Arrived, ListeningSocket};
use crate::backend::wait;
use crate::crypto::{Key, KeyId};
use crate::receive::{ClosedStreams, EndReason, LAST_WORD_MAX, LastWord};
use crate::time::Time;
use crate::wire::{
    AnyOpen, AnyPrelude, Challenge, Kind, Open, Prelude, Refuse, RefuseReason, SealedOpen, VERSION, WireError,
};

/// Datagrams that are read before the thread looks around.
const BURST: usize = 256;
/// Bytes of the longest opening, without what only tells of the path.
const OPEN_MAX: usize = if SealedOpen::LEN > Open::LEN { SealedOpen::LEN } else { Open::LEN };
/// How often streams that have ended are cleared away when nothing else happens.
const SWEEP: Duration = Duration::from_secs(1);

/// How often what opens nothing is answered: a stream sends many datagrams, and one answer is enough.
const ANSWERS_APART: Duration = Duration::from_millis(1);

/// How often senders of another version are told of in the log: each asks twice a second.
const WORDS_APART: Duration = Duration::from_secs(10);

/// Streams whose threads are kept track of without further memory.
const THREADS_KEPT: usize = 256;

pub(super) struct Listener {
    socket: ListeningSocket,
    shared: Arc<ReceiverShared>,
    cookies: Cookies,
    /// Those of the configuration.
    keys: Vec<(KeyId, Key)>,
    patience: Patience,
    /// Makes the streams' memory.
    worker: Option<JoinHandle<()>>,
    threads: Vec<(Arc<StreamShared>, JoinHandle<()>)>,
    ended: Ended,
    closed: ClosedStreams,
    /// When something that opens nothing may be answered again.
    next_answer: Time,
    /// When a person may be told again of senders of another version.
    next_word: Time,
    trouble: Trouble,
}

impl Listener {
    /// # Errors
    /// The system has no random numbers or no thread.
    pub(super) fn new(socket: ListeningSocket, shared: Arc<ReceiverShared>) -> io::Result<Self> {
        let worker = Worker::new(shared.clone());
        let cookies = Cookies::new()?;
        let keys = shared.config.keys.iter().map(|key| (key.id(), key.clone())).collect();
        let worker = Builder::new().name("framewire-open".into()).spawn(move || worker.run())?;
        Ok(Self {
            socket,
            shared,
            cookies,
            keys,
            patience: Patience::default(),
            worker: Some(worker),
            // Once, and not while frames flow.
            threads: Vec::with_capacity(THREADS_KEPT),
            ended: Ended::default(),
            closed: ClosedStreams::default(),
            next_answer: Time::ZERO,
            next_word: Time::ZERO,
            trouble: Trouble::default(),
        })
    }

    pub(super) fn run(mut self) {
        while !self.shared.lock().stop {
            self.sweep();
            let waited = wait(self.socket.as_fd(), false, &self.shared.waker, SWEEP, Duration::ZERO);
            if let Err(error) = waited.and_then(|()| self.receive()) {
                if let Some(times) = self.trouble.tell(Time::now()) {
                    tracing::warn!(%error, times, "the listening socket fails at present; it is tried again");
                }
                // A socket that has failed always has something to say: it is not waited for.
                self.shared.waker.sleep(self.trouble.pause());
            }
            let mut state = self.shared.lock();
            let handed_over = std::mem::take(&mut state.handed_over);
            let refusals = std::mem::take(&mut state.refusals);
            drop(state);
            for asked in handed_over {
                self.handle_opening(&asked);
            }
            for (opening, refusal) in refusals {
                let refuse = self.refuse(opening.id(), refusal);
                let _ = self.socket.answer(&refuse, opening.peer, opening.local);
            }
        }
        // It may have been starting a stream.
        self.shared.opening.notify_all();
        self.worker.take().into_iter().for_each(join);
        self.threads.append(&mut self.shared.lock().started);
        for (_, thread) in self.threads.drain(..) {
            join(thread);
        }
    }

    /// Forgets the streams whose thread has ended.
    fn sweep(&mut self) {
        self.threads.append(&mut self.shared.lock().started);
        for (stream, thread) in self.threads.extract_if(.., |(_, thread)| thread.is_finished()) {
            self.shared.lock().streams.retain(|open| !Arc::ptr_eq(open, &stream));
            self.ended.note(stream.opening(), Time::now());
            note_closed(&mut self.closed, &stream);
            join(thread);
        }
    }

    /// Takes in what has come.
    ///
    /// # Errors
    /// As the system says, where it says so time and again.
    fn receive(&mut self) -> io::Result<()> {
        // What is behind the fields only tells that the path carries so much.
        let mut bytes = [0_u8; OPEN_MAX];
        let mut failures = 0;
        // So many at once that a flood cannot keep this thread from anything else.
        for _ in 0..BURST {
            match self.socket.receive(&mut bytes) {
                Ok(arrived) => {
                    failures = 0;
                    self.handle(&bytes[..arrived.len.min(OPEN_MAX)], arrived);
                }
                Err(error) if remedy(&error) == Remedy::Wait => break,
                // An answer of ours reached nobody: not this socket's fault.
                Err(error) if failures + 1 < remedy(&error).tries() => failures += 1,
                Err(error) => return Err(error),
            }
        }
        self.trouble.end();
        Ok(())
    }

    /// `bytes` are the first of the datagram.
    fn handle(&mut self, bytes: &[u8], arrived: Arrived) {
        let Arrived { len, peer, local } = arrived;
        match AnyOpen::parse(bytes) {
            Ok(open) => self.handle_opening(&Asked { open, open_bytes: len, peer, local }),
            Err(WireError::Version(_)) => self.handle_other_version(bytes, arrived, Time::now()),
            Err(_) => self.handle_stray(bytes, arrived, Time::now()),
        }
    }

    fn handle_opening(&mut self, asked: &Asked) {
        let Asked { open_bytes, peer, local, .. } = *asked;
        let OpeningId { stream, epoch, .. } = asked.id();
        let now = Time::now();
        let answer = if self.cookies.is_good(asked.open.cookie(), peer, stream, now) {
            if let Some(last_word) = self.last_word(stream, epoch) {
                // Its sender took the silence after the close for a restart: it means to open nothing.
                Answer::of(&last_word)
            } else {
                match self.prove_and_open(asked, now) {
                    Ok(None) => return,
                    Ok(Some(cookie)) => {
                        Answer::new(&Challenge { stream, epoch, flags: 0, path_bytes: 0, cookie }.emit())
                    }
                    Err(refusal) => Answer::new(&self.refuse(asked.id(), refusal)),
                }
            }
        } else {
            self.shared.lock().stats.challenged += 1;
            let cookie = self.cookies.cookie(peer, stream, now);
            let path_bytes = u16::try_from(open_bytes).unwrap_or(u16::MAX);
            Answer::new(&Challenge { stream, epoch, flags: 0, path_bytes, cookie }.emit())
        };
        // The sender repeats itself where this is lost.
        let _ = self.socket.answer(answer.bytes(), peer, local);
    }

    /// What the sender of a stream that was closed was told, or is told again, in this epoch.
    fn last_word(&mut self, stream: u32, epoch: u32) -> Option<LastWord> {
        // It may be lingering still.
        if let Some(open) = self.shared.lock().streams.iter().find(|open| open.open.stream == stream) {
            note_closed(&mut self.closed, open);
            if !open.is_over() {
                return None;
            }
        }
        self.closed.answer(stream, epoch)
    }

    /// Tells a sender that speaks another version of the protocol so, in ours: all that the versions have in common is the prelude
    /// and this answer.
    fn handle_other_version(&mut self, bytes: &[u8], Arrived { peer, local, .. }: Arrived, now: Time) {
        // No answer is longer than what it answers, and none goes to what answers itself.
        let opening = Prelude::parse_any_version(bytes).ok().filter(|prelude| prelude.kind == Kind::Open as u8);
        let Some(AnyPrelude { version, stream, epoch, .. }) = opening.filter(|_| bytes.len() >= Refuse::LEN) else {
            self.shared.lock().stats.strays += 1;
            return;
        };
        self.shared.lock().stats.other_version += 1;
        if now < self.next_answer {
            return;
        }
        self.next_answer = now + ANSWERS_APART;
        if now >= self.next_word {
            self.next_word = now + WORDS_APART;
            tracing::warn!(
                %peer, stream,
                "refused a stream: the far end speaks version {version}, this is {VERSION}; use the same release on both sides"
            );
        }
        let reason = RefuseReason::Version as u16;
        let refuse = Refuse { stream, epoch, flags: 0, reason, limit: VERSION.into() };
        // The sender repeats itself where this is lost.
        let _ = self.socket.answer(&refuse.emit(), peer, local);
    }

    /// Notes a refusal, and makes the datagram that tells of it.
    fn refuse(&self, OpeningId { stream, epoch, peer, .. }: OpeningId, (reason, limit): Refusal) -> [u8; Refuse::LEN] {
        self.shared.lock().stats.refused += 1;
        tracing::info!(%peer, stream, ?reason, limit, "refused a stream");
        Refuse { stream, epoch, flags: 0, reason: reason as u16, limit }.emit()
    }

    /// What opens nothing here may be of a stream whose sender has got another address without knowing, or asks us at another
    /// one: has it show that it hears us there. Or of one that an earlier process had open: tells it that this one has not.
    fn handle_stray(&mut self, bytes: &[u8], Arrived { peer, local, .. }: Arrived, now: Time) {
        let prelude = Prelude::parse(bytes).ok().filter(|_| now >= self.next_answer);
        let closes = prelude.filter(|prelude| prelude.kind == Kind::Close);
        let last_word = closes.and_then(|Prelude { stream, epoch, .. }| self.last_word(stream, epoch));
        let mut state = self.shared.lock();
        let answer = prelude.and_then(|prelude| {
            let Prelude { kind, stream, epoch } = prelude;
            if let Some(last_word) = last_word {
                return Some(Answer::of(&last_word));
            }
            let Some(open) = state.streams.iter().find(|open| open.open.stream == stream) else {
                let flows = matches!(kind, Kind::Slice | Kind::Parity | Kind::Ping | Kind::Close);
                let refuse = Refuse { stream, epoch, flags: 0, reason: RefuseReason::Unknown as u16, limit: 0 };
                // A program that has just ended a stream does not want it back at once.
                return (flows && !self.ended.is_recent(stream, now)).then(|| Answer::new(&refuse.emit()));
            };
            let known = open.lock();
            let is_elsewhere = (known.opening.peer, known.opening.local) != (peer, local);
            let has_moved = known.epoch == epoch && is_elsewhere && !open.is_over();
            let cookie = self.cookies.cookie(peer, stream, now);
            has_moved.then(|| Answer::new(&Challenge { stream, epoch, flags: 0, path_bytes: 0, cookie }.emit()))
        });
        // No answer is longer than what it answers: a forged one amplifies nothing.
        let Some(answer) = answer.filter(|answer| answer.bytes().len() <= bytes.len()) else {
            state.stats.strays += 1;
            return;
        };
        state.stats.redirected += 1;
        drop(state);
        self.next_answer = now + ANSWERS_APART;
        // What comes after it asks again where this is lost.
        let _ = self.socket.answer(answer.bytes(), peer, local);
    }

    /// Has a stream wait for its memory, if it may be opened and is not.
    fn open_stream(&mut self, opening: &Opening) -> Result<(), Refusal> {
        self.sweep();
        let Opening { ref open, peer, .. } = *opening;
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let known = state.streams.iter().find(|stream| stream.open.stream == open.stream);
        if let Some(known) = known.filter(|known| known.has_had(opening.id())) {
            // Opened already: its sender has not heard that, or this one was on its way before the stream had its own socket.
            if known.opening() == opening.id() && !known.is_over() {
                let known = known.clone();
                go_on(&mut state, &known, opening);
            }
            return Ok(());
        }
        if self.ended.is_repetition(opening.id(), Time::now()) {
            return Ok(());
        }
        // Whoever has no key ends nothing that is protected; who has one, and hears us at an address, is who is there.
        let is_free = |is_protected: bool| opening.sealed.is_some() || !is_protected;
        if let Some(known) = known.filter(|known| known.is_continued_by(opening)).cloned() {
            self.give_up(&mut state, EndReason::Replaced, |stream| {
                stream.open.stream != open.stream && stream.opening().peer == peer && is_free(stream.is_protected())
            });
            state.stats.moved += u64::from(known.opening().peer != peer);
            go_on(&mut state, &known, opening);
            return Ok(());
        }
        if state.waiting.takes(opening) {
            return Ok(());
        }
        let config = &shared.config;
        let slots = shared.pool_slots().base;
        let limits = Limits { streams: config.streams_max, stream_bytes: config.stream_bytes_max, slots };
        let announced = (config.admission == Admission::Announced).then_some(&state.announced);
        // The same stream from another address, or after its end: the sender is the one we hear now. And an address has one
        // sender: the one before it, which had the port, is gone.
        let is_past = |id: OpeningId| id.stream == open.stream || id.peer == peer;
        let is_replaced = |stream: &StreamShared| {
            (stream.open.stream == open.stream || stream.opening().peer == peer)
                && (is_free(stream.is_protected()) || stream.is_over())
        };
        let others = state.streams.iter().filter(|stream| !is_replaced(stream)).count();
        let others = others + state.waiting.count(|id| !is_past(id));
        let spare =
            if others < limits.streams { None } else { least_needed(standings(&state.streams, slots), Time::now()) };
        let spare = spare.map(|place| state.streams[place].open.stream);
        let (_, bytes) = admit((open, &opening.cut()), limits, others - usize::from(spare.is_some()), announced)?;
        if bytes > shared.budget.limit() {
            return Err((RefuseReason::Memory, shared.budget.limit() as u64));
        }
        if state.incoming.len() >= limits.streams {
            // Those that come and go faster than the program takes them must not pile up.
            return Err((RefuseReason::TooManyStreams, limits.streams as u64));
        }
        // Places are left for others. A sender that is not answered repeats itself, and has its turn.
        let places = limits.streams - limits.streams / 4;
        if state.waiting.of_address(peer.ip()) >= places {
            return Ok(());
        }
        self.give_up(&mut state, EndReason::Replaced, is_replaced);
        state.waiting.discard(|waiting| is_past(waiting.id()) && is_free(waiting.sealed.is_some()));
        let reservation = shared.budget.reserve(bytes);
        let Some(reservation) = reservation else {
            let is_open = |thread: &Arc<StreamShared>| state.streams.iter().any(|stream| Arc::ptr_eq(stream, thread));
            let ending = self.threads.iter().filter(|(thread, _)| !is_open(thread));
            let ending: usize = ending.map(|(thread, _)| bytes_of(thread, slots)).sum();
            let missing = shared.budget.missing(bytes).saturating_sub(ending + state.waiting.releasing_bytes());
            shared.opening.notify_one();
            if missing > 0 {
                // No stream ends for an opening that has no room then either.
                let spare = least_needed_with(missing, standings(&state.streams, slots), Time::now())
                    .ok_or((RefuseReason::Memory, shared.budget.limit() as u64))?;
                let spare = state.streams[spare].open.stream;
                self.give_up(&mut state, EndReason::Silent, |stream| stream.open.stream == spare);
            }
            // What is being given back is enough, or will be: the sender asks again.
            return Ok(());
        };
        if let Some(spare) = spare {
            self.give_up(&mut state, EndReason::Silent, |stream| stream.open.stream == spare);
        }
        state.waiting.push(opening, bytes, reservation);
        self.closed.forget(open.stream);
        drop(state);
        shared.opening.notify_one();
        Ok(())
    }

    /// Ends streams whose senders are gone.
    fn give_up(&mut self, state: &mut ReceiverState, reason: EndReason, is_past: impl Fn(&StreamShared) -> bool) {
        for past in state.streams.extract_if(.., |stream| is_past(stream)) {
            let opening = past.opening();
            tracing::info!(peer = %opening.peer, stream = opening.stream, ?reason, "stream given up");
            // Before its thread has ended: a copy of its opening may be waiting, and must not end the stream after it.
            self.ended.note(opening, Time::now());
            past.lock().ended.get_or_insert(reason);
            past.abandon();
        }
    }
}

/// An answer of fields.
struct Answer {
    bytes: [u8; LAST_WORD_MAX],
    len: usize,
}

impl Answer {
    fn new(datagram: &[u8]) -> Self {
        let mut bytes = [0; LAST_WORD_MAX];
        bytes[..datagram.len()].copy_from_slice(datagram);
        Self { bytes, len: datagram.len() }
    }

    fn of(last_word: &LastWord) -> Self {
        let mut bytes = [0; LAST_WORD_MAX];
        let len = last_word.emit(&mut bytes);
        Self { bytes, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

// The longest of them; and none is longer than the opening that it answers.
const _: () = assert!(Challenge::LEN <= LAST_WORD_MAX && Refuse::LEN <= LAST_WORD_MAX && LAST_WORD_MAX <= Open::LEN);

/// Has a stream go on with an opening, which then opens nothing else.
fn go_on(state: &mut ReceiverState, stream: &StreamShared, opening: &Opening) {
    if let Some(sealed) = &opening.sealed {
        state.ephemerals.note(sealed.ephemeral(), Time::now());
    }
    stream.continue_from(opening);
}

/// Notes what the sender of a stream was told, if it is closed.
fn note_closed(closed: &mut ClosedStreams, stream: &StreamShared) {
    if let Some(last_word) = stream.lock().last_word {
        closed.note(last_word);
    }
}

/// What streams are judged by where room is needed.
pub(super) fn standings(streams: &[Arc<StreamShared>], slots: usize) -> impl Iterator<Item = Standing> + Clone {
    let standing = move |stream: &Arc<StreamShared>| {
        let heard = stream.lock().heard;
        Standing { is_over: stream.is_over(), heard, bytes: bytes_of(stream, slots) }
    };
    streams.iter().map(standing)
}

/// Bytes that were reserved for a stream.
fn bytes_of(stream: &StreamShared, slots: usize) -> usize {
    stream_bytes(&stream.cut, stream.open.parity_max, slots).unwrap_or(0)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a receiving thread panicked");
    }
}
