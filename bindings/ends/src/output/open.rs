//! The stream of an output once it has begun: what each of the three ways does with a frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_transport::crypto::Suite;
use framewire_transport::{
    FrameFormat, FrameMut, PublishedStream, RefuseReason, SendError, SendState, SendStats, Sender,
};

use super::options::OutputStats;
use crate::STEP;
use crate::error::{Class, Error};
use crate::joined::Joined;

/// The stream.
pub(super) enum Open {
    Sent(Sender),
    Joined(Joined),
    Published(PublishedStream),
}

/// What no sender counts.
#[derive(Default)]
pub(super) struct Counts {
    published: AtomicU64,
    published_bytes: AtomicU64,
    skipped: AtomicU64,
    pub(super) reordered: AtomicU64,
}

impl Open {
    pub(super) fn format(&self) -> &FrameFormat {
        match self {
            Self::Sent(sender) => sender.format(),
            Self::Joined(joined) => joined.format(),
            Self::Published(stream) => stream.format(),
        }
    }

    pub(super) fn slots_max(&self) -> usize {
        match self {
            Self::Sent(sender) => sender.slots_max(),
            Self::Joined(joined) => joined.taken().map_or(0, |sender| sender.slots_max()),
            Self::Published(stream) => stream.slots_max(),
        }
    }

    /// A slot that comes free within this time, or twice that where a server that is joined has yet to take the stream.
    pub(super) fn frame(&self, timeout: Duration) -> Result<Option<FrameMut>, Error> {
        Ok(match self {
            Self::Sent(sender) => sender.frame_timeout(timeout)?,
            // One step for both would be another's frame late.
            Self::Joined(joined) => match joined.sender(timeout)? {
                Some(sender) => sender.frame_timeout(timeout)?,
                None => None,
            },
            Self::Published(stream) => stream.frame_timeout(timeout)?,
        })
    }

    /// Returns the frame's number; `None` where it can be none of this stream's, which no server has taken.
    pub(super) fn send(&self, frame: FrameMut, counts: &Counts) -> Result<Option<u64>, Error> {
        Ok(Some(match self {
            Self::Sent(sender) => sender.send(frame)?,
            Self::Joined(joined) => match joined.sender(Duration::ZERO)? {
                Some(sender) => sender.send(frame)?,
                None => return Ok(None),
            },
            Self::Published(stream) => {
                let bytes = frame.len() as u64;
                let number = stream.send(frame)?;
                counts.published.fetch_add(1, Ordering::Relaxed);
                counts.published_bytes.fetch_add(bytes, Ordering::Relaxed);
                number
            }
        }))
    }

    pub(super) fn skip(&self, counts: &Counts) {
        let count = || {
            counts.skipped.fetch_add(1, Ordering::Relaxed);
        };
        match self {
            Self::Sent(sender) => sender.skip(),
            Self::Joined(joined) => match joined.taken() {
                Some(sender) => sender.skip(),
                None => count(),
            },
            Self::Published(stream) => {
                stream.skip();
                count();
            }
        }
    }

    /// Whether the receiver has opened it in time.
    pub(super) fn is_open_within(&self, timeout: Duration) -> Result<bool, Error> {
        match self {
            Self::Sent(sender) => told(sender.wait_until_open(timeout)),
            Self::Joined(joined) => joined_is(joined, timeout, |sender, left| sender.wait_until_open(left)),
            Self::Published(_) => Ok(true),
        }
    }

    /// Whether all that was sent is settled in time.
    pub(super) fn is_settled_within(&self, timeout: Duration) -> Result<bool, Error> {
        match self {
            Self::Sent(sender) => told(sender.wait_until_settled(timeout)),
            // Nothing has been sent.
            Self::Joined(joined) if joined.taken().is_none() => Ok(true),
            Self::Joined(joined) => joined_is(joined, timeout, |sender, left| sender.wait_until_settled(left)),
            Self::Published(_) => Ok(true),
        }
    }

