//! An image as the middleware has it, into the slot of a frame: the one copy on this side.

use std::cell::RefCell;
use std::convert::Infallible;

use framewire_capture::ros::{HEAD_BYTES_MAX, ImageHead, swap};
use framewire_ends::Slot;
use framewire_transport::FrameFormat;
use rustdds::RepresentationIdentifier;
use rustdds::no_key::{Decode, DeserializerAdapter};

/// Why an image is in no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No pixel format is called as its pixels are.
    Encoding(String),
    /// Its size, its rows and its bytes do not go together.
    Size(String),
    /// It is no such message.
    Unreadable(String),
}

/// What an image came to.
#[derive(Debug)]
pub(super) enum Taken {
    /// Its pixels are in the slot that was there for them.
    Filled(ImageHead<'static>),
    /// It is the first of its format: its pixels, until there is a slot.
    Other(ImageHead<'static>, FrameFormat, Vec<u8>),
    /// It is of the stream's format, and no slot was free.
    NoSlot,
    Refused(Refusal),
}

/// Takes images by a [`Filling`].
pub(super) struct Images;

impl DeserializerAdapter<Taken> for Images {
    type Error = Infallible;
    type Decoded = Taken;

    fn supported_encodings() -> &'static [RepresentationIdentifier] {
        &[RepresentationIdentifier::CDR_LE, RepresentationIdentifier::CDR_BE]
    }

    fn transform_decoded(taken: Taken) -> Taken {
        taken
    }
}

/// Where the next image goes. The middleware can take in nothing while it is read: nothing is waited for here.
#[derive(Clone, Copy)]
pub(super) struct Filling<'a> {
    /// The stream's format, once it has begun.
    pub(super) format: Option<FrameFormat>,
    pub(super) slot: &'a RefCell<Option<Slot>>,
}

impl<'de> Decode<'de, Taken> for Filling<'_> {
    type Error = Infallible;

    fn decode_bytes(self, message: &'de [u8], encoding: RepresentationIdentifier) -> Result<Taken, Infallible> {
        let taken = self.take(message, encoding == RepresentationIdentifier::CDR_BE);
        Ok(taken.unwrap_or_else(Taken::Refused))
    }
}

impl Filling<'_> {
    fn take(&self, message: &[u8], is_big: bool) -> Result<Taken, Refusal> {
        // A name may be said to be as long as the message.
        let before_pixels = &message[..message.len().min(HEAD_BYTES_MAX)];
        let (head, at) = ImageHead::parse_behind(before_pixels, is_big).map_err(Refusal::Unreadable)?;
        let format = format(&head)?;
        let bytes = head.bytes as usize;
        let pixels = message.get(at..).and_then(|behind| behind.get(..bytes)).ok_or_else(|| {
            let has = message.len().saturating_sub(at);
            Refusal::Unreadable(format!("it says that it has {bytes} bytes of pixels, and has {has}"))
        })?;
        if self.format != Some(format) {
            let mut pixels = pixels.to_vec();
            turn(&head, &format, &mut pixels);
            return Ok(Taken::Other(head.into_owned(), format, pixels));
        }
        let mut slot = self.slot.borrow_mut();
        let Some(slot) = slot.as_mut() else { return Ok(Taken::NoSlot) };
        // Slots hold frames of the stream's format.
        if slot.set_len(bytes).is_err() {
            return Ok(Taken::NoSlot);
        }
        slot.copy_from_slice(pixels);
        turn(&head, &format, slot);
        Ok(Taken::Filled(head.into_owned()))
    }
}

/// The format of an image whose size, rows and bytes go together.
fn format(head: &ImageHead<'_>) -> Result<FrameFormat, Refusal> {
    let format = head.format().ok_or_else(|| Refusal::Encoding(head.encoding.chars().take(40).collect()))?;
    let ImageHead { width, height, step, encoding, bytes, .. } = head;
    let said = || format!("it is {width}x{height} {encoding} in rows of {step} bytes");
    let format = format.map_err(|error| Refusal::Size(format!("{}: {error}", said())))?;
    match format.frame_bytes() == *bytes as usize {
        true => Ok(format),
        false => Err(Refusal::Size(format!("{}, which is {} bytes, and has {bytes}", said(), format.frame_bytes()))),
    }
}

