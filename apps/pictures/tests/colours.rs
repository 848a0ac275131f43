//! What pictures of every format look like: known colours, at full size and smaller, and by what limits.
#![allow(missing_docs)]

mod painting;

use framewire_pictures::{Layout, Limits, Look, Picture, is_pictured, is_ranged};
use framewire_transport::frame::{FrameFormat, PixelFormat, PixelLayout};
use painting::paint;

const RED: [u8; 3] = [220, 30, 40];
const GREEN: [u8; 3] = [20, 200, 60];
const BLUE: [u8; 3] = [10, 50, 230];
const GRAY: [u8; 3] = [128, 128, 128];

fn pictured() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|pixel| is_pictured(*pixel))
}

fn has_colours(pixel: PixelFormat) -> bool {
    !matches!(pixel.layout(), PixelLayout::Gray | PixelLayout::Depth | PixelLayout::DepthFloat)
}

/// A quarter each.
fn quarters(width: u32, height: u32) -> impl Fn(u32, u32) -> [u8; 3] {
    move |column, row| match (2 * column < width, 2 * row < height) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => GRAY,
    }
}

fn take(pixel: PixelFormat, size: (u32, u32), side_max: u32, look: Look) -> Picture {
    let format = FrameFormat::new(pixel, size.0, size.1).unwrap();
    let frame = paint(&format, quarters(size.0, size.1));
    let mut picture = Picture::new();
    assert!(picture.take(&frame, &format, side_max, look), "{pixel}");
    picture.to_rgb();
    picture
}

fn shown(picture: &Picture, column: u32, row: u32) -> [u8; 3] {
    let at = (row * picture.width() + column) as usize;
    match picture.layout() {
        Layout::Gray => [picture.pixels()[at]; 3],
        _ => picture.pixels()[3 * at..3 * at + 3].try_into().unwrap(),
    }
}

fn assert_near(shown: [u8; 3], colour: [u8; 3], pixel: PixelFormat, most: u8, place: &str) {
    let mean = (colour.iter().map(|value| u32::from(*value)).sum::<u32>() as f64 / 3.0).round() as u8;
    let colour = if has_colours(pixel) { colour } else { [mean; 3] };
    let is_near = shown.iter().zip(colour).all(|(shown, value)| shown.abs_diff(value) <= most);
    assert!(is_near, "{pixel} shows {shown:?} for {colour:?} {place}");
}

#[test]
fn every_format_shows_the_colours_that_are_in_it_at_every_size() {
    for pixel in pictured() {
        for (size, side_max) in [((96, 64), 96), ((96, 64), 48), ((96, 64), 31), ((480, 320), 48), ((64, 96), 96)] {
            let picture = take(pixel, size, side_max, Look::default());
            let (width, height) = (picture.width(), picture.height());
            assert_eq!(width.max(height), side_max, "{pixel}");
            let middles = [(1, 1, RED), (3, 1, GREEN), (1, 3, BLUE), (3, 3, GRAY)];
            for (column, row, colour) in middles {
                let (column, row) = (column * width / 4, row * height / 4);
                // Eight bits of limited range hold a colour to within two of 255.
                assert_near(
                    shown(&picture, column, row),
                    colour,
                    pixel,
                    3,
                    &format!("at {column}, {row} of {width}x{height}"),
                );
            }
        }
    }
}

#[test]
fn a_cell_of_bayer_becomes_one_pixel_and_each_pixel_has_its_colours_at_full_size() {
    for pixel in pictured().filter(|pixel| matches!(pixel.layout(), PixelLayout::Bayer(_))) {
        let cells = take(pixel, (8, 8), 4, Look::default());
        assert_eq!((cells.width(), cells.height()), (4, 4));
        for (column, row, colour) in [(0, 0, RED), (1, 1, RED), (3, 0, GREEN), (0, 3, BLUE), (2, 2, GRAY)] {
            assert_near(shown(&cells, column, row), colour, pixel, 1, "in a cell");
        }
        let whole = take(pixel, (8, 8), 8, Look::default());
        for (column, row, colour) in [(0, 0, RED), (2, 2, RED), (7, 0, GREEN), (0, 7, BLUE), (7, 7, GRAY), (5, 5, GRAY)]
        {
            assert_near(shown(&whole, column, row), colour, pixel, 1, "at full size");
        }
        // What is too large for a preview is halved at least.
        let little_less = take(pixel, (8, 8), 7, Look::default());
        assert_eq!((little_less.width(), little_less.height()), (4, 4));
    }
}

