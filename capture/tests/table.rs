//! Every format out of every source that names it, byte for byte; the table is printed (`--nocapture`).
#![allow(missing_docs)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use framewire_capture::{RawFormat, SourceOptions, SourceSpec, pattern};
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat, PixelLayout};
use image::{ExtendedColorType, ImageFormat};

const SIZE: (u32, u32) = (48, 34);
const FRAMES: usize = 3;

/// Files that hold the frames, and with which options they are opened; `None` where the source does not name the format.
type Write = fn(&Path, &FrameFormat, &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)>;

const SOURCES: [(&str, Write); 5] = [("raw", raw), ("y4m", y4m), ("npy", npy), ("png", png), ("tiff", tiff)];

fn raw(at: &Path, format: &FrameFormat, frames: &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)> {
    let path = at.join("frames.raw");
    fs::write(&path, frames.concat()).unwrap();
    Some((path, SourceOptions::new().raw_format(RawFormat::new(*format, None))))
}

fn y4m(at: &Path, format: &FrameFormat, frames: &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)> {
    let pixel = format.pixel();
    let depth = if pixel.bits() == 8 { String::new() } else { pixel.bits().to_string() };
    let tag = match (pixel.layout(), pixel.chroma_divisors()) {
        (PixelLayout::Gray, _) => format!("mono{depth}"),
        (PixelLayout::YuvPlanar, divisors) => {
            let chroma = match divisors {
                (1, 1) => 444,
                (2, 1) => 422,
                _ => 420,
            };
            format!("{chroma}{}{depth}", if depth.is_empty() { "" } else { "p" })
        }
        _ => return None,
    };
    let mut file = format!("YUV4MPEG2 W{} H{} F25:1 C{tag}\n", format.width(), format.height()).into_bytes();
    frames.iter().for_each(|frame| file.extend([&b"FRAME\n"[..], frame].concat()));
    let path = at.join("frames.y4m");
    fs::write(&path, file).unwrap();
    Some((path, SourceOptions::new()))
}

/// What a pixel of an array or a picture is: bytes of a sample, and how many.
fn samples(pixel: PixelFormat) -> Option<(u32, u32)> {
    let channels = match pixel.layout() {
        PixelLayout::Gray | PixelLayout::Bayer(_) | PixelLayout::Depth | PixelLayout::DepthFloat => 1,
        PixelLayout::Rgb | PixelLayout::Bgr => 3,
        PixelLayout::Rgba | PixelLayout::Bgra => 4,
        _ => return None,
    };
    Some((pixel.sample_bytes()?, channels))
}

fn npy(at: &Path, format: &FrameFormat, frames: &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)> {
    let (sample, channels) = samples(format.pixel())?;
    let descr = ["|u1", "<u2", "", "<f4"][sample as usize - 1];
    let channels = if channels == 1 { String::new() } else { format!(", {channels}") };
    let shape = format!("({}, {}, {}{channels})", frames.len(), format.height(), format.width());
    let literal = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let head = [b"\x93NUMPY\x01\0", &(literal.len() as u16).to_le_bytes()[..], literal.as_bytes()].concat();
    let path = at.join("frames.npy");
    fs::write(&path, [head, frames.concat()].concat()).unwrap();
    Some((path, SourceOptions::new().pixel(format.pixel())))
}

/// A directory of pictures, a frame each.
fn pictures(
    at: &Path,
    format: &FrameFormat,
    frames: &[Vec<u8>],
    kind: ImageFormat,
) -> Option<(PathBuf, SourceOptions)> {
    let colour = match samples(format.pixel())? {
        (1, 1) => ExtendedColorType::L8,
        (2, 1) => ExtendedColorType::L16,
        (1, 3) => ExtendedColorType::Rgb8,
        (1, 4) => ExtendedColorType::Rgba8,
        _ => return None,
    };
    let is_blue_first = matches!(format.pixel().layout(), PixelLayout::Bgr | PixelLayout::Bgra);
    for (number, frame) in frames.iter().enumerate() {
        let mut red_first = frame.clone();
        if is_blue_first {
            let channels = if colour == ExtendedColorType::Rgb8 { 3 } else { 4 };
            red_first.chunks_mut(channels).for_each(|pixel| pixel.swap(0, 2));
        }
        let mut file = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut file, &red_first, format.width(), format.height(), colour, kind).ok()?;
        fs::write(at.join(format!("picture-{}.{}", number + 9, kind.extensions_str()[0])), file.into_inner()).unwrap();
    }
    Some((at.to_owned(), SourceOptions::new().pixel(format.pixel())))
}

fn png(at: &Path, format: &FrameFormat, frames: &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)> {
    pictures(at, format, frames, ImageFormat::Png)
}

fn tiff(at: &Path, format: &FrameFormat, frames: &[Vec<u8>]) -> Option<(PathBuf, SourceOptions)> {
    pictures(at, format, frames, ImageFormat::Tiff)
}

fn format_of(pixel: PixelFormat) -> FrameFormat {
    let size = if pixel == PixelFormat::Bytes { (5_000, 1) } else { SIZE };
    FrameFormat::new(pixel, size.0, size.1).unwrap()
}

/// Frames of all kinds of bytes.
fn frames_of(format: &FrameFormat) -> Vec<Vec<u8>> {
    let byte = |number: usize, at: usize| ((at as u32 ^ number as u32).wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..FRAMES).map(|number| (0..format.frame_bytes()).map(|at| byte(number, at)).collect()).collect()
}

fn read(spec: &SourceSpec, options: &SourceOptions, format: &FrameFormat) -> Vec<Vec<u8>> {
    let mut source = spec.open(options).unwrap_or_else(|error| panic!("{spec} of {format}: {error}"));
    assert_eq!(source.format(), *format, "{spec}");
    let pool = FramePool::for_format(1, *format).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    std::iter::from_fn(|| source.next_frame(&mut frame).unwrap().then(|| frame.to_vec())).collect()
}

#[test]
fn every_format_comes_out_of_every_source_that_names_it_byte_for_byte() {
    let mut table = format!("{:<14} pattern", "");
    SOURCES.iter().for_each(|(name, _)| table.push_str(&format!(" {name:>5}")));
    let mut count = 0;
    for pixel in PixelFormat::ALL {
        let format = format_of(pixel);
        let spec = format!("pattern:{}x{}:{pixel}", format.width(), format.height()).parse::<SourceSpec>().unwrap();
        let mut source = spec.open(&SourceOptions::new()).unwrap();
        let pool = FramePool::for_format(1, format).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        for number in 0..FRAMES as u64 {
            assert!(source.next_frame(&mut frame).unwrap());
            assert_eq!(pattern::read_frame_number(&frame, &format), Some(number), "{pixel}");
        }
        table.push_str(&format!("\n{:<14} {:>7}", pixel.name(), "yes"));
        let frames = frames_of(&format);
        for (name, write) in SOURCES {
            let place = tempfile::tempdir().unwrap();
            let Some((path, options)) = write(place.path(), &format, &frames) else {
                table.push_str(&format!(" {:>5}", "-"));
                continue;
            };
            assert!(read(&SourceSpec::File(path), &options, &format) == frames, "{pixel} out of {name}");
            table.push_str(&format!(" {:>5}", "yes"));
            count += 1;
        }
    }
    println!("{table}");
    // Raw frames are of every format; 16 are Y4M's; arrays have gray, colour, Bayer and both depths, pictures all of those but floats.
    assert_eq!(count, PixelFormat::ALL.len() + 16 + 26 + 2 * 25, "{table}");
}
