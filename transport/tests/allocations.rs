//! After the first frames, no thread of either end allocates.
//!
//! The counter is the process's, so this file is a program with a single test and without a harness: nothing else runs beside it.
#![allow(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use framewire_testing::PATIENCE;
use framewire_transport::driver::SliceSize;
use framewire_transport::{
    BackendKind, ConsumerPolicy, Delivery, FrameFormat, IncomingStream, Key, MetadataKind, PixelFormat, Receiver,
    ReceiverConfig, Relay, RelayConfig, RelayStreamConfig, RelayTo, Sender, SenderConfig,
};
#[cfg(target_os = "linux")]
use framewire_transport::{Endpoint, Reader, RecvError, SubscriptionConfig, share::ShareConfig};

const WARM_UP_FRAMES: usize = 100;
const FRAMES: usize = 300;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FIRST: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    /// Set while a backtrace is taken, which allocates itself.
    static TRACING: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, which counts while [`COUNTING`] and remembers where it was first asked.
struct Counting;

impl Counting {
    fn note(&self) {
        if !COUNTING.load(Ordering::Relaxed) || TRACING.try_with(|tracing| tracing.replace(true)).unwrap_or(true) {
            return;
        }
        if ALLOCATIONS.fetch_add(1, Ordering::Relaxed) == 0 {
            let thread = std::thread::current();
            let place = format!("on thread {:?}:\n{}", thread.name(), Backtrace::force_capture());
            *FIRST.lock().unwrap() = Some(place);
        }
        TRACING.set(false);
    }
}

