use framewire_transport::frame::{FramePool, PixelFormat};

use super::*;

/// Frame numbers with all kinds of bits.
const NUMBERS: [u64; 9] = [0, 1, 2, 59, 999_999, 1_000_000, u64::MAX / 3, 1 << 63, u64::MAX];

fn drawn(format: &FrameFormat, number: u64) -> Vec<u8> {
    // What was in the slot before must not show through.
    let mut bytes = vec![0xa5; format.frame_bytes()];
    draw(&mut bytes, format, number).unwrap();
    bytes
}

fn pictures() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|pixel| *pixel != PixelFormat::Bytes)
}

#[test]
fn the_number_reads_back_in_every_format_at_every_size_from_16x6() {
    let mut read = 0;
    for pixel in pictures() {
        for width in (16..36).chain([63, 64, 97, 100, 640, 1366]) {
            // The large ones of a few heights: what differs between formats is in the rows.
            let heights: &[u32] = if width <= 100 { &[6, 7, 16, 31] } else { &[90, 241] };
            for height in heights {
                let Ok(format) = FrameFormat::new(pixel, width, *height) else { continue };
                let number = u64::from(width) * 0x1234_5678_9abc + u64::from(*height);
                assert_eq!(read_frame_number(&drawn(&format, number), &format), Some(number), "{format}");
                read += 1;
            }
        }
        let format = FrameFormat::new(pixel, 16, 16).unwrap();
        for number in NUMBERS {
            assert_eq!(read_frame_number(&drawn(&format, number), &format), Some(number), "{format}");
        }
    }
    // Odd widths there are none of in three formats.
    assert_eq!(read, (PixelFormat::ALL.len() - 1 - 3) * (24 * 4 + 2 * 2) + 3 * (12 * 4 + 2 * 2));
}

#[test]
fn tiny_frames_are_drawn_without_a_number() {
    for pixel in pictures() {
        for (width, height) in [(1, 1), (2, 2), (15, 200), (14, 200), (16, 5), (40, 2), (5000, 1)] {
            let Ok(format) = FrameFormat::new(pixel, width, height) else { continue };
            assert_eq!(read_frame_number(&drawn(&format, 7), &format), None, "{format}");
        }
    }
}

#[test]
fn a_stride_leaves_zeroes_between_rows_and_the_number_readable() {
    for pixel in pictures() {
        let packed = FrameFormat::new(pixel, 98, 62).unwrap();
        let wider = packed.stride().next_multiple_of(128) + 128;
        let strided = FrameFormat::with_stride(pixel, 98, 62, wider).unwrap();
        let (a, b) = (drawn(&packed, 12), drawn(&strided, 12));
        assert_eq!(read_frame_number(&b, &strided), Some(12), "{pixel}");
        let (mut a, mut b) = (&a[..], &b[..]);
        for plane in 0..pixel.planes() {
            let (row, stride) = (packed.plane_stride(plane) as usize, strided.plane_stride(plane) as usize);
            for _ in 0..packed.plane_size(plane).1 {
                assert_eq!(a[..row], b[..row], "{pixel}");
                assert!(b[row..stride].iter().all(|byte| *byte == 0), "{pixel}");
                (a, b) = (&a[row..], &b[stride..]);
            }
        }
        assert!(a.is_empty() && b.is_empty());
    }
}

#[test]
fn samples_keep_to_their_bits() {
    for pixel in pictures() {
        let format = FrameFormat::new(pixel, 322, 38).unwrap();
        let bytes = drawn(&format, 123);
        let words = bytes.as_chunks().0.iter().map(|word: &[u8; 2]| u16::from_le_bytes(*word));
        match (pixel, pixel.sample_bytes()) {
            (PixelFormat::P010, _) => assert_eq!(words.fold(0, |all, word| all | word), 0xffc0),
            (PixelFormat::Depth16, _) => assert_eq!(words.fold(0, |all, word| all | word), 0x3fff),
            (_, Some(2)) => {
                let used = u16::MAX >> (16 - pixel.bits());
                assert_eq!(words.fold(0, |all, word| all | word), used, "{pixel}: all of its bits, and no others");
            }
            (PixelFormat::Depth32f, _) => {
                let metres = bytes.as_chunks().0.iter().map(|sample: &[u8; 4]| f32::from_le_bytes(*sample));
                assert!(metres.into_iter().all(|metres| (1.0..15.1).contains(&metres)));
            }
            (PixelFormat::V210, _) => {
                let words = bytes.as_chunks().0.iter().map(|word: &[u8; 4]| u32::from_le_bytes(*word));
                assert_eq!(words.fold(0, |all, word| all | word), 0x3fff_ffff);
            }
            _ => {}
        }
    }
}

