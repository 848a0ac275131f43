//! MCAP: each frame as a ROS 2 image under `/{stream}/image_raw`, and what belongs to it under names beside that.
//!
//! A frame is written in one call, its metadata first, then the image's head, then the pixels from where they are: whoever is killed in
//! between leaves a file that is whole up to the last frame, with all that belongs to it. A chunk's head says at any moment how
//! much is in it.

mod image;
mod records;

use std::collections::BTreeMap;

use framewire_capture::IndexHeader;
use framewire_capture::ros::{self, ENCAPSULATION, ImageHead, frame_id_in, topic_name};
use framewire_transport::frame::{Frame, FrameFormat, Metadata, MetadataKind};
use mcap::records::{Channel, MessageHeader, SchemaHeader, op};
use serde_json::Value;

use self::image::DEFINITION;
use self::records::{Contents, EndedChunk, OpenChunk, append, append_beginning, append_message_head, append_schema};
use crate::error::SinkError;
use crate::output::{Destination, FrameOutput};
use crate::recorded::Recorded;
use crate::sink::{Sink, SinkReport};
use crate::timeline::{Moment, Timeline};

/// More than the records of most frames have before the pixels.
const RECORDS_BYTES: usize = 8192;
/// After so many chunks the next ones are twice as large, up to [`CHUNK_BYTES_MAX`]: what is kept of them for the summary stays small
/// however long a recording is.
const CHUNKS_OF_A_SIZE: u32 = 1 << 16;
/// Readers take a chunk into memory.
const CHUNK_BYTES_MAX: u64 = 1 << 28;
/// The image's channel. Others have the numbers behind it.
const IMAGE: u16 = 1;

pub(crate) struct McapSink<D> {
    output: FrameOutput<D>,
    format: FrameFormat,
    timeline: Timeline,
    /// The stream's name, for the camera's frame.
    name: String,
    /// The stream in names of topics.
    topic: String,
    /// Those whose records are in the file.
    channels: Vec<Channel>,
    contents: Contents,
    /// A chunk is ended before it has more bytes than this; none has less than a frame.
    chunk_bytes: Option<u64>,
    chunk: Option<OpenChunk>,
    /// What ends a chunk and begins the next.
    between: Vec<u8>,
    /// The frame's records, up to the pixels.
    records: Records,
}

/// The records of one frame.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    /// Channels that it is the first to need.
    channels: Vec<Channel>,
    /// Each message's channel, and where it begins in `bytes`.
    messages: Vec<(u16, u64)>,
}

/// What stands beside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Metadata, by its kind.
    Metadata(MetadataKind),
    /// How many bytes a frame lacks.
    Missing,
}

impl Beside {
    /// Its topic's name, and how its messages are encoded.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Metadata(MetadataKind::Json) => ("metadata", "json"),
            Self::Metadata(MetadataKind::Cbor) => ("metadata_cbor", "cbor"),
            Self::Metadata(_) => ("metadata_bytes", "application/octet-stream"),
            Self::Missing => ("missing", "json"),
        }
    }
}

impl<D: Destination> McapSink<D> {
    pub(crate) fn new(
        mut output: FrameOutput<D>,
        recorded: &Recorded,
        chunk_bytes: Option<u64>,
    ) -> Result<Self, SinkError> {
        // Nothing can be written over in a pipe: there, each frame is a chunk.
        let is_file = output.is_rewritable();
        let chunk_bytes = chunk_bytes.map(|bytes| if is_file { bytes } else { 0 });
        let topic = topic_name(&recorded.name, recorded.stream);
        let channels = vec![image_channel(recorded, &topic)];
        let mut records = Records { bytes: Vec::with_capacity(RECORDS_BYTES), ..Records::default() };
        append_beginning(&mut records.bytes);
        append_schema(&schema(), DEFINITION, &mut records.bytes);
        append(op::CHANNEL, &channels[0], &mut records.bytes);
        output.write_header(&records.bytes, "MCAP")?;
        Ok(Self {
            output,
            format: recorded.format,
            timeline: recorded.timeline(),
            name: recorded.name.replace('\0', ""),
            topic,
            channels,
            contents: Contents::new(is_file),
            chunk_bytes,
            chunk: None,
            between: Vec::new(),
            records,
        })
    }

    /// Puts a frame's records together.
    fn compose(&mut self, frame: &Frame, utc_ns: u64) {
        self.records.clear();
        let header = MessageHeader {
            channel_id: IMAGE,
            sequence: frame.info().number as u32,
            log_time: utc_ns,
            publish_time: utc_ns,
        };
        let mut frame_id = None;
        if let Some(Metadata { kind, bytes, .. }) = frame.metadata() {
            let json = (kind == MetadataKind::Json).then(|| serde_json::from_slice::<Value>(bytes).ok()).flatten();
            // What is no JSON although it is said to be would not be read under that name.
            let kind = if kind == MetadataKind::Json && json.is_none() { MetadataKind::Bytes } else { kind };
            frame_id = json.as_ref().and_then(frame_id_in).map(str::to_owned);
            self.compose_beside(Beside::Metadata(kind), header, bytes);
        }
        let missing_bytes = frame.missing().map(|range| range.len() as u64).sum::<u64>();
        if missing_bytes > 0 {
            let text = format!("{{\"missing_bytes\":{missing_bytes}}}");
            self.compose_beside(Beside::Missing, header, text.as_bytes());
        }
        let frame_id = frame_id.as_deref().unwrap_or(&self.name);
        let head = ImageHead::of(&self.format, frame.len() as u32, utc_ns, frame_id);
        self.records.append_message(header, (ENCAPSULATION.len() + head.len() + frame.len()) as u64);
        self.records.bytes.extend_from_slice(&ENCAPSULATION);
        head.write(&mut self.records.bytes);
    }

