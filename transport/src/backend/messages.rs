//! Batches as the messages that the kernel takes: single datagrams, or trains of them.
//!
//! With UDP_SEGMENT a message of many slices is cut into datagrams by the kernel (or the network card), and with UDP_GRO
//! datagrams that arrived together are returned as one message. Either way the stack is passed once a train.

use std::mem::size_of;
use std::ops::Range;

use libc::{SOL_UDP, UDP_GRO, c_int, cmsghdr, iovec, mmsghdr};
use memmap2::MmapMut;

use super::batch::{ReceiveBatch, SendBatch};
use super::{BackendConfig, ConnectedSocket};
use crate::wire::{DATAGRAM_MAX, train_slices};

/// What one call takes (UIO_MAXIOV).
pub(super) const MESSAGES_MAX: usize = 1024;
/// More than any message holds: what the kernel merges fits one IP packet.
const MESSAGE_BYTES_MAX: usize = 65_536;

fn empty_message() -> mmsghdr {
    // SAFETY: mmsghdr is a C struct of integers and pointers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

fn set_iovecs(message: &mut mmsghdr, first: *mut iovec, count: usize) {
    message.msg_hdr.msg_iov = first;
    // The field's type differs between C libraries; a message has at most UIO_MAXIOV pieces.
    message.msg_hdr.msg_iovlen = count as _;
    message.msg_hdr.msg_flags = 0;
    message.msg_len = 0;
}

/// Messages that send a batch.
pub(super) struct SendMessages {
    messages: Vec<mmsghdr>,
    /// The datagrams in each message, as they lie in the batch.
    datagrams: Vec<Range<usize>>,
    /// The one piece that a message of sealed slices is: it points into the batch.
    whole: Vec<iovec>,
}

impl SendMessages {
    /// For batches of at most `datagrams_max`; larger ones take several rounds.
    pub(super) fn new(datagrams_max: usize) -> Self {
        let messages_max = datagrams_max.clamp(1, MESSAGES_MAX);
        Self {
            messages: vec![empty_message(); messages_max],
            datagrams: Vec::with_capacity(messages_max),
            whole: vec![iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; messages_max],
        }
    }

    /// Takes as much of what the batch still has to send as goes in one call. With a segment size, datagrams of that
    /// size that follow each other in a frame go as one message, and a longer one waits for the next round.
    pub(super) fn fill(&mut self, batch: &SendBatch, segment: Option<usize>) -> &mut [mmsghdr] {
        self.datagrams.clear();
        let unsent = batch.unsent();
        let mut at = unsent.start;
        while at < unsent.end && self.datagrams.len() < self.messages.len() {
            let count = match segment {
                Some(segment) if batch.datagram_len(at) > segment => break,
                Some(segment) => train_at(batch, at..unsent.end, segment),
                None => 1,
            };
            let nth = self.datagrams.len();
            let iovecs = match batch.in_one_piece(at..at + count) {
                Some(piece) => {
                    self.whole[nth] = piece;
                    &self.whole[nth..=nth]
                }
                None => batch.iovecs(at..at + count),
            };
            set_iovecs(&mut self.messages[nth], iovecs.as_ptr().cast_mut(), iovecs.len());
            self.datagrams.push(at..at + count);
            at += count;
        }
        &mut self.messages[..self.datagrams.len()]
    }

    /// Notes that a message went out; returns how many datagrams it held. Messages are noted in their order, but some
    /// may be left out.
    pub(super) fn note_sent(&self, batch: &mut SendBatch, nth: usize) -> usize {
        let datagrams = self.datagrams[nth].clone();
        batch.note_sent(datagrams.clone());
        datagrams.len()
    }
}

/// Datagrams from the first of `range` on that make a train: all of the segment's size but the last, which may be shorter.
fn train_at(batch: &SendBatch, range: Range<usize>, segment: usize) -> usize {
    let longest = range.len().min(train_slices(segment));
    let mut count = 1;
    while count < longest {
        let next = range.start + count;
        // The kernel makes no datagram of an empty rest.
        let fits = (1..=segment).contains(&batch.datagram_len(next));
        if batch.datagram_len(next - 1) != segment || !fits || !batch.continues(next) {
            break;
        }
        count += 1;
    }
    count
}

/// Space for the one control message that is asked for: the segment size of a train.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: cmsghdr,
    segment: c_int,
    _padding: c_int,
}

