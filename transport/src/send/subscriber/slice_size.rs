//! How large slices are: they become smaller where the path turns out to be narrow, and larger again where it is wide.

use super::{DRAIN_MAX, Subscriber, train};
use crate::send::config::SendState;
use crate::send::path::{Verdict, next_lower};
use crate::send::repair::RepairBudget;
use crate::time::Time;
use crate::wire::{Cut, Delivery};

impl Subscriber {
    /// Takes in how long the datagram was that is being answered. True where the path is too narrow: a new epoch began.
    pub(super) fn hear_of_path(&mut self, path_bytes: u16, now: Time) -> bool {
        let verdict = self.path.hear(path_bytes, self.way.round_trip(), now);
        if self.path.is_proven() {
            // What the network reported was wrong, or is not so any more.
            self.reported_bytes = None;
        }
        self.handle_verdict(verdict, now)
    }

    /// As [`Subscriber::hear_of_path`], for what was made of an answer, or of the lack of one.
    pub(super) fn handle_verdict(&mut self, verdict: Verdict, now: Time) -> bool {
        match verdict {
            Verdict::None => {}
            Verdict::AskOn => self.due = now,
            Verdict::Wide(_) if self.closing => {}
            Verdict::Wide(slice_bytes) => self.wider = Some((slice_bytes, now)),
            Verdict::Narrow => {
                let slice_bytes = self.config.slice_bytes;
                let reported = self.reported_bytes.take().filter(|reported| *reported < slice_bytes);
                self.lower_slices(reported.or(next_lower(slice_bytes)), now);
                return true;
            }
        }
        false
    }

    /// Goes on with smaller slices: frames that are not settled are cut anew.
    pub(super) fn lower_slices(&mut self, slice_bytes: Option<u16>, now: Time) {
        match slice_bytes {
            Some(slice_bytes) if !self.config.slice_is_fixed => {
                self.cut_slices(slice_bytes, now);
                self.path.handle_lowered(slice_bytes, now);
            }
            _ => self.is_blocked = true,
        }
    }

    /// Goes on with larger slices, where the path was found to carry them: in `every` at once, for what is not settled is sent
    /// again; in `latest` between two frames, for what is on its way would be lost.
    pub(super) fn grow_slices(&mut self, now: Time) {
        let Some((slice_bytes, since)) = self.wider else { return };
        let is_between = self.config.delivery == Delivery::Every || self.outbox.on_the_way() == 0;
        if self.state == SendState::Open && (is_between || now.since(since) >= DRAIN_MAX) {
            self.cut_slices(slice_bytes, now);
            self.path.handle_grown(slice_bytes, now);
        }
    }

    /// Begins a new epoch with slices of another size.
    fn cut_slices(&mut self, slice_bytes: u16, now: Time) {
        self.config.slice_bytes = slice_bytes;
        self.restart_from_here(now);
        self.cut_anew();
    }

    /// Frames are cut in another way from now on, in which nothing of them has been sent.
    pub(super) fn cut_anew(&mut self) {
        self.outbox.cut_anew(self.config.cut());
        self.pacer = self.pacer.for_slices(self.config.slice_bytes, self.config.headers_bytes, train(&self.config));
        if self.budget.is_some() {
            self.budget = Some(RepairBudget::new(self.config.cut().slices()));
        }
    }

    /// How the frames of this epoch are cut.
    pub fn cut(&self) -> Cut {
        self.config.cut()
    }

    /// Bytes of a slice, header included, in this epoch.
    pub fn slice_bytes(&self) -> u16 {
        self.config.slice_bytes
    }

    /// Whether the path carries no slices as small as they may be: there is no way on.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }
}
