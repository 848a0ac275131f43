//! Files of pictures: what other programs wrote is what is sent, in the order that people count in, and what does not go with it is named.
#![allow(missing_docs)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use framewire_capture::{CaptureError, FrameSource, PictureFileError, SourceOptions, SourceSpec};
use framewire_transport::frame::{FramePool, PixelFormat};
use image::{ExtendedColorType, ImageFormat};
use proptest::prelude::*;

const SIZE: (u32, u32) = (16, 12);

fn open(path: &Path, pixel: Option<PixelFormat>) -> Result<Box<dyn FrameSource>, CaptureError> {
    SourceSpec::from_os(path.as_os_str()).unwrap().open(&SourceOptions::new().pixel(pixel))
}

fn refused(path: &Path) -> String {
    open(path, None).err().unwrap_or_else(|| panic!("{} opened", path.display())).to_string()
}

/// All frames, and what came after the last.
fn frames_of(source: &mut dyn FrameSource) -> (Vec<Vec<u8>>, Result<bool, CaptureError>) {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let mut frames = Vec::new();
    loop {
        match source.next_frame(&mut frame) {
            Ok(true) => frames.push(frame.to_vec()),
            end => return (frames, end),
        }
    }
}

/// Samples that are neither alike nor in order, of words where `bytes_per_pixel` is of them.
fn pixels(bytes_per_pixel: u32, seed: u32) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1 * bytes_per_pixel).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8 ^ seed as u8).collect()
}

fn encoded(pixels: &[u8], colour: ExtendedColorType, kind: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut file, pixels, SIZE.0, SIZE.1, colour, kind).unwrap();
    file.into_inner()
}

/// A gray PNG for each name, its pixels by its place.
fn gray_pictures(directory: &Path, names: &[&str]) -> Vec<Vec<u8>> {
    let save = |(place, name): (usize, &&str)| {
        let pixels = pixels(1, place as u32);
        fs::write(directory.join(name), encoded(&pixels, ExtendedColorType::L8, ImageFormat::Png)).unwrap();
        pixels
    };
    names.iter().enumerate().map(save).collect()
}

#[test]
fn every_lossless_kind_gives_its_very_samples_little_endian_and_blue_first_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("picture");
    for (colour, pixel, bytes_per_pixel) in [
        (ExtendedColorType::L8, PixelFormat::Gray8, 1),
        (ExtendedColorType::L16, PixelFormat::Gray16, 2),
        (ExtendedColorType::Rgb8, PixelFormat::Rgb24, 3),
        (ExtendedColorType::Rgba8, PixelFormat::Rgba32, 4),
    ] {
        // The encoder takes words as this machine has them, which is little-endian wherever these tests run.
        let pixels = pixels(bytes_per_pixel, 0);
        let blue_first: Vec<u8> = pixels
            .chunks(bytes_per_pixel as usize)
            .flat_map(|pixel| match *pixel {
                [red, green, blue] => vec![blue, green, red],
                [red, green, blue, alpha] => vec![blue, green, red, alpha],
                _ => Vec::new(),
            })
            .collect();
        for kind in [ImageFormat::Png, ImageFormat::Tiff] {
            fs::write(&path, encoded(&pixels, colour, kind)).unwrap();
            let mut source = open(&path, None).unwrap();
            assert_eq!(source.format().to_string(), format!("16x12 {pixel}"));
            assert_eq!((source.frame_count(), source.is_live(), source.frame_rate()), (Some(1), false, None));
            for _ in 0..2 {
                let (frames, end) = frames_of(&mut *source);
                assert!(frames == [&pixels[..]] && !end.unwrap(), "{pixel} {kind:?}");
                source.rewind().unwrap();
            }
            let others: &[PixelFormat] = match pixel {
                PixelFormat::Rgb24 => &[PixelFormat::Bgr24],
                PixelFormat::Rgba32 => &[PixelFormat::Bgra32],
                PixelFormat::Gray16 => &[PixelFormat::Depth16, PixelFormat::Gray12, PixelFormat::BayerGrbg10],
                _ => &[PixelFormat::BayerRggb8],
            };
            for other in others {
                let mut source = open(&path, Some(*other)).unwrap();
                assert_eq!(source.format().pixel(), *other);
                let expected = if blue_first.is_empty() { &pixels } else { &blue_first };
                assert!(frames_of(&mut *source).0 == [&expected[..]], "{other} {kind:?}");
            }
        }
    }
}

