//! Every datagram of the protocol, in the order of `PROTOCOL.md`.

use std::ops::Range;
use std::time::Duration;

use super::datagram::{WireError, datagram};
use super::{Cut, DATAGRAM_MAX, Delivery, FRAME_NUMBER_END, Flags, ParityLayout, SLICE_BYTES_MIN};
use crate::frame::{
    ChromaPlace, ColourRange, FrameFormat, FrameRate, PixelFormat, Presentation, SampleAspect, Scan, TAIL_MAX, Tail,
};
use crate::utc::UtcOffset;

/// In a time field: nothing has been heard yet that could be echoed.
pub const TIME_UNKNOWN: u64 = u64::MAX;

datagram! {
    /// The fields in front of a slice's payload: the part of a frame that one datagram carries.
    SliceHeader = Slice {
        /// [`super::Flags`].
        flags: u16,
        /// What of the frame follows its pixels: [`Tail`].
        tail: u16,
        /// Counts every slice sent in this epoch, repairs included, from 0.
        sequence: u64,
        /// The frame's number in the stream; it goes on over epochs.
        frame: u64,
        /// When the picture was taken, nanoseconds on the sender's monotonic clock.
        captured_ns: u64,
        /// Bytes of the whole frame, what follows its pixels included.
        frame_bytes: u32,
        /// Which slice of the frame this is, from 0.
        index: u32,
        /// From `captured_ns` to the sending of the frame's first slice in this epoch, microseconds; 2^32 - 1 where it was longer.
        sent_after_us: u32,
    }
}
impl SliceHeader {
    /// Reads the header and checks that its fields agree with each other, with how the epoch's frames are cut, and with the
    /// datagram's length, so that offset and length of the payload follow from them without a further check.
    ///
    /// # Errors
    /// As [`SliceHeader::parse`], or a field that contradicts another.
    #[inline]
    pub fn parse_checked(header: &[u8], datagram_len: usize, cut: &Cut) -> Result<Self, WireError> {
        let slice = Self::parse(header)?;
        check_tag(slice.flags, cut)?;
        check_frame(slice.frame, slice.frame_bytes, slice.tail, cut)?;
        // An index that is not below the count, found without a division.
        if u64::from(slice.index) * u64::from(cut.payload_bytes()) >= u64::from(slice.frame_bytes) {
            return Err(WireError::Value("index"));
        }
        if datagram_len != cut.head_bytes() + slice.payload(cut).len() {
            return Err(WireError::Value("length"));
        }
        Ok(slice)
    }

    /// The bytes of the frame that are its payload; none where it lies behind the frame, which [`SliceHeader::parse_checked`] refuses.
    #[inline]
    pub fn payload(&self, cut: &Cut) -> Range<usize> {
        cut.of(self.frame_bytes).bytes_of(self.index, 1)
    }
}

/// A head has room for a tag where those of its epoch have.
#[inline]
fn check_tag(flags: u16, cut: &Cut) -> Result<(), WireError> {
    if flags & Flags::TAGGED == cut.flags() { Ok(()) } else { Err(WireError::Flags(flags)) }
}

/// What the head of a slice says of its frame.
#[inline]
fn check_frame(frame: u64, frame_bytes: u32, tail: u16, cut: &Cut) -> Result<(), WireError> {
    if frame >= FRAME_NUMBER_END {
        return Err(WireError::Value("frame"));
    }
    if frame_bytes > cut.frame_bytes() {
        return Err(WireError::Value("frame_bytes"));
    }
    let tail = Tail::from_wire(tail).ok_or(WireError::Value("tail"))?;
    // At least one byte is before it.
    if tail.bytes() >= frame_bytes as usize { Err(WireError::Value("tail")) } else { Ok(()) }
}

datagram! {
    /// The fields in front of a parity slice, which restores any one slice that its block of the frame lacks.
    ParityHeader = Parity {
        /// [`super::Flags`].
        flags: u16,
        /// What of the frame follows its pixels: [`Tail`].
        tail: u16,
        /// Counts it among the slices of this epoch.
        sequence: u64,
        /// The frame's number in the stream.
        frame: u64,
        /// When the picture was taken, nanoseconds on the sender's monotonic clock.
        captured_ns: u64,
        /// Bytes of the whole frame, what follows its pixels included.
        frame_bytes: u32,
        /// Which parity slice of the frame this is, from 0; it belongs to block `index` modulo `blocks`.
        index: u32,
        /// How many blocks the frame's slices are in, dealt out in turn.
        blocks: u16,
        /// Parity slices of each block.
        parities: u8,
        /// The byte of parity behind the payload where that is of odd length; else zero.
        odd: u8,
    }
}

