//! What a hub has granted to one reader, mapped once: taking frames, and giving their slots back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::super::clocks;
use super::super::error::ShareError;
use super::super::layout::{Control, Record};
use super::super::lease::Borrower;
use super::super::memory::{NoWords, Shared};
use super::super::messages::{Described, End, FromHub, PACKET_MAX, ToHub, Wanted};
use super::super::points::{Point, at};
use super::super::process::Process;
use super::super::socket::packet::Descriptors;
use super::super::socket::peer::Peer;
use super::super::subscription_config::SharedStreamInfo;
use super::call::{self, Call};
use crate::frame::memfd::{self, Right};
use crate::frame::{Frame, FrameParts, FramePool, METADATA_MAX, TIME_BYTES};
use crate::time::Time;
use crate::wire::PathKind;

/// What frames need of the connection after they were taken: it stays until the last of them is dropped, since its end is the end of all
/// its leases.
pub(super) struct Link {
    control: Shared<Control>,
    call: Call,
    /// A byte comes by it when there is something to look at, its end when the hub is gone.
    pipe: OwnedFd,
    /// Tells of the end of the hub's process, also where one that was forked from it keeps the pipe open. Where the system gives none, the
    /// pipe alone tells.
    hub: Option<OwnedFd>,
    process: Process,
    given_back: AtomicU64,
}

impl Link {
    pub(super) fn control(&self) -> &Control {
        &self.control[0]
    }

    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    pub(super) fn hub(&self) -> Option<BorrowedFd<'_>> {
        self.hub.as_ref().map(OwnedFd::as_fd)
    }

    /// Changes whenever a slot is given back.
    pub(super) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Acquire)
    }

    /// The last clone of the frame in this slot was dropped.
    fn give_back(&self, slot: usize) {
        // What a forked process drops, its parent still holds.
        if !self.process.is_this() {
            return;
        }
        // A slot's number is below 64.
        Borrower::give_back(self.control(), slot as u32);
        self.given_back.fetch_add(1, Ordering::AcqRel);
        if Borrower::must_tell_of_slot(self.control()) {
            self.tell();
        }
    }

    fn tell(&self) {
        // A hub that has not taken what was said before will look; one that is gone does not need to.
        let _ = self.call.say(&ToHub::Told);
    }

    /// Takes the bytes out of the pipe. Whether the hub is gone.
    pub(super) fn drain(&self) -> bool {
        let mut bytes = [0; 64];
        match rustix::io::read(&self.pipe, &mut bytes[..]) {
            Ok(0) => true,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    /// Whether the hub is gone, asked where nobody has woken this reader since it was about to sleep.
    pub(super) fn is_gone(&self) -> bool {
        // Of an event that is not asked for, the end is told all the same.
        let (hub, event) = self.hub.as_ref().map_or((&self.pipe, PollFlags::empty()), |hub| (hub, PollFlags::IN));
        let mut descriptors = [PollFd::new(&self.pipe, PollFlags::empty()), PollFd::new(hub, event)];
        call::wait(&mut descriptors, Some(std::time::Duration::ZERO)).unwrap_or(true)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A process that was forked from this one may have the socket open, and does not keep the seat by that.
        if self.process.is_this() {
            self.call.hang_up();
        }
    }
}

/// A subscription as it was granted.
pub(super) struct Mapped {
    pub(super) link: Arc<Link>,
    pool: FramePool,
    records: Shared<Record>,
    borrower: Borrower,
    /// Slots that may be held before none can come.
    quota: usize,
    /// Slots whose pages this process has mapped, a bit each.
    populated: u64,
    /// By how much this process's monotonic clock is ahead of the hub's, where the two are not the same one.
    ahead_ns: i64,
    pub(super) taken: u64,
    /// It has said that it sleeps, and has not taken that back before the hub saw it: only then can there be a byte in the pipe.
    pub(super) is_armed: bool,
    pub(super) info: SharedStreamInfo,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Without frames its connection ends here. With some it lives on, and would be offered frames that nobody takes.
        if self.pool.held_count() > 0 && self.link.process.is_this() {
            // A hub that is gone offers nothing either.
            let _ = self.link.call.say(&ToHub::Leave);
        }
    }
}

