//! MCAP files: the images of one channel, as they were taken.

mod error;
mod records;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, METADATA_MAX, MetadataKind, PixelFormat, Presentation};

use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::recorded_utc::RecordedUtc;
use crate::recording::IndexHeader;
use crate::ros::{self, HEAD_BYTES_MAX, ImageHead};
use crate::source::{FrameSource, fit_length, set_metadata};
pub use error::McapError;
use records::{Channel, Contents, Cursor, Message, Next, Span, refused};

/// What the file begins with.
pub(crate) const MAGIC: &[u8] = mcap::MAGIC;

/// The images of one channel of an MCAP file, straight from where they are in it: `sensor_msgs/msg/Image` as CDR, of ROS 2 bags and of this
/// system's own recordings.
///
/// Each has the log time of its message as its UTC, and, of a recording of this system, its metadata. A file whose recorder was killed
/// gives its whole images. Chunks may be there and must not be compressed.
pub struct McapFile {
    file: MappedFile,
    contents: Contents,
    channel_id: u16,
    format: FrameFormat,
    presentation: Presentation,
    /// Whether this system has recorded it.
    is_own: bool,
    cursor: Cursor,
    /// The next image, once it has been looked for, or why there is none.
    ahead: Option<Result<Image, CaptureError>>,
    /// Metadata that was read before its image.
    beside: Option<(Message, MetadataKind)>,
    first: Option<u64>,
    time: Duration,
    utc: RecordedUtc,
    given: u64,
    told: bool,
    /// That an image was said to be taken long after the one before.
    told_of_gap: bool,
    told_of_metadata: bool,
    told_of_long_metadata: bool,
}

/// An image that is whole in the file.
#[derive(Debug, Clone)]
struct Image {
    message: Message,
    head: ImageHead<'static>,
    /// Where its pixels begin, from the first byte of the message on.
    offset: usize,
    metadata: Option<(Span, MetadataKind)>,
}

/// No recorder waits so long for a camera: a later image has a damaged time.
const GAP_MAX: Duration = Duration::from_secs(365 * 86_400);

impl McapFile {
    /// The images of `file`, a regular file that is not empty, under `topic`, or else of the first channel that has any; `path` is for
    /// messages.
    ///
    /// # Errors
    /// A file that is no MCAP file, has no such images, or is compressed, and one that cannot be mapped.
    pub fn new(path: &Path, file: File, topic: Option<&str>) -> Result<Self, CaptureError> {
        let file = MappedFile::new(path, file)?;
        let contents = Contents::read(&file)?;
        let channel_id = choose(&contents, topic).map_err(|source| refused(&file, source))?;
        let channel = &contents.channels[&channel_id];
        let own = channel.metadata.get(IndexHeader::KEY).and_then(|line| IndexHeader::parse(line.as_bytes()).ok());
        // Until the first image says otherwise.
        let format = FrameFormat::new(PixelFormat::Gray8, 1, 1).expect("one pixel is a format");
        let mut source = Self {
            file,
            channel_id,
            format: own.as_ref().map_or(format, |own| own.format),
            presentation: own.as_ref().map_or(Presentation::UNKNOWN, |own| own.presentation),
            is_own: own.is_some(),
            cursor: Cursor::first(),
            ahead: None,
            beside: None,
            first: None,
            time: Duration::ZERO,
            utc: RecordedUtc::new(SystemTime::UNIX_EPOCH, own.as_ref().and_then(|own| own.presentation.rate)),
            given: 0,
            told: false,
            told_of_gap: false,
            told_of_metadata: false,
            told_of_long_metadata: false,
            contents,
        };
        let Some(Image { message, head, .. }) = source.look_ahead()?.cloned() else {
            let topic = source.contents.channels[&channel_id].topic.clone();
            return Err(refused(&source.file, McapError::Empty(topic)));
        };
        if own.is_none() {
            let format = said_format(&head);
            source.format = format.map_err(|error| refused(&source.file, error))?;
        }
        // Before anybody makes room for frames of a size that is only said.
        if !source.is_one(&head) {
            let reason = format!(
                "it is {}, and a frame of {} has {} bytes",
                said(&head),
                source.format,
                source.format.frame_bytes()
            );
            return Err(refused(&source.file, McapError::Image { at: message.data.at, reason }));
        }
        Ok(source)
    }

