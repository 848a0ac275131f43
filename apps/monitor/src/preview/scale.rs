//! Frames made small: each pixel is the mean of those it stands for.

use framewire_transport::PixelFormat;
use framewire_transport::frame::{Frame, FrameFormat, Plane};

/// How the pixels of a [`Scaled`] picture are laid out, rows packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Gray,
    Bgr,
    /// Luma and chroma side by side, full range, as JPEG has them.
    Ycbcr,
}

/// A small picture. Its memory is used again.
#[derive(Debug)]
pub(super) struct Scaled {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) layout: Layout,
    pub(super) pixels: Vec<u8>,
    /// Sums of the rows that one row of the result stands for.
    sums: Vec<u32>,
    plane: Vec<u8>,
}

impl Scaled {
    pub(super) const fn new() -> Self {
        Self { width: 0, height: 0, layout: Layout::Gray, pixels: Vec::new(), sums: Vec::new(), plane: Vec::new() }
    }

    /// Takes the picture in `frame`, which is of `format`, no side of it longer than `side_max` pixels and none longer than it was.
    ///
    /// # Panics
    /// Where `side_max` is 0 or more than a JPEG may have.
    pub(super) fn take(&mut self, frame: &Frame, format: &FrameFormat, side_max: u32) {
        assert!(side_max > 0 && side_max <= u32::from(u16::MAX), "a side of {side_max} pixels");
        let (width, height) = fit(format.width(), format.height(), side_max);
        (self.width, self.height) = (width as u16, height as u16);
        let size = (width as usize, height as usize);
        let sums = &mut self.sums;
        self.layout = match format.pixel() {
            PixelFormat::Gray8 => Layout::Gray,
            PixelFormat::Bgr24 => Layout::Bgr,
            _ => Layout::Ycbcr,
        };
        let channels = if self.layout == Layout::Gray { 1 } else { 3 };
        // Whatever the planes are, the picture has its size, and nothing of the one before.
        self.pixels.clear();
        self.pixels.resize(size.0 * size.1 * channels, 0);
        for (plane, nth) in frame.planes().zip(0..) {
            match self.layout {
                Layout::Gray => scale::<1>(&plane, size, sums, &mut self.pixels),
                Layout::Bgr => scale::<3>(&plane, size, sums, &mut self.pixels),
                Layout::Ycbcr => {
                    scale::<1>(&plane, size, sums, &mut self.plane);
                    let full_range = if nth == 0 { luma_table() } else { chroma_table() };
                    for (pixel, value) in self.pixels.chunks_exact_mut(3).zip(&self.plane) {
                        pixel[nth] = full_range[usize::from(*value)];
                    }
                }
            }
        }
    }
}

/// Sides in the same proportion, none longer than `side_max` and none longer than it was.
fn fit(width: u32, height: u32, side_max: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height));
    let side = |pixels: u32| {
        let scaled = (u64::from(pixels) * u64::from(side_max) + longest / 2) / longest;
        u32::try_from(scaled.max(1)).unwrap_or(u32::MAX).min(pixels)
    };
    if longest <= u64::from(side_max) { (width, height) } else { (side(width), side(height)) }
}

/// Values from 16 to 235 onto 0 to 255.
fn luma_table() -> [u8; 256] {
    std::array::from_fn(|value| (((value as i32 - 16) * 255 + 109) / 219).clamp(0, 255) as u8)
}

/// Values from 16 to 240 around 128 onto 1 to 255.
fn chroma_table() -> [u8; 256] {
    std::array::from_fn(|value| {
        let away = (value as i32 - 128) * 255;
        ((away + 112 * away.signum()) / 224 + 128).clamp(0, 255) as u8
    })
}

