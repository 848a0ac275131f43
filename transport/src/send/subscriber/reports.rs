//! What the system and the network report of the way to the receiver, and how far it is believed.

use std::time::Duration;

use super::{Subscriber, train};
use crate::send::config::SendState;
use crate::send::path::next_lower;
use crate::time::Time;
use crate::wire::SLICE_BYTES_MIN;

/// So often what the network reports is asked about: anyone who knows the ports can forge a report.
const REPORTS_APART: Duration = Duration::from_millis(20);
/// Slices do not become smaller than this for a report of the network alone: what every IPv6 path carries, less the headers.
pub(crate) const REPORTED_BYTES_MIN: u16 = 1_232;

impl Subscriber {
    /// The system itself refuses datagrams of the slices' size, time and again, and what it knows the path to carry.
    pub fn handle_too_large(&mut self, path_bytes: Option<usize>, now: Time) {
        if self.is_of_larger(now) {
            return;
        }
        let slice_bytes = self.config.slice_bytes;
        match path_bytes {
            // What was too large are earlier slices; those of now are tried again.
            Some(known) if known >= usize::from(slice_bytes) => self.path.doubt(),
            Some(known) => {
                // It may know so from a report. From here on only an interface refuses a size.
                let least = if slice_bytes > REPORTED_BYTES_MIN { usize::from(REPORTED_BYTES_MIN) } else { 0 };
                let known = known.max(least);
                // It is below 65,507, so it fits.
                self.lower_slices((known >= SLICE_BYTES_MIN).then_some(known as u16), now);
            }
            None => self.lower_slices(next_lower(slice_bytes), now),
        }
    }

    /// The network reports that it does not carry so large a datagram, and how large a one. The size has to be proven anew; where it
    /// is not, slices become as small as reported, or as the next that is tried.
    pub fn handle_narrow_report(&mut self, path_bytes: Option<usize>, now: Time) {
        if self.state != SendState::Open || self.is_of_larger(now) || now < self.next_report {
            return;
        }
        self.next_report = now + REPORTS_APART;
        let reported = path_bytes.and_then(|bytes| u16::try_from(bytes).ok());
        self.reported_bytes = reported.filter(|bytes| *bytes >= REPORTED_BYTES_MIN);
        self.path.doubt();
        self.due = now;
    }

    /// Whether what was too large is a ping of a larger size than the slices', most likely: that size is not tried any more for a
    /// while, and the slices are not doubted.
    fn is_of_larger(&mut self, now: Time) -> bool {
        let Some(verdict) = self.path.handle_larger_refused(now) else { return false };
        self.handle_verdict(verdict, now);
        true
    }

    /// The network reports that nobody listens at the receiver's address: that is asked there.
    pub fn handle_unreachable(&mut self, now: Time) {
        if self.state == SendState::Open && now >= self.next_report && !self.is_only_closing() {
            self.next_report = now + REPORTS_APART;
            self.doubt(None, now);
        }
    }

    /// When the receiver was heard last; `None` once it has nothing more to say.
    pub fn heard(&self) -> Option<Time> {
        (!matches!(self.state, SendState::Closed(_))).then_some(self.heard)
    }

    /// Another way leads to the receiver from now on, from another address of this machine or to another one of it: nothing is
    /// known of the path there, and what was said before may have been taken for another sender's. `headers_bytes` are those of
    /// IP and UDP on it, see [`SendConfig::headers_bytes`](crate::send::SendConfig::headers_bytes).
    pub fn handle_redirect(&mut self, headers_bytes: u16, now: Time) {
        if matches!(self.state, SendState::Closed(_)) {
            return;
        }
        self.config.headers_bytes = headers_bytes;
        self.pacer = self.pacer.for_slices(self.config.slice_bytes, headers_bytes, train(&self.config));
        self.way = self.way.anew();
        self.is_blocked = false;
        // It was said of the path before.
        self.reported_bytes = None;
        self.path.handle_other_path(now);
        self.restart(now);
    }

    /// The last datagram of [`Subscriber::poll_transmit`] did not leave.
    pub fn handle_not_sent(&mut self) {
        self.path.handle_not_sent();
        self.ping_owed |= std::mem::take(&mut self.ping_was_first);
    }
}
