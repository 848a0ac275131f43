//! Readers of a stream that a program publishes, as programs have them.
#![cfg(target_os = "linux")]

use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use framewire_testing::{Guard, PATIENCE, Signal, send, wait_for, wait_until};
use framewire_transport::share::ShareConfig;
use framewire_transport::{
    BindError, ConsumerPolicy, Delivery, Endpoint, Frame, FrameFormat, MetadataKind, PixelFormat, PublishConfig,
    PublishedStream, Publisher, Reader, Receiver, ReceiverConfig, RecvError, ShareError, Subscription,
    SubscriptionConfig,
};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A folder of the test's own, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fw-share-reader-{}-{count}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::path(self.0.join("hub.sock")).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::connect(self.endpoint()).unwrap()
    }

    /// A publisher with one stream, `front`.
    fn publish(&self, delivery: Delivery) -> (Publisher, PublishedStream) {
        let publisher = Publisher::bind(ShareConfig::new(self.endpoint()).block(true)).unwrap();
        let format = FrameFormat::new(PixelFormat::Gray8, 160, 120).unwrap();
        let stream = publisher.stream("front", PublishConfig::new(format).delivery(delivery)).unwrap();
        (publisher, stream)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends a frame whose bytes are all `value`.
fn send_filled(stream: &PublishedStream, value: u8) -> u64 {
    let mut frame = stream.frame_timeout(PATIENCE).unwrap().expect("no slot came free");
    frame.fill(value);
    stream.send(frame).unwrap()
}

fn number(frame: &Frame) -> u64 {
    let number = frame.info().number;
    assert!(frame.iter().all(|byte| *byte == number as u8), "frame {number} is torn");
    number
}

#[test]
fn each_policy_has_its_frames_in_order_and_whole_and_both_ends_account_alike() {
    const FRAMES: u64 = 2_000;
    for policy in [ConsumerPolicy::Latest, ConsumerPolicy::Queue(5), ConsumerPolicy::Block] {
        let folder = Folder::new();
        let (_publisher, stream) = folder.publish(Delivery::Every);
        let subscription = folder.reader().subscribe("front", policy).unwrap();
        std::thread::scope(|scope| {
            let reading =
                scope.spawn(|| subscription.frames().map(|frame| number(&frame.unwrap())).collect::<Vec<_>>());
            for number in 0..FRAMES {
                assert_eq!(send_filled(&stream, number as u8), number);
            }
            let figures = wait_for("all is taken", || {
                let figures = stream.readers().remove(0);
                if figures.waiting == 0 { Ok(figures) } else { Err(format!("{figures:?}")) }
            });
            stream.close();
            let (taken, stats) = (reading.join().unwrap(), subscription.stats());
            assert!(taken.is_sorted_by(|before, after| before < after), "{policy:?}");
            assert_eq!((stats.offered, stats.taken), (FRAMES, taken.len() as u64), "{policy:?}");
            assert_eq!(stats.dropped, FRAMES - stats.taken, "{policy:?}");
            assert_eq!((figures.policy, figures.pid), (policy, std::process::id()));
            assert_eq!((figures.offered, figures.taken, figures.dropped), (stats.offered, stats.taken, stats.dropped));
            if policy == ConsumerPolicy::Block {
                assert_eq!(stats.dropped, 0);
            }
        });
    }
}

#[test]
fn a_frame_is_the_same_there_with_its_planes_metadata_and_times() {
    let folder = Folder::new();
    let publisher = Publisher::bind(ShareConfig::new(folder.endpoint())).unwrap();
    let format = FrameFormat::new(PixelFormat::Yuv420p, 64, 48).unwrap();
    let stream = publisher.stream("front", PublishConfig::new(format)).unwrap();
    let subscription = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap();
    let info = subscription.info();
    assert_eq!((info.name.as_str(), info.format, info.metadata_max), ("front", format, 4_096));
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_795_000_000, 123_456_789);
    let mut frame = stream.frame().unwrap();
    (0..).zip(frame.planes_mut()).for_each(|(shade, plane)| plane.bytes.fill(shade));
    frame.set_metadata(MetadataKind::Json, b"{\"exposure_us\":8000}").unwrap();
    frame.info.captured_utc = Some(time);
    stream.send(frame).unwrap();
    let frame = subscription.recv().unwrap();
    let planes: Vec<_> = frame.planes().map(|plane| (plane.width, plane.height, plane.bytes[0])).collect();
    assert_eq!(planes, [(64, 48, 0), (32, 24, 1), (32, 24, 2)]);
    let metadata = frame.metadata().unwrap();
    assert_eq!((metadata.kind, metadata.bytes), (MetadataKind::Json, &b"{\"exposure_us\":8000}"[..]));
    assert_eq!((frame.captured_utc(), frame.has_own_time(), frame.is_complete()), (Some(time), true, true));
    let twin = frame.clone();
    assert_eq!(subscription.slots_held(), 1);
    let bytes = frame.into_bytes();
    drop(twin);
    assert_eq!((bytes.len(), subscription.slots_held()), (format.frame_bytes(), 1));
    drop(bytes);
    assert_eq!(subscription.slots_held(), 0);
}

