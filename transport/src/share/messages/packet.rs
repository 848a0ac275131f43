//! Messages as bytes, and back.

use super::{ClosedCounts, Described, FromHub, MAGIC, MessageError, Name, PACKET_MAX, Refusal, ToHub, VERSION, Wanted};
use crate::frame::{PoolShape, SLOTS_MAX};
use crate::share::layout::OFFERS_MAX;
use crate::share::lease::Overflow;
use crate::wire::Open;

/// What a packet is.
mod kind {
    pub(super) const LIST: u8 = 1;
    pub(super) const SUBSCRIBE: u8 = 2;
    pub(super) const ENTER: u8 = 3;
    pub(super) const MAPPED: u8 = 4;
    pub(super) const TOLD: u8 = 5;
    pub(super) const CLOSE: u8 = 6;
    pub(super) const LEAVE: u8 = 7;
    pub(super) const STREAM: u8 = 129;
    pub(super) const LISTED: u8 = 130;
    pub(super) const GONE: u8 = 131;
    pub(super) const SUBSCRIBED: u8 = 132;
    pub(super) const REFUSED: u8 = 133;
    pub(super) const PREPARING: u8 = 134;
    pub(super) const ENTERED: u8 = 135;
    pub(super) const CLOSED: u8 = 136;
    pub(super) const ADMITTED: u8 = 137;
}

/// A packet as it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    bytes: [u8; PACKET_MAX],
    len: usize,
}

impl Packet {
    fn new(kind: u8) -> Self {
        let mut packet = Self { bytes: [0; PACKET_MAX], len: 0 };
        packet.put(&MAGIC);
        packet.put(&[VERSION, kind]);
        packet
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, bytes: &[u8]) {
        // Names are bounded, so that the longest message fits.
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    fn name(&mut self, name: Name<'_>) {
        // At most 256.
        self.put(&(name.0.len() as u16).to_be_bytes());
        self.put(name.0.as_bytes());
    }

    fn wanted(&mut self, wanted: Wanted) {
        self.put(&[u8::from(wanted.overflow == Overflow::Wait), wanted.words, wanted.hold]);
    }

    fn shape(&mut self, shape: &PoolShape) {
        for value in [shape.slots, shape.slot_bytes, shape.stride, shape.tail_bytes] {
            self.u64(value as u64);
        }
    }

    fn described(&mut self, stream: &Described<'_>) {
        self.put(&stream.open.emit());
        self.put(&[stream.path]);
        self.put(&stream.readers.to_be_bytes());
        self.name(stream.name);
    }
}

impl From<&ToHub<'_>> for Packet {
    fn from(message: &ToHub<'_>) -> Self {
        match message {
            ToHub::List { watch } => {
                let mut packet = Self::new(kind::LIST);
                packet.put(&[u8::from(*watch)]);
                packet
            }
            ToHub::Subscribe { wanted, stream, program } => {
                let mut packet = Self::new(kind::SUBSCRIBE);
                packet.wanted(*wanted);
                packet.name(*stream);
                packet.name(*program);
                packet
            }
            ToHub::Enter { open, nonce, network } => {
                let mut packet = Self::new(kind::ENTER);
                packet.put(&open.emit());
                packet.u64(*nonce);
                packet.u64(*network);
                packet
            }
            ToHub::Mapped => Self::new(kind::MAPPED),
            ToHub::Told => Self::new(kind::TOLD),
            ToHub::Close => Self::new(kind::CLOSE),
            ToHub::Leave => Self::new(kind::LEAVE),
        }
    }
}

impl From<&FromHub<'_>> for Packet {
    fn from(message: &FromHub<'_>) -> Self {
        match message {
            FromHub::Stream(stream) => {
                let mut packet = Self::new(kind::STREAM);
                packet.described(stream);
                packet
            }
            FromHub::Listed { streams } => {
                let mut packet = Self::new(kind::LISTED);
                packet.put(&streams.to_be_bytes());
                packet
            }
            FromHub::Gone { name } => {
                let mut packet = Self::new(kind::GONE);
                packet.name(*name);
                packet
            }
            FromHub::Subscribed { stream, shape, wanted, now_ns } => {
                let mut packet = Self::new(kind::SUBSCRIBED);
                packet.wanted(*wanted);
                packet.u64(*now_ns);
                packet.shape(shape);
                packet.described(stream);
                packet
            }
            FromHub::Refused { refusal, number, limit } => {
                let mut packet = Self::new(kind::REFUSED);
                packet.put(&[*refusal as u8]);
                packet.u64(*number);
                packet.u64(*limit);
                packet
            }
            FromHub::Admitted => Self::new(kind::ADMITTED),
            FromHub::Preparing => Self::new(kind::PREPARING),
            FromHub::Entered { shape, clock_id, now_ns } => {
                let mut packet = Self::new(kind::ENTERED);
                packet.shape(shape);
                packet.u64(*clock_id);
                packet.u64(*now_ns);
                packet
            }
            FromHub::Closed(counts) => {
                let mut packet = Self::new(kind::CLOSED);
                packet.u64(counts.delivered);
                packet.u64(counts.skipped);
                packet.u64(counts.settled);
                packet
            }
        }
    }
}

