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

#[test]
fn the_number_reads_back_in_every_format_at_every_size_from_16x6() {
    for pixel in PixelFormat::ALL {
        for width in (16..80).chain([160, 176, 640, 1366, 1920]) {
            for height in (6..40).step_by(5).chain([6, 16, 90, 144, 481, 1080]) {
                let Ok(format) = FrameFormat::new(pixel, width, height) else { continue };
                let number = u64::from(width) * 0x1234_5678_9abc + u64::from(height);
                assert_eq!(read_frame_number(&drawn(&format, number), &format), Some(number), "{format}");
            }
        }
        let format = FrameFormat::new(pixel, 16, 16).unwrap();
        for number in NUMBERS {
            assert_eq!(read_frame_number(&drawn(&format, number), &format), Some(number), "{format}");
        }
    }
}

#[test]
fn tiny_frames_are_drawn_without_a_number() {
    for pixel in PixelFormat::ALL {
        for (width, height) in [(1, 1), (2, 2), (15, 200), (16, 5), (40, 2), (5000, 1)] {
            let Ok(format) = FrameFormat::new(pixel, width, height) else { continue };
            assert_eq!(read_frame_number(&drawn(&format, 7), &format), None, "{format}");
        }
    }
}

#[test]
fn a_stride_leaves_zeroes_between_rows_and_the_number_readable() {
    for pixel in PixelFormat::ALL {
        let packed = FrameFormat::new(pixel, 98, 62).unwrap();
        let strided = FrameFormat::with_stride(pixel, 98, 62, packed.stride() + 30).unwrap();
        let (a, b) = (drawn(&packed, 12), drawn(&strided, 12));
        assert_eq!(read_frame_number(&b, &strided), Some(12));
        let (mut a, mut b) = (&a[..], &b[..]);
        for plane in 0..pixel.planes() {
            let (row, stride) = (packed.plane_stride(plane) as usize, strided.plane_stride(plane) as usize);
            for _ in 0..packed.plane_size(plane).1 {
                assert_eq!(a[..row], b[..row]);
                assert!(b[row..stride].iter().all(|byte| *byte == 0));
                (a, b) = (&a[row..], &b[stride..]);
            }
        }
    }
}

#[test]
fn the_same_number_gives_the_same_bytes_and_another_number_gives_others() {
    for pixel in PixelFormat::ALL {
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
        }
        source.rewind().unwrap();
    }
}
