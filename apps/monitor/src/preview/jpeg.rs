//! Pictures as JPEG.

use framewire_pictures::{Layout, Picture};
use jpeg_encoder::{ColorType, Encoder};

/// Text in a picture stays readable; beyond, pictures grow faster than they get better.
const QUALITY: u8 = 70;

/// The picture as a JPEG file.
///
/// # Errors
/// What the encoder says.
pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, jpeg_encoder::EncodingError> {
    let layout = match picture.layout() {
        Layout::Gray => ColorType::Luma,
        Layout::Rgb => ColorType::Rgb,
        Layout::Ycbcr => ColorType::Ycbcr,
    };
    let mut jpeg = Vec::with_capacity(picture.pixels().len() / 4);
    // No side is longer than those of a full picture.
    let [width, height] = [picture.width(), picture.height()].map(|side| u16::try_from(side).unwrap_or(u16::MAX));
    Encoder::new(&mut jpeg, QUALITY).encode(picture.pixels(), width, height, layout)?;
    Ok(jpeg)
}
