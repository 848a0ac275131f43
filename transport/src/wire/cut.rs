//! How frames are cut into slices.

use std::ops::Range;

use super::{DATAGRAM_MAX, Flags, SLICE_BYTES_MIN, SLICE_HEADER_LEN, TAG_LEN, slice_count, train_slices};

/// How the frames of one epoch are cut: what of a slice is head, what is payload, and which bytes of the frame these are.
///
/// A slice is a head, the fields of a [`super::SliceHeader`] and room for a tag where the epoch has tags, and behind it the
/// payload. All payloads of a frame are equally long but the last, which has the rest. Frames of an epoch may differ in length: its
/// cut is that of the longest that there may be, and [`Cut::of`] that of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    frame_bytes: u32,
    head_bytes: u16,
    payload_bytes: u16,
}

impl Cut {
    /// Frames of `frame_bytes` in slices of `slice_bytes`, head included, without tags. What no slice can have, less than
    /// [`SLICE_BYTES_MIN`] or more than [`DATAGRAM_MAX`], is taken as the nearest.
    pub const fn new(frame_bytes: u32, slice_bytes: usize) -> Self {
        Self::with_head(frame_bytes, slice_bytes, SLICE_HEADER_LEN)
    }

    /// The same with room for a tag of [`TAG_LEN`] bytes in each head.
    pub const fn with_tags(frame_bytes: u32, slice_bytes: usize) -> Self {
        Self::with_head(frame_bytes, slice_bytes, SLICE_HEADER_LEN + TAG_LEN)
    }

    /// The same frames in slices of the same size, with room for a tag in each head.
    pub const fn tagged(self) -> Self {
        Self::with_head(self.frame_bytes, self.slice_bytes(), SLICE_HEADER_LEN + TAG_LEN)
    }

    const fn with_head(frame_bytes: u32, slice_bytes: usize, head_bytes: usize) -> Self {
        let slice_bytes = match slice_bytes {
            ..SLICE_BYTES_MIN => SLICE_BYTES_MIN,
            DATAGRAM_MAX.. => DATAGRAM_MAX,
            _ => slice_bytes,
        };
        // A datagram's length fits 16 bits.
        Self { frame_bytes, head_bytes: head_bytes as u16, payload_bytes: (slice_bytes - head_bytes) as u16 }
    }

    /// The same for a frame of so many bytes.
    #[inline]
    pub const fn of(self, frame_bytes: u32) -> Self {
        Self { frame_bytes, ..self }
    }

    /// The same frames in slices of another size.
    pub const fn resized(self, slice_bytes: usize) -> Self {
        Self::with_head(self.frame_bytes, slice_bytes, self.head_bytes())
    }

    /// Bytes of a frame, what follows its pixels included; of an epoch's frames at most.
    pub const fn frame_bytes(&self) -> u32 {
        self.frame_bytes
    }

    /// Bytes in front of a payload.
    pub const fn head_bytes(&self) -> usize {
        self.head_bytes as usize
    }

    /// Bytes of a head that are a tag's.
    pub const fn tag_bytes(&self) -> usize {
        self.head_bytes() - SLICE_HEADER_LEN
    }

    /// The flags of every slice and parity slice.
    pub(crate) const fn flags(&self) -> u16 {
        if self.tag_bytes() > 0 { Flags::TAGGED } else { 0 }
    }

    /// Payload bytes of every slice of a frame but the last.
    pub const fn payload_bytes(&self) -> u16 {
        self.payload_bytes
    }

    /// Bytes of the largest slice, head included.
    pub const fn slice_bytes(&self) -> usize {
        self.head_bytes() + self.payload_bytes as usize
    }

    /// Slices of a frame.
    pub const fn slices(&self) -> u32 {
        slice_count(self.frame_bytes, self.payload_bytes)
    }

    /// Slices of a frame at most, were they as small as they may be.
    pub const fn slices_max(&self) -> usize {
        self.resized(SLICE_BYTES_MIN).slices() as usize
    }

    /// Slices of a whole train; 1 where they are too large for trains.
    pub const fn train(&self) -> usize {
        train_slices(self.slice_bytes())
    }

    /// Bytes of the largest slice that such frames can use: that of a whole frame, or of a datagram; no less than at present.
    pub const fn largest_slice(&self) -> usize {
        let whole = self.head_bytes() + self.frame_bytes as usize;
        let largest = if whole < DATAGRAM_MAX { whole } else { DATAGRAM_MAX };
        if largest < self.slice_bytes() { self.slice_bytes() } else { largest }
    }

    /// The bytes of the frame that `count` slices from `first` on carry; none behind its end.
    pub fn bytes_of(&self, first: u32, count: u32) -> Range<usize> {
        self.bytes_within(self.frame_bytes as usize, first, count)
    }

    /// The same of `len` bytes other than a frame's that are cut as it is: its parity.
    pub fn bytes_within(&self, len: usize, first: u32, count: u32) -> Range<usize> {
        let at = |slice: u32| (slice as usize).saturating_mul(self.payload_bytes.into()).min(len);
        at(first)..at(first.saturating_add(count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_have_every_byte_of_a_frame_once_and_fit_their_datagrams(
            frame_bytes in 1..=400_000_u32,
            slice_bytes in 0..=70_000_usize,
            has_tags: bool,
        ) {
            let cut = if has_tags { Cut::with_tags(frame_bytes, slice_bytes) } else { Cut::new(frame_bytes, slice_bytes) };
            prop_assert_eq!(cut.slice_bytes(), slice_bytes.clamp(SLICE_BYTES_MIN, DATAGRAM_MAX));
            prop_assert_eq!(cut.head_bytes(), SLICE_HEADER_LEN + cut.tag_bytes());
            prop_assert_eq!(cut.tag_bytes(), if has_tags { TAG_LEN } else { 0 });
            let mut end = 0;
            for slice in 0..cut.slices() {
                let bytes = cut.bytes_of(slice, 1);
                prop_assert_eq!(bytes.start, end);
                prop_assert!(!bytes.is_empty() && cut.head_bytes() + bytes.len() <= cut.slice_bytes());
                end = bytes.end;
            }
            prop_assert_eq!(end, frame_bytes as usize);
            prop_assert_eq!(cut.bytes_of(0, u32::MAX), 0..end);
            prop_assert!(cut.bytes_of(cut.slices(), 1).is_empty());
            prop_assert!(cut.slices() as usize <= cut.slices_max());
            let larger = cut.resized(cut.largest_slice());
            prop_assert!(larger.slices() <= cut.slices() && larger.tag_bytes() == cut.tag_bytes());
        }
    }

    #[test]
    fn a_train_is_as_many_slices_as_one_datagram_holds() {
        assert_eq!(Cut::new(2_073_600, 1_472).train(), 44);
        assert_eq!(Cut::new(2_073_600, DATAGRAM_MAX).train(), 1);
    }
}
