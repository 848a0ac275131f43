//! A frame into headers and descriptors: what a sender does to a frame before the kernel sees it.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use framewire_benches::{Picture, SLICE_BYTES, headers};
use framewire_transport::backend::SendBatch;
use framewire_transport::frame::FramePool;
use framewire_transport::send::{Publication, SendConfig, Subscriber};
use framewire_transport::wire::{Accept, Feedback, SLICE_HEADER_LEN, TIME_UNKNOWN};
use framewire_transport::{Delivery, Time};

/// A stream that is open, and a receiver that settles each frame as soon as it is sent.
struct Slicer {
    publication: Publication,
    stream: Subscriber,
    pool: FramePool,
    batch: SendBatch,
    frames: u64,
    slices: u64,
}

const NOW: Time = Time::from_nanos(1);

impl Slicer {
    fn new(picture: &Picture, slice_bytes: u16) -> Self {
        let format = picture.format;
        let config = SendConfig::new(1, 1, format, Delivery::Every, slice_bytes);
        let publication = Publication::new(format, Delivery::Every);
        let mut stream = publication.subscribe(config, NOW);
        let accept = Accept {
            stream: 1,
            epoch: 1,
            flags: 0,
            path_bytes: u16::MAX,
            frame_limit: u64::MAX,
            sequence_limit: u64::MAX,
            receiver_ns: 0,
            echo_ns: TIME_UNKNOWN,
            delivered: 0,
            buffer_bytes: 0,
            slots: 0,
        };
        stream.handle_datagram(&accept.emit(), NOW);
        let slices = headers(picture, slice_bytes).len();
        let pool = FramePool::new(2, format.frame_bytes()).expect("memory for two frames");
        Self { publication, stream, pool, batch: SendBatch::new(slices, SLICE_HEADER_LEN), frames: 0, slices: 0 }
    }

    fn frame(&mut self) {
        let frame = self.pool.try_acquire().expect("the last frame is settled");
        let published = self.publication.publish(frame.freeze()).expect("the pool's slots have the format's length");
        self.stream.handle_frame(&published, NOW).expect("the last frame is settled");
        drop(published);
        while let Some(run) = self.stream.poll_slices(&mut self.publication, self.batch.room() as u32, NOW) {
            let pushed = self
                .batch
                .push_slices(run.frame, run.payload(), run.payload_bytes(), |nth, head| run.emit_header(nth, head));
            pushed.expect("no more slices were asked for than there is room for");
            self.slices += u64::from(run.count);
        }
        assert_eq!(self.batch.room(), 0);
        self.batch.clear();
        let feedback = Feedback {
            stream: 1,
            epoch: 1,
            flags: 0,
            path_bytes: 0,
            report: self.frames,
            settled: self.frames + 1,
            frame_limit: u64::MAX,
            sequence_seen: self.slices,
            sequence_limit: u64::MAX,
            delivered: self.frames + 1,
            arrived: self.slices,
            receiver_ns: 0,
            echo_ns: TIME_UNKNOWN,
            echo_held_ns: 0,
        };
        self.stream.handle_datagram(&feedback.emit(), NOW);
        self.frames += 1;
    }
}

fn slicing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slicing");
    let picture = Picture::full_hd_gray();
    for slice_bytes in SLICE_BYTES {
        group.throughput(Throughput::Elements(headers(&picture, slice_bytes).len() as u64));
        let mut slicer = Slicer::new(&picture, slice_bytes);
        group.bench_function(BenchmarkId::new(picture.name, slice_bytes), |bencher| bencher.iter(|| slicer.frame()));
    }
    group.finish();
}

criterion_group!(benches, slicing);
criterion_main!(benches);
