//! Frames as pictures for people: gray, or red, green, blue, of eight bits a value, rows packed.

use framewire_pictures::{Layout, Limits, Look, Picture, is_ranged};
use framewire_transport::frame::{ColourRange, FrameFormat};

use crate::error::SinkError;
use crate::holds::cannot_hold;

/// Makes pictures of a stream's frames, one after the other. Grays, Bayer and depths of more than 8 bits are shown by what is in them,
/// as the page shows them: black and white follow slowly, so that they do not flicker.
pub(crate) struct Shown {
    kind: &'static str,
    format: FrameFormat,
    is_full_range: bool,
    /// What was black and white in the last picture.
    limits: Option<Limits>,
    picture: Picture,
}

impl Shown {
    /// Of frames of `format`, for a sink that messages call `kind`.
    pub(crate) fn new(kind: &'static str, format: &FrameFormat, range: ColourRange) -> Self {
        Self { kind, format: *format, is_full_range: range == ColourRange::Full, limits: None, picture: Picture::new() }
    }

    /// The picture in `frame`, which has the size of the format: its bytes, and whether they are gray.
    ///
    /// # Errors
    /// A frame that no picture can be made of.
    pub(crate) fn of(&mut self, frame: &[u8]) -> Result<(&[u8], bool), SinkError> {
        if is_ranged(self.format.pixel()) {
            let measured = Limits::measured(frame, &self.format);
            self.limits = Some(self.limits.map_or(measured, |before| before.followed_by(measured)));
        }
        let look = Look { limits: self.limits, is_full_range: self.is_full_range };
        if !self.picture.take(frame, &self.format, u32::MAX, look) {
            return Err(cannot_hold(self.kind, &self.format));
        }
        self.picture.to_rgb();
        Ok((self.picture.pixels(), self.picture.layout() == Layout::Gray))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewire_transport::frame::PixelFormat;

    /// How light its second half is in a picture whose first half is black.
    fn light(shown: &mut Shown, value: u16) -> u8 {
        let values = (0..64).map(|nth| if nth < 32 { 1_000 } else { value });
        let frame: Vec<u8> = values.flat_map(u16::to_le_bytes).collect();
        let (pixels, is_gray) = shown.of(&frame).unwrap();
        assert!(is_gray && pixels.len() == 64 && pixels[0] == 0);
        pixels[63]
    }

    #[test]
    fn white_follows_what_is_in_the_frames_slowly_and_another_scene_at_once() {
        let format = FrameFormat::new(PixelFormat::Gray16, 8, 8).unwrap();
        let mut shown = Shown::new("PNG", &format, ColourRange::Unknown);
        assert_eq!(light(&mut shown, 2_000), 255);
        // White is 1975 now.
        assert_eq!(light(&mut shown, 1_900), 235);
        assert_eq!(light(&mut shown, 60_000), 255);
    }
}