#[test]
fn a_frame_outlives_its_subscription_its_reader_and_what_published_it() {
    let folder = Folder::new();
    let (publisher, stream) = folder.publish(Delivery::Latest);
    send_filled(&stream, 0);
    let frame = {
        let subscription = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap();
        subscription.recv().unwrap()
    };
    for value in 1..100 {
        send_filled(&stream, value);
        assert_eq!(number(&frame), 0);
    }
    stream.close();
    drop(publisher);
    assert_eq!(number(&frame), 0);
}

#[test]
fn who_asks_for_what_there_is_not_is_told_what_there_is() {
    let folder = Folder::new();
    assert_eq!(Reader::connect(folder.endpoint()).unwrap_err().code(), "no-hub");
    let (publisher, stream) = folder.publish(Delivery::Latest);
    let reader = folder.reader();
    let refused = reader.subscribe("rear", ConsumerPolicy::Latest).unwrap_err();
    assert!(
        matches!(&refused, ShareError::UnknownStream { name, streams, .. } if name == "rear" && *streams == ["front"])
    );
    let greedy = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(8)).hold(17);
    let refused = reader.subscribe_with("front", greedy).unwrap_err();
    assert!(matches!(refused, ShareError::NoReaderSlots { offers: 8, hold: 17, reader_slots: 24, left: 24, .. }));
    let second = publisher.stream("rear", PublishConfig::new(*stream.format())).unwrap();
    let names = |reader: &Reader| reader.streams().unwrap().into_iter().map(|stream| stream.name).collect::<Vec<_>>();
    assert_eq!(names(&reader), ["front", "rear"]);
    second.close();
    // Its hub's thread takes it off the list.
    wait_until("the closed stream is off the list", || names(&reader) == ["front"]);
}

/// Names the folder of a publisher that this process is to be, and what its frames are filled with.
const PUBLISHER: &str = "FRAMEWIRE_TEST_PUBLISHER";
const VALUE: &str = "FRAMEWIRE_TEST_VALUE";

