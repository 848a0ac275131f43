//! The frame's number as black and white blocks, laid out as the [module above](super) says.

use framewire_transport::frame::FrameFormat;

use super::paint::is_bright;
use super::{BLACK, Canvas, WHITE};

const BITS: u32 = 96;
const BLOCK_SIDE_MAX: u32 = 16;
/// Makes the check of frame 0 other than 0, so that a black picture is no frame.
const CHECK_SEED: u64 = 0x4652_414d_4557_4952;
const CHECK_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the blocks are.
struct Strip {
    columns: u32,
    side: u32,
}

impl Strip {
    fn new(width: u32, height: u32) -> Option<Self> {
        let columns = if width >= 32 { 32 } else { 16 };
        let rows = BITS / columns;
        let side = (width / columns).min((height / (rows * 4)).max(1)).min(BLOCK_SIDE_MAX);
        (side > 0 && height >= rows).then_some(Self { columns, side })
    }

    /// Left and top of a block, counted from the most significant bit.
    fn corner(&self, block: u32) -> (u32, u32) {
        (block % self.columns * self.side, block / self.columns * self.side)
    }
}

/// The number and its check: 96 bits.
pub(super) fn with_check(number: u64) -> u128 {
    let check = (number ^ CHECK_SEED).wrapping_mul(CHECK_FACTOR) >> 32;
    u128::from(number) << 32 | u128::from(check)
}

/// The number that these bits are, where the check is right.
pub(super) fn checked(bits: u128) -> Option<u64> {
    let number = (bits >> 32) as u64;
    (with_check(number) == bits).then_some(number)
}

/// Draws the strip, where it fits, and returns how many rows of pixels it takes.
pub(super) fn draw(canvas: &mut Canvas<'_>, number: u64) -> u32 {
    let (width, height) = canvas.size();
    let Some(strip) = Strip::new(width, height) else { return 0 };
    let bits = with_check(number);
    for block in 0..BITS {
        let (x, y) = strip.corner(block);
        let white = bits >> (BITS - 1 - block) & 1 == 1;
        canvas.fill(x, y, strip.side, strip.side, if white { WHITE } else { BLACK });
    }
    BITS / strip.columns * strip.side
}

/// The number in the strip of a frame that is whole.
pub(super) fn read(bytes: &[u8], format: &FrameFormat) -> Option<u64> {
    let strip = Strip::new(format.width(), format.height())?;
    let bits = (0..BITS)
        .fold(0_u128, |bits, block| bits << 1 | u128::from(is_bright(bytes, format, strip.corner(block), strip.side)));
    checked(bits)
}
