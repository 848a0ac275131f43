//! The sending end as a program uses it.

mod between;
mod config;
mod error;
pub(super) mod handover;
mod keeper;
#[cfg_attr(not(target_os = "linux"), path = "sender/no_local.rs")]
mod local;
mod path;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod trouble;
mod udp;
pub(crate) mod way;
mod ways;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use self::config::{SenderConfig, SliceSize, SliceSizeError};
pub use self::error::{ConnectError, NotSent, SendError};
pub(super) use self::error::{check_frame, check_length};
pub use self::path::{PathChoice, PathChoiceError};
use self::trouble::{Trouble, Troubles};
use self::way::Moment;
use self::ways::Ways;
use crate::backend::BackendKind;
use crate::crypto::{Key, Suite};
use crate::driver::protection::Protection;
use crate::frame::{Frame, FrameFormat, FrameMut, FramePool, TIME_BYTES};
use crate::random::random_u32;
use crate::send::{Bitrate, ClosedReport, Pace, SendState, SendStats};
use crate::share::{IN_FLIGHT_MAX, Invitation};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::PathKind;

/// Sends the frames of one stream to one receiver, on a thread of its own. Opens the stream by itself, and again after the receiver was
/// gone: only [`Sender::close`], [`Sender::finish`] and dropping it end that.
///
/// Every frame is three calls: [`frame`](Self::frame) gives memory, the program writes into it, [`send`](Self::send) takes it and returns at once.
/// All of them take `&self`, so that several threads may share a sender. The example `own_source` sends as a camera does, `send_file` as a
/// file.
///
/// Where the receiver is on this machine and shares its streams, the memory is the receiver's own, and nothing is copied
/// ([`SenderConfig::path`](struct@SenderConfig#structfield.path)). What can be sent by no shared memory goes by UDP, and goes on there where shared memory fails.
pub struct Sender {
    ways: Arc<Ways>,
    format: FrameFormat,
    /// Bytes of metadata that a frame may have.
    metadata_max: usize,
    linger: Duration,
    /// The thread that chooses the way, where there is a choice.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Sender {
    /// Makes a sender and begins to open the stream; returns before it is open.
    ///
    /// # Errors
    /// A number of the configuration is out of range; no memory, socket or thread. That nobody is at `peer` is no error here:
    /// [`Sender::wait_until_open`] tells.
    pub fn connect(peer: SocketAddr, config: SenderConfig) -> Result<Self, ConnectError> {
        keeper::check(&config)?;
        let tail_max = config.tail_max();
        FramePool::bytes(config.slots, config.format.frame_bytes() + tail_max)?;
        let stream = config.stream.unwrap_or_else(random_u32);
        let sender = Self {
            format: config.format,
            metadata_max: tail_max.saturating_sub(TIME_BYTES),
            linger: config.linger,
            ways: Arc::new(Ways::new(peer, config, stream).map_err(ConnectError::System)?),
            keeper: Mutex::new(None),
        };
        let is_local = keeper::may_be_local(&sender.ways);
        let found = is_local.then(|| keeper::knock(&sender.ways)).transpose();
        let door = found.unwrap_or_else(|trouble| {
            let is_told = sender.ways.config.path == PathChoice::Shm || !matches!(trouble, Trouble::Nobody(_));
            if is_told {
                sender.ways.note_trouble(trouble);
            }
            None
        });
        if door.is_none() && sender.ways.config.path != PathChoice::Shm {
            let (way, peer) = keeper::by_datagrams(&sender.ways)?;
            sender.ways.go_on_with(way, peer);
        }
        if is_local {
            let thread = keeper::start(sender.ways.clone(), door).map_err(ConnectError::System)?;
            *unpoisoned(sender.keeper.lock()) = Some(thread);
        }
        Ok(sender)
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
        self.ways.frame_timeout(timeout)
    }

    /// Sends a frame that [`Sender::frame`] gave; returns its number as soon as it is queued. One that was given before the stream changed its
    /// way is copied once.
    ///
    /// # Errors
    /// The frame itself, with the reason: the stream cannot go on, or the frame has not the format's length, or is another
    /// sender's.
    pub fn send(&self, mut frame: FrameMut) -> Result<u64, NotSent> {
        if let Err(error) = check_length(frame.len(), &self.format) {
            // Whose it is comes first.
            let error = if self.ways.has_given(&frame) { error } else { SendError::Foreign };
            return Err(NotSent::new(error, frame));
        }
        if frame.info.captured == Time::ZERO {
            frame.info.captured = Time::now();
        }
        self.ways.send(frame)
    }

