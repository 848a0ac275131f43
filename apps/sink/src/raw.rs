//! Frames back to back, byte for byte as they were received, bytes between rows included; and beside a file its index, which
//! says what they are and when each was taken.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use framewire_capture::{IndexEntry, IndexHeader, index_path};
use framewire_transport::frame::{Frame, FrameFormat};

use crate::error::SinkError;
use crate::output::Creation;
use crate::output::{Destination, FrameOutput};
use crate::recorded::{Epoch, Recorded, taken};
use crate::sink::{Sink, SinkReport};
use crate::timeline::{Moment, Timeline};

pub(crate) struct RawSink<D> {
    output: FrameOutput<D>,
    index: Option<Index<D>>,
}

/// The lines beside the frames.
struct Index<D> {
    output: FrameOutput<D>,
    recorded: Recorded,
    timeline: Timeline,
    text: Vec<u8>,
    begun: bool,
}

impl RawSink<File> {
    /// Creates the file and its index, which a device or a pipe has not.
    pub(crate) fn create(path: &Path, creation: Creation, recorded: &Recorded) -> Result<Self, SinkError> {
        let output = FrameOutput::create(path, creation)?;
        if !output.is_file() {
            return Ok(Self::new(output));
        }
        let index = FrameOutput::create(&index_path(path), creation).inspect_err(|_| {
            // An index of another recording is in the way of this name: nothing is left of the attempt.
            if creation == Creation::Fresh {
                let _ = std::fs::remove_file(path);
            }
        })?;
        Ok(Self::with_index(output, index, recorded))
    }
}

impl<D: Destination> RawSink<D> {
    /// The bytes and nothing else, on an output that streams have in turn: those of one format.
    pub(crate) fn piped(mut output: FrameOutput<D>, format: &FrameFormat) -> Result<Self, SinkError> {
        output.write_header(&[], &format.to_string())?;
        Ok(Self::new(output))
    }

    pub(crate) const fn new(output: FrameOutput<D>) -> Self {
        Self { output, index: None }
    }

    pub(crate) fn with_index(output: FrameOutput<D>, index: FrameOutput<D>, recorded: &Recorded) -> Self {
        let index = Index {
            output: index,
            recorded: recorded.clone(),
            timeline: recorded.timeline(),
            text: Vec::with_capacity(512),
            begun: false,
        };
        Self { output, index: Some(index) }
    }
}

impl<D: Destination> Sink for RawSink<D> {
    /// First the frame, then its line: whoever ends in between leaves a frame that nothing speaks of, and never the other way.
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let offset = self.output.bytes();
        self.output.write_frame(&[frame])?;
        let Some(index) = &mut self.index else { return Ok(()) };
        index.write(frame, offset).map_err(|error| match self.output.take_back_frame(frame.len() as u64, &error) {
            Ok(()) => error,
            Err(torn) => torn,
        })
    }

    fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        let has_failed = self.output.has_failed();
        let report = self.output.report();
        if let Some(index) = self.index.filter(|_| has_failed && report.frames == 0) {
            index.output.discard_if_empty();
        }
        Ok(report)
    }
}

impl<D: Destination> Index<D> {
    fn write(&mut self, frame: &Frame, offset: u64) -> Result<(), SinkError> {
        let epoch = self.recorded.epoch.get_or_init(|| Epoch::of(frame));
        self.text.clear();
        if !self.begun {
            let Recorded { format, presentation, name, .. } = &self.recorded;
            let started = format!("{:.3}", epoch.started);
            let header = IndexHeader::new(*format, started).presentation(*presentation).stream(name.as_str());
            header.write(&mut self.text);
            self.output.write_header(&self.text, "")?;
            self.begun = true;
            self.text.clear();
        }
        let captured_us = u64::try_from(taken(frame).since(epoch.first).as_micros()).unwrap_or(u64::MAX);
        let missing_bytes = frame.missing().map(|range| range.len() as u64).sum::<u64>();
        let bytes = self.recorded.format.is_variable().then_some(frame.len() as u64);
        let error_us = |error: Duration| u64::try_from(error.as_micros()).unwrap_or(u64::MAX);
        let entry = IndexEntry::new(frame.info().number, captured_us, offset)
            .missing_bytes(missing_bytes)
            .bytes(bytes)
            .utc_ns(self.timeline.place(Moment::of(frame)))
            .utc_error_us(frame.info().utc_error.map(error_us))
            .own_time(frame.has_own_time());
        match frame.metadata() {
            Some(metadata) => entry.write_with(metadata, &mut self.text),
            None => entry.write(&mut self.text),
        }
        self.output.write_frame(&[&self.text])
    }
}
