//! Times as NUT counts them: from the first frame on, in ticks that hold a rate exactly and any nanosecond, too.

use framewire_transport::frame::FrameRate;

const NS: u64 = 1_000_000_000;
/// Readers take no finer time base.
const TICKS_MAX: u32 = i32::MAX as u32;
/// Readers count in signed numbers, and add a little to a tick. Frames that are later than this behind the first, which at a nanosecond
/// a tick are 292 years, have this one.
pub(super) const TICK_MAX: u64 = i64::MAX as u64 - (1 << 8);
/// How far apart frames of two streams are put where the second has begun again before the first ended, and has no rate.
const GAP_NS: u64 = NS / 30;

/// How many ticks a second has, and a frame at the stream's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBase {
    per_second: u32,
    rate: Option<FrameRate>,
}

impl TimeBase {
    /// The finest that holds the rate; without one, nanoseconds. A tick is never longer than a nanosecond.
    pub(super) fn of(rate: Option<FrameRate>) -> Self {
        let per_second = rate.map_or(NS as u32, |rate| match TICKS_MAX / rate.num() {
            0 => NS as u32,
            times => times * rate.num(),
        });
        Self { per_second, rate: rate.filter(|rate| per_second.is_multiple_of(rate.num())) }
    }

    pub(super) const fn per_second(self) -> u32 {
        self.per_second
    }

    /// The tick of a time. One that is a whole number of frames, as far as nanoseconds say that, is so exactly.
    fn ticks(self, ns: u64) -> u64 {
        let (ns, second) = (u128::from(ns), u128::from(NS));
        let exact = self.rate.and_then(|rate| {
            let (num, den) = (u128::from(rate.num()), u128::from(rate.den()));
            let frames = round(ns * num, den * second);
            let is_whole = round(frames * den * second, num).abs_diff(ns) <= 1;
            is_whole.then(|| frames * den * (u128::from(self.per_second) / num))
        });
        let ticks = exact.unwrap_or_else(|| round(ns * u128::from(self.per_second), second));
        u64::try_from(ticks).unwrap_or(TICK_MAX).min(TICK_MAX)
    }
}

fn round(dividend: u128, divisor: u128) -> u128 {
    (dividend + divisor / 2) / divisor
}

/// Gives frames their ticks, which only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    base: TimeBase,
    /// What is added to a frame's UTC to have its time in the file.
    offset_ns: i128,
    /// The last frame's time and tick.
    last: Option<(u64, u64)>,
}

impl Clock {
    /// That begins with a frame of this time, in UTC.
    pub(super) const fn new(base: TimeBase, origin_ns: u64) -> Self {
        Self { base, offset_ns: -(origin_ns as i128), last: None }
    }

    /// As it goes on with another stream, whose first frame is of this time: where that is earlier than what is there already, right behind.
    pub(super) fn resumed(mut self, first_ns: u64) -> Self {
        if let Some((last_ns, _)) = self.last.filter(|(last_ns, _)| *last_ns >= first_ns) {
            let gap_ns = self.base.rate.map_or(GAP_NS, |rate| NS * u64::from(rate.den()) / u64::from(rate.num()));
            self.offset_ns = self.in_file(last_ns).saturating_add(gap_ns) as i128 - i128::from(first_ns);
            self.last = self.last.map(|(_, tick)| (first_ns, tick));
        }
        self
    }

    /// The tick of a frame of this time, later than that of the frame before up to [`TICK_MAX`].
    pub(super) fn place(&mut self, utc_ns: u64) -> u64 {
        let tick = self.base.ticks(self.in_file(utc_ns));
        let tick = self.last.map_or(tick, |(_, last)| tick.max(last + 1).min(TICK_MAX));
        self.last = Some((utc_ns, tick));
        tick
    }

    fn in_file(&self, utc_ns: u64) -> u64 {
        u64::try_from((i128::from(utc_ns) + self.offset_ns).max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate::new(num, den).unwrap()
    }

    #[test]
    fn frames_at_a_rate_are_whole_frames_apart_though_nanoseconds_cannot_say_that() {
        for (num, den) in [(30_000, 1001), (24_000, 1001), (25, 1), (60, 1), (1, 3), (1_200_000, 1)] {
            let base = TimeBase::of(Some(rate(num, den)));
            let frame = u64::from(base.per_second) * u64::from(den) / u64::from(num);
            assert_eq!(
                frame * u64::from(num),
                u64::from(base.per_second) * u64::from(den),
                "{num}/{den} is not held exactly"
            );
            for number in [0, 1, 2, 3, 1_000, 1_000_001] {
                let exact = u128::from(number) * u128::from(den) * u128::from(NS);
                for ns in [exact / u128::from(num), exact.div_ceil(u128::from(num))] {
                    assert_eq!(base.ticks(ns as u64), number * frame, "frame {number} at {num}/{den}");
                }
            }
        }
    }

    #[test]
    fn frames_of_one_moment_follow_each_other_and_a_time_that_goes_back_does_not() {
        let mut clock = Clock::new(TimeBase::of(None), 50);
        assert_eq!([50, 50, 20, 60, 61].map(|ns| clock.place(ns)), [0, 1, 2, 10, 11]);
    }

    #[test]
    fn another_stream_goes_on_where_it_is_and_right_behind_where_it_has_begun_again() {
        let mut clock = Clock::new(TimeBase::of(Some(rate(25, 1))), 1_000);
        let second = u64::from(clock.base.per_second);
        assert_eq!((clock.place(1_000), clock.place(1_000 + NS)), (0, second));
        let mut later = clock.resumed(1_000 + 3 * NS);
        assert_eq!(later.place(1_000 + 3 * NS), 3 * second, "two seconds passed between them");
        let mut again = clock.resumed(0);
        assert_eq!((again.place(0), again.place(NS)), (second + second / 25, 2 * second + second / 25));
    }

    proptest! {
        #[test]
        fn every_nanosecond_has_a_tick_that_is_nearest_to_it(
            num in 1..u32::MAX, den in 1..10_000_u32, ns in 0..100 * 365 * 86_400 * NS
        ) {
            let base = TimeBase::of(FrameRate::new(num, den).ok());
            let per_second = u128::from(base.per_second);
            prop_assert!((u128::from(NS)..=u128::from(TICKS_MAX)).contains(&per_second));
            // Back in nanoseconds, rounded: one off at most, where the frame's own place is meant.
            let back = round(u128::from(base.ticks(ns)) * u128::from(NS), per_second);
            prop_assert!(back.abs_diff(ns.into()) <= 1, "{} for {}", back, ns);
        }
    }
}