#[test]
fn colours_lie_where_the_format_has_them() {
    // The first pixel of the gradient, of a frame without a strip: blue is darkest, and green and red a third of a period on.
    let first = |pixel: PixelFormat, bytes: usize| {
        let format = FrameFormat::new(pixel, 8, 4).unwrap();
        let mut drawn = vec![0; format.frame_bytes()];
        Canvas::new(&mut drawn, &format).unwrap().gradient(0);
        drawn[..bytes].to_vec()
    };
    let [b, g, r] = [16, 161, 163];
    assert_eq!(first(PixelFormat::Bgr24, 3), [b, g, r]);
    assert_eq!(first(PixelFormat::Rgb24, 3), [r, g, b]);
    assert_eq!(first(PixelFormat::Bgra32, 4), [b, g, r, 255]);
    assert_eq!(first(PixelFormat::Rgba32, 4), [r, g, b, 255]);
    assert_eq!(first(PixelFormat::Yuyv, 4), [16, 64, 17, 149]);
    assert_eq!(first(PixelFormat::Uyvy, 4), [64, 16, 149, 17]);
    // A mosaic's second pixel, and its second row, are a pixel further along the gradient.
    for (pixel, row_0, row_1) in [
        (PixelFormat::BayerRggb8, [r, g + 1], [g + 1, b + 3]),
        (PixelFormat::BayerGrbg8, [g, r - 1], [b + 1, g + 3]),
        (PixelFormat::BayerGbrg8, [g, b + 1], [r - 1, g + 3]),
        (PixelFormat::BayerBggr8, [b, g + 1], [g + 1, r - 3]),
    ] {
        let bytes = first(pixel, 32);
        let near = |a: u8, b: u8| a.abs_diff(b) <= 3;
        assert!(near(bytes[0], row_0[0]) && near(bytes[1], row_0[1]), "{pixel}: {bytes:?}");
        assert!(near(bytes[8], row_1[0]) && near(bytes[9], row_1[1]), "{pixel}: {bytes:?}");
    }
}

#[test]
fn a_frame_of_bytes_has_its_number_and_differs_in_length_from_the_one_before() {
    for max in [1, 11, 12, 23, 24, 31, 32, 1_000, 100_000] {
        let format = FrameFormat::new(PixelFormat::Bytes, max, 1).unwrap();
        for number in NUMBERS {
            let length = frame_len(&format, number);
            assert!(format.holds(length), "{length} of {max}");
            let mut bytes = vec![0xa5; length];
            draw(&mut bytes, &format, number).unwrap();
            assert_eq!(read_frame_number(&bytes, &format), (max >= 12).then_some(number), "{max}");
            for (at, byte) in bytes.iter().enumerate().skip(if max >= 12 { 12 } else { 0 }) {
                assert_eq!(u64::from(*byte), (number % 251 + at as u64) % 251);
            }
        }
    }
    let format = FrameFormat::new(PixelFormat::Bytes, 3_200, 1).unwrap();
    let lengths: Vec<usize> = (0..17).map(|number| frame_len(&format, number)).collect();
    assert_eq!((lengths[0], lengths[1], lengths[15], lengths[16]), (3_200, 3_100, 1_700, 3_200));
    let mut source = PatternSource::new(format);
    let pool = FramePool::for_format(1, format).unwrap();
    for number in 0..20 {
        let mut frame = pool.try_acquire().unwrap();
        assert!(source.next_frame(&mut frame).unwrap());
        assert_eq!(frame.len(), frame_len(&format, number));
        assert_eq!(read_frame_number(&frame, &format), Some(number));
    }
}

#[test]
fn the_same_number_gives_the_same_bytes_and_another_number_gives_others() {
    for pixel in pictures() {
        let format = FrameFormat::new(pixel, 320, 180).unwrap();
        for number in NUMBERS {
            assert_eq!(drawn(&format, number), drawn(&format, number));
            assert_ne!(drawn(&format, number), drawn(&format, number.wrapping_add(256)));
        }
    }
}

#[test]
fn another_picture_has_no_number() {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    for value in [0, 16, 128, 235, 255] {
        assert_eq!(read_frame_number(&vec![value; format.frame_bytes()], &format), None);
    }
    let mut bytes = drawn(&format, 5);
    assert_eq!(read_frame_number(&bytes[1..], &format), None);
    // One block turned over: the check notices any one of them.
    for block in 0..96 {
        let (x, y) = (block % 32 * 16, block / 32 * 16);
        for row in y..y + 16 {
            bytes[row * 640 + x..][..16].iter_mut().for_each(|value| *value = 251 - *value);
        }
        assert_eq!(read_frame_number(&bytes, &format), None, "block {block}");
        bytes = drawn(&format, 5);
    }
}

#[test]
fn digits_show_in_the_middle_where_there_is_room() {
    let format = FrameFormat::new(PixelFormat::Gray8, 37, 12 + 3).unwrap();
    let bytes = drawn(&format, 123_456);
    let rows: Vec<String> = bytes[4 * 37..]
        .chunks(37)
        .map(|row| row.iter().map(|value| if *value == WHITE { '#' } else { ' ' }).collect::<String>())
        .collect();
    assert_eq!(rows[1], "   #    ###  #####    #  #####   ##  ");
    assert_eq!(rows[7], "  ###  #####  ###     #   ###   ###  ");
}

#[test]
fn the_source_counts_from_0_and_again_after_a_rewind() {
    let format = FrameFormat::new(PixelFormat::Yuv420p, 64, 48).unwrap();
    let mut source = PatternSource::new(format);
    assert!(source.is_live());
    assert_eq!((source.frame_count(), source.frame_rate().unwrap().to_string()), (None, "60".to_owned()));
    let pool = FramePool::new(1, format.frame_bytes() + 100).unwrap();
    for _ in 0..2 {
        for number in 0..5 {
            let mut frame = pool.try_acquire().unwrap();
            assert!(source.next_frame(&mut frame).unwrap());
            assert_eq!(frame[..], drawn(&format, number));
            assert_ne!(frame.info.captured, Time::ZERO);
            assert_eq!(frame.info.captured_utc, None, "it is live");
        }
        source.rewind().unwrap();
    }
}