/// Fills `target` with `size` pixels of so many bytes each. Where the plane has fewer than that, each serves several.
fn scale<const CHANNELS: usize>(
    plane: &Plane<'_>,
    (width, height): (usize, usize),
    sums: &mut Vec<u32>,
    target: &mut Vec<u8>,
) {
    let (columns, stride) = (plane.width as usize, plane.stride as usize);
    let row_bytes = columns * CHANNELS;
    target.resize(width * CHANNELS * height, 0);
    sums.resize(row_bytes, 0);
    let mut mean = Mean::of(1);
    for (nth, target) in target.chunks_exact_mut(width * CHANNELS).enumerate() {
        let (first, end) = span(nth, height, plane.height as usize);
        if end - first == 1 && width == columns {
            target.copy_from_slice(&plane.bytes[first * stride..][..row_bytes]);
            continue;
        }
        sums.fill(0);
        for row in first..end {
            let row = &plane.bytes[row * stride..][..row_bytes];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += u32::from(*value);
            }
        }
        for (column, pixel) in target.chunks_exact_mut(CHANNELS).enumerate() {
            let (left, right) = span(column, width, columns);
            let mut totals = [0; CHANNELS];
            for sums in sums[left * CHANNELS..right * CHANNELS].chunks_exact(CHANNELS) {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total += sum;
                }
            }
            let count = ((end - first) * (right - left)) as u32;
            if mean.count != count {
                mean = Mean::of(count);
            }
            for (value, total) in pixel.iter_mut().zip(totals) {
                *value = mean.value(total);
            }
        }
    }
}

/// Divides sums of bytes by their count, to the nearest: by a multiplication, as most counts of a picture are the same.
struct Mean {
    count: u32,
    /// 2^40 by the count, rounded up: exact for the sums of so few bytes that a picture has for a pixel.
    reciprocal: u64,
}

impl Mean {
    const SHIFT: u32 = 40;

    fn of(count: u32) -> Self {
        Self { count, reciprocal: (1_u64 << Self::SHIFT).div_ceil(u64::from(count)) }
    }

    fn value(&self, sum: u32) -> u8 {
        (((u64::from(sum) + u64::from(self.count / 2)) * self.reciprocal) >> Self::SHIFT).min(255) as u8
    }
}

