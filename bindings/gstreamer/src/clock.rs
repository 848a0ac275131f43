//! Capture times, which are on the system's monotonic clock, and times of a pipeline, which has a clock of its own.

use framewire_transport::Time;
use gst::prelude::*;

/// A pipeline's clock beside the monotonic one.
pub(crate) struct Clock<'a> {
    clock: &'a gst::Clock,
    base: gst::ClockTime,
}

impl<'a> Clock<'a> {
    /// The clock, and what it showed when the running time was zero.
    pub(crate) fn new(clock: &'a gst::Clock, base: gst::ClockTime) -> Self {
        Self { clock, base }
    }

    /// The running time of a moment; zero for what was before it began.
    pub(crate) fn running(&self, moment: Time) -> gst::ClockTime {
        let shown = i128::from(moment.as_nanos()) + self.ahead();
        let running = shown - i128::from(self.base.nseconds());
        gst::ClockTime::from_nseconds(u64::try_from(running.max(0)).unwrap_or_default())
    }

    /// The moment of a running time.
    pub(crate) fn moment(&self, running: gst::ClockTime) -> Time {
        let shown = i128::from(self.base.nseconds()) + i128::from(running.nseconds());
        Time::from_nanos(u64::try_from((shown - self.ahead()).max(0)).unwrap_or_default())
    }

    /// By how many nanoseconds it is ahead of the monotonic clock at this moment: not at all where it is that.
    fn ahead(&self) -> i128 {
        if is_monotonic(self.clock) {
            return 0;
        }
        // Between two looks at the one, so that what passes meanwhile is shared out.
        let before = Time::now().as_nanos();
        let shown = self.clock.time().nseconds();
        let after = Time::now().as_nanos();
        i128::from(shown) - (i128::from(before) + i128::from(after)) / 2
    }
}

/// Whether a clock shows what the system's monotonic clock does.
fn is_monotonic(clock: &gst::Clock) -> bool {
    let Some(system) = clock.downcast_ref::<gst::SystemClock>() else { return false };
    let (internal, external, up, down) = clock.calibration();
    system.property::<gst::ClockType>("clock-type") == gst::ClockType::Monotonic && internal == external && up == down
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(kind: gst::ClockType) -> gst::Clock {
        gst::init().unwrap();
        let clock: gst::SystemClock = gst::glib::Object::builder().property("clock-type", kind).build();
        clock.upcast()
    }

    #[test]
    fn of_the_monotonic_clock_nothing_is_lost() {
        let clock = clock(gst::ClockType::Monotonic);
        let times = Clock::new(&clock, gst::ClockTime::from_nseconds(1_000));
        assert_eq!(times.running(Time::from_nanos(1_234)).nseconds(), 234);
        assert_eq!(times.moment(gst::ClockTime::from_nseconds(234)), Time::from_nanos(1_234));
    }

    #[test]
    fn what_was_before_the_pipeline_began_is_at_its_beginning() {
        let clock = clock(gst::ClockType::Monotonic);
        let times = Clock::new(&clock, gst::ClockTime::from_seconds(7));
        assert_eq!(times.running(Time::from_nanos(3)), gst::ClockTime::ZERO);
    }

    #[test]
    fn a_moment_on_another_clock_is_found_again() {
        let clock = clock(gst::ClockType::Realtime);
        let times = Clock::new(&clock, clock.time());
        let moment = Time::now();
        let again = times.moment(times.running(moment + std::time::Duration::from_secs(1)));
        let off = again.as_nanos().abs_diff(moment.as_nanos() + 1_000_000_000);
        // What a thread may be kept waiting between two looks at the clock.
        assert!(off < 1_000_000_000, "{off} ns off");
    }
}
