//! A hub, and readers made of nothing but the socket and the words, which can do what no program does.

mod ends;
mod handed_on;
mod leaving;
mod refused;
mod seats;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::frame::memfd::Right;
use crate::frame::{ConsumerPolicy, Frame, FrameFormat, FramePool, FrameRing, PixelFormat, PoolInMaking, Presentation};
use crate::share::layout::{Control, Record};
use crate::share::lease::{Borrower, Overflow};
use crate::share::memory::Shared;
use crate::share::messages::{End, FromHub, PACKET_MAX, Packet, Refusal, ToHub, Wanted};
use crate::share::socket::listening::connect;
use crate::share::socket::packet::{self, Descriptors};
use crate::share::{Endpoint, ReaderFigures};
use crate::wire::{Delivery, open_of};

const LATEST: Wanted = Wanted { overflow: Overflow::Replace, words: 1, hold: 2 };
const QUEUE: Wanted = Wanted { overflow: Overflow::Replace, words: 4, hold: 2 };
const BLOCK: Wanted = Wanted { overflow: Overflow::Wait, words: 8, hold: 2 };

/// A hub with one stream, `front`, in a folder of its own.
struct Host {
    folder: PathBuf,
    hub: Option<Hub>,
    stream: Arc<SharedStream>,
    pool: FramePool,
    ring: FrameRing,
    next: u64,
}

impl Host {
    fn new(delivery: Delivery, set: impl FnOnce(ShareConfig) -> ShareConfig) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("framewire-hub-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = set(ShareConfig::new(Endpoint::path(folder.join("hub.sock")).unwrap()));
        let hub = Hub::bind(&config).unwrap();
        hub.begin();
        let format = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
        let (slots, base) = slots_with_readers(4, Some(&config));
        let pool = PoolInMaking::new(slots, format.frame_bytes()).unwrap().with_spares(base).finish().unwrap();
        let pool = pool.with_format(format, 0);
        let stream = hub.share(Some("front"), to_share(&pool, base, delivery)).unwrap();
        let ring = FrameRing::new();
        ring.attach(stream.clone());
        Self { folder, hub: Some(hub), stream, pool, ring, next: 0 }
    }

    /// Publishes a frame whose bytes are all its number; false where every slot is held.
    fn publish(&mut self) -> bool {
        let Some(mut frame) = self.pool.try_acquire() else { return false };
        frame.fill(self.next as u8);
        frame.info.number = self.next;
        self.next += 1;
        self.ring.publish(&frame.freeze());
        true
    }

    fn socket(&self) -> OwnedFd {
        connect(&self.folder.join("hub.sock")).unwrap()
    }

    fn read(&self, wanted: Wanted) -> TestReader {
        TestReader::subscribe(self.socket(), "front", wanted).unwrap()
    }

    /// The only reader's figures, which add up.
    fn figures(&self) -> ReaderFigures {
        let figures = self.stream.readers().pop().unwrap();
        assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        figures
    }

    /// Waits until what the hub's thread does has come about.
    fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what} does not come about");
            std::thread::yield_now();
        }
    }

    fn until_gone(&self) {
        self.until("the reader's end", |host| host.stream.readers().is_empty());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.hub.take());
        assert!(std::fs::read_dir(&self.folder).unwrap().next().is_none(), "something is left of the hub");
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn to_share(pool: &FramePool, base: usize, delivery: Delivery) -> StreamToShare {
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
    let open = open_of(&format, delivery, &Presentation::default(), 0);
    StreamToShare { pool: pool.clone(), base, open, delivery, path: 0, charge: Arc::new(|_| Ok(Box::new(()))) }
}

/// Waits for a message; `None` at the end of the connection.
fn receive(socket: &OwnedFd, bytes: &mut [u8; PACKET_MAX]) -> Option<(usize, Descriptors)> {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    loop {
        match packet::receive(socket, bytes) {
            Ok(packet) => return Some((packet.len, packet.descriptors)),
            Err(packet::PacketError::WouldBlock) => {
                assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)).unwrap(), 1, "no answer");
            }
            Err(packet::PacketError::Closed) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn say(socket: &OwnedFd, message: &ToHub<'_>) {
    packet::send(socket, Packet::from(message).bytes(), &[]).unwrap();
}