// SAFETY: every call goes to `System` as it came, which is a correct allocator; counting touches none of the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        self.note();
        // SAFETY: the caller's promises are those that `System` asks for, and all memory here is from it.
        unsafe { System.realloc(memory, layout, new_bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that `System` asks for, and all memory here is from it.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of metadata that each frame has.
const METADATA: [u8; 200] = [b' '; 200];

/// Streams frames, with metadata and a time of their own in turn, and counts the allocations of the whole process while [`FRAMES`] of them are taken.
fn allocations(backend: BackendKind, delivery: Delivery, slice: SliceSize, key: Option<&Key>) -> u64 {
    let config = ReceiverConfig::new().backend(backend).keys(key.cloned().into_iter().collect::<Vec<_>>());
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    stream(&receiver, (backend, delivery, slice), key, |stream, count| {
        assert_eq!(stream.info().protection.is_some(), key.is_some());
        count()
    })
}

/// The same with readers of each policy, over the hub's socket and pages as from another process, so that both their ends are counted.
#[cfg(target_os = "linux")]
fn allocations_with_readers(delivery: Delivery) -> u64 {
    use framewire_transport::{Endpoint, Reader, ShareConfig};

    let folder = std::env::temp_dir().join(format!("framewire-allocations-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let endpoint = Endpoint::path(folder.join("hub.sock")).unwrap();
    let config = ReceiverConfig::new().share(ShareConfig::new(endpoint.clone()).block(true));
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let counted = stream(&receiver, (BackendKind::Auto, delivery, SliceSize::Auto), None, |stream, count| {
        stream.share_as("front").unwrap();
        let reader = Reader::connect(endpoint).unwrap();
        let policies = [ConsumerPolicy::Latest, ConsumerPolicy::Queue(2), ConsumerPolicy::Block];
        let subscriptions = policies.map(|policy| reader.subscribe("front", policy).unwrap());
        let enough = AtomicBool::new(false);
        let takes: [_; 3] = std::array::from_fn(|_| AtomicU64::new(0));
        std::thread::scope(|scope| {
            for (subscription, taken) in subscriptions.iter().zip(&takes) {
                let enough = &enough;
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) && subscription.recv_timeout(PATIENCE).is_ok() {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // Each has taken some, and slept, before it counts.
            while takes.iter().any(|taken| taken.load(Ordering::Relaxed) < 20) {
                stream.recv_timeout(PATIENCE).unwrap();
            }
            let counted = count();
            enough.store(true, Ordering::Relaxed);
            counted
        })
    });
    drop(receiver);
    std::fs::remove_dir(&folder).unwrap();
    counted
}

/// Streams frames to a receiver, and has `within` count when it likes.
fn stream(
    receiver: &Receiver,
    (backend, delivery, slice): (BackendKind, Delivery, SliceSize),
    key: Option<&Key>,
    within: impl FnOnce(&IncomingStream, &mut dyn FnMut() -> u64) -> u64,
) -> u64 {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let config = SenderConfig::new(format).delivery(delivery).slice(slice).backend(backend).key(key.cloned());
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut own_time = false;
            while !enough.load(Ordering::Relaxed) {
                let mut frame = sender.frame().unwrap();
                frame.set_metadata(MetadataKind::Json, &METADATA).unwrap();
                own_time = !own_time;
                frame.info.captured_utc = own_time.then_some(SystemTime::UNIX_EPOCH);
                sender.send(frame).unwrap();
            }
            sender.close(PATIENCE).unwrap();
        });
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let take = |frames| {
            for _ in 0..frames {
                let frame = stream.recv_timeout(PATIENCE).unwrap();
                assert_eq!(frame.metadata().map(|metadata| metadata.bytes), Some(&METADATA[..]));
                assert!(frame.captured_utc().is_some());
            }
        };
        take(WARM_UP_FRAMES);
        let counted = within(&stream, &mut || {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            COUNTING.store(true, Ordering::SeqCst);
            take(FRAMES);
            COUNTING.store(false, Ordering::SeqCst);
            ALLOCATIONS.load(Ordering::Relaxed) - before
        });
        enough.store(true, Ordering::Relaxed);
        while stream.recv_timeout(PATIENCE).is_ok() {}
        counted
    })
}

/// As [`allocations`], while a relay sends the frames on to receivers of this process: its thread takes them from a consumer of its own, and they land in other slots.
fn allocations_of_a_relay(backend: BackendKind, slice: SliceSize, key: Option<&Key>) -> u64 {
    let keys = || key.cloned().into_iter().collect::<Vec<_>>();
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    let config = || ReceiverConfig::new().backend(backend).keys(keys());
    let ends: [_; 4] = std::array::from_fn(|_| Receiver::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap());
    let relay = Relay::start(RelayConfig::new().backend(backend)).unwrap();
    stream(&receiver, (BackendKind::Auto, Delivery::Latest, SliceSize::Auto), None, |incoming, count| {
        let consumer = incoming.subscribe(ConsumerPolicy::Queue(3));
        let sent_on = relay.stream(consumer, RelayStreamConfig::of(incoming.info())).unwrap();
        let to = |nth| RelayTo::new(nth).slice(slice).key(key.cloned());
        let watchers: Vec<_> =
            (0..).zip(&ends).map(|(nth, end)| sent_on.add(end.local_addr(), to(nth)).unwrap()).collect();
        let mut streams = Vec::new();
        while streams.len() < ends.len() {
            incoming.recv_timeout(PATIENCE).unwrap();
            streams.extend(ends[streams.len()].accept_timeout(Duration::from_millis(1)));
        }
        // Each has had so many that nothing is new to it, and goes on getting them while they are counted.
        let delivered = || watchers.iter().map(|watcher| watcher.stats().frames_delivered).min().unwrap();
        while delivered() < 100 {
            incoming.recv_timeout(PATIENCE).unwrap();
        }
        let before = delivered();
        let counted = count();
        assert!(delivered() > before, "nothing was sent on meanwhile");
        counted
    })
}

/// As [`allocations`], while a reader takes the frames in place: it sleeps until each comes, looks for it without sleeping, or waits for its
/// descriptor.
#[cfg(target_os = "linux")]
fn allocations_of_a_reader(waits: Waits) -> u64 {
    let folder = std::env::temp_dir().join(format!("framewire-allocations-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let endpoint = Endpoint::path(folder.join("hub.sock")).unwrap();
    let config = ReceiverConfig::new().share(ShareConfig::new(endpoint.clone()));
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let counted = stream(&receiver, (BackendKind::Auto, Delivery::Latest, SliceSize::Auto), None, |stream, _| {
        stream.share_as("front").unwrap();
        let busy_poll = if waits == Waits::Polls { PATIENCE } else { Duration::ZERO };
        let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)).busy_poll(busy_poll);
        let subscription = Reader::connect(endpoint).unwrap().subscribe_with("front", config).unwrap();
        let next = || match waits {
            Waits::Sleeps | Waits::Polls => subscription.recv_timeout(PATIENCE).unwrap(),
            Waits::Descriptor => loop {
                match subscription.try_recv() {
                    Err(RecvError::Timeout) => {
                        let pollable = rustix::event::PollFd::new(&subscription, rustix::event::PollFlags::IN);
                        rustix::event::poll(&mut [pollable], None).unwrap();
                    }
                    taken => break taken.unwrap(),
                }
            },
        };
        let take = |frames| {
            for _ in 0..frames {
                let frame = next();
                assert_eq!(frame.metadata().map(|metadata| metadata.bytes), Some(&METADATA[..]));
                drop(frame.clone());
            }
        };
        take(WARM_UP_FRAMES);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        COUNTING.store(true, Ordering::SeqCst);
        take(FRAMES);
        COUNTING.store(false, Ordering::SeqCst);
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    drop(receiver);
    std::fs::remove_dir_all(folder).unwrap();
    counted
}

/// How a reader waits for frames.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Sleeps,
    Polls,
    Descriptor,
}

const NAME: &str = "after_the_first_frames_neither_end_allocates";

fn main() {
    // As a harness would: a filter that does not mean it leaves it out.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return;
    }
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if filters.peek().is_none() || filters.any(|filter| NAME.contains(filter.as_str())) {
        after_the_first_frames_neither_end_allocates();
        println!("test {NAME} ... ok");
    }
}

fn after_the_first_frames_neither_end_allocates() {
    // The counter itself is shown to count.
    COUNTING.store(true, Ordering::SeqCst);
    drop(std::hint::black_box(Box::new(1)));
    COUNTING.store(false, Ordering::SeqCst);
    assert_eq!(ALLOCATIONS.swap(0, Ordering::SeqCst), 1);
    FIRST.lock().unwrap().take();

    for backend in BackendKind::ALL.iter().copied().filter(|kind| *kind != BackendKind::Auto) {
        for delivery in [Delivery::Every, Delivery::Latest] {
            for slice in [SliceSize::Auto, SliceSize::Bytes(1_472)] {
                for key in [None, Some(Key::random().unwrap())] {
                    let counted = allocations(backend, delivery, slice, key.as_ref());
                    let first = FIRST.lock().unwrap().take().unwrap_or_default();
                    assert_eq!(counted, 0, "{backend}, {}, {slice:?}, {key:?}; the first {first}", delivery.name());
                }
            }
        }
    }
    for backend in BackendKind::ALL.iter().copied().filter(|kind| *kind != BackendKind::Auto) {
        for (slice, key) in [(SliceSize::Auto, None), (SliceSize::Bytes(1_472), Some(Key::random().unwrap()))] {
            let counted = allocations_of_a_relay(backend, slice, key.as_ref());
            let first = FIRST.lock().unwrap().take().unwrap_or_default();
            assert_eq!(counted, 0, "a relay, {backend}, {slice:?}, {key:?}; the first {first}");
        }
    }
    #[cfg(target_os = "linux")]
    for delivery in [Delivery::Every, Delivery::Latest] {
        let counted = allocations_with_readers(delivery);
        let first = FIRST.lock().unwrap().take().unwrap_or_default();
        assert_eq!(counted, 0, "readers in other processes, {}; the first {first}", delivery.name());
    }
    #[cfg(target_os = "linux")]
    for waits in [Waits::Sleeps, Waits::Polls, Waits::Descriptor] {
        let counted = allocations_of_a_reader(waits);
        let first = FIRST.lock().unwrap().take().unwrap_or_default();
        assert_eq!(counted, 0, "a reader that {waits:?}; the first {first}");
    }
}