impl ParityHeader {
    /// Reads the header and checks that its fields agree with each other, with how the epoch's frames are cut, and with the
    /// datagram's length. A payload is as long as that of every slice of a frame but its last.
    ///
    /// # Errors
    /// As [`ParityHeader::parse`], or a field that contradicts another.
    pub fn parse_checked(header: &[u8], datagram_len: usize, cut: &Cut) -> Result<Self, WireError> {
        let parity = Self::parse(header)?;
        check_tag(parity.flags, cut)?;
        check_frame(parity.frame, parity.frame_bytes, parity.tail, cut)?;
        if parity.blocks == 0 || u32::from(parity.blocks) > cut.of(parity.frame_bytes).slices() || parity.parities == 0
        {
            return Err(WireError::Value("blocks"));
        }
        let layout = parity.layout(cut);
        if !layout.fits_a_block() {
            return Err(WireError::Value("parities"));
        }
        if parity.index >= layout.count() {
            return Err(WireError::Value("index"));
        }
        if datagram_len != cut.slice_bytes() {
            return Err(WireError::Value("length"));
        }
        Ok(parity)
    }

    /// How the frame's slices are dealt out to blocks.
    pub const fn layout(&self, cut: &Cut) -> ParityLayout {
        ParityLayout { slices: cut.of(self.frame_bytes).slices(), blocks: self.blocks, parities: self.parities }
    }
}

// Both have their payload behind as many bytes, so that a datagram of either lands alike.
const _: () = assert!(ParityHeader::LEN == SliceHeader::LEN);

datagram! {
    /// Receiver to sender: what it has, how much more may be sent, and an echo of the sender's clock.
    Feedback = Feedback {
        /// [`super::Flags`].
        flags: u16,
        /// Bytes of the longest [`Ping`] that came since the last answer: what the path has carried. 0 where none came.
        path_bytes: u16,
        /// Counts feedback of this epoch, so that one that was overtaken is ignored.
        report: u64,
        /// Every frame below this number is settled: complete, or given up.
        settled: u64,
        /// Frames below this number may be sent.
        frame_limit: u64,
        /// One more than the highest slice sequence seen.
        sequence_seen: u64,
        /// Slices below this sequence may be sent.
        sequence_limit: u64,
        /// Frames complete so far, over all epochs.
        delivered: u64,
        /// Slices and parity slices of this epoch that have arrived, each time one did.
        arrived: u64,
        /// When this was sent, nanoseconds on the receiver's clock.
        receiver_ns: u64,
        /// The time in the newest [`Ping`], or [`TIME_UNKNOWN`].
        echo_ns: u64,
        /// How long the receiver has held that time, nanoseconds.
        echo_held_ns: u64,
    }
}

datagram! {
    /// Receiver to sender: slices of a frame that are missing. A bitmap follows: bit `i` (most significant first) is set
    /// where slice `first + i` is missing.
    Nack = Nack {
        /// [`super::Flags`].
        flags: u16,
        /// Bytes of bitmap that follow; 0 where the whole frame is missing.
        bitmap_bytes: u16,
        /// The frame.
        frame: u64,
        /// The slice that the first bit speaks of.
        first: u32,
    }
}

/// Bytes of bitmap one [`Nack`] carries at most: with it the datagram fits the smallest path, sealed as well.
pub const NACK_BITMAP_MAX: usize = 496;

impl Nack {
    /// The bitmap behind the fields of the datagram `bytes`.
    ///
    /// # Errors
    /// Longer than [`NACK_BITMAP_MAX`] or than the datagram.
    pub fn bitmap<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], WireError> {
        let len = usize::from(self.bitmap_bytes);
        if len > NACK_BITMAP_MAX {
            return Err(WireError::Value("bitmap_bytes"));
        }
        bytes.get(Self::LEN..Self::LEN + len).ok_or(WireError::Short { len: bytes.len(), need: Self::LEN + len })
    }
}