    /// Whether the receiver has confirmed the end in time.
    pub(super) fn closes_within(&self, timeout: Duration, go_on: &mut dyn FnMut() -> bool) -> bool {
        match self {
            Self::Sent(sender) => closes_within(sender, timeout, go_on),
            // What has not been taken has sent nothing.
            Self::Joined(joined) => joined.taken().is_none_or(|sender| closes_within(&sender, timeout, go_on)),
            Self::Published(_) => true,
        }
    }

    /// Why it does not go on for now, where that is known.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::Sent(sender) => refusal(sender, |_| true),
            Self::Joined(joined) => joined
                .trouble()
                .or_else(|| joined.taken().and_then(|sender| refusal(&sender, |reason| !passes(reason)))),
            Self::Published(_) => None,
        }
    }

    /// What became of its frames; what is counted of arrays is not among it.
    pub(super) fn stats(&self, counts: &Counts) -> OutputStats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        match self {
            Self::Sent(sender) => counted_by(sender),
            Self::Joined(joined) => {
                let counted = joined.taken().map(|sender| counted_by(&sender)).unwrap_or_default();
                OutputStats { skipped: counted.skipped + count(&counts.skipped), ..counted }
            }
            Self::Published(stream) => OutputStats {
                sent: count(&counts.published),
                delivered: count(&counts.published),
                skipped: count(&counts.skipped),
                bytes: count(&counts.published_bytes),
                readers: stream.readers().len(),
                is_open: true,
                ..OutputStats::default()
            },
        }
    }
}

fn counted_by(sender: &Sender) -> OutputStats {
    let SendStats { frames, frames_delivered, frames_skipped, bytes, .. } = sender.stats();
    OutputStats {
        sent: frames,
        delivered: frames_delivered,
        skipped: frames_skipped,
        bytes,
        is_open: matches!(sender.state(), SendState::Open),
        protection: sender.protection().map(Suite::name),
        ..OutputStats::default()
    }
}

/// What a receiver says that refuses a stream, of reasons that are told.
fn refusal(sender: &Sender, is_told: impl Fn(RefuseReason) -> bool) -> Option<String> {
    if !matches!(sender.state(), SendState::Refused { .. }) {
        return None;
    }
    match sender.wait_until_open(Duration::ZERO) {
        Err(error @ SendError::Refused { reason, .. }) if reason.is_none_or(is_told) => Some(error.to_string()),
        _ => None,
    }
}

/// Whether something is so of a joined stream in time. A server that is back, and has not been told of the stream yet, does not know it: that passes.
fn joined_is(
    joined: &Joined,
    timeout: Duration,
    mut is_so: impl FnMut(&Sender, Duration) -> Result<(), SendError>,
) -> Result<bool, Error> {
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let left = deadline.map_or(STEP, |deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(sender) = joined.sender(left.min(STEP))? {
            match is_so(&sender, left.min(STEP)) {
                Err(SendError::Refused { reason: Some(reason), .. }) if passes(reason) => {
                    std::thread::sleep(left.min(STEP))
                }
                said => {
                    if told(said)? {
                        return Ok(true);
                    }
                }
            }
        }
        if left <= STEP && deadline.is_some() {
            return Ok(false);
        }
    }
}

/// Of a stream that the server has taken: it was started anew, and gives the stream another key in a moment.
fn passes(reason: RefuseReason) -> bool {
    matches!(reason, RefuseReason::Unknown | RefuseReason::WrongKey | RefuseReason::NoKeys)
}

/// Whether the receiver has confirmed the end in time.
fn closes_within(sender: &Sender, timeout: Duration, go_on: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match told(sender.close(left.min(STEP)).map(drop)) {
            Ok(true) => return true,
            Ok(false) if left > STEP => {}
            Ok(false) | Err(_) => return false,
        }
        if !go_on() {
            return false;
        }
    }
}

/// Whether it happened in time.
fn told(waited: Result<(), SendError>) -> Result<bool, Error> {
    match waited.map_err(Error::from) {
        Ok(()) => Ok(true),
        Err(error) if error.class == Class::Timeout => Ok(false),
        Err(error) => Err(error),
    }
}
