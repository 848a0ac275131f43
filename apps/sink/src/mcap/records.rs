//! The records of an MCAP file, as bytes, and what its summary says of them.

use std::collections::BTreeMap;
use std::io::Cursor;

use binrw::BinWrite;
use mcap::records::{
    Channel, ChunkHeader, ChunkIndex, DataEnd, Footer, Header, MessageHeader, MessageIndex, MessageIndexEntry,
    SchemaHeader, Statistics, SummaryOffset, op,
};

/// Opcode and length, which stand before each record.
pub(super) const RECORD_HEAD_BYTES: u64 = 9;
/// A chunk's record up to the records in it, where these are not compressed.
pub(super) const CHUNK_HEAD_BYTES: u64 = RECORD_HEAD_BYTES + 40;
/// What of a message stands before its data.
const MESSAGE_HEADER_BYTES: u64 = 22;

/// Appends a record.
pub(super) fn append(opcode: u8, record: &impl for<'a> BinWrite<Args<'a> = ()>, into: &mut Vec<u8>) {
    let start = begin(opcode, into);
    append_fields(record, into);
    end(start, into);
}

fn begin(opcode: u8, into: &mut Vec<u8>) -> usize {
    into.push(opcode);
    into.extend_from_slice(&[0; 8]);
    into.len()
}

fn end(start: usize, into: &mut [u8]) {
    let bytes = (into.len() - start) as u64;
    into[start - 8..start].copy_from_slice(&bytes.to_le_bytes());
}

fn append_fields(record: &impl for<'a> BinWrite<Args<'a> = ()>, into: &mut Vec<u8>) {
    let mut at = Cursor::new(&mut *into);
    at.set_position(at.get_ref().len() as u64);
    record.write_le(&mut at).expect("memory takes what is written, and no record here has a field that cannot be");
}

/// Appends a schema, whose text has its length before it.
pub(super) fn append_schema(header: &SchemaHeader, text: &str, into: &mut Vec<u8>) {
    let start = begin(op::SCHEMA, into);
    append_fields(header, into);
    into.extend_from_slice(&(text.len() as u32).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
    end(start, into);
}

/// Appends what stands before a message's data, of which there are `bytes` bytes.
pub(super) fn append_message_head(header: &MessageHeader, bytes: u64, into: &mut Vec<u8>) {
    into.push(op::MESSAGE);
    into.extend_from_slice(&(MESSAGE_HEADER_BYTES + bytes).to_le_bytes());
    append_fields(header, into);
}

/// Appends the magic bytes and the header, which a file begins with.
pub(super) fn append_beginning(into: &mut Vec<u8>) {
    into.extend_from_slice(mcap::MAGIC);
    let library = concat!("framewire ", env!("CARGO_PKG_VERSION")).to_owned();
    append(op::HEADER, &Header { profile: "ros2".to_owned(), library }, into);
}

/// What a file has come to, for its summary.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    counts: BTreeMap<u16, u64>,
    times: Option<(u64, u64)>,
    chunk_count: u32,
    /// None where nobody can look for a chunk, as in a pipe, which has no end either for as long as it runs.
    chunks: Option<Vec<EndedChunk>>,
}

/// What the summary has of a chunk, in few bytes: there may be very many.
#[derive(Debug, Clone)]
pub(super) struct EndedChunk {
    offset: u64,
    bytes: u64,
    times: (u64, u64),
    /// Where each channel's index stands.
    indexes: Box<[(u16, u64)]>,
    index_bytes: u64,
}

impl EndedChunk {
    /// Bytes of the records in it.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn record(&self) -> ChunkIndex {
        ChunkIndex {
            message_start_time: self.times.0,
            message_end_time: self.times.1,
            chunk_start_offset: self.offset,
            chunk_length: CHUNK_HEAD_BYTES + self.bytes,
            message_index_offsets: self.indexes.iter().copied().collect(),
            message_index_length: self.index_bytes,
            compression: String::new(),
            compressed_size: self.bytes,
            uncompressed_size: self.bytes,
        }
    }
}

impl Contents {
    /// Of a file, whose summary says where each chunk is, or of what can only be read from front to back.
    pub(super) fn new(is_file: bool) -> Self {
        Self { chunks: is_file.then(Vec::new), ..Self::default() }
    }

    /// How many chunks have been ended.
    pub(super) fn chunk_count(&self) -> u32 {
        self.chunk_count
    }

    /// A message was written.
    pub(super) fn add(&mut self, channel_id: u16, log_time: u64) {
        *self.counts.entry(channel_id).or_default() += 1;
        self.times = Some(extended(self.times, log_time));
    }

    /// Whether there is no message.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// A chunk has been ended.
    pub(super) fn add_chunk(&mut self, chunk: EndedChunk) {
        self.chunk_count = self.chunk_count.saturating_add(1);
        if let Some(chunks) = &mut self.chunks {
            chunks.push(chunk);
        }
    }

