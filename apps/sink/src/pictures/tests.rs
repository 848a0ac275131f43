use std::fs;
use std::num::NonZeroU64;

use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use image::ImageReader;

use super::*;
use crate::spec::SinkSpec;

/// A frame whose rows are noise, each byte of which depends on its place alone, and what its rows hold.
fn noise(format: &FrameFormat, number: u64) -> (Frame, Vec<u8>) {
    let packed = FrameFormat::new(format.pixel(), format.width(), format.height()).unwrap();
    let pool = FramePool::for_format(1, *format).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    frame.set_len(format.frame_bytes()).unwrap();
    frame.info.number = number;
    let (mut rows, mut begin) = (Vec::new(), 0);
    for plane in 0..format.pixel().planes() {
        let bytes = format.plane_bytes(plane);
        for (y, row) in frame[begin..begin + bytes].chunks_mut(format.plane_stride(plane) as usize).enumerate() {
            for (x, byte) in row.iter_mut().enumerate() {
                *byte = (((plane + 3 * y + 7) * (x + 11) * 37) >> 2) as u8;
            }
            rows.extend_from_slice(&row[..packed.plane_stride(plane) as usize]);
        }
        begin += bytes;
    }
    (frame.freeze(), rows)
}

fn places() -> Arc<Places> {
    Arc::new(Places::new(&[]))
}

fn open(path: &Path, format: &FrameFormat, stream: &str, places: &Arc<Places>) -> Box<dyn Sink> {
    let spec: SinkSpec = path.to_str().unwrap().parse().unwrap();
    spec.open(&Recorded::new(*format, None, stream, 7), places, crate::roll::Roll::default()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn gray_colour_and_depth_come_out_of_png_and_tiff_as_they_were_and_all_else_that_has_pixels_as_a_picture() {
    let directory = tempfile::tempdir().unwrap();
    println!("{:<16}{:<12}{:<12}jpg", "format", "png", "tif");
    for pixel in PixelFormat::ALL {
        let size = if pixel == PixelFormat::Bytes { (300, 1) } else { (22, 10) };
        let packed = FrameFormat::new(pixel, size.0, size.1).unwrap();
        let strided = match pixel {
            PixelFormat::Bytes => packed,
            _ => FrameFormat::with_stride(pixel, size.0, size.1, packed.stride() + 128).unwrap(),
        };
        let mut line = format!("{:<16}", pixel.name());
        for kind in ["png", "tif", "jpg"] {
            let mut cell = "refused".to_owned();
            for (number, format) in [packed, strided].iter().enumerate() {
                let path = directory.path().join(format!("{{stream}}-{{frame}}.{kind}"));
                let spec: SinkSpec = path.to_str().unwrap().parse().unwrap();
                let opaque =
                    pixel == PixelFormat::Bytes || pixel.name().ends_with("0p") || pixel.name().ends_with("2p");
                let is_opaque = opaque && !pixel.name().starts_with("yuv");
                assert_eq!(spec.holds(format).is_err(), is_opaque, "{pixel} as {kind}");
                if is_opaque {
                    continue;
                }
                let (frame, rows) = noise(format, number as u64);
                let mut sink = open(&path, format, pixel.name(), &places());
                sink.write(&frame).unwrap();
                let report = sink.finish().unwrap();
                let made = directory.path().join(format!("{}-{number:06}.{kind}", pixel.name()));
                let bytes = fs::metadata(&made).unwrap().len();
                assert_eq!((report.files, report.frames, report.bytes), (1, 1, bytes));
                let read = ImageReader::open(&made).unwrap().decode().unwrap();
                assert_eq!((read.width(), read.height()), size, "{pixel} as {kind}");
                cell = format!("{:?}", read.color());
                // The order that files have.
                let mut expected = rows;
                let name = pixel.name();
                match name {
                    "bgr24" => expected.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2)),
                    "bgra32" => expected.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2)),
                    _ => {}
                }
                let is_kept = kind != "jpg"
                    && (["gray", "rgb", "bgr"].iter().any(|word| name.starts_with(word)) || name == "depth16");
                if is_kept {
                    let samples = match read.color().bytes_per_pixel() / read.color().channel_count() {
                        2 => read.to_luma16().into_raw().into_iter().flat_map(u16::to_le_bytes).collect(),
                        _ => read.into_bytes(),
                    };
                    assert!(samples == expected, "{pixel} as {kind}");
                }
            }
            line += &format!("{cell:<12}");
        }
        println!("{line}");
    }
}

