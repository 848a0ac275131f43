//! A frame as ROS 2 knows it: `sensor_msgs/msg/Image`, and its head as CDR. The pixels follow the head, so that they are written from
//! where they are.

use framewire_transport::frame::FrameFormat;

/// The message's name.
pub(super) const SCHEMA: &str = "sensor_msgs/msg/Image";

/// The message's definition with those that it names, as ROS 2 joins them.
pub(super) const DEFINITION: &str = "\
# An uncompressed image; (0, 0) is its top left corner
std_msgs/Header header # Time of acquisition, and the frame of the camera
uint32 height # Rows
uint32 width # Columns
string encoding # Channels, their order and size
uint8 is_bigendian # Whether the samples are big-endian
uint32 step # Bytes from row to row
uint8[] data # step * rows bytes
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";

/// Little-endian CDR, without options.
const ENCAPSULATION: [u8; 4] = [0, 1, 0, 0];

/// What of a message stands before its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageHead<'a> {
    /// UTC in nanoseconds since 1970.
    pub(super) utc_ns: u64,
    /// The frame of the camera, as transformations call it.
    pub(super) frame_id: &'a str,
    /// What ROS calls the pixels.
    pub(super) encoding: &'a str,
    /// Of the stream.
    pub(super) format: &'a FrameFormat,
    /// Bytes of this frame.
    pub(super) bytes: u32,
}

impl ImageHead<'_> {
    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        let aligned = |bytes: usize| bytes.next_multiple_of(4);
        let texts = aligned(self.frame_id.len() + 1) + self.encoding.len() + 2;
        ENCAPSULATION.len() + 6 * 4 + aligned(texts) + 2 * 4
    }

    /// Appends it; `bytes` bytes of pixels are to follow.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let Self { utc_ns, frame_id, encoding, format, bytes } = *self;
        into.extend_from_slice(&ENCAPSULATION);
        // Everything is aligned from behind the encapsulation.
        let mut cdr = Cdr { start: into.len(), into };
        // Seconds end in 2038 there.
        cdr.word(u32::try_from(utc_ns / NANOS).map_or(i32::MAX as u32, |seconds| seconds.min(i32::MAX as u32)));
        cdr.word((utc_ns % NANOS) as u32);
        cdr.text(frame_id);
        // Where frames differ in length, each is one row.
        let (width, step) = if format.is_variable() { (bytes, bytes) } else { (format.width(), format.stride()) };
        cdr.word(format.height());
        cdr.word(width);
        cdr.text(encoding);
        cdr.into.push(0);
        cdr.word(step);
        cdr.word(bytes);
    }
}

const NANOS: u64 = 1_000_000_000;

/// Writes values as CDR aligns them.
struct Cdr<'a> {
    into: &'a mut Vec<u8>,
    start: usize,
}

impl Cdr<'_> {
    fn word(&mut self, word: u32) {
        let behind = (self.into.len() - self.start) % 4;
        self.into.resize(self.into.len() + (4 - behind) % 4, 0);
        self.into.extend_from_slice(&word.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.word(text.len() as u32 + 1);
        self.into.extend_from_slice(text.as_bytes());
        self.into.push(0);
    }
}