#[test]
fn a_directory_and_a_pattern_give_their_pictures_in_the_order_that_people_count_in() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["frame-2.png", "frame-10.png", "frame-100.PNG", "other-1.png"];
    let pictures = gray_pictures(directory.path(), &names);
    fs::write(directory.path().join("notes.txt"), "not a picture").unwrap();
    let mut all = open(directory.path(), None).unwrap();
    assert_eq!(all.frame_count(), Some(4));
    assert!(frames_of(&mut *all).0 == pictures);
    let mut some = open(&directory.path().join("frame-*"), None).unwrap();
    assert!(frames_of(&mut *some).0 == pictures[..3]);
    // A file that has the very name of a pattern is that file.
    fs::copy(directory.path().join("other-1.png"), directory.path().join("frame-*")).unwrap();
    assert!(frames_of(&mut *open(&directory.path().join("frame-*"), None).unwrap()).0 == pictures[3..]);
}

#[test]
fn a_picture_of_another_size_or_format_is_named_with_both_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    gray_pictures(directory.path(), &["a-1.png", "a-2.png"]);
    let odd = directory.path().join("a-3.png");
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut file, &[7; 6], 3, 2, ExtendedColorType::L8, ImageFormat::Png).unwrap();
    fs::write(&odd, file.into_inner()).unwrap();
    let said = refused(directory.path());
    assert!(
        said.contains("a-3.png': it is 3x2 gray8, and '")
            && said.contains("a-1.png' is 16x12 gray8; a stream keeps one size"),
        "{said}"
    );
    fs::write(&odd, encoded(&pixels(2, 0), ExtendedColorType::L16, ImageFormat::Tiff)).unwrap();
    let said = refused(directory.path());
    assert!(said.contains("a-3.png': it is 16x12 gray16, and '"), "{said}");
    fs::write(&odd, encoded(&pixels(3, 0), ExtendedColorType::Rgb8, ImageFormat::Jpeg)).unwrap();
    let said = refused(&directory.path().join("a-*.png"));
    assert!(said.contains("a-3.png': it is 16x12 rgb24, and '"), "{said}");
    fs::write(&odd, b"GIF89a not of these").unwrap();
    let said = refused(directory.path());
    assert!(said.contains("a-3.png': it is no PNG, JPEG or TIFF: it begins with 'GIF89a n'"), "{said}");
}

#[test]
fn a_picture_that_changes_before_it_is_reached_is_named_after_those_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let pictures = gray_pictures(directory.path(), &["1.png", "2.png", "3.png"]);
    let path = directory.path().join("2.png");
    let whole = fs::read(&path).unwrap();
    let mut source = open(directory.path(), None).unwrap();
    for (bytes, reason) in [
        (
            encoded(&pixels(3, 0), ExtendedColorType::Rgb8, ImageFormat::Png),
            "it was 16x12 gray8 when it was opened, and is 16x12 Rgb8 now",
        ),
        (whole[..whole.len() / 2].to_vec(), "it stops inside the picture"),
        (b"nothing".to_vec(), "it is no PNG, JPEG or TIFF"),
    ] {
        fs::write(&path, bytes).unwrap();
        let (frames, end) = frames_of(&mut *source);
        let said = end.unwrap_err().to_string();
        assert!(said.contains("2.png': ") && said.contains(reason), "{said}");
        assert!(said.ends_with("; the picture before it was given"), "{said}");
        assert!(frames == pictures[..1]);
        source.rewind().unwrap();
    }
    fs::remove_file(&path).unwrap();
    assert!(frames_of(&mut *source).1.unwrap_err().to_string().starts_with("cannot read '"));
    // Where the error has passed, the next frame follows.
    fs::write(&path, whole).unwrap();
    assert!(frames_of(&mut *source).0 == pictures[1..]);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_or_whole_and_never_half_a_picture() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("picture");
    let gray = pixels(1, 3);
    for kind in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Jpeg] {
        let file = encoded(&gray, ExtendedColorType::L8, kind);
        fs::write(&path, &file).unwrap();
        let whole = frames_of(&mut *open(&path, None).unwrap()).0;
        let mut given = 0;
        for cut in 8..file.len() {
            fs::write(&path, &file[..cut]).unwrap();
            let frames = match open(&path, None) {
                Ok(mut source) => match frames_of(&mut *source) {
                    (frames, Ok(_)) => frames,
                    (frames, Err(error)) => {
                        assert!(
                            frames.is_empty() && error.to_string().contains("picture': it "),
                            "{kind:?} {cut}: {error}"
                        );
                        continue;
                    }
                },
                Err(CaptureError::PictureFile {
                    source: PictureFileError::Truncated | PictureFileError::Damaged(_),
                    ..
                }) => continue,
                Err(other) => panic!("{kind:?} {cut}: {other}"),
            };
            // All pixels are there, and what is cut says nothing of them.
            assert!(frames == whole, "{kind:?} {cut}");
            given += 1;
        }
        assert!(given <= 20, "{kind:?}: {given}");
        assert!(kind != ImageFormat::Jpeg || given == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_bytes_changed_is_refused_or_a_picture_of_the_size_that_it_says(
        kind in prop::sample::select(vec![ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Jpeg]),
        is_colour in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (colour, channels) = if is_colour { (ExtendedColorType::Rgb8, 3) } else { (ExtendedColorType::L8, 1) };
        let mut file = encoded(&pixels(channels, 5), colour, kind);
        for (at, byte) in changes {
            // Headers are where sizes are.
            let at = at.index(file.len().min(700));
            file[at] = byte;
        }
        file.truncate(cut.map_or(file.len(), |cut| cut.index(file.len()) + 1));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picture.png");
        fs::write(&path, file).unwrap();
        if let Ok(mut source) = open(&path, None)
            && source.format().frame_bytes() < 100 << 20
        {
            let format = source.format();
            for frame in frames_of(&mut *source).0 {
                prop_assert_eq!(frame.len(), format.frame_bytes());
            }
        }
    }
}

#[test]
fn samples_that_no_pixel_format_has_are_refused_by_name_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("picture.png");
    for (colour, bytes_per_pixel, name) in [
        (ExtendedColorType::Rgb16, 6, "16-bit RGB"),
        (ExtendedColorType::Rgba16, 8, "16-bit RGBA"),
        (ExtendedColorType::La8, 2, "8-bit gray with alpha"),
        (ExtendedColorType::La16, 4, "16-bit gray with alpha"),
    ] {
        fs::write(&path, encoded(&pixels(bytes_per_pixel, 0), colour, ImageFormat::Png)).unwrap();
        let said = refused(&path);
        assert!(
            said.contains(&format!("it has {name}, and pictures here have")) && said.contains("ffmpeg -i IN -pix_fmt"),
            "{said}"
        );
    }
    fs::write(&path, encoded(&pixels(1, 0), ExtendedColorType::L8, ImageFormat::Png)).unwrap();
    if cfg!(not(feature = "opencv")) {
        let said = open(&path, Some(PixelFormat::Yuv420p)).err().unwrap().to_string();
        assert!(said.contains("is gray8, and --pixel asks for yuv420p"), "{said}");
    }
}