/// What is left of a packet that is being read.
struct Rest<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Rest<'a> {
    /// Of a packet of this version, with its kind. A refusal lies alike in every version, and is read in any: `is_any_version` says so.
    fn begin(bytes: &'a [u8]) -> Result<(u8, Self), MessageError> {
        let mut rest = Self { bytes, len: bytes.len() };
        if rest.array()? != MAGIC {
            return Err(MessageError::Magic);
        }
        let [version, kind] = rest.array()?;
        if version != VERSION && kind != kind::REFUSED {
            return Err(MessageError::Version(version));
        }
        Ok((kind, rest))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(MessageError::Short(self.len))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        self.take(N)?.try_into().map_err(|_| MessageError::Short(self.len))
    }

    fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_be_bytes)
    }

    fn size(&mut self) -> Result<usize, MessageError> {
        usize::try_from(self.u64()?).map_err(|_| MessageError::Value("size"))
    }

    fn name(&mut self) -> Result<Name<'a>, MessageError> {
        let len = u16::from_be_bytes(self.array()?);
        let text = std::str::from_utf8(self.take(len.into())?).ok();
        text.and_then(Name::new).ok_or(MessageError::Value("name"))
    }

    fn wanted(&mut self) -> Result<Wanted, MessageError> {
        let [overflow, words, hold] = self.array()?;
        let overflow = match overflow {
            0 => Overflow::Replace,
            1 => Overflow::Wait,
            _ => return Err(MessageError::Value("policy")),
        };
        if !(1..=OFFERS_MAX).contains(&words.into()) {
            return Err(MessageError::Value("queue"));
        }
        if !(1..=SLOTS_MAX - 2).contains(&hold.into()) {
            return Err(MessageError::Value("hold"));
        }
        Ok(Wanted { overflow, words, hold })
    }

    fn shape(&mut self) -> Result<PoolShape, MessageError> {
        let (slots, slot_bytes) = (self.size()?, self.size()?);
        let shape = PoolShape { slots, slot_bytes, stride: self.size()?, tail_bytes: self.size()? };
        if shape.can_be() { Ok(shape) } else { Err(MessageError::Value("pool")) }
    }

    fn open(&mut self) -> Result<Open, MessageError> {
        let open = Open::parse(self.take(Open::LEN)?).map_err(|_| MessageError::Value("open"))?;
        let is_sound = open.format().is_ok() && open.presentation().is_ok() && open.delivery().is_ok();
        if is_sound { Ok(open) } else { Err(MessageError::Value("open")) }
    }

    fn described(&mut self) -> Result<Described<'a>, MessageError> {
        let open = self.open()?;
        let [path] = self.array()?;
        let readers = u16::from_be_bytes(self.array()?);
        Ok(Described { name: self.name()?, open, path, readers })
    }
}

impl<'a> ToHub<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, mut rest) = Rest::begin(bytes)?;
        Ok(match kind {
            kind::LIST => match rest.array()? {
                [watch @ 0..=1] => Self::List { watch: watch == 1 },
                _ => return Err(MessageError::Value("watch")),
            },
            kind::SUBSCRIBE => Self::Subscribe { wanted: rest.wanted()?, stream: rest.name()?, program: rest.name()? },
            kind::ENTER => Self::Enter { open: rest.open()?, nonce: rest.u64()?, network: rest.u64()? },
            kind::MAPPED => Self::Mapped,
            kind::TOLD => Self::Told,
            kind::CLOSE => Self::Close,
            kind::LEAVE => Self::Leave,
            kind => return Err(MessageError::Kind(kind)),
        })
    }
}

impl<'a> FromHub<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, mut rest) = Rest::begin(bytes)?;
        Ok(match kind {
            kind::STREAM => Self::Stream(rest.described()?),
            kind::LISTED => Self::Listed { streams: u32::from_be_bytes(rest.array()?) },
            kind::GONE => Self::Gone { name: rest.name()? },
            kind::SUBSCRIBED => {
                let (wanted, now_ns, shape) = (rest.wanted()?, rest.u64()?, rest.shape()?);
                let stream = rest.described()?;
                Self::Subscribed { stream, shape, wanted, now_ns }
            }
            kind::REFUSED => {
                let [refusal] = rest.array()?;
                let refusal = Refusal::ALL.into_iter().find(|known| *known as u8 == refusal);
                let refusal = refusal.ok_or(MessageError::Value("refusal"))?;
                Self::Refused { refusal, number: rest.u64()?, limit: rest.u64()? }
            }
            kind::PREPARING => Self::Preparing,
            kind::ENTERED => Self::Entered { shape: rest.shape()?, clock_id: rest.u64()?, now_ns: rest.u64()? },
            kind::CLOSED => {
                Self::Closed(ClosedCounts { delivered: rest.u64()?, skipped: rest.u64()?, settled: rest.u64()? })
            }
            kind::ADMITTED => Self::Admitted,
            kind => return Err(MessageError::Kind(kind)),
        })
    }
}

/// Reads bytes as a hub and as a program at one would; where they are a message, it is written again, and must be the same bytes. Returns
/// whether they are one. For fuzzers.
#[doc(hidden)]
pub fn reread(bytes: &[u8]) -> bool {
    let again = ToHub::parse(bytes).map(|message| Packet::from(&message));
    let again = again.or_else(|_| FromHub::parse(bytes).map(|message| Packet::from(&message)));
    let Ok(packet) = again else { return false };
    // A refusal may be of another version.
    let (written, read) = (&packet.bytes()[3..], &bytes[3..]);
    assert!(read.starts_with(written), "a message is written otherwise than it was read");
    true
}