/// The other end, by hand.
struct TestReader {
    socket: OwnedFd,
    pool: FramePool,
    records: Shared<Record>,
    control: Arc<Shared<Control>>,
    pipe: OwnedFd,
    borrower: Borrower,
}

impl TestReader {
    fn subscribe(socket: OwnedFd, stream: &str, wanted: Wanted) -> Result<Self, (Refusal, u64, u64)> {
        let (stream, program) = (Name::new(stream).unwrap(), Name::new("test").unwrap());
        say(&socket, &ToHub::Subscribe { wanted, stream, program });
        let mut bytes = [0; PACKET_MAX];
        let (len, mut descriptors) = receive(&socket, &mut bytes).unwrap();
        let (shape, described) = match FromHub::parse(&bytes[..len]).unwrap() {
            FromHub::Subscribed { shape, stream, .. } => (shape, stream),
            FromHub::Refused { refusal, number, limit } => return Err((refusal, number, limit)),
            other => panic!("{other:?}"),
        };
        let mut next = || descriptors.take().unwrap();
        let (pool, records, control, pipe) = (next(), next(), next(), next());
        crate::frame::memfd::check(pool.as_fd(), shape.bytes(), Right::Read).unwrap();
        let format = described.open.format().unwrap();
        let pool = FramePool::foreign(pool, &shape, format, Right::Read).unwrap();
        let records = Shared::received(records, shape.slots, Right::Read).unwrap();
        let control = Arc::new(Shared::<Control>::received(control, 1, Right::Write).unwrap());
        let given_back = control.clone();
        pool.set_on_freed(move |slot| Borrower::give_back(&given_back[0], slot as u32));
        say(&socket, &ToHub::Mapped);
        let (len, _) = receive(&socket, &mut bytes).unwrap();
        assert_eq!(FromHub::parse(&bytes[..len]), Ok(FromHub::Admitted));
        Ok(Self { socket, pool, records, control, pipe, borrower: Borrower::new(wanted.words.into()) })
    }

    fn take(&self) -> Option<Frame> {
        let offer = self.borrower.take(&self.control[0])?;
        let frame = self.pool.borrow(offer.slot as usize, self.records[offer.slot as usize].read().unwrap()).unwrap();
        assert!(frame.iter().all(|byte| *byte == frame.info().number as u8), "a torn frame");
        self.tell();
        Some(frame)
    }

    fn tell(&self) {
        let control = &self.control[0];
        if Borrower::must_tell_of_slot(control) | self.borrower.must_tell_of_room(control) {
            // Where the hub has not read earlier ones, it looks after this anyway.
            let _full = packet::send(&self.socket, Packet::from(&ToHub::Told).bytes(), &[]);
        }
    }

