//! A local sender's end: connects, is let in, writes into the slots that it is granted, and learns what became of the frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use thiserror::Error;

use super::{drain, wake};
use crate::frame::memfd::{self, Right, Unfit};
use crate::frame::{FrameFormat, FrameInfo, FrameParts, FramePool, PoolShape};
use crate::limit::help;
use crate::share::Endpoint;
use crate::share::clocks;
use crate::share::layout::{Inlet, InletCounts};
use crate::share::memory::{NoWords, Shared};
use crate::share::messages::{ClosedCounts, FromHub, MessageError, PACKET_MAX, Packet, Refusal, ToHub, VERSION};
use crate::share::points::{self, Point};
use crate::share::socket::listening::{self, ListenError};
use crate::share::socket::packet::{self, PacketError};
use crate::share::socket::peer::{self, Peer};
use crate::time::Time;
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
    #[error(
        "the program that shares streams there handed over fewer descriptors than a stream needs; see whether a security module or a filter \
         takes them away"
    )]
    DescriptorsMissing,
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
        "the slots have room for {slot_bytes} bytes, {tail_bytes} of them behind the pixels, which is not what the stream needs"
    )]
    Shape { slot_bytes: usize, tail_bytes: usize },
    #[error("the system refuses what shared memory needs: {source}; {help}", source = .0, help = help(.0))]
    System(#[from] io::Error),
}

impl From<NoWords> for EnterError {
    fn from(error: NoWords) -> Self {
        match error {
            NoWords::Unfit(why) => Self::Memory(why),
            NoWords::System(error) => Self::System(error),
        }
    }
}

