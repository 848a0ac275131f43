//! How the numbers of an array are pictures.

use std::fmt::Write;

use framewire_transport::frame::{FrameFormat, PixelFormat};

use super::error::NpyError;
use super::header::shown;
use crate::samples::Sample;

/// Reads the type of a number as the header has it, such as `<u2`.
pub(super) fn parse_sample(descr: &[u8]) -> Result<Sample, NpyError> {
    match descr {
        // The order of one byte is none, whatever is said of it.
        b"|u1" | b"<u1" | b">u1" | b"=u1" | b"u1" => Ok(Sample::Uint8),
        b"<u2" => Ok(Sample::Uint16),
        b"<f4" => Ok(Sample::Float32),
        b">u2" | b">f4" => Err(NpyError::BigEndian(shown(descr))),
        b"O" | [b'|' | b'<' | b'>' | b'=', b'O', ..] => Err(NpyError::Pickled(shown(descr))),
        _ => Err(NpyError::Type { descr: shown(descr), name: name_of(descr) }),
    }
}

/// What NumPy calls a type that no pixel format has.
fn name_of(descr: &[u8]) -> Option<&'static str> {
    let names = [
        (&b"b1"[..], "bool"),
        (b"i1", "int8"),
        (b"i2", "int16"),
        (b"i4", "int32"),
        (b"i8", "int64"),
        (b"u4", "uint32"),
        (b"u8", "uint64"),
        (b"f2", "float16"),
        (b"f8", "float64"),
        (b"f16", "longdouble"),
        (b"c8", "complex64"),
        (b"c16", "complex128"),
    ];
    let code = descr.strip_prefix(b"<").or(descr.strip_prefix(b">")).or(descr.strip_prefix(b"|")).unwrap_or(descr);
    names.into_iter().find(|(of, _)| *of == code).map(|(_, name)| name)
}

/// An array as pictures one after the other, without a byte between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrangement {
    pub(super) format: FrameFormat,
    /// How many pictures; their bytes together are no more than a `u64` holds.
    pub(super) frames: u64,
}

impl Arrangement {
    /// Takes HxW, HxWxC, NxHxW and NxHxWxC, where a pixel has C numbers: 1, 3 or 4. Of three, the last is C where it is 1, 3 or 4, and W
    /// where not, and where a format of one sample a pixel is wanted.
    pub(super) fn new(shape: &[u64], sample: Sample, wanted: Option<PixelFormat>) -> Result<Self, NpyError> {
        let refused = |reason| NpyError::Shape { shape: as_tuple(shape), reason };
        let is_single = |pixel| sample.may_be(1, pixel);
        let (frames, height, width, channels) = match *shape {
            [height, width] => (1, height, width, 1),
            [height, width, 1] => (1, height, width, 1),
            [height, width, channels @ (3 | 4)] if !wanted.is_some_and(is_single) => (1, height, width, channels),
            [frames, height, width] => (frames, height, width, 1),
            [frames, height, width, channels] => (frames, height, width, channels),
            _ => {
                return Err(refused(
                    "pictures have 2 to 4 dimensions: HxW, HxWxC, NxHxW or NxHxWxC; save array.reshape(...)",
                ));
            }
        };
        if shape.contains(&0) {
            return Err(refused("there is nothing in it; save an array with pictures"));
        }
        let bytes = shape.iter().try_fold(u64::from(sample.bytes()), |bytes, length| bytes.checked_mul(*length));
        bytes.ok_or_else(|| refused("its bytes are more than 64 bits count; the file is damaged: write it again"))?;
        let channels = u32::try_from(channels).unwrap_or(u32::MAX);
        if !matches!(channels, 1 | 3 | 4) {
            return Err(refused("a pixel has 1, 3 or 4 numbers; save the planes as pictures, NxHxW"));
        }
        let has = sample.pixel(channels);
        let has = has.ok_or_else(|| NpyError::Channels { shape: as_tuple(shape), sample: sample.name(), channels })?;
        let pixel = wanted.unwrap_or(has);
        if !sample.may_be(channels, pixel) {
            let may = sample.names(channels);
            return Err(NpyError::Pixel { shape: as_tuple(shape), sample: sample.name(), has, wanted: pixel, may });
        }
        let side = |length| u32::try_from(length).map_err(|_| refused("a side has more pixels than 32 bits count"));
        let format = FrameFormat::new(pixel, side(width)?, side(height)?)?;
        Ok(Self { format, frames })
    }
}