    /// Sleeps until a frame is on offer, as a reader does, and takes it; `None` at the end.
    fn next(&self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if self.end().is_some() && !self.borrower.has_offer(&self.control[0]) {
                return None;
            }
            Borrower::arm(&self.control[0]);
            if !self.borrower.has_offer(&self.control[0]) {
                poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], None).unwrap();
            }
            Borrower::disarm(&self.control[0]);
            let _empty = rustix::io::read(&self.pipe, &mut [0; 64]);
        }
    }

    fn end(&self) -> Option<End> {
        End::from_wire(self.control[0].told.ended.load(Ordering::Acquire))
    }

    fn has_end_of_pipe(&self) -> bool {
        let mut bytes = [0; 64];
        loop {
            match rustix::io::read(&self.pipe, &mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

#[test]
fn a_reader_takes_frames_where_they_lie_and_its_account_is_exact() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    assert!(reader.take().is_none());
    for _ in 0..100 {
        assert!(host.publish());
    }
    let frame = reader.take().unwrap();
    assert_eq!(frame.info().number, 99);
    let figures = host.figures();
    assert_eq!((figures.offered, figures.taken, figures.dropped, figures.held), (100, 1, 99, 1));
    assert_eq!(
        (figures.name.as_str(), figures.pid, figures.policy),
        ("test", std::process::id(), ConsumerPolicy::Latest)
    );
    drop(frame);
    let figures = host.figures();
    assert_eq!((figures.held, figures.waiting, figures.quarantined), (0, 0, false));
    assert_eq!(host.pool.held_count(), 0);
}

#[test]
fn four_readers_each_by_its_policy_none_of_which_slows_another() {
    let mut host = Host::new(Delivery::Every, |config| config.block(true).reader_slots(32));
    let readers: Vec<_> = [LATEST, QUEUE, BLOCK].map(|wanted| host.read(wanted)).into_iter().collect();
    let stopped = host.read(QUEUE);
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = readers
            .iter()
            .map(|reader| {
                scope.spawn(move || std::iter::from_fn(|| reader.next()).map(|frame| frame.info().number).collect())
            })
            .collect();
        while host.next < 3000 {
            if !host.publish() {
                // The one that has every frame wait holds the others up, as it asked for.
                std::thread::yield_now();
            }
        }
        host.stream.set_closed();
        host.ring.end();
        threads.into_iter().map(|thread| -> Vec<u64> { thread.join().unwrap() }).collect::<Vec<_>>()
    });
    assert!(
        sums.iter().all(|numbers| numbers.is_sorted() && numbers.last() == Some(&2999)),
        "the last one is taken by all"
    );
    assert_eq!(sums[2], (0..3000).collect::<Vec<_>>(), "with block all are");
    assert_eq!(readers[0].end(), Some(End::Closed));
    assert!(readers.iter().all(TestReader::has_end_of_pipe));
    for figures in host.stream.readers() {
        assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        assert_eq!(figures.offered, 3000);
    }
    assert_eq!(
        std::iter::from_fn(|| stopped.take()).map(|frame| frame.info().number).collect::<Vec<_>>(),
        [2996, 2997, 2998, 2999]
    );
}

#[test]
fn a_reader_that_hangs_up_gives_back_all_that_it_had() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(QUEUE);
    for _ in 0..4 {
        host.publish();
    }
    let held: Vec<_> = std::iter::from_fn(|| reader.take()).collect();
    assert_eq!((held.len(), host.pool.held_count()), (4, 4));
    drop(reader);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
    // Its slots are another's.
    let all: Vec<_> = (0..4).map(|_| host.read(QUEUE)).collect();
    let refused = TestReader::subscribe(host.socket(), "front", LATEST).err().unwrap();
    assert_eq!(refused, (Refusal::Slots, 0, 24));
    drop(all);
    host.until_gone();
    host.read(LATEST);
}

