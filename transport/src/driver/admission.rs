//! Whom a receiver opens a stream for, decided before anything is allocated.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use crate::frame::FrameFormat;
use crate::receive::{Reassembler, parity_store_bytes};
use crate::time::Time;
use crate::wire::{Open, RefuseReason};

/// Which streams a receiver opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Any, up to the limits.
    #[default]
    Anyone,
    /// Only those announced by [`super::Receiver::announce`]; openings of others are refused.
    Announced,
}

/// Cookies change with this period; one is good for this one and the next.
const COOKIE_PERIOD: Duration = Duration::from_secs(30);

/// Cookies show that an address can hear us. They are computed, not stored: an opening from an address that has not
/// proved itself leaves nothing behind.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    /// SipHash under a random key.
    key: RandomState,
}

impl Cookies {
    pub(super) fn cookie(&self, peer: SocketAddr, stream: u32, now: Time) -> u64 {
        self.of_period(peer, stream, Self::period(now))
    }

    pub(super) fn is_good(&self, cookie: u64, peer: SocketAddr, stream: u32, now: Time) -> bool {
        let period = Self::period(now);
        [period, period.wrapping_sub(1)].into_iter().any(|period| cookie == self.of_period(peer, stream, period))
    }

    fn period(now: Time) -> u64 {
        now.as_nanos() / COOKIE_PERIOD.as_nanos() as u64
    }

    fn of_period(&self, peer: SocketAddr, stream: u32, period: u64) -> u64 {
        // Zero means "no cookie yet".
        self.key.hash_one((peer, stream, period)).max(1)
    }
}

/// An opening as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) open: Open,
    /// Bytes of its whole datagram.
    pub(super) open_bytes: usize,
    pub(super) peer: SocketAddr,
}

impl Opening {
    pub(super) const fn id(&self) -> OpeningId {
        OpeningId { stream: self.open.stream, epoch: self.open.epoch, peer: self.peer }
    }
}

/// What an opening and its repetitions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpeningId {
    pub(super) stream: u32,
    pub(super) epoch: u32,
    pub(super) peer: SocketAddr,
}

/// An opening that was repeated before its answer came may wait in the listening socket this long, while the stream that it
/// opened has come and gone. A sender that means to open the stream again has a new epoch, or repeats itself beyond this.
const REPETITION_MAX: Duration = Duration::from_secs(1);
/// Streams whose end is remembered.
const ENDED_MAX: usize = 256;

/// Openings of streams that have ended lately.
#[derive(Debug, Default)]
pub(super) struct Ended {
    openings: VecDeque<(OpeningId, Time)>,
}

impl Ended {
    pub(super) fn note(&mut self, opening: OpeningId, now: Time) {
        if self.openings.len() == ENDED_MAX {
            self.openings.pop_front();
        }
        self.openings.push_back((opening, now));
    }

    /// Whether a stream has ended a moment ago: its sender may not know.
    pub(super) fn is_recent(&self, stream: u32, now: Time) -> bool {
        self.openings.iter().any(|(ended, at)| ended.stream == stream && now.since(*at) < REPETITION_MAX)
    }

    /// Whether the opening is a repetition of one whose stream is over.
    pub(super) fn is_repetition(&self, opening: OpeningId, now: Time) -> bool {
        self.openings.iter().any(|(ended, at)| *ended == opening && now.since(*at) < REPETITION_MAX)
    }
}

/// What bounds the memory that senders can make a receiver take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) streams: usize,
    pub(super) stream_bytes: usize,
    pub(super) slots: usize,
}

/// Checks an opening; `announced` is `None` where anyone may come.
pub(super) fn admit(
    open: &Open,
    limits: Limits,
    streams_open: usize,
    announced: Option<&HashMap<u32, FrameFormat>>,
) -> Result<FrameFormat, (RefuseReason, u64)> {
    let format = open.format().map_err(|_| (RefuseReason::Format, 0))?;
    open.presentation().map_err(|_| (RefuseReason::Format, 0))?;
    open.delivery().map_err(|_| (RefuseReason::Format, 0))?;
    if let Some(announced) = announced {
        let expected = announced.get(&open.stream).ok_or((RefuseReason::Unknown, 0))?;
        if *expected != format {
            return Err((RefuseReason::Format, 0));
        }
    }
    if streams_open >= limits.streams {
        return Err((RefuseReason::TooManyStreams, limits.streams as u64));
    }
    let slice_bytes = usize::from(open.slice_bytes);
    let slots = Reassembler::slot_bytes(open.frame_bytes, slice_bytes).checked_mul(limits.slots);
    let bytes = slots.and_then(|bytes| bytes.checked_add(parity_store_bytes(open.parity_max, slice_bytes)));
    if bytes.is_none_or(|bytes| bytes > limits.stream_bytes) {
        return Err((RefuseReason::FrameTooLarge, limits.stream_bytes as u64));
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_address_and_stream_and_a_while() {
        let cookies = Cookies::default();
        let (peer, other) = ("10.0.0.1:5".parse().unwrap(), "10.0.0.2:5".parse().unwrap());
        let now = Time::from_nanos(7) + COOKIE_PERIOD * 10;
        let cookie = cookies.cookie(peer, 3, now);
        assert!(cookies.is_good(cookie, peer, 3, now));
        assert!(cookies.is_good(cookie, peer, 3, now + COOKIE_PERIOD));
        assert!(!cookies.is_good(cookie, peer, 3, now + COOKIE_PERIOD * 2));
        assert!(!cookies.is_good(cookie, other, 3, now));
        assert!(!cookies.is_good(cookie, peer, 4, now));
        assert!(!Cookies::default().is_good(cookie, peer, 3, now));
    }

    #[test]
    fn a_repeated_opening_of_a_stream_that_is_over_is_known_for_a_while_and_a_new_epoch_is_not_one() {
        let opening = OpeningId { stream: 3, epoch: 7, peer: "10.0.0.1:5".parse().unwrap() };
        let now = Time::from_nanos(7);
        let mut ended = Ended::default();
        assert!(!ended.is_repetition(opening, now));
        ended.note(opening, now);
        assert!(ended.is_repetition(opening, now + REPETITION_MAX / 2));
        assert!(!ended.is_repetition(opening, now + REPETITION_MAX));
        for other in [
            OpeningId { stream: 4, ..opening },
            OpeningId { epoch: 8, ..opening },
            OpeningId { peer: "10.0.0.1:6".parse().unwrap(), ..opening },
        ] {
            assert!(!ended.is_repetition(other, now));
        }
        for _ in 0..2 * ENDED_MAX {
            ended.note(OpeningId { stream: 4, ..opening }, now);
        }
        assert!(ended.openings.len() <= ENDED_MAX);
    }
}
