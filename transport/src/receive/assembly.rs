//! A frame while its slices come in.

use std::time::Duration;

use crate::frame::{FrameInfo, Tail};
use crate::time::Time;
use crate::utc::UtcOffset;

/// A frame being put together in the place of the same index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assembly {
    pub(super) number: u64,
    /// Its bytes, what follows the pixels included.
    pub(super) bytes: u32,
    /// What follows the pixels.
    pub(super) tail: Tail,
    /// Its slices.
    pub(super) count: u32,
    pub(super) arrived: u32,
    /// One more than the highest slice that has arrived, or was restored.
    pub(super) cursor: u32,
    pub(super) captured_ns: u64,
    pub(super) sent_after: Duration,
    /// Slices of it came because they were asked for.
    pub(super) is_repaired: bool,
    /// Slices of it were restored from parity.
    pub(super) is_restored: bool,
    pub(super) begun: Time,
    /// When the newest slice of it arrived.
    pub(super) progressed: Time,
}

impl Assembly {
    /// When it is given up if nothing new comes, in `latest`.
    pub(super) fn given_up_at(&self, deadline: Duration) -> Time {
        self.progressed + deadline.max(self.progressed.since(self.begun) / 4)
    }

    /// Whether a datagram of it says of its length what the first one did.
    pub(super) fn is_so_long(&self, bytes: u32, tail: u16) -> bool {
        (bytes, tail) == (self.bytes, self.tail.to_wire())
    }

    /// Bytes of its pixels: at least one.
    pub(super) fn pixel_bytes(&self) -> usize {
        self.bytes as usize - self.tail.bytes()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.arrived == self.count
    }

    /// Whether slices are missing before one that has arrived.
    pub(super) fn has_gaps(&self) -> bool {
        self.arrived < self.cursor
    }

    /// What is known of the frame, `now` that it is handed on.
    pub(super) fn info(&self, now: Time, near: &impl Fn(u64) -> Option<Time>, utc: Option<UtcOffset>) -> FrameInfo {
        let captured = near(self.captured_ns);
        // A time of its own, if it has one, is read where it lies; what the clock showed is another.
        let utc = utc.filter(|_| !self.tail.has_time());
        FrameInfo {
            number: self.number,
            captured: captured.unwrap_or(Time::ZERO),
            captured_there: Time::from_nanos(self.captured_ns),
            sent: captured.map(|captured| captured + self.sent_after),
            begun: self.begun,
            completed: now,
            latency: captured.map(|captured| now.since(captured)),
            captured_utc: utc.and_then(|utc| utc.at(self.captured_ns)),
            utc_error: utc.and_then(|utc| utc.error),
        }
    }
}