fn turn(head: &ImageHead<'_>, format: &FrameFormat, pixels: &mut [u8]) {
    if head.is_bigendian {
        swap(pixels, format.pixel());
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::PixelFormat;

    use super::*;

    fn head(encoding: &str, width: u32, height: u32, step: u32, bytes: u32) -> ImageHead<'static> {
        let encoding = encoding.to_owned().into();
        ImageHead { utc_ns: 7, frame_id: "cam".into(), width, height, encoding, is_bigendian: false, step, bytes }
    }

    fn taken(head: &ImageHead<'_>, pixels: &[u8]) -> Result<Taken, Refusal> {
        let mut message = Vec::new();
        head.write(&mut message);
        message.extend_from_slice(pixels);
        Filling { format: None, slot: &RefCell::new(None) }.take(&message, false)
    }

    #[test]
    fn an_image_of_a_format_is_one_and_its_samples_are_little_endian_whatever_they_were() {
        let mut head = head("mono16", 2, 2, 6, 12);
        let pixels: Vec<u8> = (0..12).collect();
        let of = |head: &ImageHead<'_>| match taken(head, &pixels) {
            Ok(Taken::Other(_, format, pixels)) => (format, pixels),
            other => panic!("{other:?}"),
        };
        let format = FrameFormat::with_stride(PixelFormat::Gray16, 2, 2, 6).unwrap();
        assert_eq!(of(&head), (format, pixels.clone()));
        head.is_bigendian = true;
        assert_eq!(of(&head), (format, vec![1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]));
    }

    #[test]
    fn what_is_no_image_is_refused_by_what_is_wrong_with_it() {
        let encoding = taken(&head("32FC3", 2, 2, 24, 48), &[0; 48]).unwrap_err();
        assert_eq!(encoding, Refusal::Encoding("32FC3".into()));
        for (wrong, pixels, why) in [
            (head("mono8", 4, 4, 3, 12), 12, "rows of 3 bytes"),
            (head("mono8", 4, 4, 4, 15), 15, "16 bytes, and has 15"),
            (head("mono8", 4, 4, 4, 17), 17, "16 bytes, and has 17"),
            (head("mono16", 4, 4, 9, 36), 36, "rows of 9 bytes"),
            (head("rgb8", 0, 4, 0, 0), 0, "0x4"),
            (head("rgb8", u32::MAX, u32::MAX, u32::MAX, 12), 12, "4294967295x4294967295"),
        ] {
            let refusal = taken(&wrong, &vec![0; pixels]).unwrap_err();
            assert!(matches!(&refusal, Refusal::Size(said) if said.contains(why)), "{wrong:?}: {refusal:?}");
        }
        let short = taken(&head("mono8", 4, 4, 4, 16), &[0; 9]).unwrap_err();
        assert_eq!(short, Refusal::Unreadable("it says that it has 16 bytes of pixels, and has 9".into()));
        let filling = Filling { format: None, slot: &RefCell::new(None) };
        for message in [&[][..], &[1, 2, 3], &[255; 64]] {
            assert!(matches!(filling.take(message, true), Err(Refusal::Unreadable(_))));
        }
    }

    #[test]
    fn whatever_the_bytes_are_an_image_is_as_its_format_says_or_refused() {
        let mut message = Vec::new();
        let head = head("mono16", 4, 2, 8, 16);
        head.write(&mut message);
        message.extend_from_slice(&[7; 16]);
        let filling = Filling { format: None, slot: &RefCell::new(None) };
        let mut refused = 0;
        for (at, value) in (0..head.len()).flat_map(|at| (0..=255).map(move |value| (at, value))) {
            for (bytes, is_big) in [(message.len(), false), (message.len(), true), (at, false)] {
                let mut wrong = message[..bytes].to_vec();
                if let Some(byte) = wrong.get_mut(at) {
                    *byte = value;
                }
                match filling.take(&wrong, is_big) {
                    Ok(Taken::Other(_, format, pixels)) => assert_eq!(format.frame_bytes(), pixels.len()),
                    Ok(other) => panic!("{other:?} without a format"),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 256 * head.len(), "those that are cut, at least: {refused}");
    }

    #[test]
    fn a_name_as_long_as_an_image_is_none() {
        let mut long = head("mono8", 4, 2, 4, 8);
        long.frame_id = "a".repeat(HEAD_BYTES_MAX).into();
        let refusal = taken(&long, &[0; 8]).unwrap_err();
        assert!(matches!(&refusal, Refusal::Unreadable(why) if why.contains("4097 bytes")), "{refusal:?}");
    }

    #[test]
    fn without_a_slot_an_image_of_the_streams_format_is_let_go() {
        let head = head("mono8", 4, 2, 4, 8);
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 2).unwrap();
        let mut message = Vec::new();
        head.write(&mut message);
        message.extend_from_slice(&[0; 8]);
        let filling = Filling { format: Some(format), slot: &RefCell::new(None) };
        assert!(matches!(filling.take(&message, false), Ok(Taken::NoSlot)));
    }
}
