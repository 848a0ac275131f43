//! `sensor_msgs/msg/Image` as CDR has it: what stands before the pixels.

use framewire_transport::frame::{FrameFormat, PixelFormat};

use super::error::McapError;

/// What a message says before its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageHead {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) step: u32,
    pub(super) encoding: String,
    pub(super) is_bigendian: bool,
    /// Where the pixels begin, from the first byte of the message on.
    pub(super) offset: usize,
    /// Bytes of the pixels.
    pub(super) bytes: u32,
}

impl ImageHead {
    /// Reads the beginning of a message; the error says what is wrong with it.
    pub(super) fn parse(message: &[u8]) -> Result<Self, String> {
        let is_big = match message.get(..4) {
            Some([0, 0, ..]) => true,
            Some([0, 1, ..]) => false,
            Some(other) => return Err(format!("its encapsulation is {other:02x?}, and not that of CDR")),
            None => return Err(format!("it has {} bytes", message.len())),
        };
        // Everything is aligned from behind the encapsulation.
        let mut cdr = Cdr { bytes: &message[4..], at: 0, is_big };
        let _stamp = (cdr.word()?, cdr.word()?);
        let _frame_id = cdr.text()?;
        let (height, width) = (cdr.word()?, cdr.word()?);
        let encoding = String::from_utf8_lossy(cdr.text()?).into_owned();
        let is_bigendian = cdr.take(1)? != [0];
        let (step, bytes) = (cdr.word()?, cdr.word()?);
        Ok(Self { width, height, step, encoding, is_bigendian, offset: 4 + cdr.at, bytes })
    }

    /// The format of its pixels.
    pub(super) fn format(&self) -> Result<FrameFormat, McapError> {
        let shown = || self.encoding.chars().take(40).collect();
        let pixel: PixelFormat = self.encoding.parse().map_err(|_| McapError::Encoding(shown()))?;
        Ok(FrameFormat::with_stride(pixel, self.width, self.height, self.step)?)
    }
}

/// Reads values as CDR aligns them.
struct Cdr<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl<'a> Cdr<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len());
        let end =
            end.ok_or_else(|| format!("it ends before its pixels, or has a text of {bytes} bytes before them"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, String> {
        self.take(self.at.next_multiple_of(4) - self.at)?;
        let word = self.take(4)?.try_into().expect("four bytes were taken");
        Ok(if self.is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }

    /// Without the zero behind it.
    fn text(&mut self) -> Result<&'a [u8], String> {
        let bytes = self.word()? as usize;
        let text = self.take(bytes)?;
        Ok(text.strip_suffix(&[0]).unwrap_or(text))
    }
}
