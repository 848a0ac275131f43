//! What a frame costs in heap allocations: nothing, in the sources that do not decode.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;

use framewire_capture::{
    FrameSource, IndexEntry, IndexHeader, PatternSource, RawFormat, SourceOptions, SourceSpec, Y4mStream, index_path,
};
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting by thread.
struct Counting;

// SAFETY: every call is handed to the system's allocator as it is; the count allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, which is the same, and `alloc` above is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(source: &mut dyn FrameSource) -> u64 {
    let pool = FramePool::new(2, source.format().frame_bytes()).unwrap();
    let before = ALLOCATIONS.get();
    for _ in 0..20 {
        assert!(source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
    }
    ALLOCATIONS.get() - before
}

#[test]
fn patterns_of_every_format_y4m_raw_arrays_and_recordings_allocate_nothing_for_a_frame() {
    let directory = tempfile::tempdir().unwrap();
    let (y4m, raw) = (directory.path().join("video.y4m"), directory.path().join("video.raw"));
    let mut bytes = b"YUV4MPEG2 W64 H48 Cmono\n".to_vec();
    (0..20).for_each(|_| bytes.extend([&b"FRAME Xnote\n"[..], &[7; 64 * 48]].concat()));
    fs::write(&y4m, &bytes).unwrap();
    fs::write(&raw, vec![7; 20 * 64 * 48]).unwrap();
    let npy = directory.path().join("array.npy");
    let literal = "{'descr': '|u1', 'fortran_order': False, 'shape': (20, 48, 64), }\n";
    let head = [b"\x93NUMPY\x01\0", &(literal.len() as u16).to_le_bytes()[..], literal.as_bytes()].concat();
    fs::write(&npy, [head, vec![7; 20 * 64 * 48]].concat()).unwrap();
    let raw_format: RawFormat = "64x48:gray8".parse().unwrap();
    let options = SourceOptions::new().raw_format(raw_format);
    let pattern = "pattern:640x480:yuv420p".parse().unwrap();
    for spec in [pattern, SourceSpec::File(y4m), SourceSpec::File(raw), SourceSpec::File(npy)] {
        assert_eq!(allocations_of(&mut *spec.open(&options).unwrap()), 0, "{spec}");
    }
    for pixel in PixelFormat::ALL {
        let format = FrameFormat::new(pixel, 640, if pixel == PixelFormat::Bytes { 1 } else { 48 }).unwrap();
        assert_eq!(allocations_of(&mut PatternSource::new(format)), 0, "{pixel}");
    }
    // The same raw file, with an index: its options hold still.
    let header = IndexHeader::new(raw_format.format, "b").stream("a");
    let mut index = Vec::new();
    header.write(&mut index);
    for number in 0..20 {
        IndexEntry::new(number, number * 33_333, number * 64 * 48).write(&mut index);
    }
    fs::write(index_path(&directory.path().join("video.raw")), index).unwrap();
    let recording = SourceSpec::File(directory.path().join("video.raw"));
    assert_eq!(allocations_of(&mut *recording.open(&SourceOptions::default()).unwrap()), 0, "recording");
    assert_eq!(allocations_of(&mut Y4mStream::new("memory", &bytes[..]).unwrap()), 0);
}
