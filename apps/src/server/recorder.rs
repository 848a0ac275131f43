//! A stream's sinks, each on a thread of its own: a slow one slows no other.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use framewire_capture::FrameRate;
use framewire_transport::FrameFormat;
use framewire_transport::frame::{Consumer, ConsumerPolicy, Frame, FrameRing};

use crate::exit::Failure;
use crate::sink::{SinkError, SinkSpec};
use crate::stop::Stop;

/// Hands a stream's frames to its sinks.
pub(super) struct Recorder {
    ring: FrameRing,
    sinks: Vec<JoinHandle<u64>>,
    stop: Stop,
}

impl Recorder {
    /// Starts the sinks for the `nth` stream, from 0. Where a sink fails, the program stops with that failure.
    pub(super) fn start(
        sinks: &[SinkSpec],
        nth: usize,
        format: FrameFormat,
        rate: FrameRate,
        policy: ConsumerPolicy,
        stop: &Stop,
    ) -> Self {
        let ring = FrameRing::new();
        let wanted = sinks.iter().filter(|sink| **sink != SinkSpec::Null).filter_map(|sink| of_stream(sink, nth));
        let sinks = wanted
            .filter_map(|sink| {
                let (consumer, stop, failing) = (ring.subscribe(policy), stop.clone(), stop);
                std::thread::Builder::new()
                    .name("framewire-sink".into())
                    .spawn(move || write_all(&sink, &consumer, &format, rate, &stop))
                    .inspect_err(|error| {
                        failing.fail(Failure::runtime(format!("the system gave no thread for a sink: {error}")))
                    })
                    .ok()
            })
            .collect();
        Self { ring, sinks, stop: stop.clone() }
    }

    /// Hands on a frame.
    pub(super) fn write(&self, frame: &Frame) {
        self.ring.publish(frame);
    }

    /// Waits until every sink has written what it was handed; returns how many frames they were too slow for.
    pub(super) fn finish(self) -> u64 {
        self.ring.end();
        let stop = self.stop;
        let panicked = |_| {
            stop.fail(Failure::runtime("a sink's thread panicked; what it wrote may be incomplete"));
            0
        };
        self.sinks.into_iter().map(|sink| sink.join().unwrap_or_else(panicked)).sum()
    }
}

/// The sink of the `nth` stream: files get a number from the second stream on, so that none overwrites another;
/// standard output has room for one stream only.
fn of_stream(sink: &SinkSpec, nth: usize) -> Option<SinkSpec> {
    if nth == 0 {
        return Some(sink.clone());
    }
    let numbered = |path: &Path| -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!("{stem}-{}.{extension}", nth + 1))
    };
    match sink {
        SinkSpec::Y4m(path) => Some(SinkSpec::Y4m(numbered(path))),
        SinkSpec::Raw(path) => Some(SinkSpec::Raw(numbered(path))),
        SinkSpec::Video(path, codec) => Some(SinkSpec::Video(numbered(path), *codec)),
        SinkSpec::Stdout => {
            tracing::warn!("standard output holds the first stream; stream {} is not written there", nth + 1);
            None
        }
        other => Some(other.clone()),
    }
}

/// Writes until the stream ends; returns how many frames came too fast.
fn write_all(sink: &SinkSpec, consumer: &Consumer, format: &FrameFormat, rate: FrameRate, stop: &Stop) -> u64 {
    let written = sink.open(format, rate).and_then(|mut open| {
        for frame in consumer {
            if let Err(error) = open.write(&frame) {
                // What is there already is kept in order.
                let finished = open.finish();
                return Err(if matches!(error, SinkError::Closed { .. }) {
                    finished.err().unwrap_or(error)
                } else {
                    error
                });
            }
        }
        open.finish()
    });
    match written {
        Ok(report) => tracing::info!("{report}"),
        Err(SinkError::Closed { name, frames }) => {
            tracing::info!("{name} was closed after {frames} frames");
            stop.stop();
        }
        Err(error) => stop.fail(Failure::runtime(error)),
    }
    consumer.dropped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_files_of_its_own_and_the_first_has_standard_output() {
        let of = |text: &str, nth| of_stream(&text.parse().unwrap(), nth).map(|sink| sink.to_string());
        assert_eq!(of("dir/out.y4m", 0).as_deref(), Some("dir/out.y4m"));
        assert_eq!(of("dir/out.y4m", 1).as_deref(), Some("dir/out-2.y4m"));
        assert_eq!(of("out.raw", 9).as_deref(), Some("out-10.raw"));
        assert_eq!(of("-", 0).as_deref(), Some("-"));
        assert_eq!(of("-", 1), None);
    }
}