/// What a refusal means to a sender.
fn words_of(refusal: Refusal, number: u64, limit: u64) -> String {
    match refusal {
        Refusal::Version => {
            format!("it speaks version {number} of sharing and this program {VERSION}; use the same release for both")
        }
        Refusal::Memory => format!("{number} of the {limit} bytes that its streams may have are left (--memory)"),
        Refusal::FrameTooLarge => format!("a stream may have {limit} bytes there (--stream-memory)"),
        Refusal::Connections => format!("it has {limit} connections, as many as it may"),
        Refusal::Streams => format!("it has {limit} streams, as many as it may"),
        Refusal::User => {
            "this user may not; run as the user who started it, or have it share with a group (--share-group)".into()
        }
        Refusal::Resources => {
            "it has no memory, file or thread left; raise its limits there (ulimit -n, LimitNOFILE=), and see its log"
                .into()
        }
        Refusal::Unsealed => "its memory cannot be sealed (before Linux 5.1)".into(),
        Refusal::Network => "it is in another network namespace, and so on another host".into(),
        Refusal::Unknown => "the stream was not announced there".into(),
        Refusal::Format => "the format, the delivery or the metadata is not the announced one".into(),
        Refusal::NoSenders => "it takes no streams of other programs".into(),
        Refusal::Taken => "another sender has the stream".into(),
        Refusal::TooOften => {
            format!("too many streams of this user's came to nothing there; one more may come in {number} ms")
        }
        Refusal::SealedBySender => {
            "this process sealed the memory (F_SEAL_SEAL) before the hub could, which it may not".into()
        }
        Refusal::Message => {
            "it does not understand what this process said, or that cannot be; use the same release for both".into()
        }
        Refusal::NotMapped => "this process had not taken the slots that it was granted".into(),
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

    /// Asks for a stream, and maps what it is given; gives up where `stop` becomes readable. The hub opens the stream once it is
    /// [told](Connection::say_mapped) that nothing is missing.
    ///
    /// # Errors
    /// Refused, not answered, stopped, or what came is not what it should be.
    pub(crate) fn enter(
        self,
        open: &Open,
        (nonce, network): (u64, u64),
        format: FrameFormat,
        stop: BorrowedFd<'_>,
    ) -> Result<(Source, Connection), EnterError> {
        let socket = self.socket;
        let asked = Time::now();
        match packet::send(&socket, Packet::from(&ToHub::Enter { open: *open, nonce, network }).bytes(), &[]) {
            // One that has hung up already may have said why.
            Ok(()) | Err(PacketError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = [0; PACKET_MAX];
        let mut patience = ANSWER_MAX;
        let (shape, clock, mut descriptors) = loop {
            let received = answer(&socket, stop, &mut buffer, patience)?;
            match FromHub::parse(&buffer[..received.len])? {
                FromHub::Preparing => patience = SLOTS_TIME_MAX,
                FromHub::Entered { shape, clock_id, now_ns } => {
                    break (shape, (clock_id, now_ns, Time::now()), received.descriptors);
                }
                FromHub::Refused { refusal, number, limit } => {
                    return Err(EnterError::Refused { refusal, number, limit });
                }
                _ => return Err(MessageError::Kind(0).into()),
            }
        };
        let mut next = || descriptors.take().ok_or(EnterError::DescriptorsMissing);
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
        let hub = Peer::of(&socket)?.ok_or(EnterError::Gone)?;
        let slots = u64::MAX >> (64 - shape.slots);
        let (clock, hub_ns, answered) = clock;
        let is_same = clock != 0 && clock == open.clock_id;
        let ahead_ns = if is_same { 0 } else { clocks::ahead_ns(asked, hub_ns, answered) };
        points::at(Point::SlotsMapped);
        Ok((Source { pool, inlet, slots, seen: 0, ahead_ns }, Connection { socket, hub, to_hub, from_hub }))
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The stream is closed.
    Closed(ClosedCounts),
    /// It takes nothing more of the stream, and says why.
    Refused(String),
    /// It has gone, or let the stream go.
    Gone,
}

/// The memory of an open stream. It has no lock, and calls nobody: whoever has it sees that one thread at a time commits.
pub(crate) struct Source {
    pool: FramePool,
    inlet: Shared<Inlet>,
    /// The slots that there are, a bit each.
    slots: u64,
    /// Those whose pages are mapped, or about to be.
    seen: u64,
    /// By how much the hub's clock is ahead.
    ahead_ns: i64,
}

impl Source {
    fn page(&self) -> &Inlet {
        &self.inlet[0]
    }

    pub(crate) fn pool(&self) -> &FramePool {
        &self.pool
    }

    /// Takes the slots that were granted since this was asked last, and has them handed out but for those that were granted for the first time:
    /// these are returned, to be [provided](provide). Before that `settle` is told below which number all is settled, and how many frames were
    /// delivered: the slots of these are free before they are granted again.
    pub(crate) fn take_granted(&mut self, settle: impl FnOnce(u64, u64)) -> u64 {
        let page = self.page();
        let granted = page.granted.swap(0, Ordering::AcqRel) & self.slots;
        if granted != 0 {
            points::at(Point::SlotTaken);
        }
        let settled = page.account.settled.load(Ordering::Acquire);
        let delivered = page.account.delivered.load(Ordering::Acquire);
        settle(settled, delivered);
        let fresh = granted & !self.seen;
        self.seen |= granted;
        self.pool.allow(granted & !fresh);
        fresh
    }

    /// Hands a frame in this slot over.
    pub(crate) fn commit(&self, slot: usize, mut parts: FrameParts, counts: InletCounts) {
        let page = self.page();
        self.put_on_hubs_clock(&mut parts.info);
        points::at(Point::Recording);
        page.records[slot].write(&parts);
        points::at(Point::Recorded);
        // Release: the bytes and the record are there before.
        page.committed.fetch_or(1 << slot, Ordering::SeqCst);
        points::at(Point::Committed);
        // After it: what is counted has been handed over.
        page.source.write(counts);
    }

    fn put_on_hubs_clock(&self, info: &mut FrameInfo) {
        let there = |time: Time| match time {
            // Not known.
            Time::ZERO => time,
            _ => Time::from_nanos(time.as_nanos().saturating_add_signed(self.ahead_ns)),
        };
        (info.captured, info.sent) = (there(info.captured), info.sent.map(there));
    }

    /// Whether the hub sleeps and has to be [woken](Connection::wake_hub) so that it looks at what was told: whoever is told so wakes it.
    pub(crate) fn takes_to_wake(&self) -> bool {
        self.page().hub_asleep.swap(0, Ordering::SeqCst) == 1
    }

    /// Tells what was skipped.
    pub(crate) fn tell(&self, counts: InletCounts) {
        self.page().source.write(counts);
    }

    /// From here on the hub wakes this end when it grants or settles something; whoever calls looks once more after this.
    pub(crate) fn ask_to_be_woken(&self) {
        self.page().sender_asleep.swap(1, Ordering::SeqCst);
    }
}

/// Has the pages of slots mapped that were granted for the first time, a bit each, and each handed out then: here, and not when the program first
/// writes into it. It may take long.
pub(crate) fn provide(pool: &FramePool, mut fresh: u64) {
    while fresh != 0 {
        let slot = fresh.trailing_zeros() as usize;
        fresh &= fresh - 1;
        pool.populate_read(slot, usize::MAX);
        pool.allow(1 << slot);
    }
}

/// The socket and the pipes of an open stream.
pub(crate) struct Connection {
    socket: OwnedFd,
    hub: Peer,
    to_hub: OwnedFd,
    from_hub: OwnedFd,
}

impl Connection {
    /// Everything that came is mapped and was found to be fit, the slots that were granted at first are taken, and nothing that this end needs is
    /// missing: the hub opens the stream.
    ///
    /// # Errors
    /// The hub is gone.
    pub(crate) fn say_mapped(&self) -> Result<(), PacketError> {
        packet::send(&self.socket, Packet::from(&ToHub::Mapped).bytes(), &[])
    }

    /// Readable when the hub has woken this end, has said something, or has ended.
    pub(crate) fn descriptors(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.from_hub.as_fd(), self.socket.as_fd(), self.hub.pidfd.as_ref().map(AsFd::as_fd))
    }

    /// Wakes the hub.
    pub(crate) fn wake_hub(&self) {
        wake(&self.to_hub);
    }

    /// Takes out what woke this end.
    pub(crate) fn note_awake(&self) {
        drain(&self.from_hub);
    }

    /// No frame follows.
    ///
    /// # Errors
    /// The hub is gone, or does not read what it is sent.
    pub(crate) fn close(&self) -> Result<(), PacketError> {
        packet::send(&self.socket, Packet::from(&ToHub::Close).bytes(), &[])?;
        points::at(Point::Closing);
        Ok(())
    }

    /// Lets the hub take in what was handed over, and end the stream.
    pub(crate) fn finish(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }

    /// Nothing is said or heard any more; whoever waits for the socket learns so.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// What the hub says, if anything.
    pub(crate) fn listen(&self) -> Option<Said> {
        let mut buffer = [0; PACKET_MAX];
        match packet::receive(&self.socket, &mut buffer) {
            Ok(received) => match FromHub::parse(&buffer[..received.len]) {
                Ok(FromHub::Closed(counts)) => Some(Said::Closed(counts)),
                Ok(FromHub::Refused { refusal, number, limit }) => {
                    Some(Said::Refused(EnterError::Refused { refusal, number, limit }.to_string()))
                }
                // Newer hubs may say more.
                Ok(_) => None,
                Err(_) => Some(Said::Gone),
            },
            Err(PacketError::WouldBlock) => None,
            Err(_) => Some(Said::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_refuses_and_hangs_up_before_it_is_asked_is_heard() {
        use crate::frame::PixelFormat;
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

        let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
        let open = crate::wire::open_of(&format, crate::wire::Delivery::Every, &Default::default(), 0);
        let (_writes, stop) = rustix::pipe::pipe().map(|(reads, writes)| (writes, reads)).unwrap();
        let entered = |says: Option<FromHub<'_>>| {
            let (socket, hub) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
            if let Some(says) = says {
                packet::send(&hub, Packet::from(&says).bytes(), &[]).unwrap();
            }
            drop(hub);
            Door { socket }.enter(&open, (0, 0), format, stop.as_fd()).err().unwrap()
        };
        let refused = entered(Some(FromHub::Refused { refusal: Refusal::Connections, number: 0, limit: 64 }));
        assert!(matches!(refused, EnterError::Refused { refusal: Refusal::Connections, limit: 64, .. }), "{refused}");
        assert!(matches!(entered(None), EnterError::Gone));
    }

    #[test]
    fn what_this_process_itself_lacks_is_not_told_as_unfit_memory() {
        let lacks = EnterError::from(NoWords::System(io::Error::from_raw_os_error(12)));
        assert!(matches!(lacks, EnterError::System(_)), "{lacks}");
    }
}
