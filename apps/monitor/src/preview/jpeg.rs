//! Pictures as JPEG.

use framewire_pictures::Picture;

/// Text in a picture stays readable; beyond, pictures grow faster than they get better.
const QUALITY: u8 = 70;
/// None is longer, of noise neither; those who fetch pictures count on it.
pub(crate) const JPEG_BYTES_MAX: usize = 8 << 20;

/// The picture as a JPEG file of at most [`JPEG_BYTES_MAX`].
///
/// # Errors
/// What the encoder says, or that the file is longer.
pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, String> {
    let jpeg = picture.to_jpeg(QUALITY).map_err(|error| error.to_string())?;
    match jpeg.len() {
        0..=JPEG_BYTES_MAX => Ok(jpeg),
        bytes => Err(format!("a picture of {bytes} bytes; at most {JPEG_BYTES_MAX} are shown")),
    }
}

#[cfg(test)]
mod tests {
    use framewire_pictures::Look;
    use framewire_transport::PixelFormat;
    use framewire_transport::frame::FrameFormat;

    use super::*;
    use crate::preview::picture::FULL_WIDTH_MAX;

    #[test]
    fn the_largest_picture_of_noise_is_no_longer_than_those_who_fetch_it_take() {
        let format = FrameFormat::new(PixelFormat::Bgr24, FULL_WIDTH_MAX, FULL_WIDTH_MAX).unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut black_or_white = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random >> 63 == 0 { 0 } else { 255 }
        };
        let frame: Vec<u8> = (0..format.frame_bytes()).map(|_| black_or_white()).collect();
        let mut picture = Picture::new();
        assert!(picture.take(&frame, &format, FULL_WIDTH_MAX, Look { limits: None, is_full_range: true }));
        let jpeg = encode(&picture).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]) && jpeg.len() > 1 << 20);
    }
}