datagram! {
    /// Sender to receiver: what has been sent so far, and both clocks. Asks for a [`Feedback`]. May be as long as a slice, to
    /// see whether the path carries that; what is behind the fields is ignored.
    Ping = Ping {
        /// [`super::Flags`].
        flags: u16,
        /// Bytes of this datagram, with what is behind the fields: a receiver that cuts it off still knows how long it was.
        length: u16,
        /// When this was sent, nanoseconds on the sender's clock.
        sender_ns: u64,
        /// Every slice below this sequence has been sent.
        sequence: u64,
        /// Every frame below this number has been sent whole, or never will be.
        frame: u64,
        /// The time in the newest [`Feedback`], or [`TIME_UNKNOWN`].
        echo_ns: u64,
        /// How long the sender has held that time, nanoseconds.
        echo_held_ns: u64,
        /// Frames that the sender has dropped so far before it had sent them whole.
        skipped: u64,
        /// Of the skipped ones, how many because the receiver granted no credit.
        no_credit: u64,
        /// What the sender's wall clock showed at `sender_ns`, nanoseconds since the beginning of 1970, or [`TIME_UNKNOWN`].
        utc_ns: u64,
        /// By how much that may be wrong, microseconds; 2^32 - 1 where nothing is known of it.
        utc_error_us: u32,
    }
}

impl Ping {
    /// What the sender's wall clock shows.
    pub fn utc(&self) -> Option<UtcOffset> {
        utc(self.sender_ns, self.utc_ns, self.utc_error_us)
    }

    /// Reads the fields and checks them.
    ///
    /// # Errors
    /// As [`Ping::parse`], or a number of frames that cannot be.
    pub fn parse_checked(bytes: &[u8]) -> Result<Self, WireError> {
        let ping = Self::parse(bytes)?;
        if ping.frame >= FRAME_NUMBER_END {
            return Err(WireError::Value("frame"));
        }
        check_skipped(FRAME_NUMBER_END, ping.skipped, ping.no_credit)?;
        Ok(ping)
    }
}

/// Of so many frames at most, `skipped` were dropped by their sender, and `no_credit` of these for want of credit.
fn check_skipped(frames: u64, skipped: u64, no_credit: u64) -> Result<(), WireError> {
    if skipped > frames || no_credit > skipped { Err(WireError::Value("skipped")) } else { Ok(()) }
}

datagram! {
    /// Sender to receiver: opens a stream, or a new epoch of it. Longer than any answer, so that a forged one amplifies
    /// nothing. May be as long as a slice, to see whether the path carries that; what is behind the fields is ignored.
    Open = Open {
        /// [`super::Flags`].
        flags: u16,
        /// The largest slice the sender will send, header included, bytes.
        slice_bytes: u16,
        /// What a [`Challenge`] said, or 0.
        cookie: u64,
        /// The frame from which the receiver has to account for the stream; no lower one will be sent in this epoch.
        first_frame: u64,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes from row to row in the first plane.
        stride: u32,
        /// Bytes of every frame's pixels; where frames differ, of the longest's.
        frame_bytes: u32,
        /// The rate at which the pictures are to be shown, as a fraction: its numerator; 0 where there is none.
        rate_num: u32,
        /// Its denominator.
        rate_den: u32,
        /// Width of a pixel to its height: its numerator; 0 where the source does not say.
        aspect_num: u32,
        /// Its denominator.
        aspect_den: u32,
        /// [`crate::frame::Scan`].
        scan: u8,
        /// [`crate::frame::ChromaPlace`].
        chroma: u8,
        /// [`crate::frame::ColourRange`].
        range: u8,
        /// 1 where frames are sent at the rate, 0 where they come as they come, whatever that says.
        paced: u8,
        /// In `latest`, microseconds after its newest slice for which a frame is repaired; 0 where that is the interval.
        deadline_us: u32,
        /// [`PixelFormat`].
        pixel: u16,
        /// Bytes that follow the pixels of a frame at most.
        tail_max: u16,
        /// The most parity slices that a frame will have; 0 where none will be sent.
        parity_max: u16,
        /// [`Delivery`].
        delivery: u8,
        /// Zero.
        reserved: u8,
        /// Equal at both ends where they read the same clock.
        clock_id: u64,
        /// When this was sent, nanoseconds on the sender's clock.
        sender_ns: u64,
        /// Of the frames below `first_frame`, how many the sender had dropped before it had sent a slice of them.
        skipped: u64,
        /// Of these, how many because a receiver granted no credit.
        no_credit: u64,
        /// What the sender's wall clock showed at `sender_ns`, nanoseconds since the beginning of 1970, or [`TIME_UNKNOWN`].
        utc_ns: u64,
        /// By how much that may be wrong, microseconds; 2^32 - 1 where nothing is known of it.
        utc_error_us: u32,
    }
}