    fn compose_beside(&mut self, beside: Beside, header: MessageHeader, data: &[u8]) {
        let (name, message_encoding) = beside.names();
        let topic = format!("/{}/{name}", self.topic);
        let known = self.channels.iter().chain(&self.records.channels).find(|channel| channel.topic == topic);
        let channel_id = known.map(|channel| channel.id).unwrap_or_else(|| {
            let id = IMAGE + (self.channels.len() + self.records.channels.len()) as u16;
            let message_encoding = message_encoding.to_owned();
            let channel = Channel { id, schema_id: 0, topic, message_encoding, metadata: BTreeMap::new() };
            append(op::CHANNEL, &channel, &mut self.records.bytes);
            self.records.channels.push(channel);
            id
        });
        self.records.append_message(MessageHeader { channel_id, ..header }, data.len() as u64);
        self.records.bytes.extend_from_slice(data);
    }

    /// Ends the chunk where the next frame does not belong into it, and begins the next; what both take stands in `between`. The
    /// index of what ended and the new chunk, which count once that is written.
    fn turn_chunk(&mut self, frame_bytes: u64, utc_ns: u64) -> Option<(Option<EndedChunk>, OpenChunk)> {
        self.between.clear();
        let chunk_bytes = self.chunk_bytes?;
        let index = match &self.chunk {
            Some(chunk) if chunk.bytes + frame_bytes <= chunk_bytes => return None,
            Some(chunk) => Some(chunk.clone().append_indexes(&mut self.between)),
            None => None,
        };
        let next = OpenChunk::new(self.output.bytes() + self.between.len() as u64);
        next.append_head(frame_bytes, utc_ns, &mut self.between);
        Some((index, next))
    }
}

impl<D: Destination> McapSink<D> {
    fn add_chunk(&mut self, ended: EndedChunk) {
        let bytes = ended.bytes();
        self.contents.add_chunk(ended);
        if let Some(chunk_bytes) = self.chunk_bytes.as_mut().filter(|_| self.output.is_rewritable())
            && self.contents.chunk_count().is_multiple_of(CHUNKS_OF_A_SIZE)
        {
            let twice = bytes.max(*chunk_bytes).saturating_mul(2);
            *chunk_bytes = twice.min(CHUNK_BYTES_MAX).max(*chunk_bytes);
        }
    }
}

impl Records {
    fn clear(&mut self) {
        self.bytes.clear();
        self.channels.clear();
        self.messages.clear();
    }

    fn append_message(&mut self, header: MessageHeader, bytes: u64) {
        self.messages.push((header.channel_id, self.bytes.len() as u64));
        append_message_head(&header, bytes, &mut self.bytes);
    }
}

impl<D: Destination> Sink for McapSink<D> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        if !self.format.holds(frame.len()) {
            let expected = self.format.frame_bytes();
            return Err(SinkError::FrameSize { name: self.output.name().to_owned(), bytes: frame.len(), expected });
        }
        let utc_ns = self.timeline.place(Moment::of(frame));
        self.compose(frame, utc_ns);
        let frame_bytes = self.records.bytes.len() as u64 + frame.len() as u64;
        let turned = self.turn_chunk(frame_bytes, utc_ns);
        self.output.write_frame(&[&self.between, &self.records.bytes, frame])?;
        match (turned, &self.chunk) {
            (Some((index, next)), _) => {
                index.into_iter().for_each(|index| self.add_chunk(index));
                self.chunk = Some(next);
            }
            (None, Some(chunk)) => {
                chunk.append_head(frame_bytes, utc_ns, &mut self.between);
                self.output.overwrite_before_frame(chunk.offset, &self.between, frame_bytes)?;
            }
            (None, None) => {}
        }
        for (channel_id, at) in &self.records.messages {
            self.contents.add(*channel_id, utc_ns);
            if let Some(chunk) = &mut self.chunk {
                chunk.add(*channel_id, utc_ns, *at);
            }
        }
        if let Some(chunk) = &mut self.chunk {
            chunk.bytes += frame_bytes;
        }
        self.channels.append(&mut self.records.channels);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        // A file that no frame could be written to is taken away.
        if !(self.output.has_failed() && self.contents.is_empty()) {
            let mut end = std::mem::take(&mut self.records.bytes);
            end.clear();
            if let Some(chunk) = self.chunk.take() {
                let index = chunk.append_indexes(&mut end);
                self.contents.add_chunk(index);
            }
            let position = self.output.bytes() + end.len() as u64;
            self.contents.append_end(position, &(schema(), DEFINITION), &self.channels, &mut end);
            if let Err(source) = self.output.write_end(&end) {
                return Err(SinkError::End { report: self.output.report(), source });
            }
        }
        Ok(self.output.report())
    }
}

fn schema() -> SchemaHeader {
    SchemaHeader { id: 1, name: ros::IMAGE.to_owned(), encoding: "ros2msg".to_owned() }
}

/// The channel of the images, which says in our own words too what they are.
fn image_channel(recorded: &Recorded, topic: &str) -> Channel {
    let mut header = Vec::new();
    IndexHeader::new(recorded.format, "")
        .presentation(recorded.presentation)
        .stream(recorded.name.as_str())
        .write(&mut header);
    let header = String::from_utf8_lossy(header.trim_ascii_end()).into_owned();
    Channel {
        id: IMAGE,
        schema_id: schema().id,
        topic: format!("/{topic}/image_raw"),
        message_encoding: "cdr".to_owned(),
        metadata: BTreeMap::from([(IndexHeader::KEY.to_owned(), header)]),
    }
}

#[cfg(test)]
mod tests;
