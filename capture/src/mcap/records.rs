//! The records of a mapped MCAP file, one after the other, out of chunks that are not compressed too.

use std::collections::{BTreeMap, HashMap};

use mcap::parse_record;
use mcap::records::{Record, Statistics, op};

use super::error::McapError;
use crate::error::CaptureError;
use crate::mapped_file::MappedFile;

/// Opcode and length.
const HEAD_BYTES: u64 = 9;
/// A message's fields before its data.
const MESSAGE_BYTES: u64 = 22;
/// A chunk's fields, but for the name of its compression.
const CHUNK_BYTES: u64 = 40;
/// Longer than any name of a compression.
const COMPRESSION_BYTES_MAX: u64 = 32;
/// A record of another kind than messages and chunks that has more bytes is not looked into: channels and schemas have some thousand.
const RECORD_BYTES_MAX: u64 = 16 << 20;
/// The footer and the magic bytes behind it.
const FOOTER_BYTES: u64 = HEAD_BYTES + 20 + 8;

/// Where bytes of the file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// A message, whose data stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) channel_id: u16,
    pub(super) sequence: u32,
    pub(super) log_time: u64,
    pub(super) data: Span,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    Message(Message),
    /// Of another kind: a channel, a schema, what a summary has.
    Other(Record<'static>),
    /// No more data.
    End,
    /// A record that is not whole: the recorder was killed, or the file was not copied to its end.
    Torn,
}

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    at: u64,
    /// Where the records of the chunk end that it is in, and where the chunk does.
    chunk: Option<(u64, u64)>,
}

impl Cursor {
    /// Behind the magic bytes.
    pub(super) const fn first() -> Self {
        Self { at: mcap::MAGIC.len() as u64, chunk: None }
    }

    /// The next message or other record, from here on; so many frames were given before, for a file that is cut meanwhile.
    pub(super) fn next(&mut self, file: &MappedFile, given: u64) -> Result<Next, CaptureError> {
        loop {
            if let Some((_, end)) = self.chunk.filter(|(records_end, _)| self.at >= *records_end) {
                (self.at, self.chunk) = (end, None);
            }
            let limit = self.chunk.map_or(file.len(), |(records_end, _)| records_end);
            if self.at == limit {
                return Ok(Next::End);
            }
            let Some(head) = read::<{ HEAD_BYTES as usize }>(file, self.at, limit, given)? else {
                return self.torn(limit);
            };
            let (opcode, bytes) = (head[0], u64_at(&head, 1));
            let start = self.at + HEAD_BYTES;
            let end = start.checked_add(bytes).filter(|end| *end <= limit);
            match (opcode, end) {
                (op::CHUNK, _) if self.chunk.is_none() => {
                    // A chunk that was cut has whole messages before the cut.
                    let end = end.unwrap_or(limit);
                    let Some(records) = chunk_records(file, start, end, given)? else { return self.torn(limit) };
                    self.at = records.at;
                    self.chunk = Some(((records.at.saturating_add(records.bytes)).min(end), end));
                }
                // Zeroes are what file systems leave where a machine lost its power.
                (0, _) | (_, None) => return self.torn(limit),
                (op::MESSAGE, Some(end)) => {
                    let Some(fields) = read::<{ MESSAGE_BYTES as usize }>(file, start, end, given)? else {
                        return self.torn(limit);
                    };
                    self.at = end;
                    return Ok(Next::Message(Message {
                        channel_id: u16::from_le_bytes([fields[0], fields[1]]),
                        sequence: u32_at(&fields, 2),
                        log_time: u64_at(&fields, 6),
                        data: Span { at: start + MESSAGE_BYTES, bytes: bytes - MESSAGE_BYTES },
                    }));
                }
                (op::DATA_END | op::FOOTER, Some(_)) if self.chunk.is_none() => return Ok(Next::End),
                (op::SCHEMA | op::CHANNEL | op::STATISTICS | op::CHUNK_INDEX, Some(end)) => {
                    self.at = end;
                    if bytes > RECORD_BYTES_MAX {
                        continue;
                    }
                    let mut body = vec![0; bytes as usize];
                    file.copy(start, &mut body, given)?;
                    if let Ok(record) = parse_record(opcode, &body) {
                        return Ok(Next::Other(record.into_owned()));
                    }
                }
                (_, Some(end)) => self.at = end,
            }
        }
    }

    /// What is torn in a chunk costs the rest of that; elsewhere it is the end.
    fn torn(&mut self, limit: u64) -> Result<Next, CaptureError> {
        self.at = limit;
        Ok(Next::Torn)
    }
}

