//! How large the slices are that the path carries: one of that size must have arrived before slices are sent.
//!
//! What asks for an answer (an opening, a ping) is sent padded to the slice's size and bare in turn, and an answer tells how
//! long the datagram was that it answers. Where bare ones are answered time and again and padded ones never, the path drops
//! what is so large, and says nothing of it.
//!
//! Paths become wider again, too. Some time after slices have become smaller, pings are padded to the next larger size, and where
//! that arrives to the one above it; slices then take the largest that did.

use std::time::Duration;

use crate::time::Time;
use crate::wire::SLICE_BYTES_MIN;

/// Padded datagrams that must vanish, with bare ones answered after each, before the path counts as too narrow for them. On
/// a path that loses a tenth of everything at random, that happens once in 800 openings.
const LOST_MAX: u32 = 4;
/// The same where there is no smaller size to go on with, and the stream fails.
const LOST_MAX_AT_LAST: u32 = 40;
/// Sizes to try in turn, header included: Ethernet with large frames, Ethernet, a tunnel through it, the least of IPv6 and of
/// IPv4; each less the headers in front of a slice.
const LADDER: [u16; 5] = [8_952, 1_452, 1_372, 1_232, SLICE_BYTES_MIN as u16];
/// How often larger slices are tried: a path that is wide again is used within twice that.
const GROW_AFTER: Duration = Duration::from_secs(30);
/// Where a size fails again soon after slices had taken it, each pause is twice as long as the one before, up to this.
const GROW_AFTER_MAX: Duration = Duration::from_secs(600);
/// A size that has carried slices for so long has not failed soon.
const GROWN_FOR: Duration = Duration::from_secs(300);

/// The next smaller slice size to try, header included; `None` where every path carries these already.
pub(super) fn next_lower(slice_bytes: u16) -> Option<u16> {
    LADDER.into_iter().find(|lower| *lower < slice_bytes)
}

/// The next larger one, at most `most`; `None` where slices are as large as they may be.
fn next_higher(slice_bytes: u16, most: u16) -> Option<u16> {
    let higher = LADDER.into_iter().rev().find(|higher| *higher > slice_bytes).unwrap_or(most);
    (slice_bytes < most).then_some(higher.min(most))
}

/// What an answer says of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing new.
    None,
    /// The next ping will say more.
    AskOn,
    /// It is too narrow for the slices.
    Narrow,
    /// It carries slices of this size, which are larger.
    Wide(u16),
}

/// What is known of one size, and of those above it.
#[derive(Debug)]
pub(super) struct PathProbe {
    slice_bytes: u16,
    is_proven: bool,
    /// A padded datagram was sent and has not been answered.
    is_outstanding: bool,
    lost: u32,
    lost_max: u32,
    next_is_padded: bool,
    search: Search,
}

/// The search for a larger size.
#[derive(Debug)]
struct Search {
    /// What the stream began with: slices never become larger.
    most: u16,
    /// The largest size that was seen to arrive in this search.
    carried: Option<u16>,
    /// A ping padded to the size above was sent and has not been answered.
    is_outstanding: bool,
    /// When the first bare one after it was sent.
    bare: Option<Time>,
    lost: u32,
    /// When it begins.
    due: Time,
    pause: Duration,
    /// When slices last became larger.
    grown: Option<Time>,
}

impl PathProbe {
    /// `has_lower` tells whether there is a smaller size to go on with.
    pub(super) fn new(slice_bytes: u16, has_lower: bool) -> Self {
        let search = Search {
            most: slice_bytes,
            carried: None,
            is_outstanding: false,
            bare: None,
            lost: 0,
            due: Time::ZERO,
            pause: GROW_AFTER,
            grown: None,
        };
        let lost_max = if has_lower { LOST_MAX } else { LOST_MAX_AT_LAST };
        Self::of(slice_bytes, lost_max, search)
    }

    fn of(slice_bytes: u16, lost_max: u32, search: Search) -> Self {
        let is_proven = usize::from(slice_bytes) <= SLICE_BYTES_MIN;
        Self { slice_bytes, is_proven, is_outstanding: false, lost: 0, lost_max, next_is_padded: true, search }
    }

