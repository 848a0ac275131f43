//! One stream into one sink, on a thread of its own: written, and after a failure tried again.

use std::sync::Arc;
use std::time::Instant;

use framewire_transport::frame::{Consumer, Frame};

use crate::error::SinkError;
use crate::places::Opening;
use crate::progress::{Missed, StreamSink};
use crate::recorded::Recorded;
use crate::recording::Recording;
use crate::retry::Retry;
use crate::sink::{Sink, SinkReport};
use crate::thinning::Thinning;

/// One stream into one sink.
pub(crate) struct Job {
    pub(crate) recording: Arc<Recording>,
    /// Which sink.
    pub(crate) at: usize,
    pub(crate) recorded: Recorded,
    pub(crate) consumer: Arc<Consumer>,
    pub(crate) state: Arc<StreamSink>,
}

/// What frames are written to.
enum Output {
    /// Takes frames.
    Open(Box<dyn Sink>),
    /// Has no room: it is whole, and goes on where it was when there is some.
    Full(Box<dyn Sink>),
    /// Is tried again.
    Shut(Missed),
    /// Takes no more of this stream.
    Over(Missed),
}

impl Job {
    /// Writes until the stream ends; returns how many frames it was too slow for.
    pub(crate) fn run(self) -> u64 {
        let mut retry = Retry::new();
        let mut output = self.open(Opening::First, &mut retry);
        let mut thinning = Thinning::new(self.recording.sink(self.at).every());
        for frame in self.consumer.frames().flatten() {
            if thinning.gives(frame.info().number, self.consumer.dropped()) && self.recording.gives(self.at, &frame) {
                self.state.set_dropped(thinning.missed());
                output = self.write(output, &frame, &mut retry);
            }
        }
        if let Output::Open(sink) | Output::Full(sink) = output {
            self.finish(sink);
        }
        self.state.set_dropped(thinning.missed());
        thinning.missed()
    }

    fn open(&self, opening: Opening, retry: &mut Retry) -> Output {
        match self.recording.open(self.at, opening, &self.recorded) {
            Ok(sink) => Output::Open(sink),
            Err(error) => self.fail(error, retry),
        }
    }

    fn write(&self, output: Output, frame: &Frame, retry: &mut Retry) -> Output {
        let output = match output {
            Output::Shut(_) if retry.is_due(Instant::now()) => self.open(Opening::Again, retry),
            Output::Full(sink) if retry.is_due(Instant::now()) => Output::Open(sink),
            other => other,
        };
        let mut sink = match output {
            Output::Open(sink) => sink,
            Output::Full(_) => return self.miss(Missed::Failed, output),
            Output::Shut(why) | Output::Over(why) => return self.miss(why, output),
        };
        let before = sink.bytes();
        let Err(error) = sink.write(frame) else {
            retry.succeed(Instant::now());
            if self.state.add_frame(sink.bytes().saturating_sub(before)) {
                self.recording.tell_of_recovery(self.at, &self.recorded.name, self.state.counts().frames_failed);
            }
            return Output::Open(sink);
        };
        let is_full = error.is_full();
        let next = self.fail(error, retry);
        let next = match (is_full, next) {
            (true, Output::Shut(_)) => Output::Full(sink),
            // What was written before is kept in order.
            (_, next) => {
                self.finish(sink);
                next
            }
        };
        let why = match &next {
            Output::Shut(why) | Output::Over(why) => *why,
            Output::Open(_) | Output::Full(_) => Missed::Failed,
        };
        self.miss(why, next)
    }

    fn miss(&self, why: Missed, output: Output) -> Output {
        self.state.add_missed(why, 1);
        output
    }

    /// What is to be done after an error.
    fn fail(&self, error: SinkError, retry: &mut Retry) -> Output {
        let now = Instant::now();
        let (name, recording) = (&self.recorded.name, &self.recording);
        match error {
            SinkError::Closed { .. } => match recording.close(self.at, name, &error) {
                true => {
                    self.state.close();
                    Output::Over(Missed::Away)
                }
                false => {
                    self.state.wait(error.to_string());
                    retry.wait(now);
                    Output::Shut(Missed::Away)
                }
            },
            SinkError::OtherFormat { .. } => {
                if self.state.wait(error.to_string()) {
                    recording.tell_of_waiting(name, &error);
                }
                Output::Over(Missed::Away)
            }
            _ if error.is_turn() => {
                if self.state.wait(error.to_string()) {
                    recording.tell_of_waiting(name, &error);
                }
                retry.wait(now);
                Output::Shut(Missed::Away)
            }
            _ => {
                let again = (!error.is_lasting()).then(|| retry.fail(now));
                if self.state.fail(error.to_string()) {
                    recording.fail(self.at, name, &error, again);
                }
                if again.is_some() { Output::Shut(Missed::Failed) } else { Output::Over(Missed::Failed) }
            }
        }
    }

    fn finish(&self, sink: Box<dyn Sink>) {
        match sink.finish() {
            Ok(report) => self.report(&report),
            // The pipe's reader is gone anyway.
            Err(SinkError::Closed { .. }) => {}
            Err(error) => {
                if let SinkError::End { report, .. } = &error {
                    self.report(report);
                }
                if self.state.fail(error.to_string()) {
                    self.recording.fail(self.at, &self.recorded.name, &error, None);
                }
            }
        }
    }

    fn report(&self, report: &SinkReport) {
        self.recording.add(self.at, report);
        tracing::info!("{report}");
    }
}