#[test]
fn each_stream_has_pictures_of_its_own_and_none_that_was_there_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
    fs::write(directory.path().join("000001.png"), b"precious").unwrap();
    let template = directory.path().join("{frame}.png");
    let places = places();
    let (mut first, mut second) = (open(&template, &format, "a", &places), open(&template, &format, "b", &places));
    for number in 0..3 {
        let (frame, _) = noise(&format, number);
        first.write(&frame).unwrap();
        second.write(&frame).unwrap();
    }
    let report = first.finish().unwrap();
    assert_eq!((report.files, report.frames), (3, 3));
    assert!(report.name.ends_with("000002-3.png'"), "{}", report.name);
    assert_eq!(
        names(directory.path()),
        ["000000-2.png", "000000.png", "000001-2.png", "000001-3.png", "000001.png", "000002-2.png", "000002-3.png"]
    );
    assert_eq!(fs::read(directory.path().join("000001.png")).unwrap(), b"precious");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_has_whole_pictures_alone() {
    let Some(disk) = crate::tiny_disk::TinyDisk::mount() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 160, 120).unwrap();
    let mut sink = open(&disk.path().join("{stream}-{frame}.tif"), &format, "cam", &places());
    let mut whole = 0;
    let error = loop {
        match sink.write(&noise(&format, whole).0) {
            Ok(()) => whole += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_full() && error.to_string().contains("nothing of it is left"), "{error}");
    assert!(whole > 0);
    let made = names(disk.path());
    assert_eq!(made.len() as u64, whole, "{made:?}");
    for name in made {
        ImageReader::open(disk.path().join(name)).unwrap().decode().unwrap();
    }
    // Room is made, and it goes on.
    fs::remove_file(disk.path().join("cam-000000.tif")).unwrap();
    sink.write(&noise(&format, whole).0).unwrap();
    assert_eq!(sink.finish().unwrap().frames, whole + 1);
}

#[test]
fn a_file_that_a_killed_program_left_half_written_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("000000.png");
    let left = before(&path, 0);
    fs::write(&left, b"half").unwrap();
    let mut file = create(&left).unwrap();
    file.write_all(b"whole").unwrap();
    assert_eq!(fs::read(&left).unwrap(), b"whole");
}

#[test]
fn sinks_that_write_one_name_at_once_touch_nobodys_half_written_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shot.png");
    let pictures = [1, 2, 3, 4].map(|value| vec![value; 1 << 16]);
    std::thread::scope(|scope| {
        for picture in &pictures {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..200 {
                    match write_whole(path, Creation::Fresh, picture) {
                        Ok(()) => {
                            let read = fs::read(path).unwrap();
                            assert!(read == *picture, "{} bytes of {}", read.len(), picture.len());
                            fs::remove_file(path).unwrap();
                        }
                        Err(Failed::Create(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(Failed::Create(error) | Failed::Write(error)) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn a_picture_larger_than_jpeg_can_say_is_refused_when_the_stream_is_opened() {
    let format = FrameFormat::new(PixelFormat::Gray8, 65_536, 1).unwrap();
    let every = NonZeroU64::MIN;
    let spec = |kind| SinkSpec::Pictures("{frame}.x".into(), kind, every);
    assert!(spec(PictureKind::Png).holds(&format).is_ok());
    let said = spec(PictureKind::Jpeg).holds(&format).unwrap_err().to_string();
    assert!(said.starts_with("JPEG cannot hold 65536x1 gray8"), "{said}");
}
