//! What waits to be said to every client: bounded, filled by the data path without blocking, emptied by the runtime.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use jiff::tz::TimeZone;
use tokio::sync::Notify;

use super::StreamEnd;
use super::coalescer::{Coalescer, Verdict};
use super::speaker::Speaker;
use crate::message::{Closed, Feedback, Moved, PlainFeedback, Statistics, Timestamp};
use crate::unpoisoned::unpoisoned;

/// Feedback that waits for the runtime. It is a fraction of a second at the default rate with every stream at its bound.
const FEEDBACK_WAITING_MAX: usize = 1024;
/// Datagrams on the plain wire that wait: half a gigabyte of frames, about 0.1 s at the speed of loopback.
const PLAIN_WAITING_MAX: usize = 8192;
/// Ends of streams that wait; a server opens fewer streams than this.
const ENDED_WAITING_MAX: usize = 1024;
/// Events between two chances for the sockets' writers, which share the runtime's one thread; well below the buffer of a
/// socket, so that a client that reads is never overrun.
const EVENTS_A_TURN: usize = 32;

/// Counts since the server started. None of them ever goes down, but `clients` and `wishes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalCounters {
    /// Clients connected now.
    pub clients: usize,
    /// Wishes to watch a stream that stand now.
    pub wishes: usize,
    /// Proofs of a token that were wrong, late or none: who has another token sees that the server has not this one, and leaves without.
    pub proofs_failed: u64,
    /// Connections that spoke no TLS to a server that does, or not to its end; those that were redirected are not among them.
    pub tls_failed: u64,
    /// Feedback events sent to all clients, each counted once.
    pub feedback_sent: u64,
    /// Frames whose feedback was merged into a later event.
    pub feedback_coalesced: u64,
    /// Feedback dropped because the runtime could not keep up, or too many streams were reported.
    pub feedback_dropped: u64,
    /// Datagrams of the plain wire reported.
    pub plain_sent: u64,
    /// Datagrams of the plain wire not reported because the runtime could not keep up.
    pub plain_dropped: u64,
    /// Events that one client missed because its buffer was full, summed over clients.
    pub missed_by_slow_clients: u64,
}

/// Between the data path and the runtime. The lock is held for no longer than it takes to move a few words.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

struct Waiting {
    coalescer: Coalescer,
    feedback: VecDeque<Feedback>,
    plain: VecDeque<(Timestamp, u64)>,
    statistics: Option<Statistics>,
    ended: VecDeque<(Closed, StreamEnd)>,
    moved: Option<Moved>,
    /// The servers to go to are others now.
    elsewhere: bool,
    counters: SignalCounters,
}

/// One thing to say.
enum Item {
    Feedback(Feedback),
    Plain(Timestamp, u64),
    Statistics(Statistics),
    Ended(Closed, StreamEnd),
    Moved(Moved),
    Elsewhere,
}

impl Outbox {
    pub(super) fn new(events_per_second: f64) -> Self {
        let waiting = Waiting {
            coalescer: Coalescer::new(events_per_second),
            feedback: VecDeque::with_capacity(FEEDBACK_WAITING_MAX),
            plain: VecDeque::with_capacity(PLAIN_WAITING_MAX),
            statistics: None,
            ended: VecDeque::new(),
            moved: None,
            elsewhere: false,
            counters: SignalCounters::default(),
        };
        Self { waiting: Mutex::new(waiting), filled: Notify::new() }
    }

    pub(super) fn feedback(&self, feedback: Feedback, now: Instant) {
        let mut waiting = self.lock();
        // Only the first one held needs a wake-up, to set the timer: at thousands of frames a second the others are free.
        let wake = match waiting.coalescer.handle(feedback, now) {
            Verdict::Send(feedback) => {
                waiting.push_feedback(feedback);
                true
            }
            Verdict::Held { first } => first,
            Verdict::NoRoom => {
                waiting.counters.feedback_dropped += 1;
                false
            }
        };
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
    }

    pub(super) fn plain(&self, frame_size: u64) {
        let mut waiting = self.lock();
        if waiting.plain.len() >= PLAIN_WAITING_MAX {
            waiting.counters.plain_dropped += 1;
            return;
        }
        waiting.plain.push_back((Timestamp::now(), frame_size));
        drop(waiting);
        self.filled.notify_one();
    }

    pub(super) fn statistics(&self, statistics: Statistics) {
        self.lock().statistics = Some(statistics);
        self.filled.notify_one();
    }

    /// Lets the last feedback of a stream out at once.
    pub(super) fn flush_stream(&self, stream: u32) {
        self.lock().flush_stream(stream);
        self.filled.notify_one();
    }

