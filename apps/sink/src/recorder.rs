//! A stream's sinks, each on a thread of its own: a slow one, or one that fails, costs no other a frame.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::lock::lock;
use framewire_process::logs::News;
use framewire_process::progress::REFRESH;
use framewire_transport::Delivery;
use framewire_transport::frame::{Consumer, ConsumerPolicy};

use crate::error::SinkError;
use crate::job::Job;
use crate::progress::StreamSink;
use crate::recorded::Recorded;
use crate::recording::{Recording, SlowSink};
use crate::spec::SinkSpec;
use crate::thinning;

/// How long a server that stops waits for a sink that takes nothing: a disk that wakes up takes less.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(10);

/// The sinks of one stream.
pub struct Recorder {
    /// Sinks that have not ended.
    busy: Vec<usize>,
    /// Which sink has ended, and how many frames it was too slow for.
    endings: mpsc::Receiver<(usize, u64)>,
    queues: Vec<Queue>,
    stream: String,
    recording: Arc<Recording>,
}

/// Frames that wait for a sink, as long as that takes any.
struct Queue {
    /// Which sink.
    at: usize,
    consumer: Weak<Consumer>,
    state: Arc<StreamSink>,
    news: Mutex<News>,
}

impl Recorder {
    /// Starts the sinks for a stream. Each is one of the stream's consumers, which `subscribe` makes by the policy that it is given.
    pub fn start(
        recording: &Arc<Recording>,
        recorded: &Recorded,
        delivery: Delivery,
        subscribe: impl Fn(ConsumerPolicy) -> Consumer,
    ) -> Self {
        let (mut busy, mut queues) = (Vec::new(), Vec::new());
        let (ended, endings) = mpsc::channel();
        for at in recording.written() {
            let policy = match recording.slow(delivery) {
                SlowSink::Wait => ConsumerPolicy::Block,
                SlowSink::Drop => thinning::waiting(recording.sink(at).every()),
            };
            let consumer = Arc::new(subscribe(policy));
            let state = StreamSink::new(recording.total(at));
            queues.push(Queue {
                at,
                consumer: Arc::downgrade(&consumer),
                state: state.clone(),
                news: Mutex::default(),
            });
            let job =
                Job { recording: recording.clone(), at, recorded: recorded.clone(), consumer, state: state.clone() };
            let ended = ended.clone();
            let thread = std::thread::Builder::new().name("framewire-sink".into()).spawn(move || {
                // Nobody listens where the server has given up on this sink.
                let _ = ended.send((job.at, job.run()));
            });
            match thread {
                Ok(_) => busy.push(at),
                Err(source) => {
                    let error = SinkError::Thread { name: format!("'{}'", recording.sink(at)), source };
                    if state.fail(error.to_string()) {
                        recording.fail(at, &recorded.name, &error, None);
                    }
                }
            }
        }
        Self { busy, endings, queues, stream: recorded.name.clone(), recording: recording.clone() }
    }

    /// How its sinks get on with it.
    pub fn sinks(&self) -> Vec<Arc<StreamSink>> {
        self.queues.iter().map(|queue| queue.state.clone()).collect()
    }

    /// Frames that sinks have been too slow for so far.
    pub fn dropped(&self) -> u64 {
        self.queues.iter().map(|queue| queue.state.counts().frames_dropped).sum()
    }

    /// Frames that sinks did not take although they should have, so far: each sink's for itself.
    pub fn unrecorded(&self) -> u64 {
        self.queues.iter().map(|queue| queue.state.unrecorded()).sum()
    }

    /// The sink at which somebody looks at it: standard output, or a window.
    pub fn shown(&self) -> Option<Arc<StreamSink>> {
        let shows = |queue: &&Queue| matches!(self.recording.sink(queue.at), SinkSpec::Stdout(_) | SinkSpec::Window);
        self.queues.iter().find(shows).map(|queue| queue.state.clone())
    }

    /// Looks how the sinks keep up, and says so where one does not: done here and not where frames are written, as a disk that stands
    /// still would say nothing.
    pub fn look(&self, now: Instant) {
        for Queue { at, consumer, state, news } in &self.queues {
            let Some(consumer) = consumer.upgrade() else { continue };
            // Of a sink that is given some frames alone, its job knows which are missed.
            if self.recording.sink(*at).every() == NonZeroU64::MIN {
                state.set_dropped(consumer.dropped());
            }
            let dropped = state.counts().frames_dropped;
            let mut news = lock(news);
            if let Some(dropped) = news.of(dropped, now) {
                let (sink, stream) = (self.recording.sink(*at), &self.stream);
                tracing::warn!(
                    stream = ?stream,
                    "{sink} is too slow: {dropped} frames are not recorded so far; record to a faster disk, less at a time, or with \
                     --slow-sink wait"
                );
            }
        }
    }

    /// Waits until every sink has written what the stream had, once that has ended; returns how many frames they were too slow for. A sink that
    /// stands still when the server is to stop is left behind after a while, with a failure.
    pub fn finish(mut self) -> u64 {
        let stop = self.recording.stop();
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
                            self.busy.iter().map(|at| self.recording.sink(*at).to_string()).collect();
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

#[cfg(test)]
mod tests;
