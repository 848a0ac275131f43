//! A local sender's end: connects, is let in, writes into the slots that it is granted, and learns what became of the frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use thiserror::Error;

use super::{drain, wake};
use crate::frame::memfd::{self, Right, Unfit};
use crate::frame::{FrameFormat, FrameParts, FramePool, PoolShape};
use crate::share::Endpoint;
use crate::share::layout::{Inlet, InletCounts};
use crate::share::memory::{NoWords, Shared};
use crate::share::messages::{ClosedCounts, FromHub, MessageError, PACKET_MAX, Packet, Refusal, ToHub};
use crate::share::points::{self, Point};
use crate::share::socket::listening::{self, ListenError};
use crate::share::socket::packet::{self, PacketError};
use crate::share::socket::peer::{self, Peer};
use crate::wire::Open;

/// A hub that lives says something within this. One that is stopped lets others connect, too, and the stream is to go another way soon.
const ANSWER_MAX: Duration = Duration::from_millis(80);
/// It makes slots within this.
const SLOTS_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a hub does not take a stream.
#[derive(Debug, Error)]
pub(crate) enum EnterError {
    /// Nobody listens there.
    #[error("no program shares streams at {path} ({source})")]
    Nobody { path: String, source: io::Error },
    /// This process cannot connect.
    #[error(transparent)]
    Connect(#[from] ListenError),
    /// The hub says why.
    #[error("the program that shares streams there refuses: {}", words_of(*refusal, *number, *limit))]
    Refused { refusal: Refusal, number: u64, limit: u64 },
    #[error("the program that shares streams there has not answered within {} ms; see whether it is stopped", .0.as_millis())]
    Silent(Duration),
    #[error("the program that shares streams there has ended, or closed the connection")]
    Gone,
    #[error("the sender has been dropped")]
    Stopped,
    #[error(transparent)]
    Socket(#[from] PacketError),
    #[error("the program that shares streams there said what cannot be: {0}")]
    Message(#[from] MessageError),
    #[error(
        "the memory that was handed over is unfit: {0}; see which program listens there, and what the filter of the sandbox or container refuses"
    )]
    Memory(#[from] Unfit),
    #[error(
        "the memory that was handed over is unfit: {0}; see which program listens there, and what the filter of the sandbox or container refuses"
    )]
    Words(#[from] NoWords),
    #[error(
        "the slots have room for {slot_bytes} bytes, {tail_bytes} of them behind the pixels, which is not what the stream needs"
    )]
    Shape { slot_bytes: usize, tail_bytes: usize },
    #[error("the system refuses what shared memory needs: {0}")]
    System(#[from] io::Error),
}

/// What a refusal means to a sender.
fn words_of(refusal: Refusal, number: u64, limit: u64) -> String {
    match refusal {
        Refusal::Version => {
            format!("it speaks version {number} of what is said there; use the same release in both programs")
        }
        Refusal::Memory => format!("{number} of the {limit} bytes that its streams may have are left (--memory)"),
        Refusal::FrameTooLarge => format!("a stream may have {limit} bytes there (--stream-memory)"),
        Refusal::Connections => format!("it has {limit} connections, as many as it may"),
        Refusal::Streams => format!("it has {limit} streams, as many as it may"),
        Refusal::User => {
            "this user may not; run as the user who started it, or have it share with a group (--share-group)".into()
        }
        Refusal::Resources => "it has no memory or file left".into(),
        Refusal::Unsealed => "its memory cannot be sealed (before Linux 5.1)".into(),
        Refusal::Network => "it is in another network namespace, and so on another host".into(),
        Refusal::Unknown => "the stream was not announced there".into(),
        Refusal::Format => "the format is not the announced one".into(),
        Refusal::NoSenders => "it takes no streams of other programs".into(),
        Refusal::Taken => "another sender has the stream".into(),
        other => format!("{other:?}"),
    }
}

/// A connection to a hub on which nothing has been said yet.
#[derive(Debug)]
pub(crate) struct Door {
    socket: OwnedFd,
}

