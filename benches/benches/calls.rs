//! What a program waits for in the calls of a sender: `send` and `stats`, while a 4K stream with 20 % of parity is made and sent; and what
//! a thread costs a stream that asks for its figures a thousand times a second.
//!
//! `cargo bench -p framewire-benches --bench calls -- [--rounds N] [--seconds S]`; rounds are taken in turns, and medians shown.
#![allow(missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use framewire_benches::{Options, Picture};
use framewire_transport::Fec;
use framewire_transport::{Delivery, Receiver, ReceiverConfig, Sender, SenderConfig};

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the figures are asked for.
const ASKED_EVERY: Duration = Duration::from_millis(1);
/// Between the frames of the 4K stream.
const CAMERA_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// A stream over loopback, and somebody who takes its frames.
struct Stream {
    sender: Sender,
    receiver: Receiver,
    picture: Picture,
}

/// What came of a round.
struct Round {
    frames_per_second: f64,
    sends: Vec<Duration>,
    asks: Vec<Duration>,
}

impl Stream {
    fn open(picture: Picture, delivery: Delivery, fec: Fec) -> Self {
        let receiver = Receiver::bind("127.0.0.1:0".parse().expect("an address"), ReceiverConfig::default())
            .expect("loopback has a port left");
        let config = SenderConfig::new(picture.format).delivery(delivery).fec(fec);
        let sender = Sender::connect(receiver.local_addr(), config).expect("loopback can be reached");
        sender.wait_until_open(PATIENCE).expect("the receiver takes any stream");
        Self { sender, receiver, picture }
    }

    /// Sends for so long, a frame each `interval`, or as soon as there is a slot; meanwhile a thread asks for the figures, if it is to.
    fn run(&self, time: Duration, interval: Duration, is_asked: bool) -> Round {
        let over = AtomicBool::new(false);
        let (sender, over) = (&self.sender, &over);
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                let mut asks = Vec::new();
                while is_asked && !over.load(Ordering::Acquire) {
                    asks.push(timed(|| sender.stats()).0);
                    std::thread::sleep(ASKED_EVERY);
                }
                asks
            });
            let (mut sends, begun) = (Vec::new(), Instant::now());
            while begun.elapsed() < time || sends.is_empty() {
                let frame = sender.frame().expect("the stream goes on");
                let (took, sent) = timed(|| sender.send(frame));
                sent.expect("the stream goes on");
                sends.push(took);
                // A camera's pace, not synchronisation.
                std::thread::sleep((begun + interval * sends.len() as u32).saturating_duration_since(Instant::now()));
            }
            let frames_per_second = sends.len() as f64 / begun.elapsed().as_secs_f64();
            over.store(true, Ordering::Release);
            Round { frames_per_second, sends, asks: asking.join().expect("it only asks") }
        })
    }
}

fn timed<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = call();
    (begun.elapsed(), result)
}

/// Takes every frame of the receiver's streams, until it stops.
fn consume(receiver: &Receiver) {
    while let Ok(stream) = receiver.accept() {
        stream.frames().for_each(drop);
    }
}

/// Runs `measure` while somebody takes the frames.
fn beside_a_consumer(stream: &Stream, measure: impl FnOnce()) {
    /// Ends the consumer also where the measurement panics.
    struct Stop<'a>(&'a Receiver);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    std::thread::scope(|scope| {
        scope.spawn(|| consume(&stream.receiver));
        let _stop = Stop(&stream.receiver);
        measure();
        stream.sender.close(PATIENCE).expect("the receiver answers");
    });
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn show(name: &str, times: &mut [Duration]) {
    let [half, most, all] = [50, 99, 100].map(|percent| percentile(times, percent));
    println!("  {name:8} {:7} calls, median {half:?}, p99 {most:?}, longest {all:?}", times.len());
}

/// How long a program waits.
fn waits(options: &Options) {
    let stream = Stream::open(Picture::ultra_hd_bgr(), Delivery::Latest, Fec::Percent(20));
    beside_a_consumer(&stream, || {
        stream.run(options.time / 4, CAMERA_INTERVAL, false);
        let mut round = stream.run(options.time * options.rounds as u32, CAMERA_INTERVAL, true);
        let parity = stream.sender.stats().slices_parity;
        println!(
            "{} with 20 % of parity, {:.1} frames/s, {parity} parity slices:",
            stream.picture.name, round.frames_per_second
        );
        show("send", &mut round.sends);
        show("stats", &mut round.asks);
    });
}

/// What it costs to be asked.
fn costs(options: &Options) {
    let stream = Stream::open(Picture::full_hd_gray(), Delivery::Every, Fec::Off);
    beside_a_consumer(&stream, || {
        stream.run(options.time / 4, Duration::ZERO, false);
        let mut ratios = Vec::new();
        for round in 0..options.rounds {
            // Who is first is not always the same.
            let asked_first = round % 2 == 1;
            let first = stream.run(options.time, Duration::ZERO, asked_first).frames_per_second;
            let second = stream.run(options.time, Duration::ZERO, !asked_first).frames_per_second;
            let (asked, alone) = if asked_first { (first, second) } else { (second, first) };
            println!("  round {}: {asked:.0} frames/s asked, {alone:.0} alone", round + 1);
            ratios.push(asked / alone);
        }
        println!(
            "{} asked a thousand times a second: {:.3} of its rate, median of {} rounds in turns",
            stream.picture.name,
            median(ratios),
            options.rounds
        );
    });
}

fn main() {
    let options = Options::parse(9, Duration::from_secs(2));
    waits(&options);
    costs(&options);
}
