//! Frames of every format with known colours, painted by what each format's definition says.

use framewire_transport::frame::{BayerOrder, FrameFormat, PixelFormat, PixelLayout};

/// A frame whose pixel at column and row has the colour that `colour` says: red, green, blue, 0 to 255. YUV is BT.601 of limited range.
/// Depths are as far as the mean of the three.
pub(crate) fn paint(format: &FrameFormat, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut frame = vec![0; format.frame_bytes()];
    let pixel = format.pixel();
    let (width, height) = (format.width(), format.height());
    let (across, down) = pixel.chroma_divisors();
    let at = |plane: usize, row: u32| -> usize {
        let begin: usize = (0..plane).map(|plane| format.plane_bytes(plane)).sum();
        begin + row as usize * format.plane_stride(plane) as usize
    };
    for row in 0..height {
        for column in 0..width {
            let [red, green, blue] = colour(column, row);
            let place = |frame: &mut [u8], plane: usize, row: u32, sample: u32, value: f64| {
                put(frame, at(plane, row), sample, pixel, value);
            };
            let yuv = yuv([red, green, blue]);
            let (halved, lowered) = (column / across, row / down);
            match pixel.layout() {
                PixelLayout::Gray | PixelLayout::Depth => {
                    place(&mut frame, 0, row, column, mean([red, green, blue]) / 255.0)
                }
                PixelLayout::DepthFloat => {
                    let place = at(0, row) + column as usize * 4;
                    let depth = (mean([red, green, blue]) / 255.0) as f32;
                    frame[place..place + 4].copy_from_slice(&depth.to_le_bytes());
                }
                PixelLayout::Rgb | PixelLayout::Bgr | PixelLayout::Rgba | PixelLayout::Bgra => {
                    let values = match pixel.layout() {
                        PixelLayout::Rgb | PixelLayout::Rgba => [red, green, blue, 77],
                        _ => [blue, green, red, 77],
                    };
                    let bytes = pixel.bytes_per_pixel() as usize;
                    frame[at(0, row) + column as usize * bytes..][..bytes].copy_from_slice(&values[..bytes]);
                }
                PixelLayout::YuvPlanar => {
                    place(&mut frame, 0, row, column, yuv[0]);
                    place(&mut frame, 1, lowered, halved, yuv[1]);
                    place(&mut frame, 2, lowered, halved, yuv[2]);
                }
                PixelLayout::YuvSemiPlanar => {
                    place(&mut frame, 0, row, column, yuv[0]);
                    place(&mut frame, 1, lowered, 2 * halved, yuv[1]);
                    place(&mut frame, 1, lowered, 2 * halved + 1, yuv[2]);
                }
                PixelLayout::YuvPacked => {
                    let [luma, chroma] = if pixel == PixelFormat::Yuyv { [0, 1] } else { [1, 0] };
                    place(&mut frame, 0, row, 2 * column + luma, yuv[0]);
                    place(&mut frame, 0, row, 4 * halved + chroma, yuv[1]);
                    place(&mut frame, 0, row, 4 * halved + chroma + 2, yuv[2]);
                }
                PixelLayout::V210 => {
                    // In turn Cb, Y, Cr, Y, from the lowest bits of each word, three a word.
                    for (nth, value) in [(2 * column + 1, yuv[0]), (4 * halved, yuv[1]), (4 * halved + 2, yuv[2])] {
                        let word = at(0, row) + (nth / 3) as usize * 4;
                        let mut bits = u32::from_le_bytes(frame[word..word + 4].try_into().unwrap());
                        bits &= !(0x3ff << (10 * (nth % 3)));
                        bits |= ((value * 1024.0).round() as u32).min(1023) << (10 * (nth % 3));
                        frame[word..word + 4].copy_from_slice(&bits.to_le_bytes());
                    }
                }
                PixelLayout::Bayer(order) => {
                    let colours = match order {
                        BayerOrder::Rggb => [red, green, green, blue],
                        BayerOrder::Grbg => [green, red, blue, green],
                        BayerOrder::Gbrg => [green, blue, red, green],
                        BayerOrder::Bggr => [blue, green, green, red],
                    };
                    let value = colours[(row % 2 * 2 + column % 2) as usize];
                    place(&mut frame, 0, row, column, f64::from(value) / 255.0);
                }
                _ => unreachable!("{pixel} has no colours"),
            }
        }
    }
    frame
}

fn mean(colour: [u8; 3]) -> f64 {
    colour.into_iter().map(f64::from).sum::<f64>() / 3.0
}

/// As shares of 2^bits for YUV; of what is white for all else.
fn put(frame: &mut [u8], row: usize, sample: u32, pixel: PixelFormat, value: f64) {
    let is_yuv = matches!(pixel.layout(), PixelLayout::YuvPlanar | PixelLayout::YuvSemiPlanar | PixelLayout::YuvPacked);
    let all = f64::from(1_u32 << pixel.bits());
    let value = if is_yuv { value * all } else { value * (all - 1.0) };
    let value = value.round().min(all - 1.0) as u16;
    match pixel.sample_bytes() {
        Some(1) => frame[row + sample as usize] = value as u8,
        _ => {
            let value = if pixel == PixelFormat::P010 { value << 6 } else { value };
            frame[row + 2 * sample as usize..][..2].copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// BT.601, limited range, as shares of 256.
fn yuv([red, green, blue]: [u8; 3]) -> [f64; 3] {
    let [red, green, blue] = [red, green, blue].map(|value| f64::from(value) / 255.0);
    let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    [
        (16.0 + 219.0 * luma) / 256.0,
        (128.0 + 224.0 * (blue - luma) / 1.772) / 256.0,
        (128.0 + 224.0 * (red - luma) / 1.402) / 256.0,
    ]
}