/// Which of `from` pixels the `nth` of `to` stands for: at least one.
fn span(nth: usize, to: usize, from: usize) -> (usize, usize) {
    let first = nth * from / to;
    (first, ((nth + 1) * from / to).max(first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewire_transport::frame::FramePool;

    fn framed(bytes: &[u8], format: FrameFormat) -> Frame {
        let pool = FramePool::for_format(1, format).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(format.frame_bytes()).unwrap();
        frame.copy_from_slice(bytes);
        frame.freeze()
    }

    fn scaled(pixel: PixelFormat, width: u32, height: u32, frame: &[u8], side_max: u32) -> Scaled {
        let format = FrameFormat::new(pixel, width, height).unwrap();
        let mut scaled = Scaled::new();
        scaled.take(&framed(frame, format), &format, side_max);
        scaled
    }

    #[test]
    fn each_pixel_is_the_mean_of_those_it_stands_for() {
        let frame: Vec<u8> = [[10, 20, 100, 100], [30, 40, 100, 104], [0, 0, 255, 255], [0, 0, 255, 255]].concat();
        let small = scaled(PixelFormat::Gray8, 4, 4, &frame, 2);
        assert_eq!((small.width, small.height, small.layout), (2, 2, Layout::Gray));
        assert_eq!(small.pixels, [25, 101, 0, 255]);
    }

    #[test]
    fn colours_stay_apart() {
        let frame = [[10, 100, 200], [20, 110, 210], [30, 120, 220], [40, 130, 230]].concat();
        let small = scaled(PixelFormat::Bgr24, 2, 2, &frame, 1);
        assert_eq!((small.layout, &small.pixels[..]), (Layout::Bgr, &[25, 115, 215][..]));
    }

    #[test]
    fn chroma_of_an_odd_side_reaches_to_the_edge() {
        for (pixel, chroma) in [(PixelFormat::Yuv420p, 4), (PixelFormat::Yuv422p, 6)] {
            // The last column of chroma is another one.
            let plane: Vec<u8> = (0..chroma).map(|at| if at % 2 == 1 { 240 } else { 128 }).collect();
            let frame = [&[16; 9][..], &plane, &vec![128; chroma]].concat();
            let same = scaled(pixel, 3, 3, &frame, 3);
            assert_eq!(same.pixels[6..9], [0, 255, 128], "{pixel}");
            assert_eq!(same.pixels[24..27], [0, 255, 128], "{pixel}");
        }
    }

    #[test]
    fn limited_range_becomes_full_and_gray_stays_gray() {
        for (pixel, chroma) in [(PixelFormat::Yuv420p, 2), (PixelFormat::Yuv422p, 4), (PixelFormat::Yuv444p, 8)] {
            let luma = [16, 235, 16, 235, 16, 235, 16, 235];
            let frame = [&luma[..], &vec![128; chroma], &vec![128; chroma]].concat();
            let same = scaled(pixel, 4, 2, &frame, 4);
            assert_eq!((same.layout, same.width, same.height), (Layout::Ycbcr, 4, 2));
            assert_eq!(&same.pixels[..6], [0, 128, 128, 255, 128, 128], "{pixel}");
            let small = scaled(pixel, 4, 2, &frame, 2);
            assert_eq!((small.width, small.height), (2, 1));
            assert!(small.pixels[0].abs_diff(128) <= 1, "{pixel}: {:?}", small.pixels);
        }
        assert_eq!((chroma_table()[16], chroma_table()[128], chroma_table()[240]), (0, 128, 255));
    }

    #[test]
    fn a_mean_by_multiplication_is_that_by_division() {
        for count in (1..5_000).chain([65_536, 1_000_000, 16_000_000]) {
            let mean = Mean::of(count);
            for sum in
                [0, 1, count / 2, count, count * 7 / 2, count * 100 + count / 3, count * 254 + count / 2, count * 255]
            {
                assert_eq!(u32::from(mean.value(sum)), (sum + count / 2) / count, "{sum} by {count}");
            }
        }
    }

    #[test]
    fn bytes_between_rows_are_not_part_of_the_picture() {
        let format = FrameFormat::with_stride(PixelFormat::Gray8, 2, 2, 4).unwrap();
        let mut small = Scaled::new();
        small.take(&framed(&[50, 50, 255, 255, 50, 50, 255, 255], format), &format, 1);
        assert_eq!(small.pixels, [50]);
    }

    #[test]
    fn a_picture_is_never_made_larger_and_no_side_vanishes() {
        assert_eq!(fit(1920, 1080, 480), (480, 270));
        assert_eq!(fit(1080, 1920, 480), (270, 480));
        assert_eq!(fit(64, 48, 480), (64, 48));
        assert_eq!(fit(65_536, 1, 480), (480, 1));
        assert_eq!(fit(1, 65_536, 480), (1, 480));
        assert_eq!(fit(1_000, 999, 999), (999, 998));
    }

    #[test]
    fn every_size_of_every_format_can_be_scaled() {
        let mut small = Scaled::new();
        for pixel in PixelFormat::ALL {
            for (width, height) in [(2, 2), (4, 2), (34, 6), (2, 90), (640, 2)] {
                let format = FrameFormat::new(pixel, width, height).unwrap();
                let frame = framed(&vec![77; format.frame_bytes()], format);
                for side_max in [1, 3, 7, 480] {
                    small.take(&frame, &format, side_max);
                    let channels = if small.layout == Layout::Gray { 1 } else { 3 };
                    let pixels = usize::from(small.width) * usize::from(small.height) * channels;
                    assert_eq!(small.pixels.len(), pixels, "{format} to {side_max}");
                }
            }
        }
    }
}
