//! A stream that a relay sends on, as a program uses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::config::{RelayConfig, RelayStreamConfig, RelayTo};
use super::error::RelayError;
use super::post::{NewWatcher, Post, Task};
use super::watcher::{Watcher, WatcherShared};
use super::{Place, Places};
use crate::backend::{ConnectedSocket, headers_bytes};
use crate::clock::clock_id;
use crate::driver::sender::{ConnectError, SliceSize};
use crate::frame::{FrameRate, Presentation};
use crate::random::random_u32;
use crate::send::{Fec, REPORTED_BYTES_MIN, SendConfig};
use crate::wire::{Cut, DATAGRAM_MAX, Delivery, SLICE_BYTES_MIN};

/// A stream that is sent on. Dropping it ends it for its watchers, whose receivers are told.
pub struct RelayStream {
    id: u64,
    post: Arc<Post>,
    places: Arc<Places>,
    relay: RelayConfig,
    feed: Arc<Feed>,
}

/// What a stream's thread and the program share of it.
pub(super) struct Feed {
    pub(super) config: RelayStreamConfig,
    frames: AtomicU64,
    gaps: AtomicU64,
    unfit: AtomicU64,
    ended: AtomicBool,
}

/// What has come of a stream that is sent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStreamStats {
    /// Frames that came from its consumer and were handed to its watchers.
    pub frames: u64,
    /// Frames that did not: numbers that are missing between those that came, and that its watchers are told were skipped.
    pub missing: u64,
    /// Of these, frames that came and could not be sent on: with gaps, with more metadata than was said, or not of the format.
    pub unfit: u64,
}

impl Feed {
    /// So many numbers were missing before a frame that came.
    pub(super) fn count(&self, missing: u64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.gaps.fetch_add(missing, Ordering::Relaxed);
    }

    /// One came that cannot be sent on.
    pub(super) fn count_unfit(&self) {
        self.unfit.fetch_add(1, Ordering::Relaxed);
    }