/// The microseconds of an error of which nothing is known.
const ERROR_UNKNOWN: u32 = u32::MAX;

/// What a sender said of its wall clock.
fn utc(sender_ns: u64, utc_ns: u64, utc_error_us: u32) -> Option<UtcOffset> {
    let error = (utc_error_us != ERROR_UNKNOWN).then(|| Duration::from_micros(utc_error_us.into()));
    (utc_ns != TIME_UNKNOWN).then(|| UtcOffset::from_nanos(sender_ns, utc_ns, error))
}

/// The same as fields of a datagram: the time, and its error.
pub(crate) fn utc_fields(utc: Option<UtcOffset>, sender_ns: u64) -> (u64, u32) {
    let error = utc.and_then(|utc| utc.error).map(|error| u32::try_from(error.as_micros()).unwrap_or(ERROR_UNKNOWN));
    (utc.map_or(TIME_UNKNOWN, |utc| utc.nanos_at(sender_ns)), error.unwrap_or(ERROR_UNKNOWN))
}

impl Open {
    /// The frame format, checked: `frame_bytes` and the slice size agree with it.
    ///
    /// # Errors
    /// A field that cannot be.
    pub fn format(&self) -> Result<FrameFormat, WireError> {
        let pixel = PixelFormat::from_wire(self.pixel).ok_or(WireError::Value("pixel"))?;
        let format = FrameFormat::with_stride(pixel, self.width, self.height, self.stride)
            .map_err(|_| WireError::Value("width, height or stride"))?;
        if format.frame_bytes() != self.frame_bytes as usize {
            return Err(WireError::Value("frame_bytes"));
        }
        if !(SLICE_BYTES_MIN..=DATAGRAM_MAX).contains(&usize::from(self.slice_bytes)) {
            return Err(WireError::Value("slice_bytes"));
        }
        if usize::from(self.tail_max) > TAIL_MAX || self.frame_bytes.checked_add(self.tail_max.into()).is_none() {
            return Err(WireError::Value("tail_max"));
        }
        if self.first_frame >= FRAME_NUMBER_END {
            return Err(WireError::Value("first_frame"));
        }
        Ok(format)
    }

    /// What the source says of its pictures.
    ///
    /// # Errors
    /// A number that stands for nothing, a fraction with a zero below.
    pub fn presentation(&self) -> Result<Presentation, WireError> {
        let rate = match self.rate_num {
            0 => None,
            num => Some(FrameRate::new(num, self.rate_den).map_err(|_| WireError::Value("rate_den"))?),
        };
        let aspect = match self.aspect_num {
            0 => None,
            num => Some(SampleAspect::new(num, self.aspect_den).ok_or(WireError::Value("aspect_den"))?),
        };
        Ok(Presentation {
            rate,
            scan: Scan::from_wire(self.scan).ok_or(WireError::Value("scan"))?,
            aspect,
            chroma: ChromaPlace::from_wire(self.chroma).ok_or(WireError::Value("chroma"))?,
            range: ColourRange::from_wire(self.range).ok_or(WireError::Value("range"))?,
        })
    }

    /// The time between frames, zero where they come as they come.
    pub fn interval(&self) -> Duration {
        let rate = (self.paced == 1).then(|| FrameRate::new(self.rate_num, self.rate_den).ok()).flatten();
        rate.map_or(Duration::ZERO, FrameRate::interval)
    }

    /// How the frames of its epoch are cut.
    pub const fn cut(&self) -> Cut {
        // `Open::format` has refused what does not fit.
        Cut::new(self.frame_bytes.saturating_add(self.tail_max as u32), self.slice_bytes as usize)
    }

    /// What the sender's wall clock shows.
    pub fn utc(&self) -> Option<UtcOffset> {
        utc(self.sender_ns, self.utc_ns, self.utc_error_us)
    }

    /// The delivery mode.
    ///
    /// # Errors
    /// A number that is none.
    pub fn delivery(&self) -> Result<Delivery, WireError> {
        Delivery::from_wire(self.delivery).ok_or(WireError::Value("delivery"))
    }
}

datagram! {
    /// Receiver to sender: open again with this cookie, to show that the address is yours. Makes no state.
    Challenge = Challenge {
        /// [`super::Flags`].
        flags: u16,
        /// Bytes of the [`Open`] that this answers: what the path has carried.
        path_bytes: u16,
        /// To be repeated in [`Open`].
        cookie: u64,
    }
}

