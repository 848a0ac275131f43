//! Public calls on values that do not go together: refused with a reason, never a panic.

use framewire_capture::colour::{bgr24_to_yuv, yuv_to_bgr24};
use framewire_capture::pattern::{draw, read_frame_number};
use framewire_capture::{PatternSource, PictureError};
use framewire_transport::frame::{FrameFormat, PixelFormat};

/// Packed and strided pictures of every pixel format, at sizes that are odd, tiny and alike.
fn formats() -> Vec<FrameFormat> {
    let sizes = [(1, 1), (4, 2), (5, 3), (16, 6), (2, 4)];
    let of = |pixel: PixelFormat| {
        sizes.into_iter().flat_map(move |(width, height)| {
            let packed = FrameFormat::new(pixel, width, height);
            let strided = |packed: FrameFormat| {
                [4, 5, 128]
                    .into_iter()
                    .find_map(|gap| FrameFormat::with_stride(pixel, width, height, packed.stride() + gap).ok())
            };
            // What has no odd widths has the others.
            [packed.clone().ok(), packed.ok().and_then(strided)].into_iter().flatten()
        })
    };
    PixelFormat::ALL.into_iter().flat_map(of).collect()
}

/// Slices of nothing, of one byte less and more than a frame, of a whole one, and of far more.
fn lengths(format: &FrameFormat) -> [usize; 5] {
    let whole = format.frame_bytes();
    [0, whole - 1, whole, whole + 1, 2 * whole + 64]
}

fn is_yuv(format: &FrameFormat) -> bool {
    [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p].contains(&format.pixel())
}

#[test]
fn drawing_takes_exactly_a_frame_and_refuses_any_other_number_of_bytes_untouched() {
    for format in formats() {
        for length in lengths(&format) {
            for number in [0, u64::MAX] {
                let mut bytes = vec![0xa5; length];
                let drawn = draw(&mut bytes, &format, number);
                let (given, needed) = (length, format.frame_bytes());
                if format.holds(given) {
                    assert_eq!(drawn, Ok(()), "{format}");
                } else {
                    assert_eq!(drawn, Err(PictureError::Bytes { format, given, needed }));
                    assert!(bytes.iter().all(|byte| *byte == 0xa5), "{format}");
                }
                let _ = read_frame_number(&bytes, &format);
            }
        }
        let _ = PatternSource::new(format);
    }
}

#[test]
fn a_conversion_takes_a_pair_of_whole_pictures_of_one_size_and_refuses_every_other_untouched() {
    // Each layout once: what more bits there are of it is refused alike.
    let refused =
        [PixelFormat::Rgb24, PixelFormat::Nv12, PixelFormat::Yuv420p10, PixelFormat::V210, PixelFormat::Bytes];
    let converted =
        |format: &FrameFormat| is_yuv(format) || [PixelFormat::Bgr24, PixelFormat::Gray8].contains(&format.pixel());
    let formats: Vec<_> =
        formats().into_iter().filter(|format| converted(format) || refused.contains(&format.pixel())).collect();
    for from in &formats {
        for to in &formats {
            for source in lengths(from) {
                for target in lengths(to) {
                    let whole = source == from.frame_bytes() && target == to.frame_bytes();
                    let alike = (from.width(), from.height()) == (to.width(), to.height());
                    let (source, mut bytes) = (vec![90; source], vec![0xa5; target]);
                    let to_yuv = bgr24_to_yuv(&source, from, &mut bytes, to);
                    let possible = from.pixel() == PixelFormat::Bgr24 && is_yuv(to);
                    assert_eq!(to_yuv.is_ok(), whole && alike && possible, "{from} to {to}: {to_yuv:?}");
                    assert!(to_yuv.is_ok() || bytes.iter().all(|byte| *byte == 0xa5), "{from} to {to}");
                    bytes.fill(0xa5);
                    let to_bgr = yuv_to_bgr24(&source, from, &mut bytes, to);
                    let possible = to.pixel() == PixelFormat::Bgr24 && is_yuv(from);
                    assert_eq!(to_bgr.is_ok(), whole && alike && possible, "{from} to {to}: {to_bgr:?}");
                    assert!(to_bgr.is_ok() || bytes.iter().all(|byte| *byte == 0xa5), "{from} to {to}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_says_what_was_given_and_what_to_give() {
    let bgr = FrameFormat::new(PixelFormat::Bgr24, 4, 2).unwrap();
    let yuv = FrameFormat::new(PixelFormat::Yuv444p, 2, 2).unwrap();
    let gray = FrameFormat::new(PixelFormat::Gray8, 4, 4).unwrap();
    let said = |refused: Result<(), PictureError>| refused.unwrap_err().to_string();
    let differ = said(bgr24_to_yuv(&[0; 24], &bgr, &mut [0; 12], &yuv));
    assert!(differ.starts_with("4x2 bgr24 and 2x2 yuv444p differ in size; "), "{differ}");
    assert!(said(bgr24_to_yuv(&[0; 16], &gray, &mut [0; 12], &yuv)).starts_with("4x4 gray8 is not bgr24; "));
    assert!(
        said(yuv_to_bgr24(&[0; 16], &gray, &mut [0; 24], &bgr)).starts_with("4x4 gray8 is not planar YUV of 8 bits; ")
    );
    assert!(said(draw(&mut [0; 15], &gray, 0)).starts_with("a frame of 4x4 gray8 has 16 bytes, not 15; "));
}
