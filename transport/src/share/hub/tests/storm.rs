//! A storm of random words on a reader's own page and socket, beside the frames of others.

use std::path::Path;
use std::time::Instant;

use super::*;

/// Random words, at most so many before its writer comes anew: once it broke the rules, nobody looks at its page.
const WRITES_EACH: u64 = 50_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes so many words to the control pages of readers that come and go, each by another policy, and now and then to their sockets.
fn storm(path: &Path, writes: u64) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..writes.div_ceil(WRITES_EACH) {
        let wanted = [LATEST, QUEUE, BLOCK][round as usize % 3];
        // Those before it may still be going.
        let Ok(hostile) = TestReader::subscribe(connect(path).unwrap(), "front", wanted) else { continue };
        let control = &hostile.control[0];
        for _ in 0..WRITES_EACH {
            let random = random.next();
            let value = if random & 7 == 0 { random } else { random >> (random & 63) };
            match (random >> 40) % 14 {
                0 => control.returned.store(value, Ordering::Release),
                1 => control.asleep.store(value as u32, Ordering::Release),
                2 => control.starved.store(value as u32, Ordering::Release),
                3 => control.told.ended.store(value as u32, Ordering::Release),
                4 => control.told.dropped.store(value, Ordering::Release),
                5 => drop(hostile.borrower.take(control)),
                word => control.offers[word as usize - 6].store(value, Ordering::Release),
            }
            if random.is_multiple_of(1_024) {
                let _full = packet::send(&hostile.socket, &random.to_be_bytes(), &[]);
            }
        }
    }
}

/// A processor that is as busy, with words of its own.
fn spin(writes: u64) {
    let (mut random, words) = (Random(0x9e37_79b9_7f4a_7c15), [const { std::sync::atomic::AtomicU64::new(0) }; 8]);
    for _ in 0..writes {
        let value = random.next();
        std::hint::black_box(&words)[value as usize % 8].store(value, Ordering::Release);
    }
}

/// How long each publishing took, sorted.
struct Took(Vec<Duration>);

impl Took {
    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

/// Publishes, and has an honest reader take each frame and look at all of it, until `other` is done with what it does.
fn publish_beside(host: &mut Host, honest: &TestReader, other: impl FnOnce() + Send) -> Took {
    /// Durations that are kept, of as many as there are.
    const KEPT: usize = 4_000_000;
    let mut took = Vec::with_capacity(KEPT);
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        while !other.is_finished() {
            let begun = Instant::now();
            let is_published = host.publish();
            let elapsed = begun.elapsed();
            if is_published {
                if took.len() < KEPT {
                    took.push(elapsed);
                }
                // What it takes is whole, or this panics.
                assert_eq!(
                    honest.take().map(|frame| frame.info().number),
                    Some(host.next - 1),
                    "an honest reader waits"
                );
            }
        }
        other.join().unwrap();
    });
    took.sort_unstable();
    Took(took)
}

/// One honest reader, and then a storm; after it nothing is left of it, and the honest one had every frame.
fn under_storm(writes: u64) -> [Took; 2] {
    let mut host = Host::new(Delivery::Every, |config| config.reader_slots(40).block(true));
    let honest = host.read(QUEUE);
    let path = host.folder.join("hub.sock");
    let took = [
        publish_beside(&mut host, &honest, || spin(writes)),
        publish_beside(&mut host, &honest, || storm(&path, writes)),
    ];
    host.until("their ends", |host| host.stream.readers().len() == 1);
    let figures = host.figures();
    assert_eq!((figures.offered, figures.taken, figures.dropped), (host.next, host.next, 0));
    drop(honest);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
    took
}

#[test]
fn a_storm_of_words_beside_the_frames_of_others_makes_none_of_them_wrong() {
    under_storm(4_000_000);
}

/// A measure, which says what publishing took beside a storm of `FRAMEWIRE_STORM` words, and beside a processor that is busy otherwise.
#[test]
#[ignore = "it measures; FRAMEWIRE_STORM=100000000 cargo test --release -p framewire-transport --lib storm -- --ignored --nocapture"]
fn what_publishing_takes_beside_a_storm_of_words() {
    let writes = std::env::var("FRAMEWIRE_STORM").map_or(10_000_000, |words| words.parse().unwrap());
    let [without, with] = under_storm(writes);
    println!("{writes} words");
    for (what, took) in [("without", &without), ("with", &with)] {
        println!("publish {what}: p50 {:?}, p99 {:?} of {}", took.at(50), took.at(99), took.0.len());
    }
    let ratio = |percent| with.at(percent).as_secs_f64() / without.at(percent).as_secs_f64();
    println!("ratio: p50 {:.2}, p99 {:.2}; wrong frames: 0", ratio(50), ratio(99));
}
