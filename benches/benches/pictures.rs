//! What it costs to take a picture of a frame for people to look at, as small as a tile of the page and as large as its full size.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use framewire_pictures::{Limits, Look, Picture};
use framewire_transport::frame::{FrameFormat, PixelFormat};

/// The widths of a page's pictures, unless the server is told otherwise.
const TILE: u32 = 480;
const FULL: u32 = 1920;

/// Values that differ, and none that the format cannot have.
fn frame(format: &FrameFormat) -> Vec<u8> {
    let is_high = format.pixel().sample_bytes() == Some(2);
    let high_bits = (1_u32 << format.pixel().bits().saturating_sub(8).min(8)) - 1;
    (0..format.frame_bytes())
        .map(|at| if is_high && at % 2 == 1 { (at / 300) as u32 & high_bits } else { (at / 7) as u32 } as u8)
        .collect()
}

fn pictures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pictures");
    for (pixel, width, height) in [
        (PixelFormat::BayerRggb12, 3840, 2160),
        (PixelFormat::Bgr24, 3840, 2160),
        (PixelFormat::V210, 3840, 2160),
        (PixelFormat::Gray8, 1920, 1080),
        (PixelFormat::Yuv420p, 1920, 1080),
        (PixelFormat::Depth32f, 1920, 1080),
    ] {
        let format = FrameFormat::new(pixel, width, height).expect("a size that the format can have");
        let frame = frame(&format);
        let mut picture = Picture::new();
        group.throughput(Throughput::Bytes(frame.len() as u64));
        for (name, side_max) in [("tile", TILE), ("full", FULL)] {
            group.bench_function(BenchmarkId::new(name, format), |bencher| {
                bencher.iter(|| {
                    let look = Look { limits: Some(Limits::measured(&frame, &format)), is_full_range: false };
                    assert!(picture.take(&frame, &format, side_max, look));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pictures);
criterion_main!(benches);
