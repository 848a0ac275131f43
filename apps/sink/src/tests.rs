use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use framewire_capture::{FrameRate, SourceOptions, SourceSpec, pattern};
use framewire_transport::frame::{Frame, FrameFormat, FramePool, PixelFormat};

use super::*;
use crate::output::Creation;
use crate::output::{Destination, FrameOutput};
use crate::raw::RawSink;
use crate::tiny_disk::TinyDisk;
use crate::y4m::Y4mSink;

fn frames(format: &FrameFormat, count: u64) -> Vec<Frame> {
    let pool = FramePool::new(count as usize, format.frame_bytes()).unwrap();
    let drawn = |number| {
        let mut frame = pool.try_acquire().unwrap();
        pattern::draw(&mut frame, format, number).unwrap();
        frame.freeze()
    };
    (0..count).map(drawn).collect()
}

fn rate() -> FrameRate {
    FrameRate::new(30_000, 1001).unwrap()
}

/// Opens a sink of a stream that is the only one. What is left of the one before is taken away.
fn open(spec: &SinkSpec, format: &FrameFormat) -> Result<Box<dyn Sink>, SinkError> {
    if let Some(path) = spec.path().filter(|path| path.is_file()) {
        fs::remove_file(path).unwrap();
        let _ = fs::remove_file(framewire_capture::index_path(path));
    }
    spec.open_alone(&Recorded::new(*format, Some(rate()), "cam", 7))
}

fn sink_all(spec: &str, format: &FrameFormat, frames: &[Frame]) -> SinkReport {
    let mut sink = open(&spec.parse().unwrap(), format).unwrap();
    frames.iter().for_each(|frame| sink.write(frame).unwrap());
    sink.finish().unwrap()
}

/// Takes this many bytes and then fails; reads as a file that can be cut.
struct Disk {
    bytes: Vec<u8>,
    capacity: usize,
    cuttable: bool,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A few bytes at a time, as a disk that is nearly full may.
        let taken = bytes.len().min(self.capacity - self.bytes.len()).min(7);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Destination for &mut Disk {
    fn take_back(&mut self, bytes: u64) -> io::Result<bool> {
        if self.cuttable {
            self.bytes.truncate(self.bytes.len() - bytes as usize);
        }
        Ok(self.cuttable)
    }

    fn is_rewritable(&self) -> bool {
        self.cuttable
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn a_y4m_file_reads_back_byte_for_byte_in_every_pixel_format_that_y4m_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.y4m");
    for pixel in PixelFormat::ALL.into_iter().filter(|pixel| *pixel != PixelFormat::Bytes) {
        let format = FrameFormat::new(pixel, 48, 32).unwrap();
        if SinkSpec::Y4m(path.clone()).holds(&format).is_err() {
            continue;
        }
        let frames = frames(&format, 3);
        let report = sink_all(path.to_str().unwrap(), &format, &frames);
        assert_eq!((report.frames, report.bytes), (3, fs::metadata(&path).unwrap().len()));
        let mut source = SourceSpec::File(path.clone()).open(&SourceOptions::default()).unwrap();
        assert_eq!((source.format(), source.frame_rate()), (format, Some(rate())));
        let pool = FramePool::new(1, format.frame_bytes()).unwrap();
        let mut read = pool.try_acquire().unwrap();
        for frame in &frames {
            assert!(source.next_frame(&mut read).unwrap());
            assert_eq!(read[..], frame[..], "{pixel}");
        }
        assert!(!source.next_frame(&mut read).unwrap());
        if pixel.bits() == 8 {
            let mut other = ::y4m::Decoder::new(File::open(&path).unwrap()).unwrap();
            for frame in &frames {
                let theirs = other.read_frame().unwrap();
                assert_eq!([theirs.get_y_plane(), theirs.get_u_plane(), theirs.get_v_plane()].concat(), frame[..]);
            }
        }
    }
}

/// Two frames whose rows hold the same whatever stands between them.
fn rows(format: &FrameFormat) -> Vec<Frame> {
    let packed = FrameFormat::new(format.pixel(), format.width(), format.height()).unwrap();
    let pool = FramePool::new(2, format.frame_bytes()).unwrap();
    let filled = |number: usize| {
        let mut frame = pool.try_acquire().unwrap();
        let mut rest = &mut frame[..];
        for plane in 0..format.pixel().planes() {
            let (this, next) = rest.split_at_mut(format.plane_bytes(plane));
            rest = next;
            let row_bytes = packed.plane_stride(plane) as usize;
            for (number, row) in this
                .chunks_mut(format.plane_stride(plane) as usize)
                .enumerate()
                .map(|(y, row)| (number + plane + y, row))
            {
                let (pixels, gap) = row.split_at_mut(row_bytes);
                pixels.iter_mut().enumerate().for_each(|(x, byte)| *byte = (31 * number + x) as u8);
                gap.fill(0xEE);
            }
        }
        frame.freeze()
    };
    (0..2).map(filled).collect()
}

#[test]
fn y4m_and_nut_leave_out_what_is_between_rows_and_raw_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    for pixel in PixelFormat::ALL.into_iter().filter(|pixel| *pixel != PixelFormat::Bytes) {
        let packed = FrameFormat::new(pixel, 48, 32).unwrap();
        let strided = FrameFormat::with_stride(pixel, 48, 32, packed.stride() + 128).unwrap();
        for kind in ["y4m", "nut"] {
            let [a, b] = ["a", "b"].map(|name| directory.path().join(name).with_extension(kind));
            let spec: SinkSpec = a.to_str().unwrap().parse().unwrap();
            if spec.holds(&packed).is_ok() {
                sink_all(a.to_str().unwrap(), &packed, &rows(&packed));
                sink_all(b.to_str().unwrap(), &strided, &rows(&strided));
                // In NUT from the first syncpoint on: before that it says when it was begun.
                let read = |path: &Path| {
                    let bytes = fs::read(path).unwrap();
                    let begin = bytes.windows(3).position(|word| word == b"NK\xE4").unwrap_or(0);
                    bytes[begin..].to_owned()
                };
                assert!(read(&a) == read(&b), "{pixel} in {kind}");
            }
        }
        let raw = directory.path().join("c.raw");
        let sent = rows(&strided);
        let report = sink_all(raw.to_str().unwrap(), &strided, &sent);
        assert!(fs::read(&raw).unwrap() == [&sent[0][..], &sent[1][..]].concat(), "{pixel}");
        assert_eq!(report.to_string(), format!("'{}': 2 frames, {} bytes", raw.display(), 2 * strided.frame_bytes()));
    }
}

#[test]
fn y4m_refuses_what_it_would_have_to_convert_leaves_no_file_and_names_nut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.y4m");
    let bgr = FrameFormat::new(PixelFormat::Bgr24, 48, 32).unwrap();
    let said = open(&SinkSpec::Y4m(path.clone()), &bgr).err().unwrap().to_string();
    let expected = "Y4M cannot hold 48x32 bgr24 unchanged; use FILE.nut, -:nut, FILE.raw or FILE.mcap";
    assert_eq!(said, expected);
    assert!(!path.exists());
}