/// What received messages are made of.
#[derive(Clone, Copy)]
struct Posted {
    first: usize,
    landings: usize,
}

/// Messages that receive into a batch's landings.
pub(super) struct ReceiveMessages {
    messages: Vec<mmsghdr>,
    posted: Vec<Posted>,
    /// Messages that the next call posts: as many as are likely to come, so that little is prepared in vain.
    expected: usize,
    /// To post a message costs something even if nothing comes for it.
    sparing: bool,
    trains: Option<Trains>,
}

/// What receiving trains takes beside the messages.
struct Trains {
    /// Slices of a whole train.
    slices: usize,
    /// Trains have come lately, so a message is posted for one; else for a single datagram.
    arriving: bool,
    /// Messages since the last train.
    since: usize,
    controls: Vec<Control>,
    /// `[head][payload]…[overflow]` of each message.
    iovecs: Vec<iovec>,
    /// For each message what is longer than its landings, and room to lay it out again. A mapping of its own, so that memory is
    /// taken when it is first written to, which is rarely: an allocator that has such a block at hand zeroes all of it.
    overflows: MmapMut,
    /// Datagrams that wait for landings: a part of `overflows`, and the size of each.
    waiting: Vec<(Range<usize>, usize)>,
}

/// Messages in one call where trains come: a call a megabyte is few enough.
const TRAINS_MAX: usize = 16;
/// Messages in one call where trains could come and do not.
const SINGLES_MAX: usize = 64;
/// After so many single datagrams trains are not reckoned with any more.
const SINGLES_IN_A_ROW: usize = 8;

impl ReceiveMessages {
    pub(super) fn new(socket: &ConnectedSocket, config: &BackendConfig) -> Self {
        let trains = Trains::new(socket, config);
        let messages_max = config.datagrams_max.clamp(1, if trains.is_some() { SINGLES_MAX } else { MESSAGES_MAX });
        Self {
            messages: vec![empty_message(); messages_max],
            posted: Vec::with_capacity(messages_max),
            expected: if trains.is_some() { 1 } else { messages_max },
            sparing: false,
            trains,
        }
    }

    /// As [`ReceiveMessages::new`], for a way into the kernel on which messages that nothing comes for cost something:
    /// few more are posted than came last.
    #[cfg(feature = "uring")]
    pub(super) fn sparing(socket: &ConnectedSocket, config: &BackendConfig) -> Self {
        Self { expected: 1, sparing: true, ..Self::new(socket, config) }
    }

    /// How many landings the next call can make use of.
    pub(super) fn landings(&self) -> usize {
        match &self.trains {
            Some(trains) if trains.arriving => self.expected * trains.slices,
            _ => self.expected,
        }
    }

    /// Copies datagrams that are here already into the batch's landings; returns how many.
    pub(super) fn take_waiting(&mut self, batch: &mut ReceiveBatch) -> usize {
        self.trains.as_mut().map_or(0, |trains| trains.take_waiting(batch))
    }

    /// Posts messages over the landings that are free. Empty where there are none.
    pub(super) fn fill(&mut self, batch: &mut ReceiveBatch) -> &mut [mmsghdr] {
        self.posted.clear();
        let free = batch.free();
        let mut at = free.start;
        let longest = self.trains.as_ref().filter(|trains| trains.arriving).map_or(1, |trains| trains.slices);
        while at < free.end && self.posted.len() < self.expected {
            let end = free.end.min(at + longest);
            let landings = 1
                + (at + 1..end)
                    .take_while(|next| batch.continues(*next) && batch.landing_len(*next) == batch.landing_len(at))
                    .count();
            let nth = self.posted.len();
            let message = &mut self.messages[nth];
            match &mut self.trains {
                Some(trains) => trains.post(nth, message, batch, at..at + landings),
                None => {
                    let iovecs = batch.iovecs(at..at + landings);
                    set_iovecs(message, iovecs.as_mut_ptr(), iovecs.len());
                }
            }
            self.posted.push(Posted { first: at, landings });
            at += landings;
        }
        &mut self.messages[..self.posted.len()]
    }

