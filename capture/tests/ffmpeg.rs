//! What ffmpeg writes, read here: every frame is the bytes that ffmpeg itself says it is.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use framewire_capture::{FrameSource, RawFormat, SourceOptions, SourceSpec, Y4mStream};
use framewire_testing::has_programs;
use framewire_transport::frame::{ChromaPlace, ColourRange, FrameFormat, FramePool, PixelFormat, PixelLayout};

/// Odd, so that chroma has pixels that are half outside; and even, for formats that have no odd widths.
const SIZES: [(u32, u32); 2] = [(63, 47), (64, 46)];
const FRAMES: usize = 3;

fn is_there() -> bool {
    has_programs(&["ffmpeg"], "apt-get install ffmpeg")
}

/// Runs ffmpeg; what it said where it failed.
fn ffmpeg(arguments: &[&str], output: &Path) -> Result<(), String> {
    let mut command = Command::new("ffmpeg");
    let done = command.args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(output).output().unwrap();
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// A clip of this size in ffmpeg's own test picture, as ffmpeg's pixel format, encoded as the rest of the arguments say.
fn clip(size: (u32, u32), pixel: &str, how: &[&str], output: &Path) -> Result<(), String> {
    let picture = format!("testsrc=s={}x{}:r=30000/1001:d=1", size.0, size.1);
    let frames = FRAMES.to_string();
    let arguments = [&["-f", "lavfi", "-i", &picture, "-frames:v", &frames, "-pix_fmt", pixel][..], how].concat();
    ffmpeg(&arguments, output)
}

/// All frames of the source, back to back.
fn bytes_of(source: &mut dyn FrameSource) -> Vec<u8> {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut all = Vec::new();
    loop {
        let mut frame = pool.try_acquire().unwrap();
        if !source.next_frame(&mut frame).unwrap() {
            return all;
        }
        all.extend_from_slice(&frame);
    }
}

fn y4m_formats() -> Vec<PixelFormat> {
    let is_of_y4m = |pixel: &PixelFormat| matches!(pixel.layout(), PixelLayout::Gray | PixelLayout::YuvPlanar);
    PixelFormat::ALL.into_iter().filter(is_of_y4m).collect()
}

#[test]
fn every_y4m_that_ffmpeg_writes_of_these_formats_has_the_bytes_that_ffmpeg_reads_in_it() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (y4m, raw) = (place.path().join("clip.y4m"), place.path().join("clip.raw"));
    let formats = y4m_formats();
    assert_eq!(formats.len(), 16, "gray and the planar ones, each in 8, 10, 12 and 16 bits");
    for pixel in formats {
        for (width, height) in SIZES {
            // Of more than 8 bits ffmpeg 5.1 cuts a byte off each row of chroma that is half a pixel wider than its luma, and does not
            // read that itself.
            let size = (if pixel.bits() > 8 { width.next_multiple_of(2) } else { width }, height);
            for (range, said) in [("pc", ColourRange::Full), ("tv", ColourRange::Limited)] {
                let name = pixel.ffmpeg().unwrap();
                clip(size, name, &["-color_range", range, "-strict", "-1", "-f", "yuv4mpegpipe"], &y4m).unwrap();
                ffmpeg(&["-i", y4m.to_str().unwrap(), "-f", "rawvideo", "-pix_fmt", name], &raw).unwrap();
                let expected = std::fs::read(&raw).unwrap();
                let format = FrameFormat::new(pixel, size.0, size.1).unwrap();
                assert_eq!(expected.len(), FRAMES * format.frame_bytes(), "{format}: ffmpeg has other frames");
                let mut file = SourceSpec::File(y4m.clone()).open(&SourceOptions::default()).unwrap();
                let mut stream = Y4mStream::new("the pipe", File::open(&y4m).unwrap()).unwrap();
                for source in [&mut *file, &mut stream] {
                    assert_eq!((source.format(), source.presentation().range), (format, said));
                    assert_eq!(source.frame_rate().unwrap().to_string(), "30000/1001");
                    assert!(bytes_of(source) == expected, "{format} {range}");
                }
            }
        }
    }
}

#[test]
fn where_ffmpeg_says_that_chroma_lies_is_kept() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let y4m = place.path().join("clip.y4m");
    for (name, chroma) in
        [("left", ChromaPlace::Left), ("center", ChromaPlace::Center), ("topleft", ChromaPlace::TopLeft)]
    {
        clip((64, 46), "yuv420p", &["-chroma_sample_location", name, "-f", "yuv4mpegpipe"], &y4m).unwrap();
        let source = SourceSpec::File(y4m.clone()).open(&SourceOptions::default()).unwrap();
        assert_eq!(source.presentation().chroma, chroma);
    }
}