/// Run by itself it does nothing: it is what the publishers of the next test are.
#[test]
fn a_publisher_in_a_process_of_its_own() {
    let Some(path) = std::env::var_os(PUBLISHER) else { return };
    let folder = std::mem::ManuallyDrop::new(Folder(path.into()));
    let (_publisher, stream) = folder.publish(Delivery::Latest);
    let value = std::env::var(VALUE).unwrap().parse().unwrap();
    loop {
        send_filled(&stream, value);
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn publisher_process(folder: &Folder, value: u8) -> Guard {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_publisher_in_a_process_of_its_own", "--nocapture"]);
    command.env(PUBLISHER, &folder.0).env(VALUE, value.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    Guard(command.spawn().unwrap())
}

fn subscribed(folder: &Folder) -> Subscription {
    let reader = wait_for("a hub", || match Reader::connect(folder.endpoint()) {
        Err(error @ ShareError::NoHub { .. }) => Err(error),
        connected => Ok(connected.unwrap()),
    });
    reader.wait_for("front", PATIENCE).unwrap();
    reader.subscribe("front", ConsumerPolicy::Latest).unwrap()
}

#[test]
fn an_async_program_reads_on_by_the_same_descriptor_when_a_killed_publisher_is_back() {
    let folder = Folder::new();
    let mut publisher = publisher_process(&folder, 1);
    let subscription = subscribed(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        #[allow(deprecated, reason = "what follows it is unsafe, for types that close their descriptor early")]
        let subscription = AsyncFd::with_interest(subscription, Interest::READABLE).unwrap();
        let descriptor = subscription.get_ref().as_raw_fd();
        let next = async || loop {
            let mut ready = tokio::time::timeout(PATIENCE, subscription.readable()).await.unwrap().unwrap();
            match subscription.get_ref().try_recv() {
                Err(RecvError::Timeout) => ready.clear_ready(),
                other => return other,
            }
        };
        let mut held = Vec::new();
        for value in 1..=4 {
            for _ in 0..50 {
                let frame = next().await.unwrap();
                assert!(frame.iter().all(|byte| *byte == value));
            }
            held.push(next().await.unwrap());
            send(Signal::KILL, publisher.0.id());
            // One frame may have waited.
            let gone = match next().await {
                Ok(_) => next().await.unwrap_err(),
                Err(gone) => gone,
            };
            assert_eq!(gone, RecvError::HubGone);
            // The reader may learn of its end before the kernel has given up its lock on the socket's path.
            publisher.0.wait().unwrap();
            publisher = publisher_process(&folder, value + 1);
        }
        assert!((1..).zip(&held).all(|(value, frame)| frame.iter().all(|byte| *byte == value)));
        assert!(next().await.unwrap().iter().all(|byte| *byte == 5));
        assert_eq!(subscription.get_ref().stats().reconnects, 4);
        assert_eq!(subscription.get_ref().as_raw_fd(), descriptor);
    });
}

/// Whether the descriptor is readable at this moment.
fn is_readable(descriptor: &impl AsFd) -> bool {
    let poll_fd = PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN);
    rustix::event::poll(&mut [poll_fd], Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn a_descriptor_tells_the_truth_whenever_it_is_first_asked_for() {
    for (looks, sent) in [(0, 0), (0, 2), (1, 0), (1, 2), (3, 1)] {
        let folder = Folder::new();
        let (_publisher, stream) = folder.publish(Delivery::Every);
        let subscription = folder.reader().subscribe("front", ConsumerPolicy::Queue(5)).unwrap();
        for _ in 0..looks {
            assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
        }
        for value in 0..sent {
            send_filled(&stream, value);
        }
        // Asked for here, for the first time.
        assert_eq!(is_readable(&subscription), sent > 0, "looked {looks} times, sent {sent}");
        for round in 0..3 {
            let taken = std::iter::from_fn(|| subscription.try_recv().ok()).count();
            assert_eq!(taken, if round == 0 { sent.into() } else { 1 });
            assert!(!is_readable(&subscription), "looked {looks} times, sent {sent}, round {round}");
            send_filled(&stream, round);
            assert!(is_readable(&subscription));
        }
    }
}

#[test]
fn more_slots_than_a_pool_has_are_refused_with_the_numbers() {
    let folder = Folder::new();
    let range = |error| match error {
        ShareError::OutOfRange { value, min, max, .. } => (value, min, max),
        other => panic!("{other}"),
    };
    for reader_slots in [0, 1, 63, 1000] {
        let config = ShareConfig::new(folder.endpoint()).reader_slots(reader_slots);
        assert_eq!(range(Publisher::bind(config).err().unwrap()), (reader_slots, 2, 62));
    }
    let publisher = Publisher::bind(ShareConfig::new(folder.endpoint())).unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 16).unwrap();
    for slots in [0, 40, 1000] {
        let refused = publisher.stream("front", PublishConfig::new(format).slots(slots)).unwrap_err();
        assert_eq!(range(refused), (slots, 1, 39));
    }
    publisher.stream("front", PublishConfig::new(format).slots(39)).unwrap();
    let other = Endpoint::path(folder.0.join("other.sock")).unwrap();
    let config = ReceiverConfig::new().slots(30).share(ShareConfig::new(other).reader_slots(34));
    let Err(BindError::Share(refused)) = Receiver::bind("127.0.0.1:0".parse().unwrap(), config) else {
        panic!("it shares");
    };
    assert!(refused.to_string().contains("--slots, --reader-slots"), "{refused}");
    assert_eq!(range(refused), (64, 3, 63));
}
