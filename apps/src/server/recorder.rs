//! A stream's sinks, each on a thread of its own: a slow one, or one that fails, costs no other a frame.

use std::sync::{Arc, Mutex, MutexGuard, Weak, mpsc};
use std::time::{Duration, Instant};

use framewire_figures::summary::SinkFigures;
use framewire_process::exit::{Failure, say};
use framewire_process::lock::lock;
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_transport::Delivery;
use framewire_transport::frame::{Consumer, ConsumerPolicy, Frame, FrameRing};

use super::QUEUE;
use super::job::Job;
use crate::cli::{ServerArgs, SlowSink};
use crate::live::{SinkTotals, StreamSink};
use crate::sink::{Opening, Places, Recorded, Roll, Sink, SinkError, SinkReport, SinkSpec};

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
    totals: Vec<Arc<SinkTotals>>,
    state: Mutex<State>,
}

struct State {
    /// Files, frames and bytes of what has been finished.
    finished: Vec<(u64, u64, u64)>,
    news: Vec<SinkNews>,
    failure: Option<Failure>,
}

/// What was said of a sink.
#[derive(Default)]
struct SinkNews {
    failures: News,
    closings: News,
    closed: u64,
}

impl Recording {
    pub(super) fn new(args: &ServerArgs, stop: &Stop) -> Arc<Self> {
        Arc::new(Self {
            sinks: args.sink.clone(),
            places: Arc::new(Places::new(&args.sink).with_stop(stop)),
            roll: Roll::new(&args.roll),
            slow: args.slow_sink,
            stops_at_failure: args.single_job || args.frames.is_some() || args.seconds.is_some(),
            stop: stop.clone(),
            totals: args.sink.iter().map(|sink| SinkTotals::new(&sink.to_string())).collect(),
            state: Mutex::new(State {
                finished: vec![(0, 0, 0); args.sink.len()],
                news: args.sink.iter().map(|_| SinkNews::default()).collect(),
                failure: None,
            }),
        })
    }

    /// How its sinks get on, but for those that only count.
    pub(super) fn totals(&self) -> Vec<Arc<SinkTotals>> {
        let written = self.totals.iter().zip(&self.sinks).filter(|(_, sink)| **sink != SinkSpec::Null);
        written.map(|(totals, _)| totals.clone()).collect()
    }

    /// Starts the sinks for a stream.
    pub(super) fn start(self: &Arc<Self>, recorded: &Recorded, delivery: Delivery) -> Recorder {
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
        for (at, _) in self.sinks.iter().enumerate().filter(|(_, sink)| **sink != SinkSpec::Null) {
            let consumer = Arc::new(ring.subscribe(policy));
            let state = StreamSink::new(&self.totals[at]);
            queues.push(Queue {
                at,
                consumer: Arc::downgrade(&consumer),
                state: state.clone(),
                news: Mutex::default(),
            });
            let job = Job { recording: self.clone(), at, recorded: recorded.clone(), consumer, state: state.clone() };
            let ended = ended.clone();
            let thread = std::thread::Builder::new().name("framewire-sink".into()).spawn(move || {
                // Nobody listens where the server has given up on this sink.
                let _ = ended.send((job.at, job.run()));
            });
            match thread {
                Ok(_) => busy.push(at),
                Err(source) => {
                    let error = SinkError::Thread { name: format!("'{}'", self.sinks[at]), source };
                    if state.fail(error.to_string()) {
                        self.fail(at, &recorded.name, &error, None);
                    }
                }
            }
        }
        Recorder { ring, busy, endings, queues, stream: recorded.name.clone(), recording: self.clone() }
    }

    /// Opens a sink for a stream.
    pub(super) fn open(&self, at: usize, opening: Opening, recorded: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
        self.sinks[at].open_as(opening, recorded, &self.places, self.roll)
    }

    /// Counts what was finished.
    pub(super) fn add(&self, at: usize, report: &SinkReport) {
        let finished = &mut self.lock().finished[at];
        *finished = (finished.0 + report.files, finished.1 + report.frames, finished.2 + report.bytes);
    }

    /// What each sink has come to, but for those that only count.
    pub(super) fn figures(&self) -> Vec<SinkFigures> {
        let state = self.lock();
        let written = self.sinks.iter().enumerate().filter(|(_, sink)| **sink != SinkSpec::Null);
        let figures = |(at, sink): (usize, &SinkSpec)| {
            let ((files, frames, bytes), totals) = (state.finished[at], &self.totals[at]);
            let counts = totals.counts();
            SinkFigures {
                sink: sink.to_string(),
                files,
                frames,
                bytes,
                frames_dropped: counts.frames_dropped,
                frames_failed: counts.frames_failed,
                frames_away: counts.frames_away,
                failures: totals.failures(),
                recoveries: totals.recoveries(),
            }
        };
        written.map(figures).collect()
    }

