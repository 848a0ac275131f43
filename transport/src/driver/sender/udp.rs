//! The way by datagrams: a thread that moves what the protocol core wants out, and a pool of this process's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::config::{SenderConfig, SliceSize};
use super::error::{ConnectError, NotSent, SendError};
use super::handover::Handover;
use super::path::PathChoice;
use super::way::{Carried, Moment, Standing, Way};
use crate::backend::{BackendKind, ConnectedSocket, Waker, headers_bytes, wall_clock};
use crate::clock::clock_id;
use crate::crypto::Key;
use crate::driver::send_loop;
use crate::frame::{Frame, FrameMut, FramePool};
use crate::send::{ClosedReport, Fec, Pace, Publication, REPORTED_BYTES_MIN, SendConfig, SendState, slots_ready};
use crate::time::Time;
use crate::wire::{Cut, DATAGRAM_MAX, PathKind, SLICE_BYTES_MIN};

/// Brings one stream to one receiver by UDP.
pub(super) struct UdpWay {
    handover: Arc<Handover>,
    pool: FramePool,
    backend: BackendKind,
    thread: Option<JoinHandle<()>>,
}

/// Refuses what no datagram can be, and a protection that contradicts the key.
///
/// # Errors
/// Slices of a size that cannot be; a key that is not to be used, or none where there is to be one.
pub(super) fn check(config: &SenderConfig) -> Result<(), ConnectError> {
    let by_shm = config.path == PathChoice::Shm;
    // Where the receiver is does not matter for what contradicts itself.
    let anywhere = config.protection.decide(config.key.is_some(), (Ipv4Addr::LOCALHOST, 0).into());
    if let Some(why) = anywhere.err().filter(|_| !by_shm) {
        return Err(ConnectError::undecided(why, (Ipv4Addr::LOCALHOST, 0).into()));
    }
    match config.slice {
        SliceSize::Bytes(bytes) if !(SLICE_BYTES_MIN..=DATAGRAM_MAX).contains(&usize::from(bytes)) => {
            Err(ConnectError::SliceBytes(bytes))
        }
        _ => Ok(()),
    }
}

