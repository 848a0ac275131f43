//! The sending end as a program uses it.

mod config;
mod error;
pub(super) mod handover;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use self::config::{SenderConfig, SliceSize, SliceSizeError};
pub use self::error::{ConnectError, NotSent, SendError};
pub(super) use self::error::{check_frame, check_length};
use self::handover::{Figures, Handover};
use super::send_loop;
use crate::backend::{BackendKind, ConnectedSocket, Waker, headers_bytes, wall_clock};
use crate::clock::clock_id;
use crate::frame::{Frame, FrameFormat, FrameMut, FramePool, METADATA_MAX, TIME_BYTES};
use crate::random::random_u32;
use crate::send::{ClosedReport, Fec, Publication, REPORTED_BYTES_MIN, SendConfig, SendState, SendStats, slots_ready};
use crate::time::Time;
use crate::wire::{Cut, DATAGRAM_MAX, SLICE_BYTES_MIN};

/// Sends the frames of one stream to one receiver, on a thread of its own. Opens the stream by itself, and again after the receiver was
/// gone: only [`Sender::close`], [`Sender::finish`] and dropping it end that.
///
/// Every frame is three calls: [`frame`](Self::frame) gives memory, the program writes into it, [`send`](Self::send) takes it and returns at once.
/// All of them take `&self`, so that several threads may share a sender. The example `own_source` sends as a camera does, `send_file` as a
/// file.
pub struct Sender {
    handover: Arc<Handover>,
    pool: FramePool,
    format: FrameFormat,
    /// Bytes of metadata that a frame may have.
    metadata_max: usize,
    info: SenderInfo,
    linger: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct SenderInfo {
    stream: u32,
    backend: BackendKind,
}

impl Sender {
    /// Makes a sender and begins to open the stream; returns before it is open.
    ///
    /// # Errors
    /// A number of the configuration is out of range; no memory, socket or thread. That nobody is at `peer` is no error here:
    /// [`Sender::wait_until_open`] tells.
    pub fn connect(peer: SocketAddr, config: SenderConfig) -> Result<Self, ConnectError> {
        if let SliceSize::Bytes(bytes) = config.slice
            && !(SLICE_BYTES_MIN..=DATAGRAM_MAX).contains(&usize::from(bytes))
        {
            return Err(ConnectError::SliceBytes(bytes));
        }
        let socket = ConnectedSocket::connect(peer).map_err(|source| ConnectError::Socket { peer, source })?;
        let slice_bytes = match config.slice {
            // The system may know the path from a report, which may be forged.
            SliceSize::Auto => socket.path_datagram_bytes().max(usize::from(REPORTED_BYTES_MIN)),
            SliceSize::Bytes(bytes) => usize::from(bytes),
        };
        let pixel_bytes = config.format.frame_bytes();
        // A frame with all that follows its pixels fits 32 bits: the largest have room for less. No more than `TAIL_MAX`, which fits 16.
        let tail_max = (config.metadata_max.min(METADATA_MAX) + TIME_BYTES).min(u32::MAX as usize - pixel_bytes);
        let metadata_max = tail_max.saturating_sub(TIME_BYTES);
        let frame_bytes = pixel_bytes + tail_max;
        // No slice is longer than a whole frame. The format was checked: a frame fits 32 bits, and no slice is longer than a datagram.
        let longest = Cut::new(u32::try_from(frame_bytes).unwrap_or(u32::MAX), SLICE_BYTES_MIN).largest_slice();
        let slice_bytes = slice_bytes.clamp(SLICE_BYTES_MIN, longest) as u16;
        let pool = FramePool::with_spares(config.slots, slots_ready(frame_bytes), frame_bytes)?;
        let pool = pool.with_format(config.format, tail_max);
        let stream = config.stream.unwrap_or_else(random_u32);
        let fec = match config.fec {
            Fec::Auto if peer.ip().is_loopback() => Fec::Off,
            fec => fec,
        };
        let publication = Publication::new(config.format, config.delivery).with_tails(tail_max as u16);
        let mut subscriber = publication.subscribe(
            SendConfig {
                stream,
                epoch: random_u32(),
                format: config.format,
                delivery: config.delivery,
                slice_bytes,
                has_tags: false,
                // At most 48.
                headers_bytes: headers_bytes(peer) as u16,
                slice_is_fixed: config.slice != SliceSize::Auto,
                fec,
                presentation: config.presentation,
                paced: config.paced,
                deadline: config.deadline,
                spreads: !peer.ip().is_loopback(),
                tail_max: tail_max as u16,
                clock_id: clock_id(stream),
            },
            Time::now(),
        );
        subscriber.set_utc(wall_clock::compare());
        if let Some(link) = &config.link {
            subscriber.set_link(link.clone());
        }
        let waker = Waker::new().map_err(ConnectError::System)?;
        let handover = Arc::new(Handover::new(&subscriber, config.delivery, peer, waker));
        let (backend, thread) = send_loop::start(socket, &config, (publication, subscriber), handover.clone())
            .map_err(ConnectError::System)?;
        tracing::debug!(%peer, stream, slice_bytes, %backend, "sender started");
        let info = SenderInfo { stream, backend };
        Ok(Self {
            handover,
            pool,
            format: config.format,
            metadata_max,
            info,
            linger: config.linger,
            thread: Some(thread),
        })
    }

