//! What a program records: its sinks, and what they have come to over all its streams.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use framewire_figures::summary::SinkFigures;
use framewire_process::exit::{Failure, say};
use framewire_process::lock::lock;
use framewire_process::logs::News;
use framewire_process::stop::Stop;
use framewire_transport::Delivery;
use framewire_transport::frame::{Frame, FrameFormat};

use crate::error::SinkError;
use crate::places::{Opening, Places};
use crate::progress::SinkTotals;
use crate::recorded::Recorded;
use crate::roll::Roll;
use crate::sink::{Sink, SinkReport};
use crate::spec::SinkSpec;

/// What happens when frames come faster than a sink writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SlowSink {
    /// The stream waits for the sink: every frame is written.
    Wait,
    /// The sink goes without the frames; they are counted.
    Drop,
}

/// What a program is asked to record.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What the program is called in what it says.
    pub program: &'static str,
    /// Where every stream goes.
    pub sinks: Vec<SinkSpec>,
    /// When a recording goes on in another file.
    pub roll: Roll,
    /// What a sink that is too slow does; by default the stream waits in `every`, and the sink goes without in `latest`.
    pub slow: Option<SlowSink>,
    /// The program does one job, and has failed at it where a file cannot be written.
    pub stops_at_failure: bool,
    /// No sink is given more whole frames than this, over all streams.
    pub frames_max: Option<u64>,
}

/// The sinks of a program, and what they have come to over all its streams.
pub struct Recording {
    program: &'static str,
    sinks: Vec<SinkSpec>,
    places: Arc<Places>,
    roll: Roll,
    slow: Option<SlowSink>,
    /// The program does one job, and has failed at it where a file cannot be written.
    stops_at_failure: bool,
    frames_max: Option<u64>,
    /// Whole frames that each sink was given.
    given: Vec<AtomicU64>,
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
    /// Nothing is opened before the first stream comes. `stop` ends the waits, and is told of a failure where that ends the server.
    pub fn new(asked: Asked, stop: &Stop) -> Arc<Self> {
        let Asked { program, sinks, roll, slow, stops_at_failure, frames_max } = asked;
        Arc::new(Self {
            program,
            places: Arc::new(Places::new(&sinks).with_stop(stop)),
            roll,
            slow,
            stops_at_failure,
            frames_max,
            given: sinks.iter().map(|_| AtomicU64::new(0)).collect(),
            stop: stop.clone(),
            totals: sinks.iter().map(|sink| SinkTotals::new(&sink.to_string())).collect(),
            state: Mutex::new(State {
                finished: vec![(0, 0, 0); sinks.len()],
                news: sinks.iter().map(|_| SinkNews::default()).collect(),
                failure: None,
            }),
            sinks,
        })
    }

    /// Which sink it is that a number stands for, in the order of the command line.
    pub(crate) fn sink(&self, at: usize) -> &SinkSpec {
        &self.sinks[at]
    }

    /// Whoever writes to a sink, by number: all but those that only count.
    pub(crate) fn written(&self) -> impl Iterator<Item = usize> {
        self.sinks.iter().enumerate().filter(|(_, sink)| **sink != SinkSpec::Null).map(|(at, _)| at)
    }

    /// What a sink has come to over all streams.
    pub(crate) fn total(&self, at: usize) -> &Arc<SinkTotals> {
        &self.totals[at]
    }

    /// Whether a frame is still for a sink, which then has been given it.
    pub(crate) fn gives(&self, at: usize, frame: &Frame) -> bool {
        let Some(frames_max) = self.frames_max else { return true };
        let given = &self.given[at];
        let before =
            if frame.is_complete() { given.fetch_add(1, Ordering::Relaxed) } else { given.load(Ordering::Relaxed) };
        before < frames_max
    }

    /// What ends the waits for it.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What happens to a stream's frames that come faster than a sink writes.
    pub(crate) fn slow(&self, delivery: Delivery) -> SlowSink {
        self.slow.unwrap_or(match delivery {
            Delivery::Every => SlowSink::Wait,
            Delivery::Latest => SlowSink::Drop,
        })
    }

    /// How its sinks get on, but for those that only count.
    pub fn totals(&self) -> Vec<Arc<SinkTotals>> {
        let written = self.totals.iter().zip(&self.sinks).filter(|(_, sink)| **sink != SinkSpec::Null);
        written.map(|(totals, _)| totals.clone()).collect()
    }

    /// Why no sink can take a stream of this format, with what to do; `None` where one can. What is refused here is told to who
    /// sends it, without the names of files.
    pub fn refusal(&self, format: &FrameFormat) -> Option<String> {
        let mut reasons = Vec::new();
        for sink in &self.sinks {
            let reason = sink.holds(format).err()?.to_string();
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Some(format!("no --sink of {} can take the stream: {}", self.program, reasons.join("; ")))
    }

    /// Opens a sink for a stream.
    pub(crate) fn open(&self, at: usize, opening: Opening, recorded: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
        self.sinks[at].open_as(opening, recorded, &self.places, self.roll)
    }

    /// Counts what was finished.
    pub(crate) fn add(&self, at: usize, report: &SinkReport) {
        let finished = &mut self.lock().finished[at];
        *finished = (finished.0 + report.files, finished.1 + report.frames, finished.2 + report.bytes);
    }

    /// What each sink has come to, but for those that only count.
    pub fn figures(&self) -> Vec<SinkFigures> {
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
    pub fn only_shows(&self) -> bool {
        let mut sinks = self.sinks.iter().filter(|sink| **sink != SinkSpec::Null);
        matches!((sinks.next(), sinks.next()), (Some(SinkSpec::Stdout(_) | SinkSpec::Window), None))
    }

    /// The first sink that failed, where the server went on without it.
    pub fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A sink has failed for a stream, and is tried again where `again` says when. Whoever waits for the server's one job is
    /// told by its end; an operator with other streams and sinks keeps those.
    pub(crate) fn fail(&self, at: usize, stream: &str, error: &SinkError, again: Option<Duration>) {
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
                "{}: stream {stream:?} is not recorded: {failure}. Its frames go on, and {next}; the program will end with exit code 1",
                self.program
            ));
        }
        state.failure.get_or_insert(failure);
    }

    /// A sink that had failed for a stream has written a frame.
    pub(crate) fn tell_of_recovery(&self, at: usize, stream: &str, missed: u64) {
        say(format_args!(
            "{}: stream {stream:?} is recorded again at {}; {missed} frames of it are not",
            self.program, self.sinks[at]
        ));
    }

    /// A stream is not at a sink for now, through no fault of that.
    pub(crate) fn tell_of_waiting(&self, stream: &str, why: &SinkError) {
        tracing::warn!("stream {stream:?}: {why}");
    }

    /// Whoever looked at a sink has gone. Where there is nothing else to do, the server's work is done. True where no more can
    /// follow, as on standard output.
    pub(crate) fn close(&self, at: usize, stream: &str, error: &SinkError) -> bool {
        if self.only_shows() {
            tracing::info!("{error}");
            self.stop.stop();
            return true;
        }
        let is_for_good = matches!(self.sinks[at], SinkSpec::Stdout(_) | SinkSpec::Window);
        let mut state = self.lock();
        let news = &mut state.news[at];
        news.closed += 1;
        let (count, is_first) = (news.closed, news.closed == 1);
        if news.closings.of(count, Instant::now()).is_some() && (is_first || !is_for_good) {
            let next = if is_for_good { "it is left" } else { "it is opened again when somebody reads it" };
            say(format_args!("{}: stream {stream:?}: {error}; {next}, and all else goes on", self.program));
        }
        is_for_good
    }
}
