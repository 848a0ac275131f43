//! A stream's sinks, each on a thread of its own: a slow one, or one that fails, costs no other a frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use framewire_transport::Delivery;
use framewire_transport::frame::{Consumer, ConsumerPolicy, Frame, FrameRing};

use super::QUEUE;
use crate::cli::{ServerArgs, SlowSink};
use crate::exit::{Failure, say};
use crate::progress::REFRESH;
use crate::sink::{Places, Recorded, Roll, SinkError, SinkReport, SinkSpec};
use crate::stop::Stop;
use crate::summary::SinkFigures;

/// How often it is said at most that a sink is too slow, or fails.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// How long a server that stops waits for a sink that takes nothing: a disk that wakes up takes less.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(10);

/// The sinks of a server, and what they have come to over all its streams.
pub(super) struct Recording {
    sinks: Vec<SinkSpec>,
    places: Arc<Places>,
    roll: Roll,
    slow: Option<SlowSink>,
    /// The server does one job, and has failed at it where a file cannot be written.
    stops_at_failure: bool,
    stop: Stop,
    state: Mutex<State>,
}

struct State {
    figures: Vec<SinkFigures>,
    /// Of the failures of each sink.
    news: Vec<News>,
    failure: Option<Failure>,
}

impl Recording {
    pub(super) fn new(args: &ServerArgs, stop: &Stop) -> Arc<Self> {
        let figures = args.sink.iter().map(|sink| SinkFigures { sink: sink.to_string(), ..Default::default() });
        Arc::new(Self {
            sinks: args.sink.clone(),
            places: Arc::new(Places::new(&args.sink)),
            roll: Roll::new(&args.roll),
            slow: args.slow_sink,
            stops_at_failure: args.single_job || args.frames.is_some() || args.seconds.is_some(),
            stop: stop.clone(),
            state: Mutex::new(State {
                figures: figures.collect(),
                news: args.sink.iter().map(|_| News::default()).collect(),
                failure: None,
            }),
        })
    }

    /// Starts the sinks for the `nth` stream, from 0.
    pub(super) fn start(self: &Arc<Self>, recorded: &Recorded, delivery: Delivery, nth: usize) -> Recorder {
        let slow = self.slow.unwrap_or(match delivery {
            Delivery::Every => SlowSink::Wait,
            Delivery::Latest => SlowSink::Drop,
        });
        let policy = match slow {
            SlowSink::Wait => ConsumerPolicy::Block,
            SlowSink::Drop => QUEUE,
        };
        let ring = FrameRing::new();
        let (mut busy, mut queues) = (Vec::new(), Vec::new());
        let (ended, endings) = mpsc::channel();
        for (at, sink) in self.sinks.iter().enumerate().filter(|(_, sink)| **sink != SinkSpec::Null) {
            if *sink == SinkSpec::Stdout && nth > 0 {
                tracing::warn!("standard output holds the first stream; stream {} is not written there", nth + 1);
                continue;
            }
            let consumer = Arc::new(ring.subscribe(policy));
            queues.push(Queue { at, consumer: Arc::downgrade(&consumer), news: Mutex::default() });
            let job = Job { recording: self.clone(), at, recorded: recorded.clone(), consumer };
            let ended = ended.clone();
            let thread = std::thread::Builder::new().name("framewire-sink".into()).spawn(move || {
                // Nobody listens where the server has given up on this sink.
                let _ = ended.send((job.at, job.run()));
            });
            match thread {
                Ok(_) => busy.push(at),
                Err(error) => {
                    let failure = Failure::runtime(format!("the system gave no thread for a sink: {error}"));
                    self.fail(at, &recorded.name, failure);
                }
            }
        }
        Recorder {
            ring,
            busy,
            endings,
            queues,
            stream: recorded.name.clone(),
            dropped: AtomicU64::new(0),
            recording: self.clone(),
        }
    }

    /// What each sink has come to, but for those that only count.
    pub(super) fn figures(&self) -> Vec<SinkFigures> {
        let state = self.lock();
        let written = state.figures.iter().zip(&self.sinks).filter(|(_, sink)| **sink != SinkSpec::Null);
        written.map(|(figures, _)| figures.clone()).collect()
    }

    /// The first sink that failed, where the server went on without it.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink takes no more of a stream. Whoever looks at it, or waits for the server's one job, is told by its end; an operator
    /// with other streams and sinks keeps those.
    fn fail(&self, at: usize, stream: &str, failure: Failure) {
        let mut state = self.lock();
        state.figures[at].failures += 1;
        let watched = matches!(self.sinks[at], SinkSpec::Stdout | SinkSpec::Window);
        if self.stops_at_failure || watched {
            return self.stop.fail(failure);
        }
        let failures = state.figures[at].failures;
        if state.news[at].of(failures, Instant::now()).is_some() {
            // The name is a client's: as a quoted text it is one line, and no escape sequence.
            say(format_args!(
                "framewire-server: stream {stream:?} is recorded no further: {failure}. Its frames go on; the server will end with \
                 exit code 1"
            ));
        }
        state.failure.get_or_insert(failure);
    }
}