    /// A slot to write the next frame into, of the format's length; waits for one. In `latest`, frames that have not
    /// begun to leave are dropped for it, and counted as skipped. In `every` it waits without end while the receiver is away or
    /// refuses the stream: [`Sender::state`] tells, [`Sender::frame_timeout`] returns.
    ///
    /// # Errors
    /// The stream cannot go on. That it was refused is no error here.
    pub fn frame(&self) -> Result<FrameMut, SendError> {
        loop {
            if let Some(frame) = self.frame_timeout(Duration::from_secs(1))? {
                return Ok(frame);
            }
        }
    }

    /// As [`Sender::frame`], but waits at most `timeout`; then `None`. A camera that has waited for its interval calls
    /// [`Sender::skip`] for the picture it could not keep.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        let frame = match self.pool.try_acquire() {
            Some(frame) => Some(frame),
            None => {
                let wanted = self.handover.lock().slots_wanted(self.pool.held_count());
                self.pool.set_usable(wanted);
                self.pool.try_acquire().or_else(|| {
                    self.handover.make_room();
                    self.pool.acquire_timeout(timeout)
                })
            }
        };
        self.check_failure()?;
        // Its slots have the format's length.
        Ok(frame)
    }

    /// Sends a frame that [`Sender::frame`] gave; returns its number as soon as it is queued.
    ///
    /// # Errors
    /// The frame itself, with the reason: the stream cannot go on, or the frame has not the format's length, or is another
    /// sender's.
    pub fn send(&self, mut frame: FrameMut) -> Result<u64, NotSent> {
        if let Err(error) = check_frame(&frame, &self.pool, &self.format) {
            return Err(NotSent::new(error, frame));
        }
        if frame.info.captured == Time::ZERO {
            frame.info.captured = Time::now();
        }
        self.handover.push(frame, FrameMut::freeze).map_err(|(error, frame)| NotSent::new(error, frame))
    }

    /// Sends a frame that this process has from elsewhere, a received one for instance, without a copy: its slot is held until
    /// the receiver has it. Returns its number in this stream, which is not the frame's own. In `every` it waits while 64 frames wait.
    ///
    /// Its metadata goes with it, and its time where it has one of its own ([`Frame::has_own_time`]). The UTC of a live frame is what the
    /// clock of *this* machine makes of [`FrameInfo::captured`](crate::FrameInfo::captured).
    ///
    /// # Errors
    /// The stream cannot go on, or the frame has not the format's length, more metadata than the stream has room for, or gaps.
    pub fn send_shared(&self, frame: Frame) -> Result<u64, SendError> {
        check_length(frame.len(), &self.format)?;
        let (bytes, capacity) = (frame.tail().metadata_bytes(), self.metadata_max);
        if bytes > capacity {
            return Err(SendError::Metadata { bytes, capacity });
        }
        if !frame.is_complete() {
            return Err(SendError::Gaps { missing: frame.missing().map(|gap| gap.len()).sum() });
        }
        self.handover.push(frame, Frame::given_away).map_err(|(error, _)| error)
    }

    /// Counts a frame that the source had no slot for: it gets a number, which the receiver learns was skipped ([`SendStats::frames_skipped`],
    /// there [`SourceCounts::skipped`](crate::SourceCounts::skipped)), so that a gap in the numbers has a cause.
    /// In `every`, where the source waits instead, it does nothing.
    pub fn skip(&self) {
        self.handover.skip();
    }

    /// Waits until the stream is open.
    ///
    /// # Errors
    /// Refused, or not answered within `timeout`. The sender goes on trying all the same.
    pub fn wait_until_open(&self, timeout: Duration) -> Result<(), SendError> {
        self.handover.wait_for(timeout, |state| match state.figures().state {
            SendState::Open | SendState::Closed(_) => Some(Ok(())),
            SendState::Refused { reason, limit } => Some(Err(SendError::Refused { peer: state.peer, reason, limit })),
            SendState::Opening { .. } => None,
        })
    }

    /// Waits until every frame sent so far is settled at the receiver.
    ///
    /// # Errors
    /// Not settled within `timeout`, or the stream cannot go on.
    pub fn wait_until_settled(&self, timeout: Duration) -> Result<(), SendError> {
        self.handover.wait_for(timeout, |state| state.is_settled().then_some(Ok(())))
    }

    /// Closes the stream once every frame is settled, and says what became of them. For the sender's own counters, ask
    /// [`Sender::stats`] after [`Sender::close`] instead.
    ///
    /// # Errors
    /// The receiver has not confirmed within `timeout`, or the stream cannot go on.
    pub fn finish(self, timeout: Duration) -> Result<ClosedReport, SendError> {
        self.close(timeout)
    }

    /// As [`Sender::finish`], and the sender can still be asked for its counters afterwards. From then on no frame is taken
    /// ([`SendError::Closed`]), also where this fails; call it again to wait longer.
    ///
    /// # Errors
    /// As [`Sender::finish`].
    pub fn close(&self, timeout: Duration) -> Result<ClosedReport, SendError> {
        self.handover.wish(|wishes, _| wishes.close = true);
        self.handover.wait_for(timeout, |state| match state.figures().state {
            SendState::Closed(report) => Some(Ok(report)),
            SendState::Refused { reason, limit } => Some(Err(SendError::Refused { peer: state.peer, reason, limit })),
            _ => None,
        })
    }

    fn figures(&self) -> Figures {
        self.handover.lock().figures()
    }

    fn check_failure(&self) -> Result<(), SendError> {
        match &self.handover.lock().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// The receiver is ready at this address: sends there from now on, and asks at once where the stream is not open. It does so
    /// from the address that this machine has towards it by now, with a new socket where that is another one than before.
    pub fn redirect(&self, peer: SocketAddr) {
        let before = self.handover.lock().peer;
        if before != peer {
            tracing::info!(from = %before, to = %peer, "the receiver has moved");
        }
        self.handover.wish(|wishes, known| {
            *known = peer;
            wishes.redirect = Some(peer);
        });
    }

    /// Where the stream stands.
    pub fn state(&self) -> SendState {
        self.figures().state
    }

    /// What has happened so far, as the sending thread last published it; does not wait for it.
    pub fn stats(&self) -> SendStats {
        self.figures().stats
    }

    /// The shortest round trip of the last ten seconds, as answers on the data path measured it; before the first, 1 ms.
    pub fn round_trip(&self) -> Duration {
        self.figures().round_trip
    }

    /// The stream's id.
    pub fn stream(&self) -> u32 {
        self.info.stream
    }

    /// Bytes of a slice, header included. With [`SliceSize::Auto`] they become fewer where the path turns out not to carry
    /// so many, and more again where it does.
    pub fn slice_bytes(&self) -> u16 {
        self.figures().slice_bytes
    }

    /// What moves the datagrams.
    pub fn backend(&self) -> BackendKind {
        self.info.backend
    }

    /// The format of every frame.
    pub fn format(&self) -> &FrameFormat {
        &self.format
    }
}

impl Sender {
    /// Has what was sent arrive and the stream closed, as far as that is possible in the time there is.
    fn flush(&self) {
        let state = self.handover.lock();
        let has_something_to_say = match state.figures().state {
            SendState::Open => true,
            SendState::Opening { .. } => state.next_number() > 0,
            SendState::Refused { .. } | SendState::Closed(_) => false,
        };
        if self.linger.is_zero() || !has_something_to_say || state.is_closing() || state.failure.is_some() {
            return;
        }
        drop(state);
        self.handover.wish(|wishes, _| wishes.close = true);
        let closed = self.handover.wait_for(self.linger, |state| match state.figures().state {
            SendState::Closed(_) | SendState::Refused { .. } => Some(Ok(())),
            _ => None,
        });
        if let Err(error) = closed {
            tracing::warn!(stream = self.info.stream, %error, "a sender was dropped before its stream was closed");
        }
    }
}

/// Waits, at most [`SenderConfig::linger`], until the frames that were sent have arrived and the stream is closed.
impl Drop for Sender {
    fn drop(&mut self) {
        self.flush();
        self.handover.wish(|wishes, _| wishes.stop = true);
        self.handover.waker().wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}