    /// Slices are smaller from now on.
    pub(super) fn handle_lowered(&mut self, slice_bytes: u16, now: Time) {
        let Search { most, pause, grown, .. } = self.search;
        let pause = match grown {
            Some(grown) if now.since(grown) < GROWN_FOR => (pause * 2).min(GROW_AFTER_MAX),
            // It went further down after that.
            None if pause > GROW_AFTER => pause,
            _ => GROW_AFTER,
        };
        let search = Search { due: now + pause, pause, grown: None, ..Self::new(most, true).search };
        *self = Self::of(slice_bytes, LOST_MAX, search);
    }

    /// Slices are larger from now on, of a size that was seen to arrive.
    pub(super) fn handle_grown(&mut self, slice_bytes: u16, now: Time) {
        let Search { most, pause, .. } = self.search;
        let search = Search { due: now + pause, pause, grown: Some(now), ..Self::new(most, true).search };
        *self = Self { is_proven: true, ..Self::of(slice_bytes, LOST_MAX, search) };
    }

    /// Another path: nothing is known of it, and it may be wider.
    pub(super) fn handle_other_path(&mut self, now: Time) {
        let search = Search { due: now, ..Self::new(self.search.most, true).search };
        *self = Self::of(self.slice_bytes, self.lost_max, search);
    }

    /// Whether a datagram of this size has arrived.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Asks for new proof, unless that is being done.
    pub(super) fn doubt(&mut self) {
        if self.is_proven {
            self.is_proven = usize::from(self.slice_bytes) <= SLICE_BYTES_MIN;
            (self.is_outstanding, self.lost, self.next_is_padded) = (false, 0, true);
            self.search.is_outstanding = false;
        }
    }

    /// The length to send an opening with, which has `len` bytes of fields.
    pub(super) fn pad(&mut self, len: usize) -> usize {
        let is_padded = !self.is_proven && self.next_is_padded;
        self.next_is_padded = !is_padded;
        if !is_padded {
            return len;
        }
        self.is_outstanding = true;
        len.max(usize::from(self.slice_bytes))
    }

    /// The length to send a ping with, which has `len` bytes of fields.
    pub(super) fn pad_ping(&mut self, len: usize, now: Time) -> usize {
        let Some(size) = self.sought(now).filter(|_| self.is_proven) else { return self.pad(len) };
        let is_padded = std::mem::replace(&mut self.next_is_padded, false);
        if is_padded {
            (self.search.is_outstanding, self.search.bare) = (true, None);
            return len.max(usize::from(size));
        }
        if self.search.is_outstanding {
            self.search.bare.get_or_insert(now);
        } else {
            self.next_is_padded = true;
        }
        len
    }

    /// The size that is sought, once it is time for that.
    fn sought(&self, now: Time) -> Option<u16> {
        let Search { most, carried, due, .. } = self.search;
        next_higher(carried.unwrap_or(self.slice_bytes), most).filter(|_| now >= due)
    }

    /// The last datagram did not leave: it says nothing of the path.
    pub(super) fn handle_not_sent(&mut self) {
        self.is_outstanding = false;
        self.search.is_outstanding = false;
    }

    /// A datagram was too large: that of a larger size, if one is on its way, and then the search is over. `None` where none is.
    pub(super) fn handle_larger_refused(&mut self, now: Time) -> Option<Verdict> {
        let is_searching = self.is_proven && self.search.is_outstanding;
        is_searching.then(|| self.search.end(now))
    }

    /// Takes in an answer to a datagram of `path_bytes`; 0 where it answers none.
    pub(super) fn hear(&mut self, path_bytes: u16, round_trip: Duration, now: Time) -> Verdict {
        if path_bytes >= self.slice_bytes {
            self.is_proven = true;
        } else if !self.is_proven && path_bytes > 0 && std::mem::take(&mut self.is_outstanding) {
            self.lost += 1;
            self.next_is_padded = true;
        }
        if !self.is_proven {
            return if self.lost >= self.lost_max { Verdict::Narrow } else { Verdict::None };
        }
        match self.sought(now) {
            Some(size) if self.search.is_outstanding && path_bytes > 0 => {
                self.hear_of_larger(size, path_bytes, round_trip, now)
            }
            _ => Verdict::None,
        }
    }

