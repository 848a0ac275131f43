//! When each frame of one file was taken, in UTC, so that the times of the file never go back.
//!
//! A picture that has a time of its own keeps it to the nanosecond. All others have the sender's UTC of the first of them and the distance
//! on the sender's monotonic clock: whoever sets the wall clock while a stream runs moves no frame.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use framewire_process::lock::lock;
use framewire_transport::Time;
use framewire_transport::frame::Frame;

use crate::recorded::taken;

/// A picture that was taken a little before the one that came before it keeps its run: frames overtake each other.
const DISORDER_MAX: Duration = Duration::from_secs(1);
/// A sender's clock that leaps further ahead than the frames came apart is another clock. A sender that stood still for longer than this
/// looks the same, and loses nothing: its UTC says as much.
const LEAP_MAX: Duration = Duration::from_secs(3_600);

/// What is known of when a frame was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// UTC by its source, in nanoseconds since 1970: the time of its place in a file.
    pub(crate) own_ns: Option<u64>,
    /// UTC by its sender's wall clock, in nanoseconds since 1970.
    pub(crate) utc_ns: u64,
    /// On its sender's monotonic clock.
    pub(crate) there: Time,
    /// When it had arrived, on this machine's monotonic clock.
    pub(crate) arrived: Time,
}

impl Moment {
    /// Of a frame that has just arrived. Where its sender does not say what its wall clock showed, this machine's stands for it.
    pub(crate) fn of(frame: &Frame) -> Self {
        let info = frame.info();
        let utc_ns = nanos(frame.captured_utc().unwrap_or_else(|| arrival(info.completed)));
        let own_ns = frame.has_own_time().then_some(utc_ns);
        Self { own_ns, utc_ns, there: taken(frame), arrived: info.completed }
    }
}

/// When that was by this machine's wall clock; now, of a frame that has not travelled.
fn arrival(completed: Time) -> SystemTime {
    let since = if completed == Time::ZERO { Duration::ZERO } else { Time::now().since(completed) };
    SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Since 1970; a time before that is 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Where one run of a sender's monotonic clock lies in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    utc_ns: u64,
    there: Time,
}

/// What the files of one stream have in common: their times count from the same moment.
pub(crate) type SharedAnchor = Arc<Mutex<SharedRun>>;

/// The run of the sender that was the last to begin.
#[derive(Debug, Default)]
pub(crate) struct SharedRun(Option<Anchor>);

/// Gives the frames of one file their times, which never go back.
#[derive(Debug)]
pub(crate) struct Timeline {
    shared: SharedAnchor,
    anchor: Option<Anchor>,
    /// The frame before, and its time.
    last: Option<(Moment, u64)>,
    /// What is added to the frames' own times since these began again: a file that is sent in a loop goes on.
    shift_ns: u64,
}

impl Timeline {
    /// Of a file that has no frame yet.
    pub(crate) fn new(shared: &SharedAnchor) -> Self {
        Self { shared: shared.clone(), anchor: lock(shared).0, last: None, shift_ns: 0 }
    }

    /// The next frame's UTC, in nanoseconds since 1970.
    pub(crate) fn place(&mut self, moment: Moment) -> u64 {
        let utc_ns = match moment.own_ns {
            Some(own_ns) => self.place_own(own_ns, moment),
            None => self.place_by_clock(moment),
        };
        self.last = Some((moment, utc_ns));
        utc_ns
    }

    fn place_own(&mut self, own_ns: u64, moment: Moment) -> u64 {
        let Some((before, last_ns)) = self.last else { return own_ns };
        if own_ns >= last_ns {
            self.shift_ns = 0;
            return own_ns;
        }
        let shifted_ns = own_ns.saturating_add(self.shift_ns);
        if self.shift_ns > 0 && shifted_ns >= last_ns {
            return shifted_ns;
        }
        // Its source has begun again, or has changed the order of two pictures.
        let is_disorder = u128::from(last_ns - own_ns) <= DISORDER_MAX.as_nanos();
        let distance = if is_disorder { Duration::ZERO } else { moment.there.since(before.there) };
        let utc_ns = later(last_ns, distance);
        self.shift_ns = utc_ns - own_ns;
        utc_ns
    }

    fn place_by_clock(&mut self, moment: Moment) -> u64 {
        let last_ns = self.last.map_or(0, |(_, last_ns)| last_ns);
        let anchor = match self.anchor {
            Some(anchor) if !self.is_another_run(anchor, moment) => anchor,
            _ => {
                let anchor = Anchor { utc_ns: moment.utc_ns.max(last_ns), there: moment.there };
                self.anchor = Some(anchor);
                lock(&self.shared).0 = Some(anchor);
                anchor
            }
        };
        later(anchor.utc_ns, moment.there.since(anchor.there)).max(last_ns)
    }

    /// Whether its sender's monotonic clock is another one than that of the frames before.
    fn is_another_run(&self, anchor: Anchor, moment: Moment) -> bool {
        // The first of a later part is measured by where the run began.
        let Some((before, _)) = self.last.filter(|(before, _)| before.own_ns.is_none()) else {
            return anchor.there.since(moment.there) > DISORDER_MAX;
        };
        let arrived_after = moment.arrived.since(before.arrived);
        before.there.since(moment.there) > DISORDER_MAX
            || moment.there.since(before.there) > arrived_after.saturating_add(LEAP_MAX)
    }
}