    /// Sends a frame that this process has from elsewhere, a received one for instance, without a copy: its slot is held until
    /// the receiver has it. By shared memory it is copied once, into the receiver's slot. Returns its number in this stream, which is not the frame's own. In `every` it waits while 64 frames wait.
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
        self.ways.send_shared(frame)
    }

    /// Counts a frame that the source had no slot for: it gets a number, which the receiver learns was skipped ([`SendStats::frames_skipped`],
    /// there [`SourceCounts::skipped`](crate::SourceCounts::skipped)), so that a gap in the numbers has a cause.
    /// In `every`, where the source waits instead, it does nothing.
    pub fn skip(&self) {
        self.ways.skip();
    }

    /// Waits until the stream is open.
    ///
    /// # Errors
    /// Refused, or not answered within `timeout`. The sender goes on trying all the same.
    pub fn wait_until_open(&self, timeout: Duration) -> Result<(), SendError> {
        self.ways.wait_for(Moment::Open, timeout).map(drop)
    }

    /// Waits until every frame sent so far is settled at the receiver.
    ///
    /// # Errors
    /// Not settled within `timeout`, or the stream cannot go on.
    pub fn wait_until_settled(&self, timeout: Duration) -> Result<(), SendError> {
        self.ways.wait_for(Moment::Settled, timeout).map(drop)
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
        self.ways.close();
        self.ways.wait_for(Moment::Closed, timeout)
    }

    /// The receiver is ready at this address: sends there from now on, and asks at once where the stream is not open. It does so
    /// from the address that this machine has towards it by now, with a new socket where that is another one than before.
    /// What was said of where the receiver shares its streams is kept where the address stays, and forgotten where it is another.
    pub fn redirect(&self, peer: SocketAddr) {
        let state = self.ways.lock();
        // Of another receiver nothing is known.
        let invitation = state.invitation.clone().filter(|_| state.peer == peer);
        drop(state);
        self.redirect_with(peer, invitation);
    }

    /// The same, of a receiver that has said where it shares its streams, or that it shares none (`None`).
    pub fn redirect_with(&self, peer: SocketAddr, invitation: impl Into<Option<Invitation>>) {
        let mut state = self.ways.lock();
        state.invitation = invitation.into();
        let before = std::mem::replace(&mut state.peer, peer);
        if before != peer {
            tracing::info!(from = %before, to = %peer, "the receiver has moved");
        }
        let way = state.way().cloned();
        // Of a way by shared memory, only another receiver is another end; the keeper sees to that.
        state.redirected |= before != peer || way.as_ref().is_none_or(|way| way.path() == PathKind::Udp);
        drop(state);
        if let Some(way) = way {
            way.redirect(peer);
        }
        let mut keeper = unpoisoned(self.keeper.lock());
        if keeper.is_none() && keeper::may_be_local(&self.ways) {
            match keeper::start(self.ways.clone(), None) {
                Ok(thread) => *keeper = Some(thread),
                Err(error) => tracing::warn!(%error, "no thread to look for shared memory; the stream stays with UDP"),
            }
        }
        self.ways.tell_keeper();
    }

    /// The receiver has this key for the stream from now on: a server that was started anew has made another one. Where it is not
    /// the one at present, the stream begins anew under it, and what is on its way goes once more. With [`Protection::Off`] it is let be, and the
    /// log says so; by shared memory it is kept for the case that the stream comes to go by datagrams.
    pub fn set_key(&self, key: Key) {
        if self.ways.config.protection == Protection::Off {
            tracing::warn!(
                stream = self.ways.stream,
                "a key was given to a stream that is not to be protected; it is not used"
            );
            return;
        }
        let mut state = self.ways.lock();
        state.key = Some(key.clone());
        let way = state.way().cloned();
        drop(state);
        if let Some(way) = way {
            way.set_key(key);
        }
        self.ways.tell_keeper();
    }

    /// Sends so from now on, whatever was said before; also after the receiver has moved ([`Sender::redirect`]). By shared memory it says nothing, and holds where the
    /// stream comes to go by datagrams.
    pub fn set_pace(&self, pace: Pace) {
        let mut state = self.ways.lock();
        state.pace = pace;
        let way = state.way().cloned();
        drop(state);
        if let Some(way) = way {
            way.set_pace(pace);
        }
    }

    /// Sends no faster than this from now on, IP and UDP headers included, or as fast as its link carries (`None`). The rest of its [`Pace`] stays as it is.
    pub fn set_rate_max(&self, rate_max: Option<Bitrate>) {
        self.set_pace(self.pace().rate_max(rate_max));
    }

    /// What [`Sender::set_pace`] set.
    pub fn pace(&self) -> Pace {
        self.ways.lock().pace
    }

    /// Where the stream stands.
    pub fn state(&self) -> SendState {
        self.ways.standing().state
    }

    /// What has happened so far, as the sending thread last published it; does not wait for it.
    pub fn stats(&self) -> SendStats {
        self.ways.standing().stats
    }

    /// The shortest round trip of the last ten seconds, as answers on the data path measured it; before the first, and by shared memory, 1 ms.
    pub fn round_trip(&self) -> Duration {
        self.ways.standing().round_trip
    }

    /// The stream's id.
    pub fn stream(&self) -> u32 {
        self.ways.stream
    }

    /// Bytes of a slice, header included; 0 by shared memory. With [`SliceSize::Auto`] they become fewer where the path turns out not to carry
    /// so many, and more again where it does.
    pub fn slice_bytes(&self) -> u16 {
        self.ways.standing().slice_bytes
    }

    /// The cipher that the stream is protected by; `None` where it is plain, by shared memory, and while it is not open.
    pub fn protection(&self) -> Option<Suite> {
        self.ways.standing().protection
    }

    /// What moves the datagrams; [`BackendKind::Auto`] where there are none.
    pub fn backend(&self) -> BackendKind {
        self.ways.known_way().map_or(BackendKind::Auto, |way| way.backend())
    }

    /// The way that the frames take at present. Before the stream has one, that which is tried.
    pub fn path(&self) -> PathKind {
        self.ways.known_way().map_or(PathKind::Shm, |way| way.path())
    }

    /// Why the stream does not go by shared memory although that was tried, or asked for: what came first since it last went that way, and the
    /// latest where something else came after it. `None` where it does, and where it was not.
    pub fn path_trouble(&self) -> Option<String> {
        let state = self.ways.lock();
        state.trouble.as_ref().map(Troubles::words)
    }

    /// The most slots that the program may have to write into, and frames that are on their way, all together: [`SenderConfig::slots`], and by shared
    /// memory what a receiver grants at most.
    pub fn slots_max(&self) -> usize {
        match self.path() {
            PathKind::Shm => IN_FLIGHT_MAX,
            _ => self.ways.config.slots,
        }
    }

    /// The format of every frame.
    pub fn format(&self) -> &FrameFormat {
        &self.format
    }
}