    /// Notes what is in those of the first `messages` that `came` in the call; returns the number of datagrams that landed.
    /// Others wait.
    pub(super) fn note_received(
        &mut self,
        batch: &mut ReceiveBatch,
        messages: usize,
        came: impl Fn(usize) -> bool,
    ) -> usize {
        let before = batch.received();
        let (mut regular, mut trains_came) = (true, false);
        for nth in (0..messages).filter(|nth| came(*nth)) {
            let (message, Posted { first, landings }) = (&self.messages[nth], self.posted[nth]);
            let len = message.msg_len as usize;
            let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            match &mut self.trains {
                Some(trains) => {
                    let datagrams = trains.note_received(nth, message, batch, first..first + landings);
                    trains_came |= datagrams > 1;
                    regular &= datagrams == landings || nth + 1 == messages;
                }
                None => batch.note_received(first, len + usize::from(cut)),
            }
        }
        self.adapt(messages, regular, trains_came);
        batch.received() - before
    }

    /// Expects twice as many messages as came, or one at a time while trains do not have the length that was posted for
    /// them: every later message of the call then lands in the wrong place.
    fn adapt(&mut self, messages: usize, regular: bool, trains_came: bool) {
        let most = match &mut self.trains {
            Some(trains) => {
                trains.since = if trains_came { 0 } else { trains.since + messages };
                trains.arriving = trains_came || (trains.arriving && trains.since < SINGLES_IN_A_ROW);
                if trains.arriving { TRAINS_MAX } else { SINGLES_MAX }
            }
            None if self.sparing => MESSAGES_MAX,
            None => return,
        };
        self.expected = if regular { (2 * messages).clamp(2, most) } else { 1 }.min(self.messages.len());
    }
}

impl Trains {
    /// `None` where trains are not wanted, the socket has none, or there is no memory to take them apart in.
    fn new(socket: &ConnectedSocket, config: &BackendConfig) -> Option<Self> {
        if !config.receive_trains || !config.has_trains() {
            return None;
        }
        let overflows = MmapMut::map_anon(SINGLES_MAX * 2 * MESSAGE_BYTES_MAX)
            .inspect_err(|error| {
                // The socket may have been another backend's.
                socket.coalesce_no_more();
                tracing::warn!(%error, "no memory to receive trains in: slices come one by one");
            })
            .ok()?;
        if !socket.coalesce() {
            return None;
        }
        let slices = train_slices(config.slice_bytes);
        // SAFETY: cmsghdr is a C struct of integers, for which all zeroes is a value.
        let header = unsafe { std::mem::zeroed::<cmsghdr>() };
        let iovecs = (3 * SINGLES_MAX).max(TRAINS_MAX * (2 * slices + 1));
        Some(Self {
            slices,
            arriving: true,
            since: 0,
            controls: vec![Control { header, segment: 0, _padding: 0 }; SINGLES_MAX],
            iovecs: Vec::with_capacity(iovecs),
            overflows,
            waiting: Vec::with_capacity(SINGLES_MAX),
        })
    }

