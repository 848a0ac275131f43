//! The smallest of what was measured within a window of time, in constant memory.

use std::time::Duration;

use crate::time::Time;

/// What is measured: the smaller, the better.
pub(crate) trait Measure: Copy {
    /// What two of them are compared by.
    fn key(&self) -> u64;
}

/// The least sample of a window, and two that would be it if those before had never been: each the least since the one
/// before it. So when the best one is too old, a good one of the meantime takes its place, and not whatever came last. After
/// Kathleen Nichols, as Linux (`lib/win_minmax.c`) and BBR have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowedMinimum<S> {
    window: Duration,
    /// Oldest and least first.
    best: Option<[Taken<S>; 3]>,
}

#[derive(Debug, Clone, Copy)]
struct Taken<S> {
    sample: S,
    at: Time,
}

impl<S: Measure> WindowedMinimum<S> {
    pub(crate) const fn new(window: Duration) -> Self {
        Self { window, best: None }
    }

    /// The least sample of the window that ended with the last one.
    pub(crate) fn get(&self) -> Option<&S> {
        self.best.as_ref().map(|[first, ..]| &first.sample)
    }

    /// Takes in a sample.
    pub(crate) fn handle(&mut self, sample: S, now: Time) {
        let (window, taken) = (self.window, Taken { sample, at: now });
        let Some(best) = &mut self.best else {
            self.best = Some([taken; 3]);
            return;
        };
        let is_least = |than: &Taken<S>| sample.key() <= than.sample.key();
        if is_least(&best[0]) || now.since(best[2].at) > window {
            *best = [taken; 3];
            return;
        }
        if is_least(&best[1]) {
            (best[1], best[2]) = (taken, taken);
        } else if is_least(&best[2]) {
            best[2] = taken;
        }
        let age = now.since(best[0].at);
        if age > window {
            *best = [best[1], best[2], taken];
            if now.since(best[0].at) > window {
                *best = [best[1], best[2], taken];
            }
        } else if best[1].at == best[0].at && age > window / 4 {
            // A quarter of the window without a second choice: the least from here on will be it.
            (best[1], best[2]) = (taken, taken);
        } else if best[2].at == best[1].at && age > window / 2 {
            best[2] = taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measure for u64 {
        fn key(&self) -> u64 {
            *self
        }
    }

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// The least of what was taken within a window, of all samples that are remembered.
    fn model(samples: &[(u64, u64)], now: u64) -> u64 {
        let window = u64::try_from(WINDOW.as_millis()).unwrap();
        let young = samples.iter().filter(|(at, _)| now - at <= window);
        young.map(|(_, sample)| *sample).min().unwrap()
    }

    #[test]
    fn the_least_is_never_older_than_the_window_and_never_less_than_what_was_measured_in_it() {
        let mut random = 1_u64;
        for seed in 0..200 {
            let mut minimum = WindowedMinimum::new(WINDOW);
            let (mut now, mut samples) = (0, Vec::new());
            for _ in 0..500 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1 + seed);
                now += 1 + (random >> 33) % 200;
                let sample = (random >> 45) % 1_000;
                samples.push((now, sample));
                minimum.handle(sample, at(now));
                let (got, least) = (*minimum.get().unwrap(), model(&samples, now));
                // Three samples stand for all: it may miss the very least for a while, but makes nothing up.
                assert!(got >= least, "{got} is older than the window");
                assert!(samples.iter().any(|(at, sample)| now - at <= 10_000 && *sample == got));
            }
        }
    }

    #[test]
    fn what_rises_is_seen_within_the_window_and_what_falls_at_once() {
        let mut minimum = WindowedMinimum::new(WINDOW);
        (0..100).for_each(|nth| minimum.handle(5, at(nth * 100)));
        (100..250).for_each(|nth| minimum.handle(50, at(nth * 100)));
        assert_eq!(minimum.get(), Some(&50));
        minimum.handle(7, at(25_001));
        assert_eq!(minimum.get(), Some(&7));
    }

    #[test]
    fn one_that_falls_out_of_the_window_gives_way_to_the_best_one_after_it() {
        let mut minimum = WindowedMinimum::new(WINDOW);
        for (millis, sample) in [(0, 5), (3_000, 9), (4_000, 6), (5_500, 8), (7_000, 20), (10_100, 30)] {
            minimum.handle(sample, at(millis));
        }
        assert_eq!(minimum.get(), Some(&6));
    }

    #[test]
    fn after_a_long_silence_the_next_sample_stands_alone() {
        let mut minimum = WindowedMinimum::new(WINDOW);
        minimum.handle(5, at(0));
        minimum.handle(90, at(60_000));
        assert_eq!(minimum.get(), Some(&90));
    }
}
