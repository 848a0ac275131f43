//! Slices into a frame, as they arrive: bookkeeping, and moving what landed elsewhere than predicted. The kernel's own copy
//! is not in it.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use framewire_benches::{Arrivals, Picture, SLICE_BYTES, headers};
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{Reassembler, ReassemblerConfig};
use framewire_transport::wire::{Cut, SliceHeader};
use framewire_transport::{Delivery, Time};

/// What one system call takes.
const BATCH_MAX: usize = 1024;
const NOW: Time = Time::from_nanos(1);

struct Arriving {
    reassembler: Reassembler,
    headers: Vec<SliceHeader>,
    arrivals: Arrivals,
    order: Vec<usize>,
    number: u64,
}

impl Arriving {
    fn new(picture: &Picture, slice_bytes: u16, arrivals: Arrivals) -> Self {
        let headers = headers(picture, slice_bytes);
        let cut = Cut::new(picture.wire_bytes(), slice_bytes.into());
        let pool = FramePool::new(4, Reassembler::slot_bytes(&cut)).expect("memory for four frames");
        let batch_max = headers.len().clamp(16, BATCH_MAX);
        let config = ReassemblerConfig {
            format: FrameFormat::new(PixelFormat::Gray8, picture.wire_bytes(), 1).expect("a picture has bytes"),
            cut,
            delivery: Delivery::Every,
            first_frame: 0,
            parity_max: 0,
            partial: false,
            batch_max,
        };
        let reassembler = Reassembler::new(config, pool).expect("memory for the spill");
        Self { reassembler, order: Vec::with_capacity(headers.len()), headers, arrivals, number: 0 }
    }

    fn frame(&mut self) {
        self.arrivals.fill(self.number, self.headers.len(), &mut self.order);
        for batch in self.order.chunks(self.headers.len().clamp(16, BATCH_MAX)) {
            self.reassembler.predict(batch.len());
            for (spot, index) in batch.iter().enumerate() {
                let header = SliceHeader { frame: self.number, ..self.headers[*index] };
                assert!(self.reassembler.handle_slice(&header, spot, NOW));
            }
            self.reassembler.end_batch(NOW, |far_ns| Some(Time::from_nanos(far_ns)));
        }
        self.number += 1;
        assert!(self.reassembler.poll_frame().is_some_and(|frame| frame.info().number + 1 == self.number));
    }
}

fn reassembly(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reassembly");
    let picture = Picture::full_hd_gray();
    group.throughput(Throughput::Bytes(picture.bytes() as u64));
    for slice_bytes in SLICE_BYTES {
        for arrivals in Arrivals::ALL {
            let mut arriving = Arriving::new(&picture, slice_bytes, arrivals);
            group.bench_function(BenchmarkId::new(arrivals.name(), slice_bytes), |bencher| {
                bencher.iter(|| arriving.frame());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reassembly);
criterion_main!(benches);