    fn post(&mut self, nth: usize, message: &mut mmsghdr, batch: &mut ReceiveBatch, landings: Range<usize>) {
        if nth == 0 {
            self.iovecs.clear();
        }
        let first = self.iovecs.len();
        let count = 2 * landings.len() + 1;
        assert!(first + count <= self.iovecs.capacity(), "messages point into the array, which must not move");
        self.iovecs.extend_from_slice(batch.iovecs(landings));
        let overflow = self.overflows[nth * 2 * MESSAGE_BYTES_MAX..][..MESSAGE_BYTES_MAX].as_mut_ptr();
        self.iovecs.push(iovec { iov_base: overflow.cast(), iov_len: MESSAGE_BYTES_MAX });
        set_iovecs(message, self.iovecs[first..].as_mut_ptr(), count);
        message.msg_hdr.msg_control = (&raw mut self.controls[nth]).cast();
        message.msg_hdr.msg_controllen = size_of::<Control>() as _;
    }

    /// Returns how many datagrams the message holds.
    fn note_received(
        &mut self,
        nth: usize,
        message: &mmsghdr,
        batch: &mut ReceiveBatch,
        landings: Range<usize>,
    ) -> usize {
        let len = message.msg_len as usize;
        let segment = self.segment(nth, message).filter(|segment| *segment < len);
        let datagrams = segment.map_or(1, |segment| len.div_ceil(segment));
        let cell = batch.landing_len(landings.start);
        let fits = segment.is_none_or(|segment| segment == cell && datagrams <= landings.len());
        // Nothing overtakes what waits: a close that did would end the stream before its last frame.
        if !fits || !self.waiting.is_empty() {
            self.lay_out_again(nth, batch, landings, len, segment.unwrap_or(len));
            return datagrams;
        }
        match segment {
            Some(segment) => {
                (0..datagrams).for_each(|at| batch.note_received(landings.start + at, segment.min(len - at * segment)))
            }
            // What is longer than its landing went on into the next one or the overflow, where it harms nothing.
            None => batch.note_received(landings.start, len.min(cell + 1)),
        }
        batch.note_taken(landings.end);
        datagrams
    }

    fn segment(&self, nth: usize, message: &mmsghdr) -> Option<usize> {
        let Control { header, segment, .. } = self.controls[nth];
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between C libraries")]
        let there = message.msg_hdr.msg_controllen as usize >= size_of::<cmsghdr>() + size_of::<c_int>();
        let is_segment = there && (header.cmsg_level, header.cmsg_type) == (SOL_UDP, UDP_GRO);
        if is_segment { usize::try_from(segment).ok().filter(|segment| *segment > 0) } else { None }
    }

    /// A message that does not fit its landings, or comes behind one: gathers it, to be copied into the landings of the next
    /// call.
    fn lay_out_again(
        &mut self,
        nth: usize,
        batch: &mut ReceiveBatch,
        landings: Range<usize>,
        len: usize,
        segment: usize,
    ) {
        let region = nth * 2 * MESSAGE_BYTES_MAX..(nth + 1) * 2 * MESSAGE_BYTES_MAX;
        let (overflow, gathered) = self.overflows[region.clone()].split_at_mut(MESSAGE_BYTES_MAX);
        let mut at = 0;
        for landing in landings {
            at += batch.read_landing(landing, &mut gathered[at..len.max(at)]);
        }
        let rest = len.saturating_sub(at);
        gathered[at..at + rest].copy_from_slice(&overflow[..rest]);
        let start = region.start + MESSAGE_BYTES_MAX;
        self.waiting.push((start..start + len, segment));
    }

    fn take_waiting(&mut self, batch: &mut ReceiveBatch) -> usize {
        let mut taken = 0;
        while let Some((bytes, segment)) = self.waiting.first_mut() {
            // At least one: a datagram may be empty.
            loop {
                if batch.free().is_empty() {
                    return taken;
                }
                let end = bytes.end.min(bytes.start + *segment);
                batch.land(&self.overflows[bytes.start..end]);
                bytes.start = end;
                taken += 1;
                if Range::is_empty(bytes) {
                    break;
                }
            }
            self.waiting.remove(0);
        }
        taken
    }
}

// A train is one UDP datagram to the stack above the network card.
const _: () = assert!(DATAGRAM_MAX < MESSAGE_BYTES_MAX);
