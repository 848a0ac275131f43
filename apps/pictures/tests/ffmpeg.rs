//! Pictures at full size beside those that ffmpeg makes of the same bytes.
#![allow(missing_docs)]

mod painting;

use std::io::Write;
use std::process::{Command, Stdio};

use framewire_pictures::{Layout, Look, Picture};
use framewire_testing::has_programs;
use framewire_transport::frame::{FrameFormat, PixelFormat};
use painting::paint;

/// Cells of 16×16 pixels, each of one colour.
const CELL: u32 = 16;

fn colour(column: u32, row: u32) -> [u8; 3] {
    let nth = (row / CELL) * 7 + column / CELL;
    [(nth * 53 % 256) as u8, ((nth * 97 + 40) % 256) as u8, ((nth * 151 + 90) % 256) as u8]
}

/// What ffmpeg makes of the frame.
fn by_ffmpeg(frame: &[u8], format: &FrameFormat) -> Vec<u8> {
    let size = format!("{}x{}", format.width(), format.height());
    let input: Vec<&str> = match format.pixel() {
        PixelFormat::V210 => vec!["-f", "v210", "-video_size", &size],
        pixel => {
            let name = pixel.ffmpeg().unwrap();
            vec!["-f", "rawvideo", "-pixel_format", name, "-video_size", &size]
        }
    };
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(input)
        .args(["-i", "-", "-sws_flags", "accurate_rnd+full_chroma_int", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(frame).unwrap());
        let output = ffmpeg.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    })
}

#[test]
fn colours_are_those_that_ffmpeg_sees_in_the_same_bytes() {
    if !has_programs(&["ffmpeg"], "install ffmpeg") {
        return;
    }
    let mut judged = 0;
    for pixel in PixelFormat::ALL {
        let name = pixel.ffmpeg().unwrap_or_default();
        // What ffmpeg takes for gray has no limits; that it cannot read grayf32 to RGB in this version is its own.
        if (name.is_empty() && pixel != PixelFormat::V210) || name.starts_with("grayf") {
            continue;
        }
        let format = FrameFormat::new(pixel, 192, 96).unwrap();
        let frame = paint(&format, colour);
        let judge = by_ffmpeg(&frame, &format);
        let mut picture = Picture::new();
        assert!(picture.take(&frame, &format, 192, Look::default()));
        picture.to_rgb();
        for row in (0..96).filter(|row| (4..12).contains(&(row % CELL))) {
            for column in (0..192).filter(|column| (4..12).contains(&(column % CELL))) {
                let at = (row * 192 + column) as usize;
                let shown: [u8; 3] = match picture.layout() {
                    Layout::Gray => [picture.pixels()[at]; 3],
                    _ => picture.pixels()[3 * at..3 * at + 3].try_into().unwrap(),
                };
                let judged = &judge[3 * at..3 * at + 3];
                let is_near = shown.iter().zip(judged).all(|(shown, judged)| shown.abs_diff(*judged) <= 3);
                assert!(
                    is_near,
                    "{pixel} at {column}, {row}: {shown:?}, ffmpeg says {judged:?}, painted {:?}",
                    colour(column, row)
                );
            }
        }
        judged += 1;
    }
    assert!(judged >= 30, "{judged} formats were judged");
}
