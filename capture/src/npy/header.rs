//! The header of an array's file: version, length, literal.

use super::arrangement::{Arrangement, parse_sample};
use super::error::NpyError;
use super::literal::Literal;
use framewire_transport::frame::PixelFormat;

/// What such a file begins with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes before the literal, at most: what begins it, the version and the literal's length.
pub(super) const PREFIX_BYTES_MAX: usize = 12;

/// The literal of pictures has about a hundred bytes; NumPy itself reads no more than 10,000 unasked.
const LITERAL_BYTES_MAX: u64 = 65_535;

/// Where the literal lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) bytes: usize,
}

impl Extent {
    /// Reads the file's first bytes, of which `window` has [`PREFIX_BYTES_MAX`] or all that there are.
    pub(super) fn parse(window: &[u8]) -> Result<Self, NpyError> {
        if !window.starts_with(MAGIC) {
            return Err(if MAGIC.starts_with(window) {
                NpyError::HeaderTruncated(window.len() as u64)
            } else {
                NpyError::Magic(shown(window))
            });
        }
        let truncated = NpyError::HeaderTruncated(window.len() as u64);
        let (start, bytes) = match window[MAGIC.len()..] {
            [1, 0, low, high, ..] => (10, u64::from(u16::from_le_bytes([low, high]))),
            [2 | 3, 0, a, b, c, d, ..] => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
            [] | [_] | [1..=3, 0, ..] => return Err(truncated),
            [major, minor, ..] => return Err(NpyError::Version(major, minor)),
        };
        if bytes > LITERAL_BYTES_MAX {
            return Err(NpyError::HeaderLong { bytes, max: LITERAL_BYTES_MAX });
        }
        Ok(Self { start, bytes: bytes as usize })
    }
}

/// What the literal says, as pictures.
pub(super) fn arrangement(literal: &[u8], wanted: Option<PixelFormat>) -> Result<Arrangement, NpyError> {
    let literal = Literal::parse(literal)?;
    let sample = parse_sample(literal.descr)?;
    if literal.fortran_order {
        return Err(NpyError::Fortran);
    }
    Arrangement::new(&literal.shape, sample, wanted)
}

/// Bytes of a file as a message shows them.
pub(super) fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(24).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_versions_say_where_their_literal_lies_and_others_are_refused() {
        assert_eq!(Extent::parse(b"\x93NUMPY\x01\0\x76\0{'"), Ok(Extent { start: 10, bytes: 0x76 }));
        for version in [2, 3] {
            let window = [MAGIC, &[version, 0, 0x74, 1, 0, 0]].concat();
            assert_eq!(Extent::parse(&window), Ok(Extent { start: 12, bytes: 0x174 }));
            for cut in 0..window.len() {
                assert_eq!(Extent::parse(&window[..cut]), Err(NpyError::HeaderTruncated(cut as u64)));
            }
        }
        assert_eq!(Extent::parse(b"\x93NUMPY\x01\x01\x76\0{'"), Err(NpyError::Version(1, 1)));
        assert_eq!(Extent::parse(b"\x93NUMPY\x04\0\x76\0{'"), Err(NpyError::Version(4, 0)));
        let long = Extent::parse(b"\x93NUMPY\x02\0\xff\xff\xff\xff").unwrap_err();
        assert!(long.to_string().contains("has 4294967295 bytes"), "{long}");
        let other = Extent::parse(b"PK\x03\x04 archive").unwrap_err().to_string();
        assert!(other.contains(r"begins with 'PK\x03\x04 archive'") && other.contains(".npz is an archive"), "{other}");
    }

    proptest! {
        #[test]
        fn headers_of_any_bytes_are_read_or_refused(
            rest in proptest::collection::vec(any::<u8>(), 0..12), literal in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Extent::parse(&[MAGIC, &rest].concat());
            let _ = arrangement(&literal, None);
        }

        #[test]
        fn a_shape_of_any_numbers_is_pictures_that_fit_in_memory_or_refused(
            shape in proptest::collection::vec(prop_oneof![0_u64..5, 0_u64..5_000, any::<u64>()], 0..6),
            descr in prop::sample::select(vec!["|u1", "<u2", "<f4"]),
            wanted in prop::sample::select([vec![None], PixelFormat::ALL.iter().copied().map(Some).collect()].concat()),
        ) {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {}}}", super::super::arrangement::as_tuple(&shape));
            if let Ok(taken) = arrangement(text.as_bytes(), wanted) {
                let element = descr[2..].parse::<u64>().unwrap();
                prop_assert_eq!(Some(taken.frames * taken.format.frame_bytes() as u64), shape.iter().try_fold(element, |all, n| all.checked_mul(*n)));
                prop_assert!(wanted.is_none_or(|wanted| wanted == taken.format.pixel()));
            }
        }
    }
}