/// What was on offer is no frame: a slot that there is not, or bytes outside of it.
#[derive(Debug)]
pub(super) struct NoFrame;

/// Bytes of a slot whose pages are mapped before its first frame is handed out: a quarter of a millisecond a MiB at worst. Those of longer
/// frames are mapped as they are read, so that the first frame is not late for the sake of its last rows.
const POPULATE_MAX: usize = 4 << 20;

impl Mapped {
    /// Checks what has come, and maps it.
    ///
    /// # Errors
    /// It is not what a hub sends, or not safe to map; the system has no memory.
    pub(super) fn new(call: Call, answer: FromHub<'_>, mut descriptors: Descriptors) -> Result<Self, ShareError> {
        at(Point::Received);
        let FromHub::Subscribed { stream, shape, wanted, now_ns } = answer else {
            return Err(call.nonsense(format!("{answer:?} to a subscription")));
        };
        let ahead_ns = clocks::ahead_ns(call.asked(), now_ns, Time::now()).wrapping_neg();
        let endpoint = call.endpoint().clone();
        let mut next = || descriptors.take().ok_or_else(|| ShareError::DescriptorsLost { endpoint: endpoint.clone() });
        let (pool, records, control, pipe) = (next()?, next()?, next()?, next()?);
        let info = described(&call, &stream)?;
        let unsafe_to_map = |what, why: String| ShareError::UnsafeMemory { endpoint: endpoint.clone(), what, why };
        let words = |what| {
            move |error| match error {
                NoWords::Unfit(why) => unsafe_to_map(what, why.to_string()),
                NoWords::System(error) => ShareError::System(error),
            }
        };
        // All of it before any of it is mapped.
        memfd::check(pool.as_fd(), shape.bytes(), Right::Read)
            .map_err(|why| unsafe_to_map("memory of frames", why.to_string()))?;
        let records = Shared::<Record>::received(records, shape.slots, Right::Read)
            .map_err(words("memory of what is known of frames"))?;
        let control = Shared::<Control>::received(control, 1, Right::Write).map_err(words("memory of offers"))?;
        let is_pipe = rustix::fs::fstat(&pipe)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo);
        if !is_pipe {
            return Err(call.nonsense("its fourth descriptor is no pipe".to_owned()));
        }
        rustix::io::ioctl_fionbio(&pipe, true).map_err(call::system)?;
        let hub = match Peer::of(&call) {
            Ok(Some(peer)) => peer.pidfd,
            Ok(None) => return Err(ShareError::HubGone { endpoint: endpoint.clone() }),
            Err(error) => return Err(ShareError::System(error)),
        };
        let pool = FramePool::foreign(pool, &shape, info.format, Right::Read).map_err(ShareError::System)?;
        let (given_back, process) = (AtomicU64::new(0), Process::this());
        let link = Arc::new(Link { control, call, pipe, hub, process, given_back });
        let frames = link.clone();
        pool.set_on_freed(move |slot| frames.give_back(slot));
        at(Point::Subscribed);
        link.call.say(&ToHub::Mapped)?;
        let Wanted { words, hold, .. } = wanted;
        Ok(Self {
            link,
            pool,
            records,
            borrower: Borrower::new(words.into()),
            quota: usize::from(words) + usize::from(hold),
            populated: 0,
            ahead_ns,
            taken: 0,
            is_armed: false,
            info,
        })
    }

    /// Whether the hub offers frames by now. To be asked until it does.
    ///
    /// # Errors
    /// It is gone, or says something else.
    pub(super) fn is_admitted(&self) -> Result<bool, ShareError> {
        let mut buffer = [0; PACKET_MAX];
        match self.link.call.try_answer(&mut buffer)? {
            None => Ok(false),
            Some((answer, _)) => self.check_admission(answer).map(|()| true),
        }
    }

    /// As [`Mapped::is_admitted`], and waits for it.
    ///
    /// # Errors
    /// As [`Mapped::is_admitted`], and [`ShareError::Silent`].
    pub(super) fn wait_for_admission(&self) -> Result<(), ShareError> {
        let mut buffer = [0; PACKET_MAX];
        let (answer, _) = self.link.call.answer(&mut buffer)?;
        self.check_admission(answer)
    }

    fn check_admission(&self, answer: FromHub<'_>) -> Result<(), ShareError> {
        match answer {
            FromHub::Admitted => Ok(()),
            answer => Err(self.link.call.nonsense(format!("{answer:?} to a reader that has mapped its page"))),
        }
    }

    /// The next frame on offer.
    ///
    /// # Errors
    /// [`NoFrame`].
    pub(super) fn take(&mut self) -> Result<Option<Frame>, NoFrame> {
        let Some(offer) = self.borrower.take(self.link.control()) else { return Ok(None) };
        self.taken += 1;
        if self.borrower.must_tell_of_room(self.link.control()) {
            self.link.tell();
        }
        let slot = offer.slot as usize;
        let parts = self.records.get(slot).and_then(Record::read);
        let Some(frame) = parts.and_then(|parts| self.pool.borrow(slot, self.on_this_clock(parts))) else {
            tracing::warn!(slot, "what the hub offers is no frame; the connection is made anew");
            return Err(NoFrame);
        };
        if self.populated & 1 << slot == 0 {
            // Once a slot: who reads the frame does not wait for the kernel page by page.
            self.populated |= 1 << slot;
            self.pool.populate_read(slot, POPULATE_MAX);
        }
        Ok(Some(frame))
    }

    /// It is about to sleep: see [`Borrower::arm`].
    pub(super) fn arm(&mut self) {
        Borrower::arm(self.link.control());
        self.is_armed = true;
    }

    /// It does not sleep after all.
    pub(super) fn disarm(&mut self) {
        self.is_armed = Borrower::disarm(self.link.control());
    }

    pub(super) fn has_offer(&self) -> bool {
        self.borrower.has_offer(self.link.control())
    }

    /// What busy polling looks at, without the lock.
    pub(super) fn borrower(&self) -> Borrower {
        self.borrower
    }

    /// Slots that the program holds.
    pub(super) fn held(&self) -> usize {
        self.pool.held_count()
    }

    /// How many slots it may hold, where it does, so that no frame can come.
    pub(super) fn all_held(&self) -> Option<usize> {
        (self.held() >= self.quota).then_some(self.quota)
    }

    /// Why no frame follows; `None` while some may.
    pub(super) fn end(&self) -> Option<End> {
        match self.link.control().told.ended.load(Ordering::Acquire) {
            0 => None,
            // What this version does not know is an end all the same.
            other => Some(End::from_wire(other).unwrap_or(End::Closed)),
        }
    }

    /// Frames published and dropped so far.
    pub(super) fn told(&self) -> (u64, u64) {
        let told = &self.link.control().told;
        let dropped = told.dropped.load(Ordering::Relaxed);
        // The hub writes its figures after it has put the frame on offer.
        (told.offered.load(Ordering::Relaxed).max(self.taken.saturating_add(dropped)), dropped)
    }

    /// Times of this machine as this process's clock shows them: the hub may be in another time namespace.
    fn on_this_clock(&self, mut parts: FrameParts) -> FrameParts {
        if self.ahead_ns != 0 {
            let moved = |time: Time| match time {
                Time::ZERO => time,
                time => Time::from_nanos(time.as_nanos().saturating_add_signed(self.ahead_ns)),
            };
            let info = &mut parts.info;
            for time in [&mut info.captured, &mut info.begun, &mut info.completed] {
                *time = moved(*time);
            }
            info.sent = info.sent.map(moved);
        }
        parts
    }
}

/// What a hub tells of a stream.
///
/// # Errors
/// It cannot be.
pub(super) fn described(call: &Call, stream: &Described<'_>) -> Result<SharedStreamInfo, ShareError> {
    let wrong = |what: &str| call.nonsense(format!("a stream whose {what} cannot be"));
    Ok(SharedStreamInfo {
        name: stream.name.as_str().to_owned(),
        format: stream.open.format().map_err(|_| wrong("format"))?,
        delivery: stream.open.delivery().map_err(|_| wrong("delivery"))?,
        presentation: stream.open.presentation().map_err(|_| wrong("presentation"))?,
        metadata_max: usize::from(stream.open.tail_max).saturating_sub(TIME_BYTES).min(METADATA_MAX),
        path: match stream.path {
            1 => Some(PathKind::Udp),
            2 => Some(PathKind::Shm),
            _ => None,
        },
        readers: stream.readers.into(),
    })
}