datagram! {
    /// Receiver to sender: the stream is open; its first credit.
    Accept = Accept {
        /// [`super::Flags`].
        flags: u16,
        /// Bytes of the longest [`Open`] that this answers: what the path has carried.
        path_bytes: u16,
        /// Frames below this number may be sent.
        frame_limit: u64,
        /// Slices below this sequence may be sent.
        sequence_limit: u64,
        /// When this was sent, nanoseconds on the receiver's clock.
        receiver_ns: u64,
        /// The time in the [`Open`] that this answers.
        echo_ns: u64,
        /// Frames of this stream complete so far: 0 from a receiver that has not had it before.
        delivered: u64,
        /// The receiver's socket buffer, as the system grants it, bytes.
        buffer_bytes: u32,
        /// Slots the receiver has for this stream.
        slots: u32,
    }
}

datagram! {
    /// Receiver to sender: the stream is not opened.
    Refuse = Refuse {
        /// [`super::Flags`].
        flags: u16,
        /// [`RefuseReason`].
        reason: u16,
        /// The limit that was hit, where the reason has one.
        limit: u64,
    }
}

/// Why a receiver does not open a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum RefuseReason {
    /// The stream was not announced to this receiver.
    Unknown = 1,
    /// As many streams as the receiver allows are open; the limit is their number.
    TooManyStreams = 2,
    /// The memory for the stream's frames is more than one stream may have; the limit is in bytes.
    FrameTooLarge = 3,
    /// The format cannot be, or is not the one the stream was announced or opened with.
    Format = 4,
    /// The receiver could not get memory or a socket for the stream; the limit is that of its open files, where that was the
    /// reason, else 0.
    Resources = 5,
    /// The receiver speaks another version of the protocol; the limit is that version.
    Version = 6,
    /// The memory for the stream's frames is more than what is left of what all streams may have; the limit is in bytes.
    Memory = 7,
    /// The receiver takes this stream protected alone, and the sender has no key.
    NeedsKey = 8,
    /// The receiver has keys, and none is the sender's.
    WrongKey = 9,
    /// The sender has a key, and the receiver has none.
    NoKeys = 10,
    /// The sender offers no cipher that the receiver has.
    NoSuite = 11,
}

impl RefuseReason {
    /// The reason with this number on the wire.
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Unknown),
            2 => Some(Self::TooManyStreams),
            3 => Some(Self::FrameTooLarge),
            4 => Some(Self::Format),
            5 => Some(Self::Resources),
            6 => Some(Self::Version),
            7 => Some(Self::Memory),
            8 => Some(Self::NeedsKey),
            9 => Some(Self::WrongKey),
            10 => Some(Self::NoKeys),
            11 => Some(Self::NoSuite),
            _ => None,
        }
    }

    /// Whether the same stream may be opened later, without anything being changed at this end: others have the room for now, or
    /// the stream has not been announced yet. A sender goes on asking.
    pub const fn is_for_now(self) -> bool {
        matches!(self, Self::Unknown | Self::TooManyStreams | Self::Resources | Self::Memory)
    }
}

datagram! {
    /// Sender to receiver: no frame follows. Repeated until [`Closed`] comes.
    Close = Close {
        /// [`super::Flags`].
        flags: u16,
        /// Zero.
        reserved: u16,
        /// Frame numbers below this were given out.
        frames: u64,
        /// Of these, how many the sender dropped before it sent them.
        skipped: u64,
        /// Of the skipped ones, how many because the receiver granted no credit.
        no_credit: u64,
    }
}

impl Close {
    /// Reads the fields and checks them.
    ///
    /// # Errors
    /// As [`Close::parse`], or a number of frames that cannot be.
    pub fn parse_checked(bytes: &[u8]) -> Result<Self, WireError> {
        let close = Self::parse(bytes)?;
        if close.frames >= FRAME_NUMBER_END {
            return Err(WireError::Value("frames"));
        }
        check_skipped(close.frames, close.skipped, close.no_credit)?;
        Ok(close)
    }
}

datagram! {
    /// Receiver to sender: the stream is closed, and what became of its frames.
    Closed = Closed {
        /// [`super::Flags`].
        flags: u16,
        /// Zero.
        reserved: u16,
        /// Frames complete and handed on.
        delivered: u64,
        /// Frames whose slices were lost, so that they never became complete.
        incomplete: u64,
        /// Frames for which no slot was free.
        no_slot: u64,
    }
}