#[test]
fn a_picture_that_asks_for_more_memory_than_it_needs_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bomb.png");
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let checked = [&kind[..], content].concat();
        let sum = checked.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
        });
        [&(content.len() as u32).to_be_bytes()[..], &checked, &(!sum).to_be_bytes()].concat()
    };
    for (width, height) in [(0x7fff_ffff_u32, 0x7fff_ffff_u32), (0x7fff_ffff, 1), (1, 0x7fff_ffff), (60_000, 60_000)] {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
        let bomb =
            [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], &chunk(b"IDAT", &[0x78, 0x9c]), &chunk(b"IEND", &[])]
                .concat();
        fs::write(&path, bomb).unwrap();
        assert!(refused(&path).contains("bomb.png': "), "{}", refused(&path));
    }
    // A JPEG with more bytes than any of its size has, most of which are not on the disk.
    let path = directory.path().join("bomb.jpg");
    fs::write(&path, encoded(&pixels(1, 0), ExtendedColorType::L8, ImageFormat::Jpeg)).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    let mut source = open(&path, None).unwrap();
    let end = frames_of(&mut *source).1;
    let is_refused =
        matches!(&end, Err(CaptureError::PictureFile { frame: 0, source: PictureFileError::TooLarge, .. }));
    assert!(is_refused, "{end:?}");
    // Gray of 8 bits, which is sent, with a row that is longer than a decoder may take.
    let header = [&0x7fff_ffff_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let start = [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..]].concat();
    let path = directory.path().join("row.png");
    fs::write(&path, [&start[..], &chunk(b"IDAT", &[0x78, 0x9c]), &chunk(b"IEND", &[])].concat()).unwrap();
    let end = open(&path, None).err();
    let is_refused = matches!(&end, Some(CaptureError::PictureFile { source: PictureFileError::TooLarge, .. }));
    assert!(is_refused, "{end:?}");
}

#[test]
fn a_picture_that_is_taken_away_while_they_are_sent_is_a_file_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    gray_pictures(directory.path(), &["1.png", "2.png"]);
    let mut source = open(directory.path(), None).unwrap();
    fs::remove_file(directory.path().join("2.png")).unwrap();
    let (frames, end) = frames_of(&mut *source);
    assert_eq!(frames.len(), 1);
    assert!(matches!(&end, Err(CaptureError::Io { .. })), "{end:?}");
}