#[test]
fn a_disk_that_fills_at_any_byte_keeps_the_whole_frames_and_nothing_else() {
    let format = FrameFormat::new(PixelFormat::Yuv420p, 4, 2).unwrap();
    let frames = frames(&format, 3);
    let mut whole = Disk { bytes: Vec::new(), capacity: usize::MAX, cuttable: true };
    let mut sink = Y4mSink::new(FrameOutput::new(&mut whole, "'disk'".to_owned()), &format, rate()).unwrap();
    frames.iter().for_each(|frame| sink.write(frame).unwrap());
    drop(sink);
    let whole = whole.bytes;
    let each = 6 + format.frame_bytes();
    let header = whole.len() - 3 * each;
    for capacity in 0..whole.len() {
        let mut disk = Disk { bytes: Vec::new(), capacity, cuttable: true };
        let fit = capacity.checked_sub(header).map(|room| room / each);
        match Y4mSink::new(FrameOutput::new(&mut disk, "'disk'".to_owned()), &format, rate()) {
            Err(error) => assert!(matches!(error, SinkError::Header { .. }) && fit.is_none(), "{error}"),
            Ok(mut sink) => {
                let fit = fit.unwrap();
                frames[..fit].iter().for_each(|frame| sink.write(frame).unwrap());
                // Again and again: each try is undone alike.
                for _ in 0..2 {
                    let error = sink.write(&frames[fit]).unwrap_err();
                    let SinkError::Write { frame, written, bytes, kept, .. } = &error else { panic!("{error}") };
                    assert_eq!((*frame, *bytes), (fit as u64, each as u64));
                    assert_eq!(*written as usize, (capacity - header) % each);
                    assert_eq!(*kept, format!("it was cut back to its {fit} whole frames"));
                }
                assert_eq!(Box::new(sink).finish().unwrap().frames, fit as u64);
            }
        }
        assert!(disk.bytes == whole[..fit.map_or(0, |frames| header + frames * each)], "capacity {capacity}");
    }
}