    /// Whether the server does nothing with frames but to show them: on standard output, or in a window.
    pub(super) fn only_shows(&self) -> bool {
        let mut sinks = self.sinks.iter().filter(|sink| **sink != SinkSpec::Null);
        matches!((sinks.next(), sinks.next()), (Some(SinkSpec::Stdout | SinkSpec::Window), None))
    }

    /// The first sink that failed, where the server went on without it.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A sink has failed for a stream, and is tried again where `again` says when. Whoever waits for the server's one job is
    /// told by its end; an operator with other streams and sinks keeps those.
    pub(super) fn fail(&self, at: usize, stream: &str, error: &SinkError, again: Option<Duration>) {
        let failure = Failure::runtime(error);
        if self.stops_at_failure || self.only_shows() {
            return self.stop.fail(failure);
        }
        let mut state = self.lock();
        if state.news[at].failures.of(self.totals[at].failures(), Instant::now()).is_some() {
            let next = match again {
                Some(pause) => format!("it is tried again in {} s, and then less often", pause.as_secs()),
                None => "it is recorded no further".to_owned(),
            };
            // The name is a client's: as a quoted text it is one line, and no escape sequence.
            say(format_args!(
                "framewire-server: stream {stream:?} is not recorded: {failure}. Its frames go on, and {next}; the server will end \
                 with exit code 1"
            ));
        }
        state.failure.get_or_insert(failure);
    }

    /// A sink that had failed for a stream has written a frame.
    pub(super) fn tell_of_recovery(&self, at: usize, stream: &str, missed: u64) {
        say(format_args!(
            "framewire-server: stream {stream:?} is recorded again at {}; {missed} frames of it are not",
            self.sinks[at]
        ));
    }

    /// A stream is not at a sink for now, through no fault of that.
    pub(super) fn tell_of_waiting(&self, stream: &str, why: &SinkError) {
        tracing::warn!("stream {stream:?}: {why}");
    }

    /// Whoever looked at a sink has gone. Where there is nothing else to do, the server's work is done. True where no more can
    /// follow, as on standard output.
    pub(super) fn close(&self, at: usize, stream: &str, error: &SinkError) -> bool {
        if self.only_shows() {
            tracing::info!("{error}");
            self.stop.stop();
            return true;
        }
        let is_for_good = matches!(self.sinks[at], SinkSpec::Stdout | SinkSpec::Window);
        let mut state = self.lock();
        let news = &mut state.news[at];
        news.closed += 1;
        let (count, is_first) = (news.closed, news.closed == 1);
        if news.closings.of(count, Instant::now()).is_some() && (is_first || !is_for_good) {
            let next = if is_for_good { "it is left" } else { "it is opened again when somebody reads it" };
            say(format_args!("framewire-server: stream {stream:?}: {error}; {next}, and all else goes on"));
        }
        is_for_good
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
    /// How its sinks get on with it.
    pub(super) fn sinks(&self) -> Vec<Arc<StreamSink>> {
        self.queues.iter().map(|queue| queue.state.clone()).collect()
    }

    /// Hands on a frame.
    pub(super) fn write(&self, frame: &Frame) {
        if self.ring.publish(frame) > 0 {
            self.tell_of_slowness(Instant::now());
        }
    }

    /// Frames that sinks have been too slow for so far.
    pub(super) fn dropped(&self) -> u64 {
        self.queues.iter().map(|queue| queue.state.counts().frames_dropped).sum()
    }

    /// Frames that sinks did not take although they should have, so far: each sink's for itself.
    pub(super) fn unrecorded(&self) -> u64 {
        self.queues.iter().map(|queue| queue.state.unrecorded()).sum()
    }

    /// The sink at which somebody looks at it: standard output, or a window.
    pub(super) fn shown(&self) -> Option<Arc<StreamSink>> {
        let shows = |queue: &&Queue| matches!(self.recording.sinks[queue.at], SinkSpec::Stdout | SinkSpec::Window);
        self.queues.iter().find(shows).map(|queue| queue.state.clone())
    }

    /// Said here and not where frames are written: a disk that stands still would say nothing.
    fn tell_of_slowness(&self, now: Instant) {
        for Queue { at, consumer, state, news } in &self.queues {
            let Some(consumer) = consumer.upgrade() else { continue };
            let dropped = consumer.dropped();
            state.set_dropped(dropped);
            let mut news = lock(news);
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
