//! Raw recordings with an index: they say themselves what is in them, and when each frame was taken.

mod index;
mod metadata;
mod reader;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};
use jiff::Timestamp;

use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::recorded_utc::RecordedUtc;
use crate::source::{FrameSource, fit_length, set_metadata};
pub use index::{IndexEntry, IndexHeader, index_path};
use reader::IndexReader;

/// Frames of a raw file, with the times that its index gives them ([`FrameSource::next_time`], and in UTC each frame's own).
///
/// What a crash left behind is no error: a line that was torn, one whose frame is not whole and a frame without its line are
/// passed over, counted in [`RecordingDamage`] and told of once, at the end.
pub struct Recording {
    file: MappedFile,
    index: IndexReader,
    header: IndexHeader,
    /// The next frame's line, once it has been looked for.
    ahead: Ahead,
    /// What the times count from: that of the first frame.
    first_us: Option<u64>,
    first_utc_ns: Option<u64>,
    /// The time of the last frame that was looked at; times never go back.
    time: Duration,
    utc: RecordedUtc,
    given: u64,
    /// Where the last frame that has a line ends in the file.
    end: u64,
    damage: RecordingDamage,
    told: bool,
    told_of_metadata: bool,
}

enum Ahead {
    Unknown,
    Frame(IndexEntry),
    End,
    Failed(CaptureError),
}

/// What of a recording could not be given, up to where it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecordingDamage {
    /// Lines of the index that are no frame's: the last one, where the recorder was killed while it wrote it.
    pub lines_torn: u64,
    /// Lines whose frame is not, or not wholly, in the file.
    pub lines_without_frame: u64,
    /// Whole or begun frames behind the last that has a line.
    pub frames_without_line: u64,
}

impl Recording {
    /// Frames of `file`, a regular file that is not empty, by the index that `index` has; `path` is the recording's, for
    /// messages.
    ///
    /// # Errors
    /// An index whose first line is none, and files that cannot be mapped or read.
    pub fn new(path: &Path, file: File, index: File) -> Result<Self, CaptureError> {
        let name = format!("'{}'", index_path(path).display());
        let (index, header) = IndexReader::new(index)
            .map_err(|source| CaptureError::io("read", &name, source))?
            .map_err(|reason| CaptureError::Index { name, reason })?;
        // An index that does not say when it begins begins now.
        let started = header.started.parse::<Timestamp>().map_or_else(|_| SystemTime::now(), SystemTime::from);
        let utc = RecordedUtc::new(started, header.presentation.rate);
        Ok(Self {
            file: MappedFile::new(path, file)?,
            index,
            header,
            ahead: Ahead::Unknown,
            first_us: None,
            first_utc_ns: None,
            time: Duration::ZERO,
            utc,
            given: 0,
            end: 0,
            damage: RecordingDamage::default(),
            told: false,
            told_of_metadata: false,
        })
    }

    /// What the index says of all frames.
    pub const fn header(&self) -> &IndexHeader {
        &self.header
    }

    /// What could not be given so far, since the last rewind.
    pub const fn damage(&self) -> RecordingDamage {
        self.damage
    }

    /// The next line whose frame is whole.
    fn look_ahead(&mut self) -> Result<Option<IndexEntry>, CaptureError> {
        let format = self.header.format;
        loop {
            let line = self
                .index
                .next_entry()
                .map_err(|source| CaptureError::io("read", &format!("the index of {}", self.file.name()), source))?;
            match line {
                None => break,
                Some(None) => self.damage.lines_torn += 1,
                Some(Some(entry)) => match entry.offset.checked_add(self.bytes_of(&entry) as u64) {
                    Some(end) if end <= self.file.len() && format.holds(self.bytes_of(&entry)) => {
                        self.end = self.end.max(end);
                        return Ok(Some(entry));
                    }
                    _ => self.damage.lines_without_frame += 1,
                },
            }
        }
        // A frame whose line is there though it is not whole has been counted already.
        let behind = (self.file.len() - self.end).div_ceil(format.frame_bytes() as u64);
        self.damage.frames_without_line = behind.saturating_sub(self.damage.lines_without_frame);
        if self.given == 0 && self.damage != RecordingDamage::default() {
            let RecordingDamage { lines_torn, .. } = self.damage;
            return Err(CaptureError::Index {
                name: format!("the index of {}", self.file.name()),
                reason: format!("no line of it is that of a whole frame, and {lines_torn} are torn"),
            });
        }
        self.tell();
        Ok(None)
    }

