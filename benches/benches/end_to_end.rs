//! Frames from one thread to another over loopback: Framewire beside the bare kernel and a TCP socket, on the same work.
//!
//! Every figure of a group is bytes of frames a second, so a figure over that of `kernel` at its slice size is the ratio to
//! the floor.
#![allow(missing_docs)]

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
#[cfg(target_os = "linux")]
use framewire_benches::KernelLink;
use framewire_benches::{FramewireLink, Link, Picture, SLICE_BYTES, TcpLink};
use framewire_transport::BackendKind;
use framewire_transport::wire::train_slices;

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, link: impl Fn() -> Box<dyn Link>) {
    // Made only if it is measured: a filter on the command line leaves the others out.
    let mut made = None;
    group.bench_function(id, |bencher| bencher.iter_custom(|frames| made.get_or_insert_with(&link).transfer(frames)));
}

/// Every backend, or those that know trains.
fn backends(trains: bool) -> impl Iterator<Item = BackendKind> {
    BackendKind::ALL
        .iter()
        .copied()
        .filter(move |kind| *kind != BackendKind::Auto && !(trains && *kind == BackendKind::Std))
}

fn end_to_end(criterion: &mut Criterion) {
    for picture in [Picture::full_hd_gray(), Picture::ultra_hd_bgr(), Picture::vga_gray()] {
        let mut group = criterion.benchmark_group(format!("end_to_end/{}", picture.name));
        group.throughput(Throughput::Bytes(picture.bytes() as u64));
        group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        for slice_bytes in SLICE_BYTES {
            for trains in [false, true] {
                if trains && train_slices(usize::from(slice_bytes)) == 1 {
                    continue;
                }
                let id = |name: &str| {
                    BenchmarkId::new(format!("{name}{}", if trains { "+trains" } else { "" }), slice_bytes)
                };
                #[cfg(target_os = "linux")]
                measure(&mut group, id("kernel"), || Box::new(KernelLink::new(&picture, slice_bytes, trains)));
                for backend in backends(trains) {
                    let link = || Box::new(FramewireLink::new(&picture, backend, slice_bytes, trains)) as Box<dyn Link>;
                    measure(&mut group, id(backend.name()), link);
                }
            }
        }
        measure(&mut group, BenchmarkId::from_parameter("tcp"), || Box::new(TcpLink::new(&picture)));
        group.finish();
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