impl Door {
    /// Connects, without waiting.
    ///
    /// # Errors
    /// [`EnterError::Nobody`], [`EnterError::Connect`].
    pub(crate) fn knock(endpoint: &Endpoint) -> Result<Self, EnterError> {
        match listening::connect(endpoint.as_path()) {
            Ok(socket) => Ok(Self { socket }),
            Err(ListenError::System { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Err(EnterError::Nobody { path: endpoint.to_string(), source })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The process that listens here, by its number; `None` where that is in a process namespace that this one does not see.
    pub(crate) fn hub(&self) -> Option<u32> {
        peer::pid(&self.socket).ok()?
    }

    /// Asks for a stream, and maps what it is given; gives up where `stop` becomes readable.
    ///
    /// # Errors
    /// Refused, not answered, stopped, or what came is not what it should be.
    pub(crate) fn enter(
        self,
        open: &Open,
        (nonce, network): (u64, u64),
        format: FrameFormat,
        stop: BorrowedFd<'_>,
    ) -> Result<Source, EnterError> {
        let socket = self.socket;
        packet::send(&socket, Packet::from(&ToHub::Enter { open: *open, nonce, network }).bytes(), &[])?;
        let mut buffer = [0; PACKET_MAX];
        let mut patience = ANSWER_MAX;
        let (shape, mut descriptors) = loop {
            let received = answer(&socket, stop, &mut buffer, patience)?;
            match FromHub::parse(&buffer[..received.len])? {
                FromHub::Preparing => patience = SLOTS_TIME_MAX,
                FromHub::Entered { shape } => break (shape, received.descriptors),
                FromHub::Refused { refusal, number, limit } => {
                    return Err(EnterError::Refused { refusal, number, limit });
                }
                _ => return Err(MessageError::Kind(0).into()),
            }
        };
        let mut next = || descriptors.take().ok_or(EnterError::Message(MessageError::Value("descriptors")));
        let (pool, inlet, to_hub, from_hub) = (next()?, next()?, next()?, next()?);
        let tail_bytes = usize::from(open.tail_max);
        if shape.tail_bytes != tail_bytes || shape.slot_bytes < format.frame_bytes() + tail_bytes {
            return Err(EnterError::Shape { slot_bytes: shape.slot_bytes, tail_bytes: shape.tail_bytes });
        }
        let pool = map(pool, &shape, format)?;
        let inlet = Shared::<Inlet>::received(inlet, 1, Right::Write)?;
        // A pipe may have been opened to wait; nothing here does.
        rustix::io::ioctl_fionbio(&to_hub, true).map_err(io::Error::from)?;
        rustix::io::ioctl_fionbio(&from_hub, true).map_err(io::Error::from)?;
        points::at(Point::SlotsMapped);
        packet::send(&socket, Packet::from(&ToHub::Mapped).bytes(), &[])?;
        let hub = Peer::of(&socket)?.ok_or(EnterError::Gone)?;
        let slots = u64::MAX >> (64 - shape.slots);
        Ok(Source { socket, hub, pool, inlet, slots, seen: 0, to_hub, from_hub })
    }
}

fn map(file: OwnedFd, shape: &PoolShape, format: FrameFormat) -> Result<FramePool, EnterError> {
    memfd::check(file.as_fd(), shape.bytes(), Right::Write)?;
    Ok(FramePool::foreign(file, shape, format, Right::Write)?)
}

/// The next packet, waited for.
fn answer(
    socket: &OwnedFd,
    stop: BorrowedFd<'_>,
    buffer: &mut [u8],
    patience: Duration,
) -> Result<packet::Packet, EnterError> {
    let begun = Instant::now();
    loop {
        match packet::receive(socket, buffer) {
            Err(PacketError::WouldBlock) => {}
            Err(PacketError::Closed) => return Err(EnterError::Gone),
            received => return Ok(received?),
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(EnterError::Silent(patience));
        }
        let mut descriptors = [PollFd::new(socket, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        poll(&mut descriptors, left)?;
        if !descriptors[1].revents().is_empty() {
            return Err(EnterError::Stopped);
        }
    }
}

/// Waits for one of these; an interruption is none of them.
pub(crate) fn poll(descriptors: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match rustix::event::poll(descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a hub says while a stream is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The stream is closed.
    Closed(ClosedCounts),
    /// It has gone, or let the stream go.
    Gone,
}

/// An open stream. It has no lock: whoever has it sees that one thread at a time commits.
pub(crate) struct Source {
    socket: OwnedFd,
    hub: Peer,
    pool: FramePool,
    inlet: Shared<Inlet>,
    /// The slots that there are, a bit each.
    slots: u64,
    /// Those whose pages are mapped.
    seen: u64,
    to_hub: OwnedFd,
    from_hub: OwnedFd,
}

impl Source {
    fn page(&self) -> &Inlet {
        &self.inlet[0]
    }

    pub(crate) fn pool(&self) -> &FramePool {
        &self.pool
    }

    /// Readable when the hub has woken this end, has said something, or has ended.
    pub(crate) fn descriptors(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.from_hub.as_fd(), self.socket.as_fd(), self.hub.pidfd.as_ref().map(AsFd::as_fd))
    }

    /// Slots that were granted since this was asked last, which may be handed out from now on; and below which number all is settled. What was settled comes first: its slots are
    /// `free`d before they are granted again.
    pub(crate) fn take_granted(&mut self, settle: impl FnOnce(u64, u64)) -> u32 {
        let page = self.page();
        let granted = page.granted.swap(0, Ordering::AcqRel) & self.slots;
        if granted != 0 {
            points::at(Point::SlotTaken);
        }
        let settled = page.account.settled.load(Ordering::Acquire);
        let delivered = page.account.delivered.load(Ordering::Acquire);
        settle(settled, delivered);
        let mut new = granted & !self.seen;
        while new != 0 {
            let slot = new.trailing_zeros() as usize;
            new &= new - 1;
            // Here, and not when the program first writes into it.
            self.pool.populate_read(slot, usize::MAX);
        }
        self.seen |= granted;
        self.pool.allow(granted);
        granted.count_ones()
    }

    /// Hands a frame in this slot over.
    pub(crate) fn commit(&self, slot: usize, parts: &FrameParts, counts: InletCounts) {
        let page = self.page();
        points::at(Point::Recording);
        page.records[slot].write(parts);
        points::at(Point::Recorded);
        // Release: the bytes and the record are there before.
        page.committed.fetch_or(1 << slot, Ordering::SeqCst);
        points::at(Point::Committed);
        // After it: what is counted has been handed over.
        page.source.write(counts);
        self.wake_hub();
    }

    /// Has a hub that sleeps look at what was told.
    pub(crate) fn wake_hub(&self) {
        if self.page().hub_asleep.swap(0, Ordering::SeqCst) == 1 {
            wake(&self.to_hub);
        }
    }

    /// Tells what was skipped.
    pub(crate) fn tell(&self, counts: InletCounts) {
        self.page().source.write(counts);
    }

    /// From here on the hub wakes this end when it grants or settles something; whoever calls looks once more after this.
    pub(crate) fn ask_to_be_woken(&self) {
        self.page().sender_asleep.swap(1, Ordering::SeqCst);
    }

    /// Takes out what woke this end.
    pub(crate) fn note_awake(&self) {
        drain(&self.from_hub);
    }

    /// No frame follows.
    pub(crate) fn close(&self) -> Result<(), PacketError> {
        packet::send(&self.socket, Packet::from(&ToHub::Close).bytes(), &[])?;
        points::at(Point::Closing);
        Ok(())
    }

    /// Lets the hub take in what was handed over, and end the stream.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }

    /// What the hub says, if anything.
    pub(crate) fn listen(&self) -> Option<Said> {
        let mut buffer = [0; PACKET_MAX];
        match packet::receive(&self.socket, &mut buffer) {
            Ok(received) => match FromHub::parse(&buffer[..received.len]) {
                Ok(FromHub::Closed(counts)) => Some(Said::Closed(counts)),
                // Newer hubs may say more.
                Ok(_) => None,
                Err(_) => Some(Said::Gone),
            },
            Err(PacketError::WouldBlock) => None,
            Err(_) => Some(Said::Gone),
        }
    }
}