    /// Bytes of a frame.
    fn bytes_of(&self, entry: &IndexEntry) -> usize {
        let bytes = entry.bytes.filter(|_| self.header.format.is_variable());
        bytes.map_or(self.header.format.frame_bytes(), |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn tell(&mut self) {
        if self.damage == RecordingDamage::default() || std::mem::replace(&mut self.told, true) {
            return;
        }
        let RecordingDamage { lines_torn, lines_without_frame, frames_without_line } = self.damage;
        tracing::warn!(
            "{} was not ended in order: its index has {lines_torn} torn lines and {lines_without_frame} lines without a whole \
             frame, and {frames_without_line} frames have no line; these are left out",
            self.file.name()
        );
    }

    /// When the next frame was taken, since the first.
    fn time_of(&mut self, entry: &IndexEntry) -> Duration {
        let since_us = entry.captured_us.saturating_sub(*self.first_us.get_or_insert(entry.captured_us));
        // What was sent out of a file was taken at the times of that, however fast it was sent.
        let since = entry.utc_ns.map(|utc_ns| utc_ns.saturating_sub(*self.first_utc_ns.get_or_insert(utc_ns)));
        self.time = self.time.max(since.map_or(Duration::from_micros(since_us), Duration::from_nanos));
        self.time
    }

    fn next_entry(&mut self) -> Result<Option<IndexEntry>, CaptureError> {
        if matches!(self.ahead, Ahead::Unknown) {
            self.ahead = match self.look_ahead() {
                Ok(Some(entry)) => Ahead::Frame(entry),
                Ok(None) => Ahead::End,
                Err(error) => Ahead::Failed(error),
            };
        }
        match &self.ahead {
            Ahead::Frame(entry) => Ok(Some(*entry)),
            Ahead::Failed(_) => match std::mem::replace(&mut self.ahead, Ahead::Unknown) {
                Ahead::Failed(error) => Err(error),
                _ => unreachable!("it was a failure on the line above"),
            },
            _ => Ok(None),
        }
    }
}

impl FrameSource for Recording {
    fn format(&self) -> FrameFormat {
        self.header.format
    }

    /// What the sender meant to keep; the times of the frames say what came of it.
    fn presentation(&self) -> Presentation {
        self.header.presentation
    }

    /// What the file's size says, where all frames have the same.
    fn frame_count(&self) -> Option<u64> {
        if self.header.format.is_variable() {
            return None;
        }
        Some(self.file.len() / self.header.format.frame_bytes() as u64)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_time(&mut self) -> Option<Duration> {
        let entry = match self.next_entry() {
            Ok(entry) => entry?,
            Err(error) => {
                self.ahead = Ahead::Failed(error);
                return None;
            }
        };
        Some(self.time_of(&entry))
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let Some(entry) = self.next_entry()? else { return Ok(false) };
        fit_length(frame, &self.header.format, self.bytes_of(&entry))?;
        let time = self.time_of(&entry);
        frame.info.captured = Time::now();
        frame.info.captured_utc = match entry.utc_ns {
            Some(utc_ns) => self.utc.exactly(utc_ns),
            None => self.utc.at(self.first_us.unwrap_or(0), time),
        };
        self.file.copy(entry.offset, frame, self.given)?;
        let (name, number) = (self.file.name(), self.given);
        match self.index.metadata() {
            Ok(None) => {}
            Ok(Some((kind, bytes))) => {
                set_metadata(frame, (kind, &bytes), name, number, &mut self.told_of_metadata)?;
            }
            Err(reason) => {
                tracing::warn!("{name}: frame {number} is sent without its metadata, which cannot be read: {reason}");
            }
        }
        self.utc.is_given(time);
        self.ahead = Ahead::Unknown;
        self.given += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        self.index.rewind().map_err(|source| CaptureError::io("rewind", "the index", source))?;
        (self.ahead, self.given, self.end, self.time) = (Ahead::Unknown, 0, 0, Duration::ZERO);
        self.utc.start_over();
        self.damage = RecordingDamage::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
