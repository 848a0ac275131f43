//! What is known of a stream's readers in other processes.

use std::time::Duration;

use crate::frame::ConsumerPolicy;

/// One reader of a stream in another process: who it is, and its account. `offered` is `taken`, `dropped` and `waiting` together, always.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderFigures {
    /// Its seat at the stream, from 1 on: the lowest that no other reader has, so that there are never more than readers at once.
    pub seat: usize,
    /// What it calls itself; empty where it does not.
    pub name: String,
    /// Its process when it connected; 0 where that is in a namespace that is not seen here.
    pub pid: u32,
    /// The user that it ran as when it connected.
    pub uid: u32,
    /// What becomes of frames that it has not taken when newer ones come.
    pub policy: ConsumerPolicy,
    /// Frames that it was offered, none of them after it wanted no more.
    pub offered: u64,
    /// Frames that it has taken.
    pub taken: u64,
    /// Frames that newer ones took the place of, or that it lost when it was quarantined or wanted no more.
    pub dropped: u64,
    /// Slots that frames which it has taken are in.
    pub held: usize,
    /// Frames that wait for it.
    pub waiting: usize,
    /// Processor time of waking it, a wake, on average; zero where it has never slept.
    pub wake_cpu: Duration,
    /// It is offered no more frames, since it did not keep to the rules or did not take a frame in time
    /// ([`ShareConfig::reader_timeout`](super::ShareConfig::reader_timeout)); the slots that it holds are its own until it is gone.
    pub quarantined: bool,
}
