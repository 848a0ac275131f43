//! Protected streams beside plain ones, and what sealing and opening alone take.
//!
//! Every figure is bytes of frames a second. `ratios` measures the same in turns, which tells more of how they compare.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use framewire_benches::{FramewireLink, Link, Picture, SLICE_BYTES, SealingLink, sessions};
use framewire_transport::BackendKind;
use framewire_transport::wire::{Flags, SLICE_HEADER_LEN, TAG_LEN, train_slices};

fn streams(criterion: &mut Criterion) {
    let picture = Picture::full_hd_gray();
    let mut group = criterion.benchmark_group("protected");
    group.throughput(Throughput::Bytes(picture.bytes() as u64));
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for slice_bytes in SLICE_BYTES {
        let trains = train_slices(usize::from(slice_bytes)) > 1;
        let mut plain = FramewireLink::new(&picture, BackendKind::Auto, slice_bytes, trains);
        group.bench_function(BenchmarkId::new("plain", slice_bytes), |bencher| {
            bencher.iter_custom(|frames| plain.transfer(frames));
        });
        drop(plain);
        let mut protected = FramewireLink::protected(&picture, BackendKind::Auto, slice_bytes, trains);
        group.bench_function(BenchmarkId::new("protected", slice_bytes), |bencher| {
            bencher.iter_custom(|frames| protected.transfer(frames));
        });
        drop(protected);
        let mut sealing = SealingLink::new(&picture, slice_bytes);
        group.bench_function(BenchmarkId::new("sealing", slice_bytes), |bencher| {
            bencher.iter_custom(|frames| sealing.transfer(frames));
        });
    }
    group.finish();
}

/// One slice at a time, sealed into memory that is in cache and opened there.
fn slices(criterion: &mut Criterion) {
    for name in ["seal", "open"] {
        let mut group = criterion.benchmark_group(name);
        for slice_bytes in SLICE_BYTES {
            let len = usize::from(slice_bytes) - SLICE_HEADER_LEN - TAG_LEN;
            group.throughput(Throughput::Bytes(len as u64));
            let (mut sender, mut receiver) = sessions();
            let (payload, mut sealed) = (vec![0x5a; len], vec![0; len]);
            let (mut fields, mut tag) = ([0; SLICE_HEADER_LEN], [0; TAG_LEN]);
            fields[12..14].copy_from_slice(&Flags::TAGGED.to_be_bytes());
            let mut sequence = 0;
            group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
                bencher.iter_custom(|times| {
                    let mut taken = Duration::ZERO;
                    for _ in 0..times {
                        let started = Instant::now();
                        sender.slices.seal(sequence, &fields, &payload, &mut sealed, &mut tag);
                        let is_sealed = Instant::now();
                        receiver.slices.open(sequence, &fields, &tag, &mut sealed).expect("it was sealed just now");
                        taken += if name == "seal" { is_sealed.duration_since(started) } else { is_sealed.elapsed() };
                        sequence += 1;
                    }
                    taken
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, streams, slices);
criterion_main!(benches);
