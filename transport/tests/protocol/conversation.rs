//! The worked example, played by both ends' cores: what they say is what the document shows.

use std::time::{Duration, SystemTime};

use framewire_transport::frame::{
    ColourRange, FrameFormat, FramePool, FrameRate, PixelFormat, Presentation, SampleAspect, Scan,
};
use framewire_transport::receive::{self, Reassembler, ReceiveConfig, ReceiveStream};
use framewire_transport::send::{self, Publication, SendConfig, Subscriber};
use framewire_transport::utc::UtcOffset;
use framewire_transport::wire::{Cut, Delivery, Feedback, Open};
use framewire_transport::{Frame, Time};

use crate::document;

/// The receiver's clock is this much ahead, and a datagram takes this long.
const AHEAD: Duration = Duration::from_millis(5);
const LATENCY: Duration = Duration::from_micros(100);

fn example(name: &str) -> Vec<u8> {
    document::sections().into_iter().find(|section| section.name == name).unwrap().golden
}

/// A time in the example's first column.
fn at(tenths_of_a_millisecond: u64) -> Time {
    Time::from_nanos(tenths_of_a_millisecond * 100_000)
}

struct Sender(Subscriber, Publication);

impl Sender {
    /// The datagram of fields that is due.
    fn says(&mut self, now: Time) -> Vec<u8> {
        let mut bytes = [0; send::CONTROL_MAX];
        let len = self.0.poll_transmit(now, &mut bytes).expect("something is due");
        assert_eq!(self.0.poll_transmit(now, &mut [0; send::CONTROL_MAX]), None);
        bytes[..len].to_vec()
    }

    fn slices(&mut self, now: Time) -> Vec<Vec<u8>> {
        let mut slices = Vec::new();
        while let Some(mut run) = self.0.poll_slices(&mut self.1, 16, now) {
            slices.extend((0..run.count).map(|nth| run.to_datagram(nth)));
        }
        slices
    }
}

struct Receiver(ReceiveStream);

impl Receiver {
    /// Takes in a datagram that left the sender at `sent`, and answers.
    fn hears(&mut self, bytes: &[u8], sent: Time) -> Vec<Vec<u8>> {
        let now = sent + LATENCY + AHEAD;
        self.0.predict(1);
        let head = &bytes[..bytes.len().min(self.0.cut().head_bytes())];
        self.0.land(0, &bytes[head.len()..]);
        self.0.handle_datagram(0, head, bytes.len(), now);
        self.0.end_batch(now);
        self.says(now)
    }

    fn says(&mut self, now: Time) -> Vec<Vec<u8>> {
        let mut bytes = [0; receive::CONTROL_MAX];
        std::iter::from_fn(|| self.0.poll_transmit(now, &mut bytes).map(|len| bytes[..len].to_vec())).collect()
    }
}

fn frame(pool: &FramePool) -> Frame {
    let mut frame = pool.try_acquire().unwrap();
    frame[496..].copy_from_slice(&[0xfe, 0xed, 0xbe, 0xef]);
    frame.info.captured = at(10_340);
    frame.freeze()
}

#[test]
fn the_worked_example_is_what_both_ends_say() {
    let format = FrameFormat::new(PixelFormat::Gray8, 20, 25).unwrap();
    let config = SendConfig {
        presentation: Presentation::UNKNOWN
            .rate(FrameRate::per_second(30).ok())
            .scan(Scan::Progressive)
            .aspect(SampleAspect::SQUARE)
            .range(ColourRange::Full),
        ..SendConfig::new(0x0bad_cafe, 7, format, Delivery::Every, 548)
    };
    let publication = Publication::new(format, Delivery::Every);
    let mut sender = Sender(publication.subscribe(config, at(10_000)), publication);
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_794_999_999);
    sender.0.set_utc(UtcOffset::new(Time::ZERO, begin, Some(Duration::from_micros(500))));
    assert_eq!(Open::parse(&sender.says(at(10_000))).unwrap().cookie, 0);
    sender.0.handle_datagram(&example("Challenge"), at(10_002));
    let open = sender.says(at(10_002));
    assert_eq!(open, example("Open"));

    let pool = FramePool::new(8, Reassembler::slot_bytes(&Cut::new(500, 548))).unwrap();
    let open = Open::parse(&open).unwrap();
    let config = ReceiveConfig {
        open,
        sealed: None,
        open_bytes: Open::LEN,
        buffer_bytes: 212_992,
        batch_max: 16,
        partial: false,
        clock_id: 0,
    };
    let accepted = at(10_003) + AHEAD;
    let mut receiver = Receiver(ReceiveStream::new(config, pool, accepted).unwrap());
    assert_eq!(receiver.says(accepted), [example("Accept")]);

    sender.0.handle_datagram(&example("Accept"), at(10_004));
    assert_eq!(sender.0.round_trip(), 2 * LATENCY);
    let answers = receiver.hears(&sender.says(at(10_004)), at(10_004));
    assert_eq!(answers.len(), 1);
    sender.0.handle_datagram(&answers[0], at(10_006));

    let pool = FramePool::new(1, 500).unwrap();
    let published = sender.1.publish(frame(&pool)).unwrap();
    sender.0.handle_frame(&published, at(10_350)).unwrap();
    let slices = sender.slices(at(10_350));
    assert_eq!(slices.len(), 2);
    assert!(receiver.hears(&slices[0], at(10_350)).is_empty());

    assert_eq!(sender.0.poll_timeout(), at(10_400));
    let ping = sender.says(at(10_400));
    assert_eq!(ping, example("Ping"));
    let answers = receiver.hears(&ping, at(10_400));
    let feedback = Feedback::parse(&answers[0]).unwrap();
    assert_eq!((feedback.report, feedback.sequence_seen, feedback.settled), (1, 2, 0));
    sender.0.handle_datagram(&answers[0], at(10_402));

    let asks = at(10_403) + AHEAD;
    assert_eq!(receiver.0.poll_timeout(at(10_401) + AHEAD), asks);
    assert_eq!(receiver.says(asks), [example("Nack")]);
    sender.0.handle_datagram(&example("Nack"), at(10_404));
    let repairs = sender.slices(at(10_404));
    assert_eq!(repairs, [example("Slice")]);
    assert_eq!(receiver.hears(&repairs[0], at(10_404)), [example("Feedback")]);

    let delivered = receiver.0.poll_frame().unwrap();
    assert_eq!(delivered.info().latency, Some(at(10_405).since(at(10_340))));
    let captured = begin + at(10_340).since(Time::ZERO);
    assert_eq!((delivered.captured_utc(), delivered.has_own_time()), (Some(captured), false));
    assert_eq!(delivered.info().utc_error, Some(Duration::from_micros(500)));
    sender.0.handle_datagram(&example("Feedback"), at(10_406));
    assert!(sender.0.is_settled());
}