    /// The same, and has the stream's client told.
    pub(super) fn end_stream(&self, closed: Closed, end: StreamEnd) {
        let mut waiting = self.lock();
        waiting.flush_stream(closed.stream);
        if waiting.ended.len() < ENDED_WAITING_MAX {
            waiting.ended.push_back((closed, end));
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(super) fn moved(&self, moved: Moved) {
        self.lock().moved = Some(moved);
        self.filled.notify_one();
    }

    /// Has everybody told of the servers to go to.
    pub(super) fn elsewhere(&self) {
        self.lock().elsewhere = true;
        self.filled.notify_one();
    }

    pub(super) fn counters(&self) -> SignalCounters {
        self.lock().counters
    }

    /// Sends what comes in until the runtime ends.
    pub(super) async fn run(&self, speaker: &Speaker<'_>) {
        let zone = TimeZone::system();
        loop {
            self.send_waiting(speaker, &zone).await;
            let due = self.lock().coalescer.next_due();
            match due {
                // An error is the timeout, which is what this waits for.
                Some(due) => drop(tokio::time::timeout_at(due.into(), self.filled.notified()).await),
                None => self.filled.notified().await,
            }
        }
    }

    /// Sends all that waits, and the last feedback of every stream.
    pub(super) async fn flush(&self, speaker: &Speaker<'_>) {
        {
            let mut waiting = self.lock();
            // Nobody is there any more to be told.
            waiting.ended.clear();
            let last: Vec<Feedback> = waiting.coalescer.end_all().collect();
            last.into_iter().for_each(|feedback| waiting.push_feedback(feedback));
        }
        self.send_waiting(speaker, &TimeZone::system()).await;
    }

    async fn send_waiting(&self, speaker: &Speaker<'_>, zone: &TimeZone) {
        let mut sent = 0_usize;
        loop {
            let item = self.lock().take(Instant::now());
            let Some(item) = item else { return };
            let missed = match &item {
                Item::Ended(closed, end) => {
                    speaker.announce_end(closed.clone(), *end);
                    continue;
                }
                Item::Feedback(feedback) => speaker.feedback(feedback).await,
                Item::Plain(timestamp, frame_size) => {
                    let plain = PlainFeedback { timestamp: timestamp.ctime(zone), frame_size: *frame_size };
                    speaker.plain_feedback(&plain).await
                }
                Item::Statistics(statistics) => speaker.statistics(statistics.clone()).await,
                Item::Moved(moved) => {
                    speaker.moved(moved);
                    continue;
                }
                Item::Elsewhere => {
                    speaker.elsewhere();
                    continue;
                }
            };
            self.lock().count(&item, missed);
            sent += 1;
            if sent.is_multiple_of(EVENTS_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock leaves it half changed, so a panic elsewhere does not spoil it.
        unpoisoned(self.waiting.lock())
    }
}

impl Waiting {
    /// The oldest make room: the newest says most.
    fn push_feedback(&mut self, feedback: Feedback) {
        if self.feedback.len() >= FEEDBACK_WAITING_MAX {
            self.feedback.pop_front();
            self.counters.feedback_dropped += 1;
        }
        self.feedback.push_back(feedback);
    }

    fn take(&mut self, now: Instant) -> Option<Item> {
        if let Some(feedback) = self.feedback.pop_front().or_else(|| self.coalescer.poll(now)) {
            return Some(Item::Feedback(feedback));
        }
        if let Some((timestamp, frame_size)) = self.plain.pop_front() {
            return Some(Item::Plain(timestamp, frame_size));
        }
        if let Some(statistics) = self.statistics.take() {
            return Some(Item::Statistics(statistics));
        }
        if let Some((closed, end)) = self.ended.pop_front() {
            return Some(Item::Ended(closed, end));
        }
        // Who is told to go is to know where to.
        if std::mem::take(&mut self.elsewhere) {
            return Some(Item::Elsewhere);
        }
        self.moved.take().map(Item::Moved)
    }

    fn flush_stream(&mut self, stream: u32) {
        if let Some(last) = self.coalescer.end(stream) {
            self.push_feedback(last);
        }
    }

    /// Counts what was said, and how many clients missed it.
    fn count(&mut self, item: &Item, missed: usize) {
        match item {
            Item::Feedback(feedback) => {
                self.counters.feedback_sent += 1;
                self.counters.feedback_coalesced += feedback.coalesced - 1;
            }
            Item::Plain(..) => self.counters.plain_sent += 1,
            Item::Statistics(_) | Item::Ended(..) | Item::Moved(_) | Item::Elsewhere => {}
        }
        self.counters.missed_by_slow_clients += missed as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback(frame: u64) -> Feedback {
        Feedback {
            timestamp: Timestamp::from_unix_millis(0),
            frame_size: 1,
            metadata_bytes: None,
            captured_utc: None,
            captured_utc_error_ms: None,
            stream: 1,
            frame,
            latency_ms: None,
            frames_delivered: 0,
            frames_lost: 0,
            frames_repaired: 0,
            frames_restored: 0,
            missing_bytes: 0,
            socket_drops: 0,
            frames_unrecorded: 0,
            coalesced: 1,
        }
    }

    #[test]
    fn what_nobody_fetches_stays_bounded_and_the_rest_is_counted() {
        let outbox = Outbox::new(1e6);
        let now = Instant::now();
        for frame in 0..3000 {
            outbox.feedback(feedback(frame), now);
        }
        for _ in 0..PLAIN_WAITING_MAX + 5 {
            outbox.plain(65_507);
        }
        let waiting = outbox.lock();
        assert_eq!((waiting.feedback.len(), waiting.plain.len()), (FEEDBACK_WAITING_MAX, PLAIN_WAITING_MAX));
        assert_eq!(waiting.counters.feedback_dropped, 3000 - FEEDBACK_WAITING_MAX as u64);
        assert_eq!(waiting.counters.plain_dropped, 5);
        assert_eq!(waiting.feedback.back().unwrap().frame, 2999, "the newest is kept");
    }

    #[test]
    fn an_ending_stream_hands_over_its_last_feedback_at_once() {
        let outbox = Outbox::new(1.0);
        let now = Instant::now();
        for frame in 0..3 {
            outbox.feedback(feedback(frame), now);
        }
        outbox.flush_stream(1);
        let waiting = outbox.lock();
        let held: Vec<(u64, u64)> = waiting.feedback.iter().map(|event| (event.frame, event.coalesced)).collect();
        assert_eq!(held, [(0, 1), (2, 2)]);
    }
}
