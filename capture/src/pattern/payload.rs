//! Frames of `bytes`: no picture, but a number and bytes that follow from it.

/// The frame's number and its check, as in the strip.
const HEAD_BYTES: usize = 12;
/// How many lengths there are, one after the other.
const LENGTHS: u64 = 16;
/// The values after the number repeat after as many as this, a prime: whatever is cut out or moved shows.
const PERIOD: usize = 251;
const RUN: usize = 16 * PERIOD;

static COUNT: [u8; RUN + PERIOD] = {
    let mut bytes = [0; RUN + PERIOD];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = (i % PERIOD) as u8;
        i += 1;
    }
    bytes
};

/// How long frame `number` is, of `max` bytes at most: all of them, or down to about half in sixteen steps.
pub(super) fn length(max: usize, number: u64) -> usize {
    if max < 2 * HEAD_BYTES { max } else { max - (number % LENGTHS) as usize * (max / (2 * LENGTHS as usize)) }
}

/// Covers every byte.
pub(super) fn draw(bytes: &mut [u8], number: u64) {
    let head = super::strip::with_check(number).to_be_bytes();
    let phase = (number % PERIOD as u64) as usize;
    for run in bytes.chunks_mut(RUN) {
        run.copy_from_slice(&COUNT[phase..phase + run.len()]);
    }
    if let Some(start) = bytes.first_chunk_mut::<HEAD_BYTES>() {
        start.copy_from_slice(&head[16 - HEAD_BYTES..]);
    }
}

/// The number that stands in it.
pub(super) fn read(bytes: &[u8]) -> Option<u64> {
    let mut head = [0; 16];
    head[16 - HEAD_BYTES..].copy_from_slice(bytes.first_chunk::<HEAD_BYTES>()?);
    super::strip::checked(u128::from_be_bytes(head))
}