/// Hands one stream's frames to its sinks.
pub(super) struct Recorder {
    ring: FrameRing,
    /// Sinks that have not ended.
    busy: Vec<usize>,
    /// Which sink has ended, and how many frames it was too slow for.
    endings: mpsc::Receiver<(usize, u64)>,
    queues: Vec<Queue>,
    stream: String,
    dropped: AtomicU64,
    recording: Arc<Recording>,
}

/// Frames that wait for a sink, as long as that takes any.
struct Queue {
    /// Which sink.
    at: usize,
    consumer: Weak<Consumer>,
    news: Mutex<News>,
}

impl Recorder {
    /// Hands on a frame.
    pub(super) fn write(&self, frame: &Frame) {
        let dropped = self.ring.publish(frame);
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
            self.tell_of_slowness(Instant::now());
        }
    }

    /// Frames that sinks have been too slow for so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Said here and not where frames are written: a disk that stands still would say nothing.
    fn tell_of_slowness(&self, now: Instant) {
        for Queue { at, consumer, news } in &self.queues {
            let dropped = consumer.upgrade().map_or(0, |consumer| consumer.dropped());
            let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(dropped) = news.of(dropped, now) {
                let (sink, stream) = (&self.recording.sinks[*at], &self.stream);
                tracing::warn!(
                    stream = ?stream,
                    "{sink} is too slow: {dropped} frames are not recorded so far; record to a faster disk, less at a time, or with \
                     --slow-sink wait"
                );
            }
        }
    }

    /// Waits until every sink has written what it was handed; returns how many frames they were too slow for. A sink that
    /// stands still when the server is to stop is left behind after a while, with a failure.
    pub(super) fn finish(mut self) -> u64 {
        self.ring.end();
        let stop = &self.recording.stop;
        let (mut dropped, mut stopping) = (0, None);
        while !self.busy.is_empty() {
            match self.endings.recv_timeout(REFRESH) {
                Ok((at, missed)) => {
                    self.busy.retain(|busy| *busy != at);
                    dropped += missed;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    stop.fail(Failure::runtime("a sink's thread panicked; what it wrote may be incomplete"));
                    break;
                }
                Err(mpsc::RecvTimeoutError::Timeout) if !stop.is_stopped() => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let since = *stopping.get_or_insert_with(Instant::now);
                    if since.elapsed() >= LEFT_BEHIND_AFTER {
                        let sinks: Vec<String> =
                            self.busy.iter().map(|at| self.recording.sinks[*at].to_string()).collect();
                        stop.fail(Failure::runtime(format!(
                            "{} took nothing for {LEFT_BEHIND_AFTER:?}; what waited for it is not written: is its disk, or its \
                             reader, still there?",
                            sinks.join(" and ")
                        )));
                        break;
                    }
                }
            }
        }
        dropped
    }
}

/// One stream into one sink.
struct Job {
    recording: Arc<Recording>,
    /// Which sink.
    at: usize,
    recorded: Recorded,
    consumer: Arc<Consumer>,
}

impl Job {
    /// Writes until the stream ends or the sink fails; returns how many frames came too fast.
    fn run(self) -> u64 {
        let (report, failed) = self.write_all();
        match &failed {
            None => {}
            Some(SinkError::Closed { name, frames }) => {
                tracing::info!("{name} was closed after {frames} frames");
                self.recording.stop.stop();
            }
            Some(error) => self.recording.fail(self.at, &self.recorded.name, Failure::runtime(error)),
        }
        // What comes after a failure, and the frame that it came at, is not recorded, and counted.
        let missed = if failed.is_some() { 1 + (&*self.consumer).into_iter().count() as u64 } else { 0 };
        let dropped = self.consumer.dropped() + missed;
        {
            let mut state = self.recording.lock();
            let figures = &mut state.figures[self.at];
            figures.frames_dropped += dropped;
            if let Some(report) = &report {
                figures.files += report.files;
                figures.frames += report.frames;
                figures.bytes += report.bytes;
            }
        }
        if let Some(report) = report {
            tracing::info!("{report}");
        }
        dropped
    }

    /// Frames before a failure are kept in order.
    fn write_all(&self) -> (Option<SinkReport>, Option<SinkError>) {
        let Recording { sinks, places, roll, .. } = &*self.recording;
        let mut sink = match sinks[self.at].open(&self.recorded, places, *roll) {
            Ok(sink) => sink,
            Err(error) => return (None, Some(error)),
        };
        let failed = (&*self.consumer).find_map(|frame| sink.write(&frame).err());
        match (sink.finish(), failed) {
            (Ok(report), failed) => (Some(report), failed),
            // The pipe's reader is gone anyway, and what the end could not write counts more than that.
            (Err(error), Some(SinkError::Closed { .. }) | None) => (None, Some(error)),
            (Err(_), failed) => (None, failed),
        }
    }
}

/// When it is worth saying again that a count has grown: peers could make it grow as fast as they like.
#[derive(Default)]
struct News {
    count: u64,
    said: Option<Instant>,
}

impl News {
    /// The count, where it is news.
    fn of(&mut self, count: u64, now: Instant) -> Option<u64> {
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EVERY);
        (count > self.count && due).then(|| {
            (self.count, self.said) = (count, Some(now));
            count
        })
    }
}

#[cfg(test)]
mod tests;
