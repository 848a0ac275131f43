//! Frames that differ in length, with metadata and times of their own: what each has follows from its number.

use std::time::{Duration, SystemTime};

use framewire_transport::frame::{Frame, FrameMut, METADATA_MAX, MetadataKind};

use super::Peer;

/// Bytes of metadata, by turns.
const METADATA: [usize; 5] = [0, 1, 200, METADATA_MAX, 0];

/// Pixels of a frame, of `most` at most.
pub(crate) fn length_of(number: u64, most: usize) -> usize {
    match number % 4 {
        0 => most,
        1 => most - number as usize * 131 % most,
        2 => 1 + number as usize % 3,
        _ => most / 2,
    }
}

fn metadata_of(number: u64) -> (MetadataKind, Vec<u8>) {
    let bytes = METADATA[number as usize % METADATA.len()];
    let kind = MetadataKind::ALL[number as usize / METADATA.len() % MetadataKind::ALL.len()];
    (kind, (0..bytes).map(|at| Peer::byte_of(number + 1, at)).collect())
}

/// Every third frame has a time of its own.
fn time_of(number: u64) -> Option<SystemTime> {
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    number.is_multiple_of(3).then(|| begin + Duration::from_nanos(number * 33_333_333))
}

/// Gives a frame what belongs to it but its pixels.
pub(crate) fn vary(frame: &mut FrameMut, number: u64) {
    let (kind, metadata) = metadata_of(number);
    frame.set_metadata(kind, &metadata).unwrap();
    frame.set_len(length_of(number, frame.capacity())).unwrap();
    frame.info.captured_utc = time_of(number);
}

/// Holds a whole frame's metadata and time against what it was sent with.
pub(crate) fn check(frame: &Frame) {
    let number = frame.info().number;
    let (kind, metadata) = metadata_of(number);
    let said = frame.metadata().map_or((kind, &[][..]), |metadata| (metadata.kind, metadata.bytes));
    assert_eq!(said, (kind, &metadata[..]), "frame {number}");
    let own = time_of(number);
    assert_eq!(frame.has_own_time(), own.is_some(), "frame {number}");
    assert!(own.is_none() || frame.captured_utc() == own, "frame {number}");
}

/// Of a frame that is torn: where it was sent with a time of its own, what the clock showed is none.
pub(crate) fn may_have_the_clocks_time(frame: &Frame) -> bool {
    time_of(frame.info().number).is_none() || frame.captured_utc().is_none()
}