impl Sender {
    /// Has what was sent arrive and the stream closed, as far as that is possible in the time there is.
    fn flush(&self) {
        let standing = self.ways.standing();
        let has_something_to_say = match standing.state {
            SendState::Open => true,
            SendState::Opening { .. } => standing.next_number > 0,
            SendState::Refused { .. } | SendState::Closed(_) => false,
        };
        if self.linger.is_zero() || !has_something_to_say || self.ways.lock().closing || standing.failed {
            return;
        }
        self.ways.close();
        match self.ways.wait_for(Moment::Closed, self.linger) {
            Ok(_) | Err(SendError::Refused { .. }) => {}
            Err(error) => {
                tracing::warn!(stream = self.ways.stream, %error, "a sender was dropped before its stream was closed");
            }
        }
    }
}

/// Waits, at most [`SenderConfig::linger`], until the frames that were sent have arrived and the stream is closed.
impl Drop for Sender {
    fn drop(&mut self) {
        self.flush();
        self.ways.stop();
        let keeper = unpoisoned(self.keeper.lock()).take();
        if let Some(keeper) = keeper
            && keeper.join().is_err()
        {
            tracing::error!("the thread that chooses a sender's way panicked");
        }
        // Here, and not on a thread that the way itself waits for.
        drop(self.ways.take_way());
    }
}
