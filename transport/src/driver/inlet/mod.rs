//! Streams of senders that share memory with this process: who is let in, and the thread that takes their frames in.

mod churn;
mod intake;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

pub(super) use self::churn::Churn;
use self::intake::Intake;
use super::opening::{Admission, Limits, Opening, admit};
use super::receiver::ReceiverShared;
use super::stream_shared::StreamShared;
use crate::backend::Waker;
use crate::frame::FramePool;
use crate::limit::help;
use crate::receive::EndReason;
use crate::share::hub::Entering;
use crate::share::inlet::own_network;
use crate::share::messages::{FromHub, Packet, Refusal};
use crate::share::socket::packet;
use crate::time::Time;
use crate::told::{SELDOM, Told};
use crate::unpoisoned::unpoisoned;
use crate::wire::{Open, RefuseReason};

/// What all senders on this machine have for an address.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why a sender is not let in, with the numbers that say so.
type Refused = (Refusal, u64, u64);

/// Lets a sender in, or tells it why not. Does not wait.
pub(super) fn enter(receiver: &Arc<ReceiverShared>, entering: Entering) {
    let (pid, stream) = (entering.peer.pid, entering.open.stream);
    let copy = match entering.socket.try_clone() {
        Ok(copy) => copy,
        Err(error) => {
            let (refusal, number, limit) = short_of(&error);
            let refused = FromHub::Refused { refusal, number, limit };
            let _ = packet::send(&entering.socket, Packet::from(&refused).bytes(), &[]);
            return;
        }
    };
    if let Err((refusal, number, limit)) = let_in(receiver, entering) {
        receiver.lock().stats.refused += 1;
        tracing::info!(pid, stream, ?refusal, number, limit, "refused a stream of this machine");
        let refused = FromHub::Refused { refusal, number, limit };
        // Who is gone meanwhile need not know.
        let _ = packet::send(&copy, Packet::from(&refused).bytes(), &[]);
    }
}

fn let_in(receiver: &Arc<ReceiverShared>, entering: Entering) -> Result<(), Refused> {
    let Entering { open, nonce, network, .. } = &entering;
    let config = &receiver.config;
    if *network != 0 && *network != own_network() {
        return Err((Refusal::Network, 0, 0));
    }
    let mut state = receiver.lock();
    if state.stop {
        return Err((Refusal::Resources, 0, 0));
    }
    let is_announced = config.admission == Admission::Announced;
    if is_announced && state.nonces.get(&open.stream).is_none_or(|known| known != nonce) {
        return Err((Refusal::Unknown, 0, 0));
    }
    let slots = receiver.pool_slots().base;
    let limits = Limits { streams: config.streams_max, stream_bytes: config.stream_bytes_max, slots };
    // The sender of a stream is the one that comes last.
    let is_replaced = |stream: &StreamShared| stream.open.stream == open.stream;
    let others = state.streams.iter().filter(|stream| !is_replaced(stream) && !stream.is_over()).count();
    let others = others + state.waiting.count(|id| id.stream != open.stream);
    let announced = is_announced.then_some(&state.announced);
    let (format, _) = admit((open, &open.cut()), limits, others, announced).map_err(refusal_of)?;
    if state.incoming.len() >= limits.streams {
        return Err((Refusal::Streams, 0, limits.streams as u64));
    }
    let slot_bytes = slot_bytes(open);
    let budget = &receiver.budget;
    let bytes = FramePool::bytes(slots, slot_bytes).ok().filter(|bytes| *bytes <= limits.stream_bytes);
    let bytes = bytes.ok_or((Refusal::FrameTooLarge, 0, limits.stream_bytes as u64))?;
    let reservation = budget.reserve(bytes);
    let refused = || {
        let left = budget.limit().saturating_sub(budget.reserved());
        (Refusal::Memory, left as u64, budget.limit() as u64)
    };
    if reservation.is_none() {
        // What the stream has already is not given up for what cannot be had all the same.
        let of = |stream: &Arc<StreamShared>| FramePool::bytes(slots, self::slot_bytes(&stream.open)).unwrap_or(0);
        let ending: usize = state.streams.iter().filter(|stream| is_replaced(stream)).map(of).sum();
        if budget.missing(bytes) > ending {
            return Err(refused());
        }
    }
    // Last of what may be against it: where it is not let in all the same, that is for what this process lacks, and costs its user nothing.
    let user = entering.peer.uid;
    let attempt = receiver.churn.attempt(user, Time::now());
    let attempt = attempt.map_err(|wait| (Refusal::TooOften, wait.as_millis() as u64 + 1, 0))?;
    let lacking = |refused: Refused| {
        receiver.churn.give_back(user);
        refused
    };
    for past in state.streams.extract_if(.., |stream| is_replaced(stream)) {
        past.lock().ended.get_or_insert(EndReason::Replaced);
        past.abandon();
    }
    state.waiting.discard(|waiting| waiting.open.stream == open.stream);
    // Where it comes back with the end of the former one: the sender asks again.
    let Some(reservation) = reservation.or_else(|| budget.reserve(bytes)) else {
        return Err(lacking(refused()));
    };
    let opening = Opening { open: *open, sealed: None, open_bytes: Open::LEN, peer: HERE, local: receiver.local };
    let waker = Arc::new(Waker::new().map_err(|error| lacking(short_of(&error)))?);
    let shared = Arc::new(StreamShared::new(&opening, waker));
    shared.lock().slice_bytes = 0;
    let intake = Intake::new(receiver.clone(), shared.clone(), entering, format, (Arc::new(reservation), attempt));
    let thread = std::thread::Builder::new().name("framewire-recv".into()).spawn(move || intake.run());
    let thread = thread.map_err(|error| lacking(short_of(&error)))?;
    state.streams.push(shared.clone());
    state.started.push((shared, thread));
    Ok(())
}

/// The system refuses what a stream needs, which the log here tells: the sender learns no more than that.
fn short_of(error: &io::Error) -> Refused {
    static TOLD: Mutex<Option<Told>> = Mutex::new(None);
    // Senders ask again and again.
    if let Some(times) = unpoisoned(TOLD.lock()).get_or_insert_default().news(Time::now(), SELDOM) {
        tracing::warn!(%error, times, "a stream of this machine cannot be taken at present: {}", help(error));
    }
    (Refusal::Resources, 0, 0)
}

/// Bytes of a slot for the frames of an opening that was checked.
fn slot_bytes(open: &Open) -> usize {
    open.frame_bytes as usize + usize::from(open.tail_max)
}

fn refusal_of((reason, limit): (RefuseReason, u64)) -> Refused {
    let refusal = match reason {
        RefuseReason::Unknown => Refusal::Unknown,
        RefuseReason::TooManyStreams => Refusal::Streams,
        RefuseReason::FrameTooLarge => Refusal::FrameTooLarge,
        RefuseReason::Format => Refusal::Format,
        RefuseReason::Memory => Refusal::Memory,
        RefuseReason::Version => Refusal::Version,
        _ => Refusal::Resources,
    };
    (refusal, 0, limit)
}

/// Whether whoever has the stream wants no more of it.
fn is_stopped(shared: &StreamShared) -> bool {
    shared.stop.load(Ordering::Acquire)
}
