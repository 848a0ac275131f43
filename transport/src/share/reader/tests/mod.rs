//! A reader beside a hub that does just what a test has it do.

mod connecting;
mod descriptor;
mod frames;
mod granting;
mod killed;
mod real_hub;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use framewire_testing::PATIENCE;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;

use super::*;
use crate::frame::memfd::{self, Right};
use crate::frame::{Frame, FrameFormat, FramePool, PixelFormat, PoolShape, Presentation, RecvError, TAIL_MAX};
use crate::share::layout::{Control, Record};
use crate::share::lease::Lender;
use crate::share::memory::Shared;
use crate::share::messages::{Described, End, Name, Packet};
use crate::share::socket::listening::{Listening, Place};
use crate::share::socket::packet;
use crate::time::Time;
use crate::wire::{Delivery, open_of};

const SLOTS: usize = 8;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 100, 100).unwrap()
}

/// A folder of the test's own, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fw-reader-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::path(self.0.join("hub.sock")).unwrap()
    }

    fn hub(&self) -> Listening {
        let endpoint = self.endpoint();
        Listening::bind(Place { path: endpoint.as_path(), is_default: false, group: None }).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader { endpoint: self.endpoint(), patience: call::PATIENCE, process: Process::this() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wait_until_readable(descriptor: impl AsFd) {
    assert!(is_readable(descriptor, PATIENCE), "nothing came");
}

fn is_readable(descriptor: impl AsFd, timeout: Duration) -> bool {
    let borrowed = descriptor.as_fd();
    call::wait(&mut [PollFd::from_borrowed_fd(borrowed, PollFlags::IN)], Some(timeout)).unwrap()
}

/// The next connection, and what it asks for.
fn accept<T>(hub: &Listening, read: impl FnOnce(ToHub<'_>) -> T) -> (OwnedFd, T) {
    wait_until_readable(hub);
    let socket = hub.accept().unwrap().unwrap();
    wait_until_readable(&socket);
    let mut buffer = [0; PACKET_MAX];
    let packet = packet::receive(&socket, &mut buffer).unwrap();
    let asked = read(ToHub::parse(&buffer[..packet.len]).unwrap());
    (socket, asked)
}

fn accept_subscription(hub: &Listening) -> (OwnedFd, Wanted) {
    accept(hub, |asked| match asked {
        ToHub::Subscribe { wanted, stream, .. } => {
            assert_eq!(stream.as_str(), "front");
            wanted
        }
        other => panic!("{other:?}"),
    })
}

fn stream(name: &str) -> Described<'_> {
    let open = open_of(&format(), Delivery::Latest, &Presentation::UNKNOWN, TAIL_MAX as u16);
    Described { name: Name::new(name).unwrap(), open, path: 1, readers: 1 }
}

/// The hub's side of one subscription.
struct Granted {
    socket: OwnedFd,
    pool: FramePool,
    records: Shared<Record>,
    control: Shared<Control>,
    wake: OwnedFd,
    lender: Lender<Frame>,
    number: u64,
}

/// What a hub sends with a subscription.
struct Parts {
    shape: PoolShape,
    descriptors: Vec<OwnedFd>,
}

impl Granted {
    fn accept(hub: &Listening) -> Self {
        Self::accept_with(hub, |_| {})
    }

    fn accept_with(hub: &Listening, change: impl FnOnce(&mut Parts)) -> Self {
        let (socket, wanted) = accept_subscription(hub);
        let pool = FramePool::for_format(SLOTS, format()).unwrap();
        let records = Shared::<Record>::new("records", SLOTS, Right::Read).unwrap();
        let control = Shared::<Control>::new("control", 1, Right::Write).unwrap();
        let (woken, wake) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        {
            let descriptors = [pool.descriptor().unwrap(), records.file(), control.file(), woken.as_fd()];
            let descriptors = descriptors.map(|descriptor| descriptor.try_clone_to_owned().unwrap());
            let mut parts = Parts { shape: pool.shape(), descriptors: descriptors.into() };
            change(&mut parts);
            let answer = FromHub::Subscribed {
                stream: stream("front"),
                shape: parts.shape,
                wanted,
                now_ns: Time::now().as_nanos(),
            };
            let descriptors: Vec<_> = parts.descriptors.iter().map(AsFd::as_fd).collect();
            packet::send(&socket, Packet::from(&answer).bytes(), &descriptors).unwrap();
        }
        // A reader that takes none of it goes.
        wait_until_readable(&socket);
        let mut buffer = [0; PACKET_MAX];
        if let Ok(packet) = packet::receive(&socket, &mut buffer) {
            assert_eq!(ToHub::parse(&buffer[..packet.len]), Ok(ToHub::Mapped));
            control.seal_writes().unwrap();
            packet::send(&socket, Packet::from(&FromHub::Admitted).bytes(), &[]).unwrap();
        }
        let lender = Lender::new(wanted.overflow, wanted.words.into(), wanted.hold.into());
        Self { socket, pool, records, control, wake, lender, number: 0 }
    }

    /// Offers a frame all of whose bytes are its number.
    fn offer(&mut self) {
        if self.lender.collect(&self.control[0]) {
            self.wake();
        }
        let mut frame = self.pool.try_acquire().unwrap();
        frame.fill(self.number as u8);
        frame.info.number = self.number;
        self.number += 1;
        let frame = frame.freeze();
        self.records[frame.slot()].write(&frame.parts());
        if self.lender.offer(&self.control[0], frame.slot() as u32, frame) {
            self.wake();
        }
    }

    fn wake(&self) {
        rustix::io::write(&self.wake, &[1]).unwrap();
    }

    fn end(&self, end: End) {
        self.control[0].told.ended.store(end as u32, Ordering::Release);
        self.control[0].asleep.store(0, Ordering::Release);
        self.wake();
    }

    /// What the reader has said.
    fn is_told(&self) -> bool {
        let mut buffer = [0; PACKET_MAX];
        packet::receive(&self.socket, &mut buffer)
            .is_ok_and(|packet| ToHub::parse(&buffer[..packet.len]) == Ok(ToHub::Told))
    }
}

/// A subscription and its hub.
fn subscribed(folder: &Folder, config: SubscriptionConfig) -> (Listening, Granted, Subscription) {
    let hub = folder.hub();
    let (granted, subscription) = std::thread::scope(|scope| {
        let granting = scope.spawn(|| Granted::accept(&hub));
        let subscription = folder.reader().subscribe_with("front", config).unwrap();
        (granting.join().unwrap(), subscription)
    });
    (hub, granted, subscription)
}

fn number(frame: &Frame) -> u64 {
    let number = frame.info().number;
    assert!(frame.iter().all(|byte| *byte == number as u8), "frame {number} is torn");
    number
}