/// Where a chunk's records are; `None` where its head is not whole.
fn chunk_records(file: &MappedFile, start: u64, end: u64, given: u64) -> Result<Option<Span>, CaptureError> {
    let Some(fields) = read::<32>(file, start, end, given)? else { return Ok(None) };
    let name_bytes = u64::from(u32_at(&fields, 28));
    if name_bytes > 0 {
        let mut name = vec![0; name_bytes.min(COMPRESSION_BYTES_MAX).min(end - start - 32) as usize];
        file.copy(start + 32, &mut name, given)?;
        return Err(refused(file, McapError::Compressed(String::from_utf8_lossy(&name).into_owned())));
    }
    let size = read::<8>(file, start + 32, end, given)?;
    Ok(size.map(|size| Span { at: start + CHUNK_BYTES, bytes: u64::from_le_bytes(size) }))
}

/// Bytes of the file, where there are so many before `limit`.
fn read<const N: usize>(file: &MappedFile, at: u64, limit: u64, given: u64) -> Result<Option<[u8; N]>, CaptureError> {
    let is_there = at.checked_add(N as u64).is_some_and(|end| end <= limit);
    let mut bytes = [0; N];
    if is_there {
        file.copy(at, &mut bytes, given)?;
    }
    Ok(is_there.then_some(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

pub(super) fn refused(file: &MappedFile, source: McapError) -> CaptureError {
    CaptureError::Mcap { name: file.name().to_owned(), source }
}

/// A channel, with the name of its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) topic: String,
    pub(super) schema: String,
    pub(super) encoding: String,
    pub(super) metadata: BTreeMap<String, String>,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    schemas: HashMap<u16, String>,
    pub(super) channels: BTreeMap<u16, Channel>,
    /// Messages of each channel.
    pub(super) counts: BTreeMap<u16, u64>,
    /// Whether the recorder had not come to the end of the file, or not all of it is here.
    pub(super) is_torn: bool,
    /// A channel was found before its schema, or without: a summary may repeat the one and not the other.
    lacks_schema: bool,
}

impl Contents {
    /// Reads the summary or, where there is none, goes through the whole file.
    pub(super) fn read(file: &MappedFile) -> Result<Self, CaptureError> {
        if read::<8>(file, 0, file.len(), 0)?.is_none_or(|magic| magic != mcap::MAGIC) {
            return Err(refused(file, McapError::Magic));
        }
        if let Some(at) = summary_start(file)? {
            let mut contents = Self::default();
            let mut cursor = Cursor { at, chunk: None };
            let statistics = contents.take_all(file, &mut cursor)?;
            if let Some(statistics) =
                statistics.filter(|_| !contents.is_torn && !contents.lacks_schema && !contents.channels.is_empty())
            {
                contents.counts = statistics.channel_message_counts;
                return Ok(contents);
            }
        }
        let mut contents = Self::default();
        contents.take_all(file, &mut Cursor::first())?;
        Ok(contents)
    }

    fn take_all(&mut self, file: &MappedFile, cursor: &mut Cursor) -> Result<Option<Statistics>, CaptureError> {
        let mut statistics = None;
        loop {
            match cursor.next(file, 0)? {
                Next::Message(message) => *self.counts.entry(message.channel_id).or_default() += 1,
                Next::Other(Record::Statistics(found)) => statistics = Some(found),
                Next::Other(Record::ChunkIndex(index)) if !index.compression.is_empty() => {
                    return Err(refused(file, McapError::Compressed(index.compression)));
                }
                Next::Other(record) => self.take(record),
                Next::Torn => self.is_torn = true,
                Next::End => return Ok(statistics),
            }
        }
    }

    fn take(&mut self, record: Record<'static>) {
        match record {
            Record::Schema { header, .. } => {
                self.schemas.insert(header.id, header.name);
            }
            Record::Channel(channel) => {
                // 0 stands for none.
                self.lacks_schema |= channel.schema_id != 0 && !self.schemas.contains_key(&channel.schema_id);
                let schema = self.schemas.get(&channel.schema_id).cloned().unwrap_or_default();
                let mcap::records::Channel { topic, message_encoding: encoding, metadata, .. } = channel;
                self.channels.entry(channel.id).or_insert(Channel { topic, schema, encoding, metadata });
            }
            _ => {}
        }
    }
}

/// Where the summary begins, by a footer that is there.
fn summary_start(file: &MappedFile) -> Result<Option<u64>, CaptureError> {
    let Some(at) = file.len().checked_sub(FOOTER_BYTES) else { return Ok(None) };
    let Some(footer) = read::<{ FOOTER_BYTES as usize }>(file, at, file.len(), 0)? else { return Ok(None) };
    let is_footer = footer[0] == op::FOOTER && u64_at(&footer, 1) == 20 && footer.ends_with(mcap::MAGIC);
    let start = u64_at(&footer, HEAD_BYTES as usize);
    Ok(Some(start).filter(|start| is_footer && (1..at).contains(start)))
}