    /// The next image that is whole. What went wrong is said once, to whoever takes the image.
    fn look_ahead(&mut self) -> Result<Option<&Image>, CaptureError> {
        if self.ahead.is_none() {
            self.ahead = self.find_image().transpose();
        }
        if let Some(Err(error)) = self.ahead.take_if(|ahead| ahead.is_err()) {
            return Err(error);
        }
        Ok(self.ahead.as_ref().and_then(|ahead| ahead.as_ref().ok()))
    }

    fn find_image(&mut self) -> Result<Option<Image>, CaptureError> {
        loop {
            match self.cursor.next(&self.file, self.given)? {
                Next::Message(message) if message.channel_id == self.channel_id => {
                    return self.read_image(message).map(Some);
                }
                Next::Message(message) => {
                    if let Some(kind) = self.metadata_kind(message.channel_id) {
                        self.beside = Some((message, kind));
                    }
                }
                Next::Other(_) => {}
                Next::Torn => self.tell(),
                Next::End => {
                    self.tell_what_is_missing();
                    return Ok(None);
                }
            }
        }
    }

    fn read_image(&mut self, message: Message) -> Result<Image, CaptureError> {
        let Span { at, bytes } = message.data;
        let unreadable = |reason| refused(&self.file, McapError::Image { at, reason });
        let mut head = vec![0; bytes.min(HEAD_BYTES_MAX as u64) as usize];
        self.file.copy(at, &mut head, self.given)?;
        let (head, offset) = ImageHead::parse(&head).map_err(unreadable)?;
        let head = head.into_owned();
        if offset as u64 + u64::from(head.bytes) > bytes {
            let reason =
                format!("it says that it has {} bytes of pixels, and has {}", head.bytes, bytes - offset as u64);
            return Err(unreadable(reason));
        }
        let belongs = |(beside, _): &(Message, MetadataKind)| {
            (beside.sequence, beside.log_time) == (message.sequence, message.log_time)
        };
        let mut metadata = self.beside.take().filter(belongs).map(|(beside, kind)| (beside.data, kind));
        if let Some((Span { bytes, .. }, _)) = metadata.take_if(|(data, _)| data.bytes > METADATA_MAX as u64)
            && !std::mem::replace(&mut self.told_of_long_metadata, true)
        {
            tracing::warn!(
                "{}: metadata of {bytes} bytes is left out, as is all other that is so long: a frame has {METADATA_MAX} at most",
                self.file.name()
            );
        }
        Ok(Image { message, head, offset, metadata })
    }

    /// What the messages of another channel are, where they are metadata of these images.
    fn metadata_kind(&self, channel_id: u16) -> Option<MetadataKind> {
        if !self.is_own {
            return None;
        }
        let topic = self.contents.channels[&self.channel_id].topic.strip_suffix("image_raw")?;
        let Channel { topic: beside, encoding, .. } = self.contents.channels.get(&channel_id)?;
        match (beside.strip_prefix(topic)?, encoding.as_str()) {
            ("metadata", "json") => Some(MetadataKind::Json),
            ("metadata_cbor", "cbor") => Some(MetadataKind::Cbor),
            ("metadata_bytes", _) => Some(MetadataKind::Bytes),
            _ => None,
        }
    }

    /// At the end: a record whose length is wrong hides all that it seems to have in it.
    fn tell_what_is_missing(&mut self) {
        let count = self.contents.counts.get(&self.channel_id).copied().unwrap_or_default();
        let given = self.given;
        if self.contents.is_torn {
            self.tell();
        } else if given < count && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                "{} is damaged: it says that it has {count} images, and {given} were found; those between are left out",
                self.file.name()
            );
        }
    }

    fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("{} was not ended in order: what is not whole in it is left out", self.file.name());
        }
    }

    /// Whether an image is one of this format, with all its bytes.
    fn is_one(&self, head: &ImageHead<'_>) -> bool {
        match self.format.is_variable() {
            true => self.format.holds(head.bytes as usize),
            false => {
                let Self { format, .. } = self;
                (head.width, head.height, head.step) == (format.width(), format.height(), format.stride())
                    && format.holds(head.bytes as usize)
            }
        }
    }

    /// Refuses an image of another format than the first.
    fn check(&self, head: &ImageHead<'_>) -> Result<(), CaptureError> {
        if self.is_one(head) {
            return Ok(());
        }
        Err(CaptureError::FormatChanged {
            name: self.file.name().to_owned(),
            frame: self.given,
            from: self.format,
            to: said(head),
        })
    }

    /// When an image was taken, since the first.
    fn time_of(&mut self, log_time: u64) -> Duration {
        let first = *self.first.get_or_insert(log_time);
        let time = Duration::from_nanos(log_time.saturating_sub(first));
        if time.saturating_sub(self.time) <= GAP_MAX {
            self.time = self.time.max(time);
        } else if !std::mem::replace(&mut self.told_of_gap, true) {
            tracing::warn!(
                "{}: image {} is said to be {time:?} behind the first; it is sent at once, as all that are said to be so late",
                self.file.name(),
                self.given
            );
        }
        self.time
    }
}

