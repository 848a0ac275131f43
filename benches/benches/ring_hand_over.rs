//! A finished frame from the receiving thread to a consumer: what it costs beside the bytes.
#![allow(missing_docs)]

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use framewire_transport::frame::{ConsumerPolicy, FramePool, FrameRing};

const PATIENCE: Duration = Duration::from_secs(60);

fn pool() -> FramePool {
    FramePool::new(8, 4_096).expect("memory for eight pages")
}

fn ring_hand_over(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring_hand_over");
    group.throughput(Throughput::Elements(1));
    group.bench_function("same-thread", |bencher| {
        let (pool, ring) = (pool(), FrameRing::new());
        let consumer = ring.subscribe(ConsumerPolicy::Block);
        bencher.iter(|| {
            ring.publish(&pool.try_acquire().expect("a slot is free").freeze());
            consumer.try_recv().expect("a frame waits")
        });
    });
    group.bench_function("across-threads", |bencher| {
        let (pool, ring) = (pool(), FrameRing::new());
        let consumer = ring.subscribe(ConsumerPolicy::Block);
        let (request, requests) = sync_channel::<u64>(1);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in requests.iter().flat_map(|frames| 0..frames) {
                    let frame = pool.acquire_timeout(PATIENCE).expect("the consumer gives slots back");
                    ring.publish(&frame.freeze());
                }
            });
            bencher.iter_custom(|frames| {
                let started = Instant::now();
                request.send(frames).expect("the publishing thread waits for requests");
                for _ in 0..frames {
                    consumer.recv_timeout(PATIENCE).expect("frames come");
                }
                started.elapsed()
            });
            drop(request);
        });
    });
    group.finish();
}

criterion_group!(benches, ring_hand_over);
criterion_main!(benches);
