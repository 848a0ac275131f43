//! Frames of which every page says which frame it is of, so that one torn page in a thousand frames is seen.

use framewire_transport::frame::{Frame, FrameFormat, PixelFormat};

const PAGE: usize = 4096;

/// Eight pages of gray, and a bit of one more.
pub(crate) fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 256, 129).expect("a format")
}

fn stamp(number: u64, page: usize) -> [u8; 8] {
    // Of what two frames or two pages have in common, nothing is left (splitmix64).
    let mut value = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (page as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ value >> 31).to_le_bytes()
}

/// Writes the number, and each page's stamp at both of its ends.
pub(crate) fn write(pixels: &mut [u8], number: u64) {
    for (page, bytes) in pixels.chunks_mut(PAGE).enumerate() {
        let stamp = stamp(number, page);
        let len = bytes.len();
        bytes[len - 8..].copy_from_slice(&stamp);
        bytes[..8].copy_from_slice(&stamp);
    }
    pixels[8..16].copy_from_slice(&number.to_le_bytes());
}

/// The number that the frame's pixels say, if each of its pages says the same.
pub(crate) fn read(frame: &Frame) -> Option<u64> {
    let number = u64::from_le_bytes(frame.get(8..16)?.try_into().ok()?);
    let is_whole = frame.chunks(PAGE).enumerate().all(|(page, bytes)| {
        let stamp = stamp(number, page);
        bytes.starts_with(&stamp) && bytes.ends_with(&stamp)
    });
    is_whole.then_some(number)
}
