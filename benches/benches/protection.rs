//! What protection costs: an opening at each end, garbage in place of one, and slices sealed out of a frame and opened where they landed, by each
//! suite. Of slices the floor is their copy.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use framewire_transport::Key;
use framewire_transport::crypto::{
    CONTEXT_LEN, Initiator, MESSAGE_1_LEN, PAYLOAD_1_LEN, PAYLOAD_2_LEN, ReceiverSession, Responder, SenderSession,
    Suite, Suites,
};
use framewire_transport::wire::{SLICE_HEADER_LEN, TAG_LEN};

/// Of a frame in gray8 of 1080 lines, so that it comes out of memory and not out of the smallest cache.
const FRAME_BYTES: usize = 1_920 * 1_080;
const HEAD: [u8; SLICE_HEADER_LEN] = [7; SLICE_HEADER_LEN];

fn context() -> [u8; CONTEXT_LEN] {
    let mut context = [0; CONTEXT_LEN];
    context[32..34].copy_from_slice(&Suites::of(&[Suite::Aes128Gcm, Suite::ChaCha20Poly1305]).bits().to_be_bytes());
    context
}

fn ends(key: &Key, suite: Suite) -> (SenderSession, ReceiverSession) {
    let (mut initiator, first) = Initiator::start(key, &context(), &[0; PAYLOAD_1_LEN]).expect("random numbers");
    let (responder, _) = Responder::read(key, &context(), &first).expect("the same key");
    let (receiver, second) = responder.accept(suite, &[0; PAYLOAD_2_LEN]).expect("random numbers");
    (initiator.finish(&second).expect("the same key").0, receiver)
}

fn opening(criterion: &mut Criterion) {
    let key = Key::random().expect("random numbers");
    let mut group = criterion.benchmark_group("opening");
    let start = || Initiator::start(&key, &context(), &[0; PAYLOAD_1_LEN]).expect("random numbers");
    let accept = |first: &[u8; MESSAGE_1_LEN]| {
        let (responder, _) = Responder::read(&key, &context(), first).expect("the same key");
        responder.accept(Suite::Aes128Gcm, &[0; PAYLOAD_2_LEN]).expect("random numbers")
    };
    group.bench_function("sender", |bencher| {
        bencher.iter(|| {
            let (mut initiator, first) = start();
            black_box((&mut initiator, first));
        });
    });
    group.bench_function("sender, answered", |bencher| {
        let answered = || {
            let (initiator, first) = start();
            (initiator, accept(&first).1)
        };
        let finish = |(mut initiator, second): (Initiator, _)| initiator.finish(&second).expect("the same key").0;
        bencher.iter_batched(answered, finish, BatchSize::SmallInput);
    });
    let (_, first) = start();
    group.bench_function("receiver", |bencher| bencher.iter(|| accept(black_box(&first))));
    let mut garbage = first;
    garbage[140] ^= 1;
    group.bench_function("receiver, garbage", |bencher| {
        bencher.iter(|| Responder::read(&key, &context(), black_box(&garbage)).is_err());
    });
    group.finish();
}

fn slices(criterion: &mut Criterion) {
    let key = Key::random().expect("random numbers");
    let frame: Vec<u8> = (0..FRAME_BYTES).map(|at| at as u8).collect();
    for payload_bytes in [1_404, 65_439] {
        let mut group = criterion.benchmark_group(format!("slices of {payload_bytes}"));
        let count = FRAME_BYTES / payload_bytes;
        group.throughput(Throughput::Bytes((count * payload_bytes) as u64));
        let mut scratch = vec![0; payload_bytes];
        group.bench_function("copied", |bencher| {
            bencher
                .iter(|| frame.chunks_exact(payload_bytes).for_each(|slice| scratch.copy_from_slice(black_box(slice))));
        });
        for suite in [Suite::Aes128Gcm, Suite::ChaCha20Poly1305] {
            let (mut sender, mut receiver) = ends(&key, suite);
            let mut sequence = 0;
            let mut sealed = || -> Vec<(u64, [u8; TAG_LEN], Vec<u8>)> {
                let seal = |slice: &[u8]| {
                    let (mut tag, mut text) = ([0; TAG_LEN], vec![0; slice.len()]);
                    sender.slices.seal(sequence, &HEAD, slice, &mut text, &mut tag);
                    sequence += 1;
                    (sequence - 1, tag, text)
                };
                frame.chunks_exact(payload_bytes).map(seal).collect()
            };
            group.bench_function(BenchmarkId::new("opened", suite.name()), |bencher| {
                let open = |slices: &mut Vec<(u64, [u8; TAG_LEN], Vec<u8>)>| {
                    for (sequence, tag, text) in slices {
                        receiver.slices.open(*sequence, &HEAD, tag, text).expect("as it was sealed");
                    }
                };
                bencher.iter_batched_ref(&mut sealed, open, BatchSize::PerIteration);
            });
            let mut tag = [0; TAG_LEN];
            group.bench_function(BenchmarkId::new("sealed", suite.name()), |bencher| {
                bencher.iter(|| {
                    for slice in frame.chunks_exact(payload_bytes) {
                        sender.slices.seal(sequence, &HEAD, slice, &mut scratch, &mut tag);
                        sequence += 1;
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, opening, slices);
criterion_main!(benches);