impl UdpWay {
    /// Begins to open the stream, under `key` if there is one; its first frame has the number `first`. `on_change` is called on the
    /// sending thread when the stream has become open, or was and is not any more.
    ///
    /// # Errors
    /// No memory, socket or thread; or the stream would leave this machine in plain text without that having been said.
    pub(super) fn start(
        peer: SocketAddr,
        config: &SenderConfig,
        key: Option<Key>,
        (stream, first, epoch): (u32, u64, u32),
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, ConnectError> {
        let decided = config.protection.decide(key.is_some(), peer);
        let is_protected = decided.map_err(|why| ConnectError::undecided(why, peer))?;
        let socket = ConnectedSocket::connect(peer).map_err(|source| ConnectError::Socket { peer, source })?;
        let slice_bytes = match config.slice {
            // The system may know the path from a report, which may be forged.
            SliceSize::Auto => socket.path_datagram_bytes().max(usize::from(REPORTED_BYTES_MIN)),
            SliceSize::Bytes(bytes) => usize::from(bytes),
        };
        let tail_max = config.tail_max();
        let frame_bytes = config.format.frame_bytes() + tail_max;
        // No slice is longer than a whole frame. The format was checked: a frame fits 32 bits, and no slice is longer than a datagram.
        let cut = Cut::new(u32::try_from(frame_bytes).unwrap_or(u32::MAX), SLICE_BYTES_MIN);
        let longest = if is_protected { cut.tagged() } else { cut }.largest_slice();
        let slice_bytes = slice_bytes.clamp(SLICE_BYTES_MIN, longest) as u16;
        let pool = FramePool::with_spares(config.slots, slots_ready(frame_bytes), frame_bytes)?;
        let pool = pool.with_format(config.format, tail_max);
        let fec = match config.fec {
            Fec::Auto if peer.ip().is_loopback() => Fec::Off,
            fec => fec,
        };
        let publication =
            Publication::new(config.format, config.delivery).with_tails(tail_max as u16).beginning_at(first);
        let mut subscriber = publication.subscribe(
            SendConfig {
                stream,
                epoch,
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
        if let Some(key) = key {
            subscriber.protect(key, Time::now());
        }
        subscriber.set_utc(wall_clock::compare());
        if let Some(link) = &config.link {
            subscriber.set_link(link.clone());
        }
        let waker = Waker::new().map_err(ConnectError::System)?;
        let handover = Handover::new(&subscriber, config.delivery, peer, waker).telling_of_changes(on_change);
        let handover = Arc::new(handover);
        let (backend, thread) = send_loop::start(socket, config, (publication, subscriber), handover.clone())
            .map_err(ConnectError::System)?;
        tracing::debug!(%peer, stream, slice_bytes, %backend, "sender started");
        Ok(Self { handover, pool, backend, thread: Some(thread) })
    }

    fn check_failure(&self) -> Result<(), SendError> {
        match &self.handover.lock().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}

impl Way for UdpWay {
    fn path(&self) -> PathKind {
        PathKind::Udp
    }

    fn backend(&self) -> BackendKind {
        self.backend
    }

    fn pool(&self) -> &FramePool {
        &self.pool
    }

    fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
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

    fn send(&self, frame: FrameMut) -> Result<u64, NotSent> {
        self.handover.push(frame, FrameMut::freeze).map_err(|(error, frame)| NotSent::new(error, frame))
    }

    fn send_shared(&self, frame: Frame) -> Result<u64, (SendError, Frame)> {
        self.handover.push(frame, Frame::given_away)
    }

    fn skip(&self, count: u64) -> bool {
        self.handover.skip(count)
    }

    /// It is begun where its first number is known.
    fn begin_at(&self, _number: u64) {}

    fn wait(&self, moment: Moment, timeout: Duration) -> Result<ClosedReport, SendError> {
        self.handover.wait_for(timeout, |state| {
            let peer = state.peer;
            match (moment, state.figures().state) {
                (Moment::Settled, _) => state.is_settled().then(|| Ok(ClosedReport::default())),
                (_, SendState::Closed(report)) => Some(Ok(report)),
                (Moment::Open, SendState::Open) => Some(Ok(ClosedReport::default())),
                (_, SendState::Refused { reason, limit }) => Some(Err(SendError::Refused { peer, reason, limit })),
                _ => None,
            }
        })
    }

    fn close(&self) {
        self.handover.wish(|wishes, _| wishes.close = true);
    }

    fn redirect(&self, peer: SocketAddr) {
        self.handover.wish(|wishes, known| {
            *known = peer;
            wishes.redirect = Some(peer);
        });
    }

    fn set_key(&self, key: Key) {
        self.handover.wish(|wishes, _| wishes.key = Some(key));
    }

    fn set_pace(&self, pace: Pace) {
        self.handover.wish(|wishes, _| wishes.pace = Some(pace));
    }

    fn standing(&self) -> Standing {
        let state = self.handover.lock();
        let figures = state.figures();
        Standing {
            state: figures.state,
            stats: figures.stats,
            round_trip: figures.round_trip,
            slice_bytes: figures.slice_bytes,
            protection: figures.suite,
            next_number: state.next_number(),
            failed: state.failure.is_some(),
        }
    }

    fn is_retired(&self) -> bool {
        self.handover.lock().is_retired()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn pause(&self) -> Option<u64> {
        self.handover.pause()
    }

    fn resume(&self) {
        self.handover.wish(|wishes, _| wishes.pause = Some(false));
    }

    fn stop(&self) {
        self.handover.stop();
    }

    /// Only while the stream is not open: where it is, it stays.
    fn retire(&self) -> Option<Carried> {
        self.handover.leave()
    }
}

impl Drop for UdpWay {
    fn drop(&mut self) {
        self.handover.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}