#[test]
fn limits_say_what_is_black_and_what_is_white_in_the_formats_that_have_a_range() {
    for pixel in pictured() {
        let full = Limits::full(pixel);
        let half = Limits::new(full.low(), full.high() / 2.0).unwrap();
        let look = Look { limits: Some(half), is_full_range: false };
        let [whole, brighter] = [Look::default(), look].map(|look| take(pixel, (8, 8), 8, look));
        if is_ranged(pixel) {
            assert_near(shown(&brighter, 7, 7), [255; 3], pixel, 1, "twice as bright");
            let dark = shown(&whole, 0, 7)[0];
            assert!(shown(&brighter, 0, 7)[0].abs_diff(2 * dark) <= 2, "{pixel}");
        } else {
            assert_eq!(whole.pixels(), brighter.pixels(), "{pixel}");
        }
    }
}

#[test]
fn limits_are_measured_without_outliers_and_say_nothing_of_formats_without_a_range() {
    for pixel in pictured() {
        let format = FrameFormat::new(pixel, 200, 100).unwrap();
        // From a quarter to a half, but for one pixel in five hundred.
        let frame = paint(&format, |column, row| {
            let at = row * 200 + column;
            [if at % 500 == 77 { 255 } else { 64 + (column * 64 / 200) as u8 }; 3]
        });
        let (measured, full) = (Limits::measured(&frame, &format), Limits::full(pixel));
        if !is_ranged(pixel) {
            assert_eq!(measured, full, "{pixel}");
            continue;
        }
        let shares = [measured.low() / full.high(), measured.high() / full.high()];
        assert!((0.24..0.27).contains(&shares[0]) && (0.48..0.51).contains(&shares[1]), "{pixel}: {shares:?}");
    }
}

#[test]
fn depths_that_are_not_known_are_black_and_spoil_nothing_beside_them() {
    let format = FrameFormat::new(PixelFormat::Depth32f, 4, 2).unwrap();
    let row = [f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY];
    let frame: Vec<u8> = row.iter().chain(&[f32::NAN, 1.0, 4.0, 4.0]).flat_map(|depth| depth.to_le_bytes()).collect();
    let measured = Limits::measured(&frame, &format);
    assert_eq!((measured.low(), measured.high()), (1.0, 4.0));
    let look = Look { limits: Some(measured), is_full_range: false };
    let mut picture = Picture::new();
    assert!(picture.take(&frame, &format, 4, look));
    assert_eq!(picture.pixels(), [0, 0, 85, 0, 0, 0, 255, 255]);
    assert!(picture.take(&frame, &format, 2, look));
    assert_eq!(picture.pixels(), [0, 198], "the means of what is known");

    let nothing: Vec<u8> = std::iter::repeat_n(f32::NAN.to_le_bytes(), 8).flatten().collect();
    assert_eq!(Limits::measured(&nothing, &format), Limits::full(PixelFormat::Depth32f));
    let largest: Vec<u8> = std::iter::repeat_n(f32::MAX.to_le_bytes(), 8).flatten().collect();
    let look = Look { limits: Some(Limits::measured(&largest, &format)), is_full_range: false };
    assert!(picture.take(&largest, &format, 1, look));

    let format = FrameFormat::new(PixelFormat::Depth16, 2, 2).unwrap();
    let frame: Vec<u8> = [0_u16, 500, 1_500, 0].iter().flat_map(|depth| depth.to_le_bytes()).collect();
    let measured = Limits::measured(&frame, &format);
    assert_eq!((measured.low(), measured.high()), (500.0, 1_500.0));
    assert!(picture.take(&frame, &format, 2, Look { limits: Some(measured), is_full_range: false }));
    assert_eq!(picture.pixels(), [0, 0, 255, 0]);
}

#[test]
fn a_frame_that_is_all_the_same_is_neither_black_nor_white() {
    let format = FrameFormat::new(PixelFormat::Gray12, 8, 8).unwrap();
    let frame: Vec<u8> = std::iter::repeat_n(1_000_u16.to_le_bytes(), 64).flatten().collect();
    let limits = Limits::measured(&frame, &format);
    let mut picture = Picture::new();
    assert!(picture.take(&frame, &format, 8, Look { limits: Some(limits), is_full_range: false }));
    assert!((127..=128).contains(&picture.pixels()[0]), "{}", picture.pixels()[0]);
}

