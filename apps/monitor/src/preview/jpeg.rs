//! Pictures as JPEG.

use jpeg_encoder::{ColorType, Encoder};

use super::scale::{Layout, Scaled};

/// Text in a picture stays readable; beyond, pictures grow faster than they get better.
const QUALITY: u8 = 70;

/// The picture as a JPEG file.
///
/// # Errors
/// What the encoder says.
pub(super) fn encode(picture: &Scaled) -> Result<Vec<u8>, jpeg_encoder::EncodingError> {
    let layout = match picture.layout {
        Layout::Gray => ColorType::Luma,
        Layout::Bgr => ColorType::Bgr,
        Layout::Ycbcr => ColorType::Ycbcr,
    };
    let mut jpeg = Vec::with_capacity(picture.pixels.len() / 4);
    Encoder::new(&mut jpeg, QUALITY).encode(&picture.pixels, picture.width, picture.height, layout)?;
    Ok(jpeg)
}