/// No test by itself: a process that reads, and whose child has its socket open when it is killed.
#[test]
#[expect(clippy::zombie_processes, reason = "it is killed before, and what it leaves behind is what is tried")]
fn reads_with_an_heir() {
    let Some(path) = std::env::var_os("FRAMEWIRE_TEST_HEIR") else { return };
    let reader = TestReader::subscribe(connect(path.as_ref()).unwrap(), "front", LATEST).unwrap();
    let held = reader.take();
    let socket = reader.socket.try_clone().unwrap();
    let mut sleep = std::process::Command::new("sleep");
    let heir = sleep.arg("600").stdin(socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    println!("\nheir {}", heir.id());
    // Until it is killed.
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    drop(held);
}

#[test]
fn a_killed_reader_whose_child_lives_on_with_its_socket_gives_back_what_it_had_too() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut host = Host::new(Delivery::Latest, |config| config);
    host.publish();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["share::hub::tests::reads_with_an_heir", "--exact", "--nocapture"])
        .env("FRAMEWIRE_TEST_HEIR", host.folder.join("hub.sock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heir = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("heir ")?.parse::<i32>().ok()).unwrap();
    host.until("its taking", |host| host.figures().held == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    host.until_gone();
    let heir = rustix::process::Pid::from_raw(heir).unwrap();
    // It was there all the time.
    rustix::process::kill_process(heir, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn whoever_comes_late_to_a_stream_of_the_latest_gets_the_newest_frame_at_once() {
    let mut host = Host::new(Delivery::Latest, |config| config);
    for _ in 0..3 {
        host.publish();
    }
    assert_eq!(host.read(LATEST).take().unwrap().info().number, 2);
    let mut every = Host::new(Delivery::Every, |config| config);
    every.publish();
    let late = every.read(LATEST);
    assert!(late.take().is_none(), "of a stream of every frame, from the next one on");
    every.publish();
    assert_eq!(late.take().unwrap().info().number, 1);
}

#[test]
fn what_is_refused_is_refused_with_the_number_and_leaves_nothing_behind() {
    let host = Host::new(Delivery::Latest, |config| config.reader_slots(5));
    let refused = |stream: &str, wanted| TestReader::subscribe(host.socket(), stream, wanted).err().unwrap();
    assert_eq!(refused("front", QUEUE), (Refusal::Slots, 5, 5));
    assert_eq!(refused("front", BLOCK).0, Refusal::Block);
    assert_eq!(refused("rear", LATEST).0, Refusal::NoSuchStream);
    let first = host.read(LATEST);
    assert_eq!(refused("front", LATEST), (Refusal::Slots, 2, 5));
    drop(first);
    host.until_gone();
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    packet::send(&socket, b"FS\x09\x01\x01", &[]).unwrap();
    let (len, _) = receive(&socket, &mut bytes).unwrap();
    let version = FromHub::Refused { refusal: Refusal::Version, number: 1, limit: 0 };
    assert_eq!(FromHub::parse(&bytes[..len]), Ok(version));
    assert!(receive(&socket, &mut bytes).is_none());
}

#[test]
fn garbage_on_the_socket_harms_nobody_and_a_flood_is_shown_out() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    let garbage: [&[u8]; 6] = [b"x", b"FS", b"FS\x01\x05", b"FS\x01\xff", &[0xff; PACKET_MAX], &[7; 4 * PACKET_MAX]];
    for bytes in garbage {
        let (socket, mut answer) = (host.socket(), [0; PACKET_MAX]);
        // Where the system lets nobody pass a descriptor (Linux 6.16), it goes without.
        let descriptor = [host.pool.descriptor().unwrap()];
        packet::send(&socket, bytes, &descriptor).or_else(|_| packet::send(&socket, bytes, &[])).unwrap();
        while receive(&socket, &mut answer).is_some() {}
    }
    // A reader that is not done saying things is heard no more, and keeps what it holds as long as it is there.
    let flood = host.read(LATEST);
    host.publish();
    let held = flood.take().unwrap();
    host.until("the flood's end", |host| {
        let _full = packet::send(&flood.socket, Packet::from(&ToHub::Told).bytes(), &[]);
        host.stream.readers().iter().any(|reader| reader.quarantined)
    });
    assert!(flood.has_end_of_pipe() && flood.end() == Some(End::Misconduct));
    for _ in 0..50 {
        assert!(host.publish());
        assert_eq!(reader.take().unwrap().info().number, host.next - 1);
    }
    assert!(held.iter().all(|byte| *byte == 0), "what it holds was written to");
    let figures = host.stream.readers();
    assert_eq!(figures.iter().filter(|reader| reader.quarantined).count(), 1);
    drop((flood, held));
    host.until("its end", |host| host.stream.readers().len() == 1);
}

#[test]
fn hostile_words_on_a_control_page_cost_their_writer_the_stream_and_nobody_else_anything() {
    let mut host = Host::new(Delivery::Every, |config| config.reader_slots(60).block(true));
    let honest = host.read(QUEUE);
    let mut random = 0x1234_5678_9abc_def1_u64;
    for round in 0..200 {
        let hostile = host.read([LATEST, QUEUE, BLOCK][round % 3]);
        for _ in 0..20 {
            assert!(host.publish());
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let control = &hostile.control[0];
            match random >> 60 {
                0..4 => control.returned.store(random, Ordering::Release),
                4..9 => control.offers[(random >> 32) as usize % 8].store(random >> (random >> 58), Ordering::Release),
                9 => control.asleep.store(random as u32, Ordering::Release),
                10 => control.starved.store(random as u32, Ordering::Release),
                11 => control.told.ended.store(random as u32, Ordering::Release),
                12 => control.told.offered.store(random, Ordering::Release),
                _ => drop(hostile.borrower.take(control)),
            }
            assert_eq!(honest.take().unwrap().info().number, host.next - 1);
        }
        for figures in host.stream.readers() {
            assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        }
        drop(hostile);
        host.until("its end", |host| host.stream.readers().len() == 1);
    }
    drop(honest);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
}

#[test]
fn a_reader_that_has_frames_wait_and_takes_none_is_quarantined_after_the_timeout() {
    let mut host = Host::new(Delivery::Every, |config| config.block(true).reader_timeout(Duration::from_millis(20)));
    let stuck = host.read(BLOCK);
    host.publish();
    let held = stuck.take().unwrap();
    while host.publish() {}
    assert!(host.pool.free_count() == 0, "frames that wait hold their slots");
    host.until("its quarantine", |host| host.figures().quarantined);
    assert_eq!(stuck.end(), Some(End::TooSlow));
    let figures = host.figures();
    assert_eq!((figures.taken, figures.waiting, figures.held), (1, 0, 1));
    for _ in 0..100 {
        assert!(host.publish());
    }
    assert_eq!(held.first(), Some(&0), "its slot was used anew");
    assert_eq!(host.pool.held_count(), 1);
    drop((held, stuck));
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
}

#[test]
fn a_sleeping_reader_is_woken_by_a_frame_and_what_that_costs_is_known() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    for number in 0..50 {
        Borrower::arm(&reader.control[0]);
        assert!(!reader.has_end_of_pipe());
        host.publish();
        assert_eq!(poll(&mut [PollFd::new(&reader.pipe, PollFlags::IN)], None).unwrap(), 1);
        assert!(Borrower::disarm(&reader.control[0]));
        assert_eq!(rustix::io::read(&reader.pipe, &mut [0; 8]), Ok(1));
        assert_eq!(reader.take().unwrap().info().number, number);
    }
    assert!(host.figures().wake_cpu > Duration::ZERO);
}

#[test]
fn readers_learn_by_the_end_of_their_pipe_that_the_hub_is_gone_and_keep_what_they_have() {
    let mut host = Host::new(Delivery::Latest, |config| config);
    let reader = host.read(LATEST);
    host.publish();
    let frame = reader.take().unwrap();
    assert!(!reader.has_end_of_pipe());
    drop(host.hub.take());
    assert!(reader.has_end_of_pipe());
    assert_eq!(reader.end(), Some(End::Hub));
    assert!(receive(&reader.socket, &mut [0; PACKET_MAX]).is_none());
    assert!(frame.iter().all(|byte| *byte == 0));
}

#[test]
fn who_watches_hears_of_streams_that_appear_and_go() {
    let host = Host::new(Delivery::Latest, |config| config);
    let hub = host.hub.as_ref().unwrap();
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    say(&socket, &ToHub::List { watch: true });
    let mut heard = || {
        let (len, _) = receive(&socket, &mut bytes).unwrap();
        match FromHub::parse(&bytes[..len]).unwrap() {
            FromHub::Stream(stream) => format!("+{} {}", stream.name.as_str(), stream.readers),
            FromHub::Listed { streams } => format!("={streams}"),
            FromHub::Gone { name } => format!("-{}", name.as_str()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([heard(), heard()], ["+front 0", "=1"]);
    let rear = hub.share(Some("rear"), to_share(&host.pool, 5, Delivery::Latest)).unwrap();
    assert_eq!(heard(), "+rear 0");
    hub.rename(&rear, "back").unwrap();
    assert_eq!([heard(), heard()], ["+back 0", "-rear"]);
    crate::frame::Outlet::end(&*rear);
    assert_eq!(heard(), "-back");
    for wrong in ["", "a\nb", &"x".repeat(257)] {
        assert!(matches!(hub.rename(&rear, wrong), Err(ShareError::Name(_))), "{wrong:?}");
    }
}

#[test]
fn a_local_sender_is_handed_on_with_its_connection_or_refused() {
    let host = Host::new(Delivery::Latest, |config| config);
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
    let open = open_of(&format, Delivery::Every, &Presentation::default(), 0);
    let enter = ToHub::Enter { open, nonce: 5, network: 6 };
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    say(&socket, &enter);
    let (len, _) = receive(&socket, &mut bytes).unwrap();
    let refused = FromHub::Refused { refusal: Refusal::NoSenders, number: 0, limit: 0 };
    assert_eq!(FromHub::parse(&bytes[..len]), Ok(refused));
    let (taken, takes) = std::sync::mpsc::channel();
    host.hub.as_ref().unwrap().set_entrance(Arc::new(move |entering| taken.send(entering).unwrap()));
    let socket = host.socket();
    say(&socket, &enter);
    let entering = takes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((entering.open, entering.nonce, entering.network), (open, 5, 6));
    assert_eq!(entering.peer.pid, std::process::id());
    packet::send(&entering.socket, Packet::from(&FromHub::Preparing).bytes(), &[]).unwrap();
    assert_eq!(receive(&socket, &mut bytes).unwrap().0, 4);
}

#[test]
fn a_reader_that_makes_each_of_its_wakes_dear_is_woken_no_more() {
    use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const WATCHERS: u64 = 12_000;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = WATCHERS + 4_096;
    if maximum.is_some_and(|maximum| maximum < wanted) {
        framewire_testing::skip(format_args!("this process may have {maximum:?} files open, and {wanted} are needed"));
        return;
    }
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
    }
    let mut host = Host::new(Delivery::Every, |config| config);
    let (dear, cheap) = (host.read(LATEST), host.read(LATEST));
    let watchers: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let watcher = create(CreateFlags::CLOEXEC).unwrap();
            add(&watcher, &dear.pipe, EventData::new_u64(0), EventFlags::IN).unwrap();
            watcher
        })
        .collect();
    for _ in 0..200 {
        for reader in [&dear, &cheap] {
            Borrower::arm(&reader.control[0]);
        }
        host.publish();
        for reader in [&dear, &cheap] {
            let _empty = rustix::io::read(&reader.pipe, &mut [0; 64]);
            reader.take();
        }
    }
    assert_eq!((dear.end(), cheap.end()), (Some(End::Costly), None));
    let quarantined: Vec<_> = host.stream.readers().iter().map(|reader| reader.quarantined).collect();
    assert_eq!(quarantined, [true, false]);
    drop(watchers);
}

#[test]
fn a_storm_of_words_beside_the_frames_of_others_makes_none_of_them_wrong() {
    /// More with `FRAMEWIRE_CYCLES`, so many thousand times.
    const WRITES: u64 = 4_000_000;
    const WRITES_EACH: u64 = 50_000;
    let cycles = std::env::var("FRAMEWIRE_CYCLES").ok().and_then(|cycles| cycles.parse::<u64>().ok());
    let writes = cycles.map_or(WRITES, |cycles| cycles.saturating_mul(10_000));
    let mut host = Host::new(Delivery::Every, |config| config.reader_slots(40).block(true));
    let honest = host.read(QUEUE);
    let path = host.folder.join("hub.sock");
    std::thread::scope(|scope| {
        let storm = scope.spawn(move || {
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            for round in 0..writes / WRITES_EACH {
                let wanted = [LATEST, QUEUE, BLOCK][round as usize % 3];
                // Those before it may still be going.
                let Ok(hostile) = TestReader::subscribe(connect(&path).unwrap(), "front", wanted) else { continue };
                let control = &hostile.control[0];
                for _ in 0..WRITES_EACH {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
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
                }
                let _full = packet::send(&hostile.socket, &random.to_be_bytes(), &[]);
            }
        });
        while !storm.is_finished() {
            if host.publish() {
                assert_eq!(
                    honest.take().map(|frame| frame.info().number),
                    Some(host.next - 1),
                    "an honest reader waits"
                );
            }
        }
        storm.join().unwrap();
    });
    host.until("their ends", |host| host.stream.readers().len() == 1);
    let figures = host.figures();
    assert_eq!((figures.offered, figures.taken, figures.dropped), (host.next, host.next, 0));
    drop(honest);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
}