/// A shape as Python writes it, its first numbers where there are many.
pub(super) fn as_tuple(shape: &[u64]) -> String {
    const SHOWN: usize = 8;
    let mut text = "(".to_owned();
    for (at, length) in shape.iter().take(SHOWN).enumerate() {
        // Writing into a text cannot fail.
        let _ = write!(text, "{}{length}", if at == 0 { "" } else { ", " });
    }
    text.push_str(match shape.len() {
        1 => ",)",
        0..=SHOWN => ")",
        _ => ", ...)",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: &[u64], descr: &str, wanted: Option<PixelFormat>) -> Result<(u64, String), NpyError> {
        let taken = Arrangement::new(shape, parse_sample(descr.as_bytes())?, wanted)?;
        Ok((taken.frames, taken.format.to_string()))
    }

    fn said(shape: &[u64], descr: &str, wanted: Option<PixelFormat>) -> String {
        of(shape, descr, wanted).unwrap_err().to_string()
    }

    #[test]
    fn every_shape_of_pictures_is_taken_for_what_it_is() {
        let taken = |shape: &[u64], descr| of(shape, descr, None).unwrap();
        let is = |frames: u64, text: &str| (frames, text.to_owned());
        assert_eq!(taken(&[48, 64], "|u1"), is(1, "64x48 gray8"));
        assert_eq!(taken(&[48, 64, 1], "|u1"), is(1, "64x48 gray8"));
        assert_eq!(taken(&[48, 64, 3], "|u1"), is(1, "64x48 rgb24"));
        assert_eq!(taken(&[48, 64, 4], "|u1"), is(1, "64x48 rgba32"));
        assert_eq!(taken(&[9, 48, 64], "|u1"), is(9, "64x48 gray8"));
        assert_eq!(taken(&[3, 48, 64], "<u2"), is(3, "64x48 gray16"));
        assert_eq!(taken(&[48, 2], "<f4"), is(1, "2x48 depth32f"));
        assert_eq!(taken(&[9, 48, 64, 3], "|u1"), is(9, "64x48 rgb24"));
        assert_eq!(taken(&[9, 48, 3, 1], "<u2"), is(9, "3x48 gray16"));
    }

    #[test]
    fn a_wanted_format_says_what_the_numbers_are_and_which_of_two_shapes() {
        let taken = |shape: &[u64], descr, wanted| of(shape, descr, Some(wanted)).unwrap();
        let is = |frames: u64, text: &str| (frames, text.to_owned());
        assert_eq!(taken(&[48, 64, 3], "|u1", PixelFormat::Bgr24), is(1, "64x48 bgr24"));
        assert_eq!(taken(&[48, 64, 3], "|u1", PixelFormat::Gray8), is(48, "3x64 gray8"));
        assert_eq!(taken(&[48, 64, 4], "<u2", PixelFormat::Depth16), is(48, "4x64 depth16"));
        assert_eq!(taken(&[48, 64], "|u1", PixelFormat::BayerRggb8), is(1, "64x48 bayer_rggb8"));
        assert_eq!(taken(&[2, 48, 64], "<u2", PixelFormat::BayerGbrg12), is(2, "64x48 bayer_gbrg12"));
        assert_eq!(taken(&[2, 48, 64, 4], "|u1", PixelFormat::Bgra32), is(2, "64x48 bgra32"));
        let refused = said(&[48, 64, 3], "|u1", Some(PixelFormat::Yuv444p));
        assert!(refused.contains("(48, 64, 3) of uint8, which is rgb24, and --pixel asks for yuv444p"), "{refused}");
        assert!(refused.ends_with("it may be one of rgb24, bgr24"), "{refused}");
        let refused = said(&[48, 64], "<u2", Some(PixelFormat::Gray8));
        assert!(refused.contains("gray10, gray12, gray16, ") && !refused.contains("gray8,"), "{refused}");
    }

    #[test]
    fn what_is_no_picture_is_refused_with_its_shape_and_type() {
        assert!(
            said(&[48, 64, 3], "<u2", None)
                .contains("is (48, 64, 3) of uint16, and there is no pixel format of 3 such samples")
        );
        assert!(said(&[2, 48, 64, 4], "<f4", None).contains("of float32, and there is no pixel format of 4"));
        assert!(said(&[2, 48, 64, 2], "|u1", None).contains("(2, 48, 64, 2): a pixel has 1, 3 or 4 numbers"));
        assert!(said(&[], "|u1", None).contains("is (): pictures have 2 to 4 dimensions"));
        assert!(said(&[7], "|u1", None).contains("is (7,): pictures have"));
        assert!(said(&[1; 12], "|u1", None).contains("is (1, 1, 1, 1, 1, 1, 1, 1, ...): pictures have"));
        assert!(said(&[48, 0], "|u1", None).contains("(48, 0): there is nothing in it"));
        assert!(said(&[1 << 32, 1 << 31, 2], "|u1", None).contains("more than 64 bits count"));
        assert!(said(&[1, 1 << 33], "|u1", None).contains("more pixels than 32 bits count"));
        for (descr, reason) in [
            (">u2", "(>u2) are big-endian"),
            (">f4", "(>f4) are big-endian"),
            ("|O", "pickled objects (|O)"),
            ("<i2", "'<i2' (int16)"),
            ("<f8", "'<f8' (float64)"),
            ("<f2", "'<f2' (float16)"),
            ("|b1", "'|b1' (bool)"),
            ("<U7", "'<U7', and frames have"),
            ("", "''"),
        ] {
            assert!(said(&[4, 4], descr, None).contains(reason), "{descr}: {}", said(&[4, 4], descr, None));
        }
    }
}