#[test]
fn every_other_y4m_that_ffmpeg_writes_is_refused_by_its_name_with_a_command_that_helps() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (y4m, converted) = (place.path().join("clip.y4m"), place.path().join("converted.y4m"));
    for (pixel, name, instead) in [
        ("gray9le", "Cmono9", PixelFormat::Gray10),
        ("yuv420p9le", "C420p9", PixelFormat::Yuv420p10),
        ("yuv422p9le", "C422p9", PixelFormat::Yuv422p10),
        ("yuv444p9le", "C444p9", PixelFormat::Yuv444p10),
        ("yuv420p14le", "C420p14", PixelFormat::Yuv420p16),
        ("yuv422p14le", "C422p14", PixelFormat::Yuv422p16),
        ("yuv444p14le", "C444p14", PixelFormat::Yuv444p16),
        ("yuva444p", "C444alpha", PixelFormat::Yuv444p),
        ("yuv411p", "C411", PixelFormat::Yuv422p),
    ] {
        clip((64, 46), pixel, &["-strict", "-1", "-f", "yuv4mpegpipe"], &y4m).unwrap();
        let refused = SourceSpec::File(y4m.clone()).open(&SourceOptions::default()).err().unwrap().to_string();
        assert!(refused.contains(&format!("the Y4M colour space {name} is not supported;")), "{refused}");
        // The command of the message, as it is told.
        let (_, command) = refused.split_once("ffmpeg -i IN ").unwrap();
        let options = command.strip_suffix(" OUT.y4m").unwrap();
        let arguments: Vec<_> = ["-i", y4m.to_str().unwrap()].into_iter().chain(options.split(' ')).collect();
        ffmpeg(&arguments, &converted).unwrap();
        let mut source = SourceSpec::File(converted.clone()).open(&SourceOptions::default()).unwrap();
        assert_eq!(source.format().pixel(), instead, "{name}");
        assert_eq!(bytes_of(&mut *source).len(), FRAMES * source.format().frame_bytes());
    }
}

#[test]
fn raw_frames_of_every_format_that_ffmpeg_writes_are_as_long_as_ffmpeg_makes_them_under_either_name() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("clip.yuv");
    let mut done = 0;
    for pixel in PixelFormat::ALL {
        for size in SIZES {
            // What ffmpeg only reads (mosaics) or does not know is left out.
            let written = match (pixel.ffmpeg(), pixel) {
                (None, PixelFormat::V210) => clip(size, "yuv422p10le", &["-c:v", "v210", "-f", "rawvideo"], &path),
                (Some(name), _) => clip(size, name, &["-f", "rawvideo"], &path),
                (None, _) => continue,
            };
            let Ok(format) = FrameFormat::new(pixel, size.0, size.1) else {
                assert_eq!(size.0 % 2, 1, "{pixel}");
                continue;
            };
            let Ok(()) = written else {
                assert!(matches!(pixel.layout(), PixelLayout::Bayer(_) | PixelLayout::DepthFloat), "{pixel}");
                continue;
            };
            let expected = std::fs::read(&path).unwrap();
            assert_eq!(expected.len(), FRAMES * format.frame_bytes(), "{format}");
            for name in [pixel.name(), pixel.ffmpeg().unwrap_or("V210")] {
                let raw: RawFormat = format!("{}x{}:{name}@25", size.0, size.1).parse().unwrap();
                let options = SourceOptions::new().raw_format(raw);
                let mut source = SourceSpec::File(path.clone()).open(&options).unwrap();
                assert_eq!(source.frame_count(), Some(FRAMES as u64));
                assert!(bytes_of(&mut *source) == expected, "{format}");
            }
            done += 1;
        }
    }
    assert!(done > 40, "{done}");
}

#[test]
fn the_command_that_a_refused_pixel_format_is_told_with_makes_what_is_read_as_that() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (y4m, converted) = (place.path().join("clip.y4m"), place.path().join("converted"));
    clip((64, 46), "gray", &["-f", "yuv4mpegpipe"], &y4m).unwrap();
    let mut made = 0;
    for pixel in PixelFormat::ALL {
        let asked = SourceOptions::new().pixel(pixel);
        let Err(refused) = SourceSpec::File(y4m.clone()).open(&asked) else {
            assert_eq!(pixel, PixelFormat::Gray8);
            continue;
        };
        let refused = refused.to_string();
        let Some((_, command)) = refused.split_once(", or convert it: ffmpeg -i IN ") else {
            assert_eq!(pixel.ffmpeg(), None, "{refused}");
            continue;
        };
        // ffmpeg only reads mosaics and depth of floating point.
        if matches!(pixel.layout(), PixelLayout::Bayer(_) | PixelLayout::DepthFloat) {
            continue;
        }
        let is_y4m = command.ends_with(" OUT.y4m");
        let options = command.split(" OUT.").next().unwrap();
        let output = converted.with_extension(if is_y4m { "y4m" } else { "raw" });
        let arguments: Vec<_> = ["-i", y4m.to_str().unwrap()].into_iter().chain(options.split(' ')).collect();
        ffmpeg(&arguments, &output).unwrap();
        let raw: RawFormat = format!("64x46:{pixel}@25").parse().unwrap();
        let options = if is_y4m { asked } else { asked.raw_format(raw) };
        let mut source = SourceSpec::File(output).open(&options).unwrap();
        assert_eq!(bytes_of(&mut *source).len(), FRAMES * raw.format.frame_bytes(), "{refused}");
        made += 1;
    }
    assert!(made > 20, "{made}");
}
