//! The packets of a NUT file, byte by byte.

use framewire_transport::frame::{ChromaPlace, ColourRange, FrameFormat, Presentation, Scan};

use super::bytes::{FILE_ID, Fields, Startcode, crc32};
use super::clock::TimeBase;

const VERSION: u64 = 3;
/// No frame begins further behind a syncpoint than this; here one stands before each. It is the most that the format allows.
const DISTANCE_MAX: u64 = 65_536;
/// Below this a time would be read as its lowest bits alone; all here are above it, so whole.
const PTS_SHIFT: u64 = 7;

/// What a frame's first byte stands for: a key frame, whose time, size and checksum follow.
const FRAME_CODE: u8 = 1;
const KEY: u64 = 1;
const CODED_PTS: u64 = 8;
const SIZE_MSB: u64 = 32;
const CHECKSUM: u64 = 64;
const INVALID: u64 = 8_192;

/// What a file begins with: its id, its main header and that of its one stream.
pub(super) fn headers(tag: [u8; 4], format: &FrameFormat, said: Presentation, base: TimeBase) -> Vec<u8> {
    let mut bytes = FILE_ID.to_vec();
    bytes.put_packet(Startcode::Main, |body| put_main_header(body, base));
    bytes.put_packet(Startcode::Stream, |body| put_stream_header(body, tag, format, said, base));
    bytes
}

/// A second copy of what a file begins with.
pub(super) fn repeated(headers: &[u8]) -> &[u8] {
    &headers[FILE_ID.len()..]
}

fn put_main_header(body: &mut Vec<u8>, base: TimeBase) {
    for value in [VERSION, 1, DISTANCE_MAX, 1, 1, base.per_second().into()] {
        body.put_v(value);
    }
    // What each first byte of a frame stands for, in runs. 'N' is none of them: packets begin with it.
    let runs = [
        (INVALID, u64::from(FRAME_CODE)),
        (KEY | CODED_PTS | SIZE_MSB | CHECKSUM, 1),
        (INVALID, 255 - 1 - u64::from(FRAME_CODE)),
    ];
    for (flags, count) in runs {
        body.put_v(flags);
        // So many fields follow: difference of time, multiplier of the size, stream, lowest bits of the size, reserved, length of the run.
        body.put_v(6);
        body.put_s(0);
        for value in [1, 0, 0, 0, count] {
            body.put_v(value);
        }
    }
    // No beginnings of frames that are left out.
    body.put_v(0);
}

fn put_stream_header(body: &mut Vec<u8>, tag: [u8; 4], format: &FrameFormat, said: Presentation, base: TimeBase) {
    // The first stream, video.
    body.put_v(0);
    body.put_v(0);
    body.put_vb(&tag);
    // The time base; how whole times are told; the longest jump without a checksum; no reordering; any rate; nothing of the codec's own.
    for value in [0, PTS_SHIFT, base.per_second().into(), 0, 0, 0] {
        body.put_v(value);
    }
    body.put_v(format.width().into());
    body.put_v(format.height().into());
    let (across, down) = said.aspect.map_or((0, 0), |aspect| (aspect.num(), aspect.den()));
    body.put_v(across.into());
    body.put_v(down.into());
    // A matrix goes with each range that the format can say here, and that is not known.
    body.put_v(0);
}

/// What is said once, before the first frame: when that was taken, what the stream is called, and what readers are told as tags.
pub(super) fn info(name: &str, began: &str, said: Presentation) -> Vec<u8> {
    let mut bytes = Vec::new();
    let of_file = [("creation_time", Some(began)), ("title", Some(name).filter(|name| !name.is_empty()))];
    put_info(&mut bytes, 0, &of_file);
    let rate = said.rate.map(|rate| format!("{}/{}", rate.num(), rate.den()));
    let range = match said.range {
        ColourRange::Full => Some("pc"),
        ColourRange::Limited => Some("tv"),
        _ => None,
    };
    let chroma = match said.chroma {
        ChromaPlace::Center => Some("center"),
        ChromaPlace::Left => Some("left"),
        ChromaPlace::TopLeft => Some("topleft"),
        _ => None,
    };
    let fields = match said.scan {
        Scan::Progressive => Some("progressive"),
        Scan::TopFirst => Some("tt"),
        Scan::BottomFirst => Some("bb"),
        Scan::Mixed => Some("mixed"),
        _ => None,
    };
    let of_stream = [
        ("r_frame_rate", rate.as_deref()),
        ("color_range", range),
        ("chroma_location", chroma),
        ("field_order", fields),
    ];
    put_info(&mut bytes, 1, &of_stream);
    bytes
}

/// `of` is 0 for the file and 1 for its stream.
fn put_info(bytes: &mut Vec<u8>, of: u64, said: &[(&str, Option<&str>)]) {
    let said = said.iter().filter_map(|(key, value)| value.map(|value| (key, value)));
    let count = said.clone().count();
    if count == 0 {
        return;
    }
    bytes.put_packet(Startcode::Info, |body| {
        body.put_v(of);
        // No chapter; from 0 on, of no length.
        body.put_s(0);
        body.put_v(0);
        body.put_v(0);
        body.put_v(count as u64);
        for (key, value) in said {
            body.put_vb(key.as_bytes());
            // It is text.
            body.put_s(-1);
            body.put_vb(value.as_bytes());
        }
    });
}

/// What stands before each frame's pixels: a syncpoint, so that reading can begin here, and the frame's own header. `back` is by how
/// many bytes the syncpoint before lies behind this one.
pub(super) fn put_frame_header(bytes: &mut Vec<u8>, tick: u64, back: u64, frame_bytes: usize) {
    bytes.put_packet(Startcode::Syncpoint, |body| {
        body.put_v(tick);
        body.put_v(back / 16);
    });
    let begin = bytes.len();
    bytes.push(FRAME_CODE);
    bytes.put_v(tick + (1 << PTS_SHIFT));
    bytes.put_v(frame_bytes as u64);
    let checksum = crc32(&bytes[begin..]);
    bytes.extend_from_slice(&checksum.to_be_bytes());
}