#[test]
fn a_pipe_that_fails_says_that_its_reader_has_a_part() {
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
    let mut pipe = Disk { bytes: Vec::new(), capacity: 100, cuttable: false };
    let mut sink = RawSink::new(FrameOutput::new(&mut pipe, "standard output".to_owned()));
    let frames = frames(&format, 2);
    sink.write(&frames[0]).unwrap();
    let message = sink.write(&frames[1]).unwrap_err().to_string();
    assert!(message.starts_with("cannot write frame 1 (the first is 0) to standard output: "), "{message}");
    assert!(message.contains("after 4 of its 96 bytes; its reader was given a part of the frame"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_pipe_whose_reader_has_gone_is_closed_and_not_failed() {
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(writer));
    let output = FrameOutput::new(file, "standard output".to_owned());
    let mut sink = Y4mSink::new(output, &format, rate()).unwrap();
    let frames = frames(&format, 2);
    sink.write(&frames[0]).unwrap();
    drop(reader);
    let error = sink.write(&frames[1]).unwrap_err();
    assert!(matches!(&error, SinkError::Closed { frames: 1, .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_named_with_the_remedy() {
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
    let full = || FrameOutput::create(Path::new("/dev/full"), Creation::Named).unwrap();
    let header = Y4mSink::new(full(), &format, rate()).err().unwrap().to_string();
    assert!(header.starts_with("cannot write the header of '/dev/full': No space left on device"), "{header}");
    let message = RawSink::new(full()).write(&frames(&format, 1)[0]).unwrap_err().to_string();
    assert!(message.contains("after 0 of its 96 bytes; it has 0 whole frames; free space there"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_keeps_the_whole_frames_of_a_file() {
    let Some(disk) = TinyDisk::mount() else { return };
    let path = disk.path().join("out.y4m");
    let format = FrameFormat::new(PixelFormat::Gray8, 160, 120).unwrap();
    let frames = frames(&format, 4);
    let mut sink = open(&SinkSpec::Y4m(path.clone()), &format).unwrap();
    frames[..3].iter().for_each(|frame| sink.write(frame).unwrap());
    let message = sink.write(&frames[3]).unwrap_err().to_string();
    assert!(message.contains("No space left on device"), "{message}");
    assert!(message.contains("it was cut back to its 3 whole frames"), "{message}");
    let report = sink.finish().unwrap();
    assert_eq!((report.frames, report.bytes), (3, fs::metadata(&path).unwrap().len()));
    assert!(fs::read(&path).unwrap().ends_with(&frames[2]));
}

#[test]
fn null_counts() {
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
    let report = sink_all("null", &format, &frames(&format, 2));
    assert_eq!((report.frames, report.bytes), (2, 192));
}

#[test]
fn places_that_cannot_be_and_frames_of_another_size_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
    let missing = directory.path().join("missing/out.raw");
    let error = open(&SinkSpec::Raw(missing), &format).err().unwrap().to_string();
    assert!(error.contains("missing/out.raw': "), "{error}");
    assert!(error.contains("name a file in a directory that exists"), "{error}");
    let mut sink = open(&SinkSpec::Y4m(directory.path().join("out.y4m")), &format).unwrap();
    let larger = FrameFormat::new(PixelFormat::Gray8, 16, 7).unwrap();
    let error = sink.write(&frames(&larger, 1)[0]).unwrap_err().to_string();
    assert!(error.starts_with("a frame of 112 bytes came for '"), "{error}");
    assert!(error.contains("which takes 96"), "{error}");
}

#[cfg(feature = "opencv")]
mod with_opencv {
    use std::process::Command;

    use super::*;
    use crate::picture::Picture;

    #[test]
    fn a_frame_too_large_for_the_sinks_pixel_format_is_refused_before_anything_is_allocated() {
        let format = FrameFormat::new(PixelFormat::Gray8, 60_000, 60_000).unwrap();
        let error = Picture::new("the window", "a window", &format, Default::default()).err().unwrap().to_string();
        assert!(error.starts_with("the window cannot hold such frames: a frame of 10800000000 bytes"), "{error}");
    }

    #[test]
    fn encoded_video_plays_back_with_the_frame_numbers_readable_from_every_pixel_format() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["out.avi", "out.mp4"] {
            let path = directory.path().join(name);
            for pixel in PixelFormat::ALL.into_iter().filter(|pixel| framewire_pictures::is_pictured(*pixel)) {
                let packed = FrameFormat::new(pixel, 640, 360).unwrap();
                let strided = FrameFormat::with_stride(pixel, 640, 360, packed.stride() + 128).unwrap();
                for format in [packed, strided] {
                    let report = sink_all(path.to_str().unwrap(), &format, &frames(&format, 5));
                    assert_eq!((report.frames, report.bytes), (5, 5 * format.frame_bytes() as u64));
                    let mut source = SourceSpec::File(path.clone()).open(&SourceOptions::default()).unwrap();
                    assert_eq!(source.frame_rate(), Some(rate()));
                    let pool = FramePool::new(1, source.format().frame_bytes()).unwrap();
                    let mut frame = pool.try_acquire().unwrap();
                    for number in 0..5 {
                        assert!(source.next_frame(&mut frame).unwrap());
                        assert_eq!(
                            pattern::read_frame_number(&frame, &source.format()),
                            Some(number),
                            "{name} {pixel}"
                        );
                    }
                    assert!(!source.next_frame(&mut frame).unwrap());
                }
            }
        }
    }

    #[test]
    fn odd_sizes_and_places_that_cannot_be_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |name: &str, width| {
            let spec: SinkSpec = directory.path().join(name).to_str().unwrap().parse().unwrap();
            open(&spec, &FrameFormat::new(PixelFormat::Gray8, width, 48).unwrap()).err().unwrap().to_string()
        };
        assert!(refused("out.avi", 63).contains("cannot hold frames of 63x48: encoders want even sides"));
        assert!(refused("missing/out.mp4", 64).contains("missing"));
    }

    /// A window in a process of its own, which the test can give a display that shows nothing.
    #[test]
    fn a_window_shows_frames_and_refuses_another_thread() {
        const CHILD: &str = "FRAMEWIRE_TEST_WINDOW";
        if std::env::var_os(CHILD).is_none() {
            let name = "sink::tests::with_opencv::a_window_shows_frames_and_refuses_another_thread";
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture"])
                .envs([(CHILD, "1"), ("QT_QPA_PLATFORM", "offscreen")])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("cannot write the window") {
                framewire_testing::skip(format_args!(
                    "OpenCV has no toolkit here that shows windows without a display: {said}"
                ));
                return;
            }
            assert!(output.status.success(), "{said}");
            return;
        }
        let format = FrameFormat::new(PixelFormat::Yuv420p, 160, 120).unwrap();
        let frames = frames(&format, 3);
        let mut sink = open(&SinkSpec::Window, &format).unwrap();
        frames.iter().for_each(|frame| sink.write(frame).unwrap());
        let mut sink = std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| {
                assert!(matches!(sink.write(&frames[0]), Err(SinkError::WrongThread)));
                sink
            });
            elsewhere.join().unwrap()
        });
        opencv::highgui::destroy_all_windows().unwrap();
        assert!(matches!(sink.write(&frames[0]), Err(SinkError::Closed { frames: 3, .. })));
        assert_eq!(sink.finish().unwrap().frames, 3);
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn a_window_without_a_display_is_refused() {
        if ["DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"].into_iter().any(|name| std::env::var_os(name).is_some()) {
            framewire_testing::skip("there is a display here");
            return;
        }
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap();
        assert!(matches!(open(&SinkSpec::Window, &format), Err(SinkError::NoDisplay)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_attempt_that_no_frame_could_be_written_in_leaves_no_file() {
    let Some(disk) = TinyDisk::mount() else { return };
    // More than the disk has.
    let format = FrameFormat::new(PixelFormat::Gray8, 512, 512).unwrap();
    let frame = frames(&format, 1).remove(0);
    for name in ["out.raw", "out.y4m"] {
        let path = disk.path().join(name);
        for _ in 0..3 {
            let mut sink = open(&path.to_str().unwrap().parse().unwrap(), &format).unwrap();
            assert!(sink.write(&frame).unwrap_err().is_full());
            let report = sink.finish().unwrap();
            assert_eq!((report.files, report.frames, report.bytes), (0, 0, 0));
        }
        let left: Vec<_> = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // What was there before, and what has a frame, stays.
    let named = disk.path().join("named.raw");
    File::create(&named).unwrap();
    let mut sink = SinkSpec::Raw(named.clone()).open_alone(&Recorded::new(format, Some(rate()), "cam", 7)).unwrap();
    sink.write(&frame).unwrap_err();
    sink.finish().unwrap();
    assert!(named.exists() && !framewire_capture::index_path(&named).exists());
}
