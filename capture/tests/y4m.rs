//! Y4M files by an independent writer, read by us, from a file and from a stream.

use std::io::Write;

use framewire_capture::{FrameSource, SourceOptions, SourceSpec, Y4mStream, pattern};
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use y4m::{Colorspace, Encoder, Ratio};

const FRAMES: u64 = 4;

/// A Y4M file of the pattern, by the crate `y4m`.
fn written(format: &FrameFormat, colour_space: Colorspace) -> Vec<u8> {
    let mut file = Vec::new();
    let (width, height) = (format.width() as usize, format.height() as usize);
    let mut encoder: Encoder<_> =
        y4m::encode(width, height, Ratio::new(30, 1)).with_colorspace(colour_space).write_header(&mut file).unwrap();
    let mut bytes = vec![0; format.frame_bytes()];
    for number in 0..FRAMES {
        pattern::draw(&mut bytes, format, number).unwrap();
        let (luma, chroma) = bytes.split_at(format.plane_bytes(0));
        let planes = match format.pixel() {
            PixelFormat::Gray8 | PixelFormat::Gray12 => [luma, &[], &[]],
            _ => [luma, &chroma[..chroma.len() / 2], &chroma[chroma.len() / 2..]],
        };
        encoder.write_frame(&y4m::Frame::new(planes, None)).unwrap();
    }
    file
}

fn assert_gives_the_pattern(source: &mut dyn FrameSource, format: &FrameFormat) {
    assert_eq!(source.format(), *format);
    assert_eq!(source.frame_rate().unwrap().to_string(), "30");
    let pool = FramePool::new(1, format.frame_bytes()).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let mut expected = vec![0; format.frame_bytes()];
    for number in 0..FRAMES {
        assert!(source.next_frame(&mut frame).unwrap());
        pattern::draw(&mut expected, format, number).unwrap();
        assert!(frame[..] == expected, "frame {number} of {format}");
    }
    assert!(!source.next_frame(&mut frame).unwrap());
}

#[test]
fn every_colour_space_of_an_independent_writer_reads_back_byte_for_byte() {
    let cases = [
        (PixelFormat::Gray8, Colorspace::Cmono),
        (PixelFormat::Yuv420p, Colorspace::C420),
        (PixelFormat::Yuv420p, Colorspace::C420jpeg),
        (PixelFormat::Yuv420p, Colorspace::C420mpeg2),
        (PixelFormat::Yuv420p, Colorspace::C420paldv),
        (PixelFormat::Yuv422p, Colorspace::C422),
        (PixelFormat::Yuv444p, Colorspace::C444),
        (PixelFormat::Gray12, Colorspace::Cmono12),
        (PixelFormat::Yuv420p10, Colorspace::C420p10),
        (PixelFormat::Yuv420p12, Colorspace::C420p12),
        (PixelFormat::Yuv422p10, Colorspace::C422p10),
        (PixelFormat::Yuv422p12, Colorspace::C422p12),
        (PixelFormat::Yuv444p10, Colorspace::C444p10),
        (PixelFormat::Yuv444p12, Colorspace::C444p12),
    ];
    for (pixel, colour_space) in cases {
        for (width, height) in [(176, 144), (34, 6), (1280, 720)] {
            let format = FrameFormat::new(pixel, width, height).unwrap();
            let bytes = written(&format, colour_space);
            assert_gives_the_pattern(&mut Y4mStream::new("memory", &bytes[..]).unwrap(), &format);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let spec = SourceSpec::File(file.path().into());
            let mut source = spec.open(&SourceOptions::default()).unwrap();
            assert_eq!(source.frame_count(), Some(FRAMES));
            for _ in 0..2 {
                assert_gives_the_pattern(&mut *source, &format);
                source.rewind().unwrap();
            }
        }
    }
}

#[test]
fn any_damage_to_a_file_gives_frames_or_an_error_and_never_a_panic() {
    let format = FrameFormat::new(PixelFormat::Yuv420p, 8, 4).unwrap();
    let bytes = written(&format, Colorspace::C420);
    let pool = FramePool::new(1, 64 * 1024).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let (mut frames, mut errors) = (0, 0);
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            // xorshift: the same damage in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = (state >> 16) as usize % damaged.len();
            match state % 3 {
                0 => damaged[at] = (state >> 40) as u8,
                1 => damaged.truncate(at + 1),
                _ => drop(damaged.remove(at)),
            }
            if damaged.is_empty() {
                break;
            }
        }
        let Ok(mut source) = Y4mStream::new("memory", &damaged[..]) else {
            errors += 1;
            continue;
        };
        loop {
            match source.next_frame(&mut frame) {
                Ok(true) => frames += 1,
                Ok(false) => break,
                Err(_) => {
                    errors += 1;
                    break;
                }
            }
        }
    }
    assert!(frames > 1_000 && errors > 1_000, "{frames} frames, {errors} errors: both were to be seen");
}