    /// No frame follows.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl RelayStream {
    pub(super) fn new(
        post: Arc<Post>,
        places: Arc<Places>,
        relay: RelayConfig,
        config: RelayStreamConfig,
    ) -> (Self, Arc<Feed>) {
        let feed = Arc::new(Feed {
            config,
            frames: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            unfit: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        (Self { id: places.next_id(), post, places, relay, feed: feed.clone() }, feed)
    }

    /// Gives the thread something to do.
    ///
    /// # Errors
    /// There is no thread any more.
    pub(super) fn tell(&self, task: impl FnOnce(u64) -> Task) -> Result<(), RelayError> {
        self.post.put(task(self.id)).then_some(()).ok_or(RelayError::Stopped)
    }

    /// Sends it to a receiver, too, from the next frame on, until the [`Watcher`] is dropped. The stream is opened there as any is: nothing but openings
    /// leaves before the receiver has taken it, and they are repeated until it does, in time twice a second. Each has a number that nobody can guess, so that only who is sent
    /// them takes it: at an address that never asked for the stream, nothing else arrives.
    ///
    /// # Errors
    /// [`RelayError::Ended`], [`RelayError::Stopped`], [`RelayError::TooMany`]; [`RelayError::Connect`] where there is no socket towards the address, slices cannot be of the
    /// size, or the stream would leave this machine in plain text without that having been said.
    pub fn add(&self, peer: SocketAddr, to: RelayTo) -> Result<Watcher, RelayError> {
        if self.feed.ended.load(Ordering::Acquire) {
            return Err(RelayError::Ended);
        }
        let decided = self.relay.protection.decide(to.key.is_some(), peer);
        let is_protected = decided.map_err(|why| ConnectError::undecided(why, peer))?;
        let place = Place::take(&self.places).ok_or(RelayError::TooMany { max: self.places.max })?;
        let socket = ConnectedSocket::connect(peer).map_err(|source| ConnectError::Socket { peer, source })?;
        let config = self.send_config(&socket, &to, is_protected)?;
        let (id, shared) = (self.places.next_id(), WatcherShared::new(config.slice_bytes));
        let RelayTo { key, frames_per_second_max, link, stream, .. } = to;
        let watcher = Watcher::new((self.id, id), stream, peer, self.post.clone(), shared.clone());
        tracing::debug!(%peer, stream, slice_bytes = config.slice_bytes, "a watcher is added");
        let new = NewWatcher { stream: self.id, id, socket, config, key, frames_per_second_max, link, shared, place };
        self.tell(|_| Task::Watcher(Box::new(new)))?;
        Ok(watcher)
    }

    /// How its subscriber is made.
    fn send_config(
        &self,
        socket: &ConnectedSocket,
        to: &RelayTo,
        is_protected: bool,
    ) -> Result<SendConfig, ConnectError> {
        let (peer, stream) = (socket.peer(), &self.feed.config);
        let tail_max = stream.tail_max();
        let slice_bytes = match to.slice {
            // The system may know the path from a report, which may be forged.
            SliceSize::Auto => socket.path_datagram_bytes().max(usize::from(REPORTED_BYTES_MIN)),
            SliceSize::Bytes(bytes) if !(SLICE_BYTES_MIN..=DATAGRAM_MAX).contains(&usize::from(bytes)) => {
                return Err(ConnectError::SliceBytes(bytes));
            }
            SliceSize::Bytes(bytes) => bytes.into(),
        };
        // No slice is longer than a whole frame. The format was checked: a frame fits 32 bits.
        let cut = Cut::new(stream.format.frame_bytes() as u32 + u32::from(tail_max), SLICE_BYTES_MIN);
        let longest = if is_protected { cut.tagged() } else { cut }.largest_slice();
        let slice_bytes = slice_bytes.clamp(SLICE_BYTES_MIN, longest) as u16;
        let is_loopback = peer.ip().to_canonical().is_loopback();
        Ok(SendConfig {
            // At most 48.
            headers_bytes: headers_bytes(peer) as u16,
            slice_is_fixed: to.slice != SliceSize::Auto,
            fec: if to.fec == Fec::Auto && is_loopback { Fec::Off } else { to.fec },
            presentation: thinned(stream.presentation, to.frames_per_second_max),
            spreads: !is_loopback,
            // A queue's frames are repaired for as long as they may wait.
            deadline: if to.delivery == Delivery::Every { QUEUE_DEADLINE } else { Duration::ZERO },
            tail_max,
            clock_id: clock_id(to.stream),
            ..SendConfig::new(to.stream, random_u32(), stream.format, to.delivery, slice_bytes)
        })
    }

    /// Whether no frame follows: its source has ended, or its relay has.
    pub fn has_ended(&self) -> bool {
        // The thread lets go of what they share where it ends, however that is.
        self.feed.ended.load(Ordering::Acquire) || Arc::strong_count(&self.feed) == 1
    }

    /// What has come so far.
    pub fn stats(&self) -> RelayStreamStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Feed { frames, gaps, unfit, .. } = &*self.feed;
        RelayStreamStats { frames: read(frames), missing: read(gaps), unfit: read(unfit) }
    }
}

/// How long a frame is repaired for a watcher who asked for all of them, of a stream that itself may lose some.
const QUEUE_DEADLINE: Duration = Duration::from_millis(500);

/// What the source says of its pictures, with no more of them a second.
fn thinned(presentation: Presentation, most: Option<FrameRate>) -> Presentation {
    let slower = most.filter(|most| presentation.rate.is_none_or(|rate| most.as_f64() < rate.as_f64()));
    if slower.is_some() { presentation.rate(slower) } else { presentation }
}

impl Drop for RelayStream {
    fn drop(&mut self) {
        // Without a thread it is over.
        let _ = self.tell(|id| Task::EndStream { id });
    }
}
