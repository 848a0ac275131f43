//! The files of one stream at one sink: named after it, numbered where others have the name, rolled where that was asked for.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use framewire_transport::Time;
use framewire_transport::frame::Frame;
use jiff::Timestamp;

use crate::error::SinkError;
use crate::kinds::open_file;
use crate::places::{Hold, Opened, Opening, Places};
use crate::recorded::Recorded;
use crate::roll::Roll;
use crate::safe_name::safe_name;
use crate::sink::{Sink, SinkReport};
use crate::spec::SinkSpec;
use crate::template::{Template, Words};

/// Writes each part into a file of its own, which is complete by itself.
pub(crate) struct FilesSink {
    spec: SinkSpec,
    template: Template,
    places: Arc<Places>,
    roll: Roll,
    recorded: Recorded,
    stream: String,
    /// Tells its files apart from those of other streams.
    number: u32,
    /// Keeps the number from others.
    hold: Option<Hold>,
    part: Part,
    parts: u32,
    first: PathBuf,
    /// What the part before is called.
    before: Option<String>,
    /// Of the parts before.
    frames: u64,
    bytes: u64,
}

struct Part {
    sink: Box<dyn Sink>,
    path: PathBuf,
    /// When its first frame had arrived.
    begun: Option<Time>,
    /// Bytes that its last frame added.
    frame_bytes: u64,
}

impl FilesSink {
    /// Opens the first file.
    pub(crate) fn open(
        spec: &SinkSpec,
        template: Template,
        opening: Opening,
        recorded: &Recorded,
        places: &Arc<Places>,
        roll: Roll,
    ) -> Result<Self, SinkError> {
        let stream = safe_name(&recorded.name, recorded.stream);
        // A pipe and a device have no parts.
        let roll = if template.is_special() { Roll::default() } else { roll };
        let words =
            Words { stream: stream.clone(), part: roll.is_on().then_some(1), time: Timestamp::now(), frame: None };
        let opened = places
            .open(&template, &words, None, opening, |path, creation| open_file(spec, path, creation, recorded))?;
        let Opened { file, path, number, hold } = opened;
        if let Some(named) = template.named_otherwise(number) {
            tracing::warn!(
                "'{}' is there already and is left; this recording is '{}'",
                named.display(),
                path.display()
            );
        }
        let part = Part::new(file, path);
        Ok(Self {
            spec: spec.clone(),
            template,
            places: places.clone(),
            roll,
            recorded: recorded.clone(),
            stream,
            number,
            hold,
            first: part.path.clone(),
            part,
            parts: 1,
            before: None,
            frames: 0,
            bytes: 0,
        })
    }

    /// Whether `frame` is the first of another part.
    fn ends_before(&self, frame: &Frame) -> bool {
        let Some(begun) = self.part.begun else { return false };
        let full = self.roll.bytes.is_some_and(|bytes| self.part.sink.bytes() + self.part.frame_bytes > bytes);
        full || self.roll.time.is_some_and(|time| frame.info().completed.since(begun) >= time)
    }

    fn next_part(&mut self) -> Result<(), SinkError> {
        self.parts += 1;
        let words = Words { stream: self.stream.clone(), part: Some(self.parts), time: Timestamp::now(), frame: None };
        let (spec, recorded) = (&self.spec, &self.recorded);
        let opened = self.places.open(&self.template, &words, Some(self.number), Opening::Again, |path, creation| {
            open_file(spec, path, creation, recorded)
        });
        // Where there is no place for another file, the one before stays open, and is ended in order.
        let Opened { file, path, number, hold } = opened.inspect_err(|_| self.parts -= 1)?;
        self.number = number;
        if hold.is_some() {
            self.hold = hold;
        }
        let ended = std::mem::replace(&mut self.part, Part::new(file, path));
        let (report, failed) = kept(ended.sink.finish())?;
        self.frames += report.frames;
        self.bytes += report.bytes;
        tracing::info!("{report}");
        self.before = Some(report.name.clone());
        failed.map_or(Ok(()), |source| Err(SinkError::End { report, source }))
    }
}

/// What a part has, and why it has no end where that is so.
fn kept(finished: Result<SinkReport, SinkError>) -> Result<(SinkReport, Option<io::Error>), SinkError> {
    match finished {
        Ok(report) => Ok((report, None)),
        Err(SinkError::End { report, source }) => Ok((report, Some(source))),
        Err(error) => Err(error),
    }
}

impl Part {
    fn new(sink: Box<dyn Sink>, path: PathBuf) -> Self {
        Self { sink, path, begun: None, frame_bytes: 0 }
    }
}

impl Sink for FilesSink {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        if self.ends_before(frame) {
            self.next_part()?;
        }
        let before = self.part.sink.bytes();
        self.part.sink.write(frame)?;
        self.part.frame_bytes = self.part.sink.bytes().saturating_sub(before);
        self.part.begun.get_or_insert(frame.info().completed);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.part.sink.bytes()
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        let Self { part, hold, before, parts, first, frames, bytes, .. } = *self;
        let (last, failed) = kept(part.sink.finish())?;
        drop(hold);
        let files = u64::from(parts - 1) + last.files;
        // A part that no frame could be written to is not there.
        let (end, parts) = match before {
            Some(before) if last.files == 0 => (before, parts - 1),
            _ => (last.name, parts),
        };
        let name = match parts {
            1 => end,
            parts => format!("'{}' to {end} ({parts} parts)", first.display()),
        };
        let report = SinkReport { name, files, frames: frames + last.frames, bytes: bytes + last.bytes };
        failed.map_or(Ok(report.clone()), |source| Err(SinkError::End { report, source }))
    }
}

#[cfg(test)]
mod tests;
