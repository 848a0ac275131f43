//! Images as ROS 2 has them, in bags and in topics: what stands before the pixels of a `sensor_msgs/msg/Image`, as CDR, and what streams are
//! called there.

use std::borrow::Cow;

use framewire_transport::frame::{FormatError, FrameFormat, PixelFormat};

/// The message's name.
pub const IMAGE: &str = "sensor_msgs/msg/Image";

/// More bytes than stand before the pixels of any image whose names are names: who reads heads looks at no more.
pub const HEAD_BYTES_MAX: usize = 4_096;

/// What a message begins with: little-endian CDR, without options.
pub const ENCAPSULATION: [u8; 4] = [0, 1, 0, 0];

/// What of an image stands before its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHead<'a> {
    /// UTC in nanoseconds since 1970; 0 where none is said.
    pub utc_ns: u64,
    /// The frame of the camera, as transformations call it.
    pub frame_id: Cow<'a, str>,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What ROS calls the pixels.
    pub encoding: Cow<'a, str>,
    /// Whether samples of several bytes begin with the highest.
    pub is_bigendian: bool,
    /// Bytes from row to row.
    pub step: u32,
    /// Bytes of the pixels.
    pub bytes: u32,
}

impl<'a> ImageHead<'a> {
    /// That of a frame of this many bytes.
    pub fn of(format: &FrameFormat, bytes: u32, utc_ns: u64, frame_id: &'a str) -> Self {
        // Where frames differ in length, each is one row.
        let (width, step) = if format.is_variable() { (bytes, bytes) } else { (format.width(), format.stride()) };
        let encoding = encoding(format.pixel()).into();
        let (frame_id, height) = (frame_id.into(), format.height());
        Self { utc_ns, frame_id, width, height, encoding, is_bigendian: false, step, bytes }
    }

    /// Bytes of it, those that a message begins with left out.
    pub fn len(&self) -> usize {
        let aligned = |bytes: usize| bytes.next_multiple_of(4);
        let texts = aligned(self.frame_id.len() + 1) + self.encoding.len() + 2;
        6 * 4 + aligned(texts) + 2 * 4
    }

    /// Never: it has its times and sizes at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Appends it behind [`ENCAPSULATION`]; the pixels are to follow.
    pub fn write(&self, into: &mut Vec<u8>) {
        // Everything is aligned from behind the encapsulation.
        let mut cdr = CdrWriter::new(into);
        // Seconds end in 2038 there.
        cdr.word(u32::try_from(self.utc_ns / NANOS).map_or(i32::MAX as u32, |seconds| seconds.min(i32::MAX as u32)));
        cdr.word((self.utc_ns % NANOS) as u32);
        cdr.text(&self.frame_id);
        cdr.word(self.height);
        cdr.word(self.width);
        cdr.text(&self.encoding);
        cdr.byte(self.is_bigendian.into());
        cdr.word(self.step);
        cdr.word(self.bytes);
    }

    /// Reads the beginning of a message, and where its pixels begin in it; the error says what is wrong with it.
    ///
    /// # Errors
    /// It is not CDR, or ends too soon.
    pub fn parse(message: &'a [u8]) -> Result<(Self, usize), String> {
        let is_big = match message.get(..4) {
            Some([0, 0, ..]) => true,
            Some([0, 1, ..]) => false,
            Some(other) => return Err(format!("its encapsulation is {other:02x?}, and not that of CDR")),
            None => return Err(format!("it has {} bytes", message.len())),
        };
        Self::parse_behind(&message[4..], is_big).map(|(head, at)| (head, 4 + at))
    }

    /// The same of what is behind the encapsulation, which says whether it is big-endian.
    ///
    /// # Errors
    /// It ends too soon.
    pub fn parse_behind(message: &'a [u8], is_big: bool) -> Result<(Self, usize), String> {
        let mut cdr = CdrReader { bytes: message, at: 0, is_big };
        let (seconds, nanos) = (cdr.word()?, cdr.word()?);
        // Seconds have a sign there: before 1970 no image was taken.
        let utc_ns = u64::try_from(seconds.cast_signed()).map_or(0, |seconds| seconds * NANOS + u64::from(nanos));
        let frame_id = String::from_utf8_lossy(cdr.text()?);
        let (height, width) = (cdr.word()?, cdr.word()?);
        let encoding = String::from_utf8_lossy(cdr.text()?);
        let is_bigendian = cdr.take(1)? != [0];
        let (step, bytes) = (cdr.word()?, cdr.word()?);
        Ok((Self { utc_ns, frame_id, width, height, encoding, is_bigendian, step, bytes }, cdr.at))
    }

    /// The format of its pixels; `None` where no pixel format is called so.
    ///
    /// # Errors
    /// The size and the rows do not go with it.
    pub fn format(&self) -> Option<Result<FrameFormat, FormatError>> {
        let pixel: PixelFormat = self.encoding.parse().ok()?;
        Some(FrameFormat::with_stride(pixel, self.width, self.height, self.step))
    }

