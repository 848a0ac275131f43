//! Whether the receiver is still there, and still knows us: what is asked before it is taken for gone.

use std::time::Duration;

use super::{SILENCE_MAX, Subscriber};
use crate::send::config::{ClosedReport, SendState};
use crate::time::Time;

/// What says that the receiver does not know us may be forged, or late; the receiver is asked, and contradicts it within three round
/// trips, or this, unless it is true.
const DOUBT_MIN: Duration = Duration::from_millis(20);

/// A word that anyone may have said, and that a living receiver contradicts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    since: Time,
    /// For our address, which the receiver may know another one of.
    cookie: Option<u64>,
}

impl Subscriber {
    /// Asks a receiver that may be gone; if it says nothing, the stream begins anew.
    pub(super) fn doubt(&mut self, cookie: Option<u64>, now: Time) {
        match &mut self.doubted {
            Some(doubt) if doubt.since >= self.heard => doubt.cookie = cookie.or(doubt.cookie),
            doubted => {
                *doubted = Some(Doubt { since: now, cookie });
                self.due = now;
            }
        }
    }

    /// When a receiver that is in doubt is taken for gone.
    pub(super) fn doubt_ends(&self) -> Time {
        let doubt = self.doubted.filter(|doubt| doubt.since >= self.heard);
        doubt.map_or(Time::MAX, |doubt| doubt.since + (self.way.round_trip() * 3).max(DOUBT_MIN))
    }

    /// The receiver in doubt has not answered.
    pub(super) fn believe_doubt(&mut self, now: Time) {
        let cookie = self.doubted.and_then(|doubt| doubt.cookie);
        if self.is_only_closing() && cookie.is_none() {
            // It knows nothing of the stream, and there is nothing left that it should know.
            let delivered = self.stats.frames_delivered;
            self.state = SendState::Closed(ClosedReport { delivered, is_forgotten: true, ..ClosedReport::default() });
            return;
        }
        self.restart(now);
        if let Some(cookie) = cookie {
            self.way = self.way.anew();
            self.cookie = cookie;
        }
    }

    /// Whether nothing is left but to hear that the close has been heard: a receiver that is silent need not open the stream again
    /// for that.
    pub(super) fn is_only_closing(&self) -> bool {
        self.close_sent && self.outbox.is_empty()
    }

    /// When a silent receiver is taken for gone.
    pub(super) fn silence_ends(&self) -> Time {
        if self.is_only_closing() { Time::MAX } else { self.heard + SILENCE_MAX }
    }
}