    /// The same, while a ping of the larger `size` is on its way.
    fn hear_of_larger(&mut self, size: u16, path_bytes: u16, round_trip: Duration, now: Time) -> Verdict {
        let search = &mut self.search;
        let arrived = path_bytes >= size;
        // What comes before a bare one can have been answered speaks of pings before both.
        if !arrived && search.bare.is_none_or(|bare| now < bare + round_trip) {
            return Verdict::None;
        }
        (search.is_outstanding, self.next_is_padded) = (false, true);
        if arrived {
            (search.carried, search.lost) = (Some(size), 0);
            if next_higher(size, search.most).is_some() {
                return Verdict::AskOn;
            }
        } else {
            search.lost += 1;
            if search.lost < LOST_MAX {
                return Verdict::AskOn;
            }
        }
        search.end(now)
    }
}

impl Search {
    /// Ends until it is time for the next one; what has arrived is taken.
    fn end(&mut self, now: Time) -> Verdict {
        (self.is_outstanding, self.lost, self.due) = (false, 0, now + self.pause);
        self.carried.take().map_or(Verdict::None, Verdict::Wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    /// Answers to bare and padded pings over a path that carries so much, until it is clear what it carries.
    fn search(probe: &mut PathProbe, path: usize, mut now: Time) -> (Verdict, Vec<usize>) {
        let mut sent = Vec::new();
        for _ in 0..64 {
            let len = probe.pad_ping(72, now);
            sent.push(len);
            now = now + ROUND_TRIP;
            if len > path {
                continue;
            }
            match probe.hear(len as u16, ROUND_TRIP, now) {
                Verdict::None if probe.sought(now).is_none() => return (Verdict::None, sent),
                Verdict::None | Verdict::AskOn => {}
                verdict => return (verdict, sent),
            }
        }
        panic!("no end to it: {sent:?}");
    }

    #[test]
    fn a_size_is_proven_by_an_answer_and_given_up_after_four_that_had_none() {
        let mut probe = PathProbe::new(9_000, true);
        let hear = |probe: &mut PathProbe, bytes| probe.hear(bytes, ROUND_TRIP, Time::ZERO) == Verdict::Narrow;
        for lost in 1..=LOST_MAX {
            assert_eq!((probe.pad(60), probe.pad(60)), (9_000, 60));
            assert!(!hear(&mut probe, 0));
            assert_eq!(hear(&mut probe, 60), lost == LOST_MAX);
            // The same answer twice says nothing new.
            assert_eq!(hear(&mut probe, 60), lost == LOST_MAX);
        }
        let mut probe = PathProbe::new(9_000, true);
        assert_eq!(probe.pad(60), 9_000);
        assert!(!hear(&mut probe, 9_000) && probe.is_proven());
        assert_eq!((probe.pad(60), probe.pad(60)), (60, 60));
        probe.doubt();
        assert!(!probe.is_proven() && probe.pad(60) == 9_000);
    }

    #[test]
    fn what_did_not_leave_is_not_missed() {
        let mut probe = PathProbe::new(9_000, true);
        for _ in 0..2 * LOST_MAX {
            assert_eq!(probe.pad(60), 9_000);
            probe.handle_not_sent();
            assert_eq!(probe.pad(60), 60);
            assert_eq!(probe.hear(60, ROUND_TRIP, Time::ZERO), Verdict::None);
        }
    }

    #[test]
    fn every_size_has_a_smaller_one_down_to_what_every_path_carries_and_the_way_up_is_the_same() {
        let mut sizes = vec![65_507];
        while let Some(lower) = next_lower(sizes[sizes.len() - 1]) {
            sizes.push(lower);
        }
        assert_eq!(sizes, [65_507, 8_952, 1_452, 1_372, 1_232, 548]);
        for pair in sizes.windows(2) {
            assert_eq!(next_higher(pair[1], 65_507), Some(pair[0]));
        }
        assert_eq!((next_higher(1_452, 1_472), next_higher(1_472, 1_472)), (Some(1_472), None));
        assert!(PathProbe::new(548, false).is_proven());
    }

    #[test]
    fn slices_that_were_never_larger_are_not_tried_larger() {
        let mut probe = PathProbe::new(1_472, true);
        probe.pad(76);
        probe.hear(1_472, ROUND_TRIP, at(0));
        assert!((0..1_000).all(|second| probe.pad_ping(72, at(second)) == 72));
    }

    #[test]
    fn the_largest_size_that_arrives_is_found_in_one_search() {
        for (path, found) in [
            (65_507, Verdict::Wide(65_507)),
            (9_000, Verdict::Wide(8_952)),
            (1_400, Verdict::Wide(1_372)),
            (1_300, Verdict::None),
        ] {
            let mut probe = PathProbe::new(65_507, true);
            probe.handle_lowered(1_232, at(0));
            probe.hear(1_232, ROUND_TRIP, at(0));
            assert_eq!(probe.pad_ping(72, at(29)), 72);
            let (verdict, sent) = search(&mut probe, path, at(30));
            assert_eq!(verdict, found, "{path}: {sent:?}");
            let in_vain = sent.iter().filter(|len| **len > path).count();
            assert_eq!(in_vain, if path == 65_507 { 0 } else { LOST_MAX as usize }, "{path}: {sent:?}");
            // And no more until it is time again.
            if verdict == Verdict::None {
                assert!((31..59).all(|second| probe.pad_ping(72, at(second)) == 72));
                assert_eq!(search(&mut probe, 65_507, at(61)).0, Verdict::Wide(65_507));
            }
        }
    }

    #[test]
    fn a_larger_size_that_the_network_or_the_interface_refuses_ends_the_search_and_doubts_no_slice() {
        let mut probe = PathProbe::new(8_952, true);
        assert_eq!(probe.handle_larger_refused(at(0)), None);
        probe.handle_lowered(1_372, at(0));
        probe.hear(1_372, ROUND_TRIP, at(0));
        assert_eq!(probe.handle_larger_refused(at(29)), None, "nothing larger is on its way");
        assert_eq!(probe.pad_ping(72, at(30)), 1_452);
        assert_eq!(probe.hear(1_452, ROUND_TRIP, at(30)), Verdict::AskOn);
        assert_eq!(probe.pad_ping(72, at(30)), 8_952);
        assert_eq!(probe.handle_larger_refused(at(30)), Some(Verdict::Wide(1_452)));
        assert!(probe.is_proven() && probe.pad_ping(72, at(59)) == 72);
    }

    #[test]
    fn an_answer_that_was_under_way_before_the_bare_ping_is_no_sign_of_a_loss() {
        let mut probe = PathProbe::new(65_507, true);
        probe.handle_lowered(1_232, at(0));
        probe.hear(1_232, ROUND_TRIP, at(0));
        let far = Duration::from_millis(50);
        assert_eq!(probe.pad_ping(72, at(30)), 1_372);
        for millis in 1..50 {
            probe.pad_ping(72, at(30) + Duration::from_millis(millis));
            assert_eq!(probe.hear(72, far, at(30) + Duration::from_millis(millis)), Verdict::None);
        }
        assert_eq!(probe.hear(1_372, far, at(30) + far), Verdict::AskOn);
    }

    #[test]
    fn a_size_that_fails_again_and_again_is_tried_less_and_less_often() {
        let mut probe = PathProbe::new(8_952, true);
        let (mut now, mut grown) = (at(0), 0);
        probe.handle_lowered(1_452, now);
        while now < at(3_600) {
            probe.hear(1_452, ROUND_TRIP, now);
            now = now + Duration::from_secs(1);
            if probe.sought(now).is_some() {
                assert_eq!(search(&mut probe, 9_000, now).0, Verdict::Wide(8_952));
                probe.handle_grown(8_952, now);
                grown += 1;
                // It carries pings, and no slices.
                now = now + Duration::from_secs(2);
                probe.handle_lowered(1_452, now);
            }
        }
        // After 30, 60, 120, 240, 480 s, and then each 600.
        assert_eq!(grown, 9);
        // One that holds is tried soon after the next time.
        now = now + GROW_AFTER_MAX;
        probe.hear(1_452, ROUND_TRIP, now);
        probe.handle_grown(8_952, now);
        probe.handle_lowered(1_452, now + GROWN_FOR);
        probe.hear(1_452, ROUND_TRIP, now);
        assert!(probe.sought(now + GROWN_FOR + GROW_AFTER).is_some());
    }
}