#[test]
fn what_is_not_there_or_no_picture_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let said = refused(directory.path());
    assert!(
        said.contains("is a directory with no pictures in it (png, jpg, jpeg, tif, tiff); name a file in it"),
        "{said}"
    );
    let said = refused(&directory.path().join("*.png"));
    assert!(said.contains("no file '") && said.contains("*.png'; check the path"), "{said}");
    fs::write(directory.path().join("photo.jpg"), "nothing of the kind").unwrap();
    if cfg!(not(feature = "opencv")) {
        let said = refused(&directory.path().join("photo.jpg"));
        assert!(said.contains("photo.jpg': it is no PNG, JPEG or TIFF: it begins with 'nothing '"), "{said}");
    }
}

/// What ffmpeg decodes a file to.
fn by_ffmpeg(path: &Path, pixel: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path).args(["-f", "rawvideo", "-pix_fmt", pixel, "-"]);
    command.output().unwrap().stdout
}

/// Has ffmpeg make a picture of its test source.
fn ffmpeg_writes(path: PathBuf, arguments: &[&str]) -> PathBuf {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=63x47:rate=1:duration=1", "-frames:v", "1"]);
    let done = command.args(arguments).arg("-y").arg(&path).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    path
}

#[test]
fn what_ffmpeg_writes_is_what_ffmpeg_reads_back() {
    if !framewire_testing::has_programs(&["ffmpeg"], "apt-get install ffmpeg") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, arguments, pixel) in [
        ("gray.png", &["-pix_fmt", "gray"][..], PixelFormat::Gray8),
        ("gray16.png", &["-pix_fmt", "gray16be"], PixelFormat::Gray16),
        ("rgb.png", &["-pix_fmt", "rgb24"], PixelFormat::Rgb24),
        ("rgba.png", &["-pix_fmt", "rgba"], PixelFormat::Rgba32),
        ("interlaced.png", &["-pix_fmt", "rgb24", "-flags", "+ildct"], PixelFormat::Rgb24),
        ("gray.tiff", &["-pix_fmt", "gray"], PixelFormat::Gray8),
        ("gray16.tiff", &["-pix_fmt", "gray16le", "-compression_algo", "lzw"], PixelFormat::Gray16),
        ("rgb.tiff", &["-pix_fmt", "rgb24", "-compression_algo", "deflate"], PixelFormat::Rgb24),
        ("packed.tiff", &["-pix_fmt", "rgba", "-compression_algo", "packbits"], PixelFormat::Rgba32),
    ] {
        let path = ffmpeg_writes(directory.path().join(name), arguments);
        let mut source = open(&path, None).unwrap();
        assert_eq!(source.format().to_string(), format!("63x47 {pixel}"), "{name}");
        assert!(frames_of(&mut *source).0 == [by_ffmpeg(&path, pixel.ffmpeg().unwrap())], "{name}");
    }
    // A palette as the colours that it stands for.
    let palette = directory.path().join("palette.png");
    let palette = ffmpeg_writes(
        palette,
        &["-filter_complex", "split[a][b];[b]palettegen=reserve_transparent=0[p];[a][p]paletteuse"],
    );
    let mut source = open(&palette, None).unwrap();
    let pixel = source.format().pixel();
    assert!(matches!(pixel, PixelFormat::Rgb24 | PixelFormat::Rgba32), "{pixel}");
    assert!(frames_of(&mut *source).0 == [by_ffmpeg(&palette, pixel.ffmpeg().unwrap())]);
    // Decoders of JPEG round differently, by a step or two.
    let gray = directory.path().join("gray.jpg");
    fs::write(&gray, encoded(&[90; 16 * 12], ExtendedColorType::L8, ImageFormat::Jpeg)).unwrap();
    let colour = ffmpeg_writes(directory.path().join("colour.jpg"), &["-pix_fmt", "yuvj444p", "-q:v", "2"]);
    for (path, expected) in [(colour, "63x47 rgb24"), (gray, "16x12 gray8")] {
        let mut source = open(&path, None).unwrap();
        assert_eq!(source.format().to_string(), expected);
        let pixel = source.format().pixel().ffmpeg().unwrap();
        let (ours, theirs) = (frames_of(&mut *source).0, by_ffmpeg(&path, pixel));
        let furthest = ours[0].iter().zip(&theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
        assert!(ours[0].len() == theirs.len() && furthest <= Some(3), "{expected}: {furthest:?}");
    }
}
