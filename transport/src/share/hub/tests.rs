//! A hub, and readers made of nothing but the socket and the words, which can do what no program does.

mod asked;
mod ends;
mod frames;
mod gone;
mod handed_on;
mod hostile;
mod inherited;
mod leaving;
mod memory;
mod refused;
mod seats;
mod storm;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        framewire_testing::wait_until(what, || is_so(self));
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