/// The format of an image's pixels, as it says.
fn said_format(head: &ImageHead<'_>) -> Result<FrameFormat, McapError> {
    let unknown = || McapError::Encoding(head.encoding.chars().take(40).collect());
    Ok(head.format().ok_or_else(unknown)??)
}

/// What an image says that it is.
fn said(head: &ImageHead<'_>) -> String {
    let ImageHead { width, height, step, encoding, bytes, .. } = head;
    format!("{width}x{height} {encoding} in rows of {step} bytes, {bytes} bytes in all")
}

/// The channel of images that was asked for.
fn choose(contents: &Contents, topic: Option<&str>) -> Result<u16, McapError> {
    let is_image = |channel: &&Channel| channel.schema == ros::IMAGE && channel.encoding == "cdr";
    let with_images = || contents.channels.iter().filter(|(_, channel)| is_image(channel));
    let listed = |channels: &mut dyn Iterator<Item = String>| channels.take(20).collect::<Vec<_>>().join(", ");
    if with_images().next().is_none() {
        let said = |channel: &Channel| format!("{} ({} {})", channel.topic, channel.schema, channel.encoding);
        let has = listed(&mut contents.channels.values().map(said));
        return Err(McapError::NoImages(if has.is_empty() { "no channels".to_owned() } else { has }));
    }
    let has_any = |(id, _): &(&u16, &Channel)| contents.counts.contains_key(id);
    let found = match topic {
        Some(topic) => with_images().find(|(_, channel)| channel.topic == topic),
        None => with_images().find(has_any).or_else(|| with_images().next()),
    };
    found.map(|(id, _)| *id).ok_or_else(|| McapError::Topic {
        asked: topic.unwrap_or_default().to_owned(),
        has: listed(&mut with_images().map(|(_, channel)| channel.topic.clone())),
    })
}

impl FrameSource for McapFile {
    fn format(&self) -> FrameFormat {
        self.format
    }

    fn presentation(&self) -> Presentation {
        self.presentation
    }

    fn frame_count(&self) -> Option<u64> {
        Some(self.contents.counts.get(&self.channel_id).copied().unwrap_or_default())
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_time(&mut self) -> Option<Duration> {
        let log_time = match self.look_ahead() {
            Ok(image) => image?.message.log_time,
            Err(error) => {
                self.ahead = Some(Err(error));
                return None;
            }
        };
        Some(self.time_of(log_time))
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let Some(Image { message, head, offset, metadata }) = self.look_ahead()?.cloned() else { return Ok(false) };
        self.check(&head)?;
        fit_length(frame, &self.format, head.bytes as usize)?;
        self.file.copy(message.data.at + offset as u64, frame, self.given)?;
        if head.is_bigendian {
            ros::swap(frame, self.format.pixel());
        }
        if let Some((Span { at, bytes }, kind)) = metadata {
            let mut text = vec![0; bytes as usize];
            self.file.copy(at, &mut text, self.given)?;
            set_metadata(frame, (kind, &text), self.file.name(), self.given, &mut self.told_of_metadata)?;
        }
        frame.info.captured = Time::now();
        frame.info.captured_utc = self.utc.exactly(message.log_time);
        let time = self.time_of(message.log_time);
        self.utc.is_given(time);
        self.ahead = None;
        self.given += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        (self.cursor, self.ahead, self.beside) = (Cursor::first(), None, None);
        (self.given, self.time) = (0, Duration::ZERO);
        self.utc.start_over();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