fn later(utc_ns: u64, distance: Duration) -> u64 {
    utc_ns.saturating_add(u64::try_from(distance.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * SECOND;
    const NOW: u64 = 1_764_000_000 * SECOND;

    /// Live, taken at a moment of a clock that began when the machine did.
    fn live(there_ns: u64, utc_ns: u64) -> Moment {
        Moment { own_ns: None, utc_ns, there: Time::from_nanos(there_ns), arrived: Time::from_nanos(there_ns + 500) }
    }

    /// Out of a file, sent at a moment.
    fn own(own_ns: u64, there_ns: u64) -> Moment {
        Moment { own_ns: Some(own_ns), ..live(there_ns, NOW + there_ns) }
    }

    fn place(moments: impl IntoIterator<Item = Moment>) -> Vec<u64> {
        let mut timeline = Timeline::new(&SharedAnchor::default());
        moments.into_iter().map(|moment| timeline.place(moment)).collect()
    }

    #[test]
    fn a_wall_clock_that_is_set_by_an_hour_while_a_stream_runs_moves_no_frame() {
        for step in [NOW + HOUR, NOW - HOUR] {
            let times = place([live(5, NOW + 5), live(38, step + 38), live(71, NOW + 71), live(104, step + 104)]);
            assert_eq!(times, [NOW + 5, NOW + 38, NOW + 71, NOW + 104]);
        }
    }

    #[test]
    fn a_run_whose_clock_begins_elsewhere_goes_on_behind_by_its_own_wall_clock() {
        let later_utc = NOW + 20 * SECOND;
        let times = place([live(100 * SECOND, NOW), live(3, later_utc), live(36, NOW)]);
        assert_eq!(times, [NOW, later_utc, later_utc + 33], "a machine that was started anew");
        let times = place([live(100 * SECOND, NOW), live(3, NOW - HOUR), live(36, NOW)]);
        assert_eq!(times, [NOW, NOW, NOW + 33], "its wall clock is late");
        let ahead = Moment { arrived: Time::from_nanos(SECOND), ..live(900 * HOUR, later_utc) };
        assert_eq!(place([live(5, NOW), ahead]), [NOW, later_utc], "a machine that has run for longer");
    }

    #[test]
    fn frames_that_overtake_each_other_and_a_sender_that_stood_still_are_no_other_run() {
        assert_eq!(place([live(40, NOW), live(7, NOW), live(41, NOW)]), [NOW, NOW, NOW + 1]);
        let still = Moment { arrived: Time::from_nanos(HOUR), ..live(HOUR, NOW) };
        assert_eq!(place([live(0, NOW), still]), [NOW, NOW + HOUR]);
    }

    #[test]
    fn a_frames_own_time_is_kept_whatever_speed_it_is_sent_at_and_a_loop_goes_on_behind() {
        let fast = place([own(0, 10), own(33 * SECOND, 11), own(66 * SECOND, 12)]);
        assert_eq!(fast, [0, 33 * SECOND, 66 * SECOND]);
        let looped =
            [own(0, 10), own(5 * SECOND, 11), own(0, 31), own(5 * SECOND, 32), own(0, 41), own(4 * SECOND, 42)];
        let ends = 5 * SECOND + 20;
        let again = ends + 5 * SECOND + 9;
        assert_eq!(place(looped), [0, 5 * SECOND, ends, ends + 5 * SECOND, again, again + 4 * SECOND]);
        assert_eq!(place([own(10, 1), own(9, 2), own(11, 3)]), [10, 10, 11], "two pictures in another order");
    }

    #[test]
    fn parts_of_a_recording_count_from_the_same_moment() {
        let shared = SharedAnchor::default();
        assert_eq!(Timeline::new(&shared).place(live(5, NOW)), NOW);
        assert_eq!(Timeline::new(&shared).place(live(45, NOW + HOUR)), NOW + 40);
        let mut after = Timeline::new(&shared);
        assert_eq!(after.place(live(10 * HOUR, NOW - HOUR)), NOW + 10 * HOUR - 5, "a part may begin long after");
        assert_eq!(after.place(live(0, NOW + 20 * HOUR)), NOW + 20 * HOUR);
        assert_eq!(Timeline::new(&shared).place(live(7, NOW)), NOW + 20 * HOUR + 7);
    }

    #[test]
    fn times_that_cannot_be_are_taken_as_the_last_that_can() {
        let end = Moment { utc_ns: u64::MAX, ..live(0, 0) };
        assert_eq!(place([end, live(9, 0), own(0, 10)]), [u64::MAX; 3]);
    }

    proptest! {
        #[test]
        fn times_never_go_back_whatever_clocks_do(
            moments in prop::collection::vec((prop::option::of(any::<u64>()), any::<u64>(), any::<u64>(), any::<u64>()), 0..40)
        ) {
            let times = place(moments.into_iter().map(|(own_ns, utc_ns, there, arrived)| {
                Moment { own_ns, utc_ns, there: Time::from_nanos(there), arrived: Time::from_nanos(arrived) }
            }));
            prop_assert!(times.is_sorted());
        }

        #[test]
        fn distances_are_those_of_the_senders_clock_whatever_its_wall_clock_says(
            steps in prop::collection::vec((0..10 * SECOND, any::<u64>()), 1..40)
        ) {
            let mut there = 7;
            let moments: Vec<Moment> = steps.iter().map(|(step, utc_ns)| { there += step; live(there, *utc_ns) }).collect();
            let times = place(moments.clone());
            let room = u64::MAX - times[0];
            for (moment, time) in moments.iter().zip(&times) {
                prop_assert_eq!(time - times[0], (moment.there.since(moments[0].there).as_nanos() as u64).min(room));
            }
        }

        #[test]
        fn own_times_in_order_are_exact(mut owns in prop::collection::vec(any::<u64>(), 1..40), there in any::<u64>()) {
            owns.sort_unstable();
            prop_assert_eq!(place(owns.iter().map(|own_ns| Moment { own_ns: Some(*own_ns), ..live(0, there) })), owns);
        }
    }
}