    /// The same without what it was read from.
    pub fn into_owned(self) -> ImageHead<'static> {
        let (frame_id, encoding) = (self.frame_id.into_owned().into(), self.encoding.into_owned().into());
        ImageHead { frame_id, encoding, ..self }
    }
}

/// What ROS calls the pixels, or, where it has no name for them, ours.
pub fn encoding(pixel: PixelFormat) -> &'static str {
    pixel.ros().unwrap_or(pixel.name())
}

/// Turns samples round whose highest byte comes first.
pub fn swap(frame: &mut [u8], pixel: PixelFormat) {
    if let Some(bytes) = pixel.sample_bytes().filter(|bytes| *bytes > 1) {
        frame.chunks_exact_mut(bytes as usize).for_each(<[u8]>::reverse);
    }
}

/// The camera's frame, where metadata names it.
pub fn frame_id_in(metadata: &serde_json::Value) -> Option<&str> {
    metadata.get("frame_id")?.as_str().filter(|name| !name.contains('\0'))
}

/// A stream's name as ROS takes it in a topic: letters, digits and underscores, and no digit first.
pub fn topic_name(name: &str, stream: u32) -> String {
    let mut topic = String::new();
    for char in name.chars() {
        let char = if char.is_ascii_alphanumeric() { char } else { '_' };
        if !(char == '_' && topic.ends_with('_')) {
            topic.push(char);
        }
    }
    // One that begins with an underscore is hidden there.
    match topic.trim_start_matches('_') {
        "" => format!("stream_{stream:08x}"),
        name if name.starts_with(|first: char| first.is_ascii_digit()) => format!("stream_{name}"),
        name => name.to_owned(),
    }
}

const NANOS: u64 = 1_000_000_000;

/// Writes values as CDR aligns them, little-endian.
pub struct CdrWriter<'a> {
    into: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> CdrWriter<'a> {
    /// Appends to what is there, which it is not aligned by.
    pub fn new(into: &'a mut Vec<u8>) -> Self {
        Self { start: into.len(), into }
    }

    /// A byte, or a truth.
    pub fn byte(&mut self, byte: u8) {
        self.into.push(byte);
    }

    /// Four bytes; also how many items of a sequence follow.
    pub fn word(&mut self, word: u32) {
        self.align(4);
        self.into.extend_from_slice(&word.to_le_bytes());
    }

    /// A number of eight bytes.
    pub fn double(&mut self, double: f64) {
        self.align(8);
        self.into.extend_from_slice(&double.to_le_bytes());
    }

    /// Bytes of which the reader knows how many there are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.into.extend_from_slice(bytes);
    }

    /// A text, and the zero behind it.
    pub fn text(&mut self, text: &str) {
        self.word(text.len() as u32 + 1);
        self.into.extend_from_slice(text.as_bytes());
        self.into.push(0);
    }

    fn align(&mut self, bytes: usize) {
        let aligned = (self.into.len() - self.start).next_multiple_of(bytes);
        self.into.resize(self.start + aligned, 0);
    }
}

/// Reads values as CDR aligns them.
struct CdrReader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl<'a> CdrReader<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_says_how_long_it_is() {
        let format = FrameFormat::with_stride(PixelFormat::Bgr24, 5, 3, 16).unwrap();
        for frame_id in ["", "a", "left", "left_", "left_optical_frame"] {
            let head = ImageHead::of(&format, 48, 1_795_000_000_123_456_789, frame_id);
            let mut message = ENCAPSULATION.to_vec();
            head.write(&mut message);
            assert_eq!(message.len(), ENCAPSULATION.len() + head.len(), "{frame_id:?}");
            assert_eq!(ImageHead::parse(&message), Ok((head.clone(), message.len())));
            assert_eq!(head.format(), Some(Ok(format)));
            assert_eq!(ImageHead::parse_behind(&message[4..], false), Ok((head, message.len() - 4)));
        }
    }

    #[test]
    fn a_stamp_before_1970_is_none() {
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 4).unwrap();
        let mut message = ENCAPSULATION.to_vec();
        ImageHead::of(&format, 16, 1_795_000_000_000_000_007, "cam").write(&mut message);
        let utc_ns = |message: &[u8]| ImageHead::parse(message).unwrap().0.utc_ns;
        assert_eq!(utc_ns(&message), 1_795_000_000_000_000_007);
        message[4..8].copy_from_slice(&(-1_i32).to_le_bytes());
        assert_eq!(utc_ns(&message), 0);
    }

    #[test]
    fn what_ends_too_soon_or_is_no_cdr_is_told() {
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 4).unwrap();
        let mut message = ENCAPSULATION.to_vec();
        ImageHead::of(&format, 16, 7, "cam").write(&mut message);
        (0..message.len()).for_each(|bytes| assert!(ImageHead::parse(&message[..bytes]).is_err(), "{bytes}"));
        message[1] = 7;
        assert!(ImageHead::parse(&message).unwrap_err().contains("encapsulation"));
    }
}
