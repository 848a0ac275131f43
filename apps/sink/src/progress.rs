//! How recordings get on: of each stream at each sink, and of each sink over all streams.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use framewire_figures::snapshot::SinkCounts;
use framewire_process::lock::lock;

/// One sink of the server, over all its streams. What is counted only ever grows.
#[derive(Debug)]
pub struct SinkTotals {
    /// As the command line named it.
    pub sink: String,
    counters: Counters,
    failures: AtomicU64,
    recoveries: AtomicU64,
    /// What it did last was to fail.
    is_failing: AtomicBool,
}

/// One stream at one sink.
#[derive(Debug)]
pub struct StreamSink {
    total: Arc<SinkTotals>,
    counters: Counters,
    condition: Mutex<Condition>,
}

#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    bytes: AtomicU64,
    slow: AtomicU64,
    failed: AtomicU64,
    away: AtomicU64,
}

/// How a sink does with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It takes frames, or will take the first.
    Recording,
    /// It has failed, and is tried again now and then where that can help.
    Failed(String),
    /// It is another stream's turn, or nobody reads.
    Waiting(String),
    /// Whoever looked has gone: frames are not taken any more, which is no failure.
    Closed,
}

impl Condition {
    /// For programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Failed(_) => "failed",
            Self::Waiting(_) => "waiting",
            Self::Closed => "closed",
        }
    }
}

/// Why a frame is not at a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The sink failed.
    Failed,
    /// Another stream had it, nobody read, or whoever looked has gone.
    Away,
}

impl Counters {
    fn counts(&self) -> SinkCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkCounts {
            frames: of(&self.frames),
            bytes: of(&self.bytes),
            frames_dropped: of(&self.slow),
            frames_failed: of(&self.failed),
            frames_away: of(&self.away),
        }
    }
}

impl SinkTotals {
    /// Nothing recorded yet, at a sink that the command line names so.
    pub fn new(sink: &str) -> Arc<Self> {
        Arc::new(Self {
            sink: sink.to_owned(),
            counters: Counters::default(),
            failures: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Over all streams.
    pub fn counts(&self) -> SinkCounts {
        self.counters.counts()
    }

    /// How often it has failed: for a stream, not for each frame of it.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often it went on after that, for the same stream.
    pub fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Relaxed)
    }

    /// Whether what it did last was to fail. A stream that has ended since changes nothing about that.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

impl StreamSink {
    /// A stream that begins at a sink.
    pub fn new(total: &Arc<SinkTotals>) -> Arc<Self> {
        let condition = Mutex::new(Condition::Recording);
        Arc::new(Self { total: total.clone(), counters: Counters::default(), condition })
    }

    /// The sink, as the command line named it.
    pub fn name(&self) -> &str {
        &self.total.sink
    }

    /// Of this stream.
    pub fn counts(&self) -> SinkCounts {
        self.counters.counts()
    }

    /// How it does just now.
    pub fn condition(&self) -> Condition {
        self.lock().clone()
    }

    /// Frames that should be recorded and are not.
    pub fn unrecorded(&self) -> u64 {
        let counts = self.counts();
        counts.frames_dropped + counts.frames_failed
    }

    /// Counts a frame that was written, and the bytes that this took. True where the sink had failed before: it goes on.
    pub fn add_frame(&self, bytes: u64) -> bool {
        for counters in [&self.counters, &self.total.counters] {
            counters.frames.fetch_add(1, Ordering::Relaxed);
            counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.total.is_failing.store(false, Ordering::Relaxed);
        let mut condition = self.lock();
        let had_failed = matches!(*condition, Condition::Failed(_));
        if *condition != Condition::Recording {
            *condition = Condition::Recording;
        }
        if had_failed {
            self.total.recoveries.fetch_add(1, Ordering::Relaxed);
        }
        had_failed
    }

    /// Counts frames that are not there.
    pub fn add_missed(&self, why: Missed, frames: u64) {
        for counters in [&self.counters, &self.total.counters] {
            let counter = match why {
                Missed::Failed => &counters.failed,
                Missed::Away => &counters.away,
            };
            counter.fetch_add(frames, Ordering::Relaxed);
        }
    }

    /// Takes over how many frames have come too fast for this stream so far.
    pub fn set_dropped(&self, frames: u64) {
        let before = self.counters.slow.fetch_max(frames, Ordering::Relaxed);
        self.total.counters.slow.fetch_add(frames.saturating_sub(before), Ordering::Relaxed);
    }

    /// The sink has failed, or has failed again. True where it had not before.
    pub fn fail(&self, reason: String) -> bool {
        self.total.is_failing.store(true, Ordering::Relaxed);
        let mut condition = self.lock();
        let is_new = !matches!(*condition, Condition::Failed(_));
        *condition = Condition::Failed(reason);
        if is_new {
            self.total.failures.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// It is somebody else's turn. True where that is news.
    pub fn wait(&self, reason: String) -> bool {
        let condition = Condition::Waiting(reason);
        std::mem::replace(&mut *self.lock(), condition.clone()) != condition
    }

    /// Whoever looked has gone.
    pub fn close(&self) {
        *self.lock() = Condition::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        lock(&self.condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_streams_count_adds_up_at_their_sink_and_stays_when_they_are_gone() {
        let total = SinkTotals::new("out.raw");
        for _ in 0..2 {
            let stream = StreamSink::new(&total);
            assert!(!stream.add_frame(10) && !stream.add_frame(10));
            stream.set_dropped(3);
            stream.set_dropped(5);
            stream.set_dropped(4);
            stream.add_missed(Missed::Failed, 2);
            stream.add_missed(Missed::Away, 1);
            assert_eq!(stream.unrecorded(), 7);
        }
        let expected = SinkCounts { frames: 4, bytes: 40, frames_dropped: 10, frames_failed: 4, frames_away: 2 };
        assert_eq!(total.counts(), expected);
    }

    #[test]
    fn a_failure_is_one_however_often_it_is_tried_again_and_is_over_when_a_frame_is_written() {
        let total = SinkTotals::new("out.raw");
        let stream = StreamSink::new(&total);
        assert!(stream.fail("full".into()) && !stream.fail("full".into()) && total.is_failing());
        assert!(stream.add_frame(1) && !total.is_failing() && !stream.add_frame(1));
        assert!(stream.fail("full".into()));
        assert_eq!((total.failures(), total.recoveries()), (2, 1));
        drop(stream);
        assert!(total.is_failing(), "until a stream is recorded");
        StreamSink::new(&total).add_frame(1);
        assert!(!total.is_failing());
    }
}