#[test]
fn luma_of_full_range_goes_from_end_to_end_and_that_of_limited_range_is_stretched() {
    for (pixel, unit) in [(PixelFormat::Yuv420p, 1), (PixelFormat::Yuv420p10, 4), (PixelFormat::Yuv420p16, 256)] {
        let format = FrameFormat::new(pixel, 2, 2).unwrap();
        let samples = [16 * unit, 235 * unit, 0, 256 * unit - 1, 128 * unit, 128 * unit];
        let frame: Vec<u8> = match pixel.sample_bytes() {
            Some(1) => samples.iter().map(|sample| *sample as u8).collect(),
            _ => samples.iter().flat_map(|sample| (*sample as u16).to_le_bytes()).collect(),
        };
        let mut picture = Picture::new();
        let lumas = |picture: &Picture| picture.pixels().chunks(3).map(|pixel| pixel[0]).collect::<Vec<_>>();
        assert!(picture.take(&frame, &format, 2, Look::default()));
        assert_eq!((lumas(&picture), &picture.pixels()[1..3]), (vec![0, 255, 0, 255], &[128, 128][..]), "{pixel}");
        assert!(picture.take(&frame, &format, 2, Look { limits: None, is_full_range: true }));
        // 16 and 235 are shares of 255 here, and of 1,023 and 65,535 there.
        let lumas = lumas(&picture);
        assert!(
            lumas.iter().zip([16, 235, 0, 255]).all(|(luma, value): (&u8, u8)| luma.abs_diff(value) <= 1),
            "{pixel}: {lumas:?}"
        );
        assert_eq!(picture.pixels()[1..3], [128, 128], "{pixel}");
    }
}

#[test]
fn each_pixel_is_the_mean_of_those_it_stands_for_and_bytes_between_rows_are_not_part_of_it() {
    let format = FrameFormat::with_stride(PixelFormat::Gray8, 4, 4, 5).unwrap();
    let rows = [[10, 20, 100, 100, 255], [30, 40, 100, 104, 255], [0, 0, 255, 255, 9], [0, 0, 255, 255, 9]];
    let mut picture = Picture::new();
    assert!(picture.take(&rows.concat(), &format, 2, Look::default()));
    assert_eq!((picture.width(), picture.height(), picture.pixels()), (2, 2, &[25, 101, 0, 255][..]));
}

#[test]
fn every_size_of_every_format_has_a_picture_of_its_size_and_bytes_that_are_none_have_none() {
    let mut picture = Picture::new();
    for pixel in PixelFormat::ALL {
        for (width, height) in [(2, 2), (4, 2), (34, 6), (2, 90), (640, 2), (1, 1), (1, 7), (7, 1), (3, 3), (5, 9)] {
            // Some formats have no odd widths, and bytes no rows.
            let Ok(format) = FrameFormat::new(pixel, width, height) else { continue };
            let mut frame = vec![77; format.frame_bytes()];
            for side_max in [1, 3, 7, 480] {
                let is_taken = picture.take(&frame, &format, side_max, Look::default());
                assert_eq!(is_taken, is_pictured(pixel), "{format} to {side_max}");
                let pixels = picture.width() * picture.height() * picture.layout().bytes_per_pixel() as u32;
                assert_eq!(
                    picture.pixels().len(),
                    if is_taken { pixels as usize } else { 0 },
                    "{format} to {side_max}"
                );
                assert!(picture.width().max(picture.height()) <= side_max.max(1));
            }
            frame.pop();
            assert!(!picture.take(&frame, &format, 480, Look::default()), "what is cut off is no frame");
            let _ = Limits::measured(&frame, &format);
        }
    }
}

#[test]
fn what_is_wide_or_high_beyond_all_measure_has_a_picture_too() {
    let mut picture = Picture::new();
    for (width, height) in [(4_000_000, 1), (1, 4_000_000)] {
        let format = FrameFormat::new(PixelFormat::Gray16, width, height).unwrap();
        assert!(picture.take(&vec![255; format.frame_bytes()], &format, 480, Look::default()));
        assert_eq!((picture.width().max(picture.height()), picture.pixels()[0]), (480, 255));
    }
}