    /// Appends all that follows the data: its end, the summary, the footer. `position` is where it comes to lie in the file.
    pub(super) fn append_end(
        &self,
        position: u64,
        schema: &(SchemaHeader, &str),
        channels: &[Channel],
        into: &mut Vec<u8>,
    ) {
        let start = into.len();
        let at = |into: &Vec<u8>| position + (into.len() - start) as u64;
        append(op::DATA_END, &DataEnd::default(), into);
        let summary_start = at(into);
        let mut groups = Vec::new();
        let mut group = |opcode: u8, into: &mut Vec<u8>, append_all: &dyn Fn(&mut Vec<u8>)| {
            let group_start = position + (into.len() - start) as u64;
            append_all(into);
            let group_length = position + (into.len() - start) as u64 - group_start;
            if group_length > 0 {
                groups.push(SummaryOffset { group_opcode: opcode, group_start, group_length });
            }
        };
        group(op::SCHEMA, into, &|into| append_schema(&schema.0, schema.1, into));
        group(op::CHANNEL, into, &|into| channels.iter().for_each(|channel| append(op::CHANNEL, channel, into)));
        group(op::STATISTICS, into, &|into| append(op::STATISTICS, &self.statistics(channels), into));
        group(op::CHUNK_INDEX, into, &|into| {
            self.chunks.iter().flatten().for_each(|chunk| append(op::CHUNK_INDEX, &chunk.record(), into));
        });
        let summary_offset_start = at(into);
        groups.iter().for_each(|group| append(op::SUMMARY_OFFSET, group, into));
        // No checksum: nothing here has one, for the pixels are not read.
        append(op::FOOTER, &Footer { summary_start, summary_offset_start, summary_crc: 0 }, into);
        into.extend_from_slice(mcap::MAGIC);
    }

    /// Of how many chunks it knows where they are.
    #[cfg(test)]
    pub(super) fn chunks_kept(&self) -> usize {
        self.chunks.as_ref().map_or(0, Vec::len)
    }

    fn statistics(&self, channels: &[Channel]) -> Statistics {
        let (message_start_time, message_end_time) = self.times.unwrap_or_default();
        Statistics {
            message_count: self.counts.values().sum(),
            schema_count: 1,
            channel_count: channels.len() as u32,
            attachment_count: 0,
            metadata_count: 0,
            chunk_count: self.chunk_count,
            message_start_time,
            message_end_time,
            channel_message_counts: self.counts.clone(),
        }
    }
}

fn extended(times: Option<(u64, u64)>, time: u64) -> (u64, u64) {
    times.map_or((time, time), |(first, last)| (first.min(time), last.max(time)))
}

/// A chunk that more may be written to. Its head in the file says at any moment what is in it.
#[derive(Debug, Clone)]
pub(super) struct OpenChunk {
    /// Where its record begins in the file.
    pub(super) offset: u64,
    /// Bytes of the records in it.
    pub(super) bytes: u64,
    times: Option<(u64, u64)>,
    messages: BTreeMap<u16, Vec<MessageIndexEntry>>,
}

impl OpenChunk {
    /// One that begins at this place of the file.
    pub(super) fn new(offset: u64) -> Self {
        Self { offset, bytes: 0, times: None, messages: BTreeMap::new() }
    }

    /// A message begins `at` bytes behind what is in it already. Its index counts from the first record in the chunk.
    pub(super) fn add(&mut self, channel_id: u16, log_time: u64, at: u64) {
        let offset = self.bytes + at;
        self.messages.entry(channel_id).or_default().push(MessageIndexEntry { log_time, offset });
        self.times = Some(extended(self.times, log_time));
    }

    /// Appends its head, as it is with so many bytes more of records that have this time.
    pub(super) fn append_head(&self, more_bytes: u64, log_time: u64, into: &mut Vec<u8>) {
        let bytes = self.bytes + more_bytes;
        let (message_start_time, message_end_time) = extended(self.times, log_time);
        into.push(op::CHUNK);
        into.extend_from_slice(&(CHUNK_HEAD_BYTES - RECORD_HEAD_BYTES + bytes).to_le_bytes());
        let header = ChunkHeader {
            message_start_time,
            message_end_time,
            uncompressed_size: bytes,
            uncompressed_crc: 0,
            compression: String::new(),
            compressed_size: bytes,
        };
        append_fields(&header, into);
    }

    /// Appends the indexes that follow it, and says what the summary has of it.
    pub(super) fn append_indexes(self, into: &mut Vec<u8>) -> EndedChunk {
        let chunk_length = CHUNK_HEAD_BYTES + self.bytes;
        let (start, end) = (into.len(), self.offset + chunk_length);
        let mut indexes = Vec::with_capacity(self.messages.len());
        for (channel_id, records) in self.messages {
            indexes.push((channel_id, end + (into.len() - start) as u64));
            append(op::MESSAGE_INDEX, &MessageIndex { channel_id, records }, into);
        }
        EndedChunk {
            offset: self.offset,
            bytes: self.bytes,
            times: self.times.unwrap_or_default(),
            indexes: indexes.into_boxed_slice(),
            index_bytes: (into.len() - start) as u64,
        }
    }
}
