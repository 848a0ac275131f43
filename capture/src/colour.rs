//! Between blue-green-red and YUV, in integers.
//!
//! YUV is BT.601 with limited range (luma 16 to 235, chroma 16 to 240), which is what Y4M and encoders take where
//! nothing else is said:
//!
//! ```text
//! Y = ( 66 R + 129 G +  25 B + 128) / 256 +  16        R = (298 (Y-16)               + 409 (V-128) + 128) / 256
//! U = (-38 R -  74 G + 112 B + 128) / 256 + 128        G = (298 (Y-16) - 100 (U-128) - 208 (V-128) + 128) / 256
//! V = (112 R -  94 G -  18 B + 128) / 256 + 128        B = (298 (Y-16) + 516 (U-128)               + 128) / 256
//! ```
//!
//! Divisions round down and results are clamped to a byte. Subsampled chroma is that of the mean colour of the pixels
//! it covers; on the way back each sample serves all of them.

use framewire_transport::frame::{FrameFormat, PixelFormat, PixelLayout};

use crate::picture::{PictureError, whole};

/// Turns a bgr24 picture into a YUV one of the same size. Bytes between rows of the result are left as they are.
///
/// # Errors
/// `from` is not bgr24 or `to` not YUV, the sizes differ, or a slice has not the bytes its format says; `yuv` is as it
/// was then.
pub fn bgr24_to_yuv(bgr: &[u8], from: &FrameFormat, yuv: &mut [u8], to: &FrameFormat) -> Result<(), PictureError> {
    check((bgr.len(), from), (yuv.len(), to))?;
    let (y_plane, chroma) = yuv.split_at_mut(to.plane_bytes(0));
    let (u_plane, v_plane) = chroma.split_at_mut(to.plane_bytes(1));
    let (across, down) = to.pixel().chroma_divisors();
    let (across, down) = (across as usize, down as usize);
    let width = from.width() as usize;
    let source_rows = from.stride() as usize;
    let luma_rows = y_plane.chunks_exact_mut(to.stride() as usize);
    for (source, luma) in bgr.chunks_exact(source_rows).zip(luma_rows) {
        for (pixel, y) in source[..width * 3].chunks_exact(3).zip(luma) {
            let [b, g, r] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
            *y = byte(((66 * r + 129 * g + 25 * b + 128) >> 8) + 16);
        }
    }
    let stride = to.plane_stride(1) as usize;
    let chroma_rows = u_plane.chunks_exact_mut(stride).zip(v_plane.chunks_exact_mut(stride));
    // At an odd edge a sample covers what is left.
    for (sources, (u_row, v_row)) in bgr.chunks(source_rows * down).zip(chroma_rows) {
        for (column, (u, v)) in u_row.iter_mut().zip(v_row).take(width.div_ceil(across)).enumerate() {
            let [mut b, mut g, mut r, mut covered] = [0; 4];
            let columns = column * across..((column + 1) * across).min(width);
            for source in sources.chunks_exact(source_rows) {
                for pixel in source[columns.start * 3..columns.end * 3].chunks_exact(3) {
                    b += i32::from(pixel[0]);
                    g += i32::from(pixel[1]);
                    r += i32::from(pixel[2]);
                    covered += 1;
                }
            }
            let [b, g, r] = [b, g, r].map(|sum| (sum + covered / 2) / covered);
            *u = byte(((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128);
            *v = byte(((112 * r - 94 * g - 18 * b + 128) >> 8) + 128);
        }
    }
    Ok(())
}

/// Turns a YUV picture into a bgr24 one of the same size. Bytes between rows of the result are left as they are.
///
/// # Errors
/// `from` is not YUV or `to` not bgr24, the sizes differ, or a slice has not the bytes its format says; `bgr` is as it
/// was then.
pub fn yuv_to_bgr24(yuv: &[u8], from: &FrameFormat, bgr: &mut [u8], to: &FrameFormat) -> Result<(), PictureError> {
    check((bgr.len(), to), (yuv.len(), from))?;
    let (y_plane, chroma) = yuv.split_at(from.plane_bytes(0));
    let (u_plane, v_plane) = chroma.split_at(from.plane_bytes(1));
    let (across, down) = from.pixel().chroma_divisors();
    let (across, down) = (across as usize, down as usize);
    let width = from.width() as usize;
    let stride = from.plane_stride(1) as usize;
    let rows = bgr.chunks_exact_mut(to.stride() as usize).zip(y_plane.chunks_exact(from.stride() as usize));
    for (row, (target, luma)) in rows.enumerate() {
        let (u_row, v_row) = (&u_plane[row / down * stride..][..stride], &v_plane[row / down * stride..][..stride]);
        let pixels = target[..width * 3].chunks_exact_mut(3).zip(luma);
        for (column, (pixel, y)) in pixels.enumerate() {
            let light = 298 * (i32::from(*y) - 16) + 128;
            let u = i32::from(u_row[column / across]) - 128;
            let v = i32::from(v_row[column / across]) - 128;
            pixel[0] = byte((light + 516 * u) >> 8);
            pixel[1] = byte((light - 100 * u - 208 * v) >> 8);
            pixel[2] = byte((light + 409 * v) >> 8);
        }
    }
    Ok(())
}

fn byte(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

fn check((bgr_bytes, bgr): (usize, &FrameFormat), (yuv_bytes, yuv): (usize, &FrameFormat)) -> Result<(), PictureError> {
    if bgr.pixel() != PixelFormat::Bgr24 {
        return Err(PictureError::NotBgr24 { format: *bgr });
    }
    if (yuv.pixel().layout(), yuv.pixel().bits()) != (PixelLayout::YuvPlanar, 8) {
        return Err(PictureError::NotYuv { format: *yuv });
    }
    if (bgr.width(), bgr.height()) != (yuv.width(), yuv.height()) {
        return Err(PictureError::SizesDiffer { bgr: *bgr, yuv: *yuv });
    }
    whole(bgr_bytes, bgr)?;
    whole(yuv_bytes, yuv)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YUV: [PixelFormat; 3] = [PixelFormat::Yuv420p, PixelFormat::Yuv422p, PixelFormat::Yuv444p];

    /// One colour all over, there and back.
    fn there_and_back(pixel: PixelFormat, colour: [u8; 3]) -> (Vec<u8>, Vec<u8>) {
        let bgr = FrameFormat::with_stride(PixelFormat::Bgr24, 4, 2, 14).unwrap();
        let yuv = FrameFormat::with_stride(pixel, 4, 2, 6).unwrap();
        let row: Vec<u8> = colour.iter().cycle().take(12).chain(&[0, 0]).copied().collect();
        let picture = [&row[..], &row[..]].concat();
        let mut converted = vec![1; yuv.frame_bytes()];
        bgr24_to_yuv(&picture, &bgr, &mut converted, &yuv).unwrap();
        let mut back = vec![0; bgr.frame_bytes()];
        yuv_to_bgr24(&converted, &yuv, &mut back, &bgr).unwrap();
        let worst = picture.iter().zip(&back).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 4, "{pixel} {colour:?} came back as {:?}", &back[..3]);
        (converted, back)
    }

    #[test]
    fn the_primary_colours_have_the_values_of_bt_601() {
        for pixel in YUV {
            let values = |colour| {
                let (yuv, _) = there_and_back(pixel, colour);
                let planes = FrameFormat::with_stride(pixel, 4, 2, 6).unwrap();
                (yuv[0], yuv[planes.plane_bytes(0)], yuv[planes.plane_bytes(0) + planes.plane_bytes(1)])
            };
            assert_eq!(values([0, 0, 0]), (16, 128, 128));
            assert_eq!(values([255, 255, 255]), (235, 128, 128));
            assert_eq!(values([0, 0, 255]), (82, 90, 240));
            assert_eq!(values([0, 255, 0]), (144, 54, 34));
            assert_eq!(values([255, 0, 0]), (41, 240, 110));
        }
    }

    #[test]
    fn every_colour_comes_back_within_four_steps_and_gaps_between_rows_are_untouched() {
        for pixel in YUV {
            for step in 0..512_u32 {
                let colour = [step, step >> 3, step >> 6].map(|bits| ((bits & 7) * 255 / 7) as u8);
                let (yuv, back) = there_and_back(pixel, colour);
                assert_eq!((&yuv[4..6], &back[12..14]), (&[1, 1][..], &[0, 0][..]));
            }
        }
    }

    #[test]
    fn chroma_at_an_odd_edge_is_that_of_the_pixels_that_are_left() {
        for (pixel, across, down) in [(PixelFormat::Yuv420p, 2, 2), (PixelFormat::Yuv422p, 2, 1)] {
            let from = FrameFormat::new(PixelFormat::Bgr24, 3, 3).unwrap();
            let to = FrameFormat::new(pixel, 3, 3).unwrap();
            // Red, with the last column and the last row blue.
            let bgr: Vec<u8> =
                (0..9).flat_map(|at| if at % 3 == 2 || at / 3 == 2 { [255, 0, 0] } else { [0, 0, 255] }).collect();
            let mut yuv = vec![0; to.frame_bytes()];
            bgr24_to_yuv(&bgr, &from, &mut yuv, &to).unwrap();
            let plane = &yuv[to.plane_bytes(0)..][..to.plane_bytes(1)];
            let (red, blue) = (90, 240);
            assert_eq!((plane[0], plane[1]), (red, blue), "{pixel}");
            assert_eq!(plane[plane.len() - 1], blue, "{pixel}");
            assert_eq!(plane.len(), 3_usize.div_ceil(across) * 3_usize.div_ceil(down));
            let mut back = vec![0; from.frame_bytes()];
            yuv_to_bgr24(&yuv, &to, &mut back, &from).unwrap();
            assert!(back[8 * 3] > 250 && back[8 * 3 + 2] < 5, "{pixel}: {back:?}");
        }
    }

    #[test]
    fn subsampled_chroma_is_the_mean_of_what_it_covers() {
        let bgr = FrameFormat::new(PixelFormat::Bgr24, 2, 2).unwrap();
        let yuv = FrameFormat::new(PixelFormat::Yuv420p, 2, 2).unwrap();
        let mut converted = vec![0; yuv.frame_bytes()];
        // Two blue pixels and two yellow ones: no colour on the whole.
        bgr24_to_yuv(&[255, 0, 0, 0, 255, 255, 0, 255, 255, 255, 0, 0], &bgr, &mut converted, &yuv).unwrap();
        assert_eq!(converted, [41, 210, 210, 41, 128, 128]);
    }
}
