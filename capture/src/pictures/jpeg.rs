//! The markers of a JPEG: its size without decoding it, and whether its end is there, which the decoder does not mind.

use std::io::{self, BufRead, Seek};

use super::error::PictureFileError;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// What a frame header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) bits: u8,
    pub(super) height: u16,
    pub(super) width: u16,
    pub(super) components: u8,
}

/// Reads the segments up to the frame header.
pub(super) fn frame_header(reader: &mut (impl BufRead + Seek)) -> Result<FrameHeader, PictureFileError> {
    let mut segments = || -> io::Result<Option<FrameHeader>> {
        let mut start = [0; 2];
        reader.read_exact(&mut start)?;
        loop {
            let marker = next_marker(reader)?;
            if stands_alone(marker) {
                continue;
            }
            if matches!(marker, START_OF_SCAN | END_OF_IMAGE) {
                return Ok(None);
            }
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            let Some(content) = u16::from_be_bytes(length).checked_sub(2) else { return Ok(None) };
            if !is_frame_header(marker) {
                reader.seek_relative(content.into())?;
                continue;
            }
            let mut header = [0; 6];
            reader.read_exact(&mut header)?;
            let [bits, height_high, height_low, width_high, width_low, components] = header;
            let (height, width) = ([height_high, height_low], [width_high, width_low]);
            let (height, width) = (u16::from_be_bytes(height), u16::from_be_bytes(width));
            return Ok(Some(FrameHeader { bits, height, width, components }));
        }
    };
    match segments() {
        Ok(Some(header)) => Ok(header),
        Ok(None) => Err(PictureFileError::Damaged("it has no size before its pixels".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(PictureFileError::Truncated),
        Err(error) => Err(PictureFileError::Damaged(error.to_string())),
    }
}

/// The next marker, with the bytes before it skipped that are none.
fn next_marker(reader: &mut impl BufRead) -> io::Result<u8> {
    let mut is_after_ff = false;
    loop {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        match byte[0] {
            0xff => is_after_ff = true,
            1.. if is_after_ff => return Ok(byte[0]),
            _ => is_after_ff = false,
        }
    }
}

/// Markers without a segment behind them.
const fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd8)
}

const fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Whether the picture's end is there: what follows it is nobody's business.
pub(super) fn has_end(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == 0xff) {
        at += found;
        // Between scans these are data and restarts; before markers, filling.
        let Some(marker) = bytes.get(at + 1) else { return false };
        match *marker {
            END_OF_IMAGE => return true,
            0xff => at += 1,
            0 => at += 2,
            marker if stands_alone(marker) => at += 2,
            // A segment's content may look like a marker.
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                if at >= bytes.len() {
                    return false;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// A thumbnail with a size and an end of its own in a segment, filling, and a frame header of 640x480.
    const HEADER: &[u8] = b"\xff\xd8\xff\xe1\x00\x11\xff\xd8\xff\xc0\x00\x08\x08\x00\x01\x00\x01\x01\xff\xd9Z\xff\xff\xc2\x00\x08\x08\x01\xe0\x02\x80\x03";
    /// A scan with a stuffed byte and a restart.
    const SCAN: &[u8] = b"\xff\xda\x00\x04abdata\xff\x00data\xff\xd0data";

    #[test]
    fn a_picture_has_the_size_of_its_own_frame_header_and_ends_at_its_own_end() {
        let expected = FrameHeader { bits: 8, height: 480, width: 640, components: 3 };
        assert_eq!(frame_header(&mut Cursor::new(HEADER)).unwrap(), expected);
        for cut in 0..HEADER.len() {
            let error = frame_header(&mut Cursor::new(&HEADER[..cut])).unwrap_err();
            assert!(matches!(error, PictureFileError::Truncated), "{cut}: {error}");
        }
        let whole = [HEADER, SCAN, SCAN, b"\xff\xd9"].concat();
        for cut in 0..whole.len() {
            assert!(!has_end(&whole[..cut]), "{cut}");
        }
        assert!(has_end(&whole) && has_end(&[&whole, &b"what a telephone adds"[..]].concat()));
        let error = frame_header(&mut Cursor::new(b"\xff\xd8\xff\xda\x00\x02")).unwrap_err();
        assert!(error.to_string().contains("no size before its pixels"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_or_refused(
            bytes in proptest::collection::vec(prop_oneof![Just(0xff_u8), Just(0), 0xc0_u8..0xf0, any::<u8>()], 0..400),
        ) {
            let _ = frame_header(&mut Cursor::new(&bytes));
            let _ = has_end(&bytes);
        }
    }
}
