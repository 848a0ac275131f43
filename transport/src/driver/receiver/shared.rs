//! What a receiver's threads share with the program.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::config::ReceiverConfig;
use crate::backend::Waker;
use crate::driver::incoming::IncomingStream;
use crate::driver::opening::{Announcement, Asked, Budget, Ephemerals, Opening, Refusal, Waiting};
use crate::driver::sharing::{PoolSlots, Shares};
use crate::driver::stream_shared::StreamShared;
use crate::frame::readiness::{Raised, Tells};
use crate::unpoisoned::unpoisoned;

/// What the program's threads and the listening thread share.
pub(in crate::driver) struct ReceiverShared {
    pub(in crate::driver) config: ReceiverConfig,
    pub(in crate::driver) local: SocketAddr,
    pub(in crate::driver) waker: Waker,
    pub(in crate::driver) state: Mutex<ReceiverState>,
    pub(in crate::driver) changed: Condvar,
    /// There is something to do for the thread that opens streams.
    pub(in crate::driver) opening: Condvar,
    pub(in crate::driver) budget: Arc<Budget>,
    /// How many local senders' streams may come to nothing.
    #[cfg(target_os = "linux")]
    pub(in crate::driver) churn: Arc<crate::driver::inlet::Churn>,
    /// Where its streams are shared with other processes.
    pub(in crate::driver) shares: Shares,
}

#[derive(Default)]
pub(in crate::driver) struct ReceiverState {
    pub(in crate::driver) announced: HashMap<u32, Announcement>,
    /// What senders of announced streams are known by that share memory with this process.
    pub(in crate::driver) nonces: HashMap<u32, u64>,
    pub(in crate::driver) incoming: VecDeque<IncomingStream>,
    pub(in crate::driver) streams: Vec<Arc<StreamShared>>,
    /// Streams that are being opened.
    pub(in crate::driver) waiting: Waiting,
    /// Threads of streams that were opened since the listener last looked.
    pub(in crate::driver) started: Vec<(Arc<StreamShared>, JoinHandle<()>)>,
    /// Openings that came to nothing, and are still to be answered.
    pub(in crate::driver) refusals: Vec<(Opening, Refusal)>,
    /// Openings that came to another stream's socket.
    pub(in crate::driver) handed_over: Vec<Asked>,
    /// What has opened protected streams.
    pub(in crate::driver) ephemerals: Ephemerals,
    pub(in crate::driver) stats: ListenerStats,
    pub(in crate::driver) stop: bool,
    pub(super) raised: Raised,
}

impl Tells for ReceiverState {
    /// A stream, or that none follows.
    fn has_something(&self) -> bool {
        !self.incoming.is_empty() || self.stop
    }

    fn raised(&mut self) -> &mut Raised {
        &mut self.raised
    }
}

impl ReceiverState {
    /// Takes an announcement back, and has the stream end if it is open.
    pub(super) fn withdraw(&mut self, stream: u32) {
        self.announced.remove(&stream);
        self.nonces.remove(&stream);
        for open in self.streams.iter().filter(|open| open.open.stream == stream) {
            open.stop();
        }
        self.waiting.discard(|waiting| waiting.open.stream == stream);
    }
}

/// What the listening socket has seen since the receiver was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Streams opened.
    pub opened: u64,
    /// Openings refused.
    pub refused: u64,
    /// Openings answered with a challenge: the sender has to repeat a number that was sent to its address, before it is believed.
    pub challenged: u64,
    /// Datagrams that open no stream: strays, garbage, slices of streams that are gone.
    pub strays: u64,
    /// Datagrams of streams that are not open, or come from another address, that were answered.
    pub redirected: u64,
    /// Openings in another version of the protocol, which were refused.
    pub other_version: u64,
    /// Streams that went on from another address of their sender.
    pub moved: u64,
    /// Openings of protected streams that were not made under their key; counted in `refused` too.
    pub forged: u64,
    /// Openings of protected streams that had opened something before, and were recorded and shown again, or were long on their way.
    pub replayed: u64,
    /// Openings of protected streams that were not looked at, as too many of their address had been forged just before.
    pub unread: u64,
}

impl ReceiverShared {
    pub(in crate::driver) fn lock(&self) -> MutexGuard<'_, ReceiverState> {
        unpoisoned(self.state.lock())
    }

    /// Has the program accept a stream, and gives the lock back.
    pub(in crate::driver) fn hand_in(&self, mut state: MutexGuard<'_, ReceiverState>, incoming: IncomingStream) {
        state.stats.opened += 1;
        state.incoming.push_back(incoming);
        let readiness = state.raised.raise();
        drop(state);
        self.changed.notify_one();
        if let Some(readiness) = readiness {
            readiness.raise();
        }
    }

    /// Slots of each stream that is opened now.
    pub(in crate::driver) fn pool_slots(&self) -> PoolSlots {
        self.shares.pool_slots(self.config.slots)
    }

    /// Gives the listener an opening that came to the socket of another stream.
    pub(in crate::driver) fn hand_to_listener(&self, opening: Asked) {
        let handed_over = &mut self.lock().handed_over;
        // The sender repeats what there is no room for.
        if handed_over.len() < self.config.streams_max {
            handed_over.push(opening);
            self.waker.wake();
        }
    }
}
