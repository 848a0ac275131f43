//! What a stream has counted, and how it goes just now.

use std::time::{Duration, Instant};

use framewire_figures::counts::StreamCounts;
use framewire_transport::frame::Frame;
use hdrhistogram::Histogram;

use crate::newest::Newest;

/// Upper ends of the latency histogram's buckets, seconds: half a millisecond, which loopback takes, to a second, and two in
/// each factor of two where cameras' intervals lie.
pub(crate) const LATENCY_BOUNDS: [f64; 14] =
    [0.000_5, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.064, 0.128, 0.256, 1.0];

/// What one stream has counted. The counts only ever grow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// What is counted of streams everywhere.
    pub stream: StreamCounts,
    /// Frames by latency: one count for each of [`LATENCY_BOUNDS`], and one for what is beyond.
    pub(crate) latency_counts: [u64; LATENCY_BOUNDS.len() + 1],
    /// Sum of the latencies that are known.
    pub latency_seconds: f64,
    /// When the newest frame came.
    pub newest: Option<Instant>,
}

/// What a stream has counted, and how it goes just now.
#[derive(Debug)]
pub struct Figures {
    /// What only grows.
    pub counts: Counts,
    /// Bytes of a slice, header included; the plain wire has none.
    pub slice_bytes: Option<u16>,
    pub(crate) newest: Newest,
    rate: RateWindow,
    recent: RecentLatency,
}

impl Counts {
    /// What two streams have counted together.
    pub fn add(&mut self, other: &Self) {
        self.stream.add(&other.stream);
        for (count, more) in self.latency_counts.iter_mut().zip(other.latency_counts) {
            *count += more;
        }
        self.latency_seconds += other.latency_seconds;
        self.newest = self.newest.max(other.newest);
    }
}

impl Figures {
    /// Of a stream that begins.
    pub fn new(now: Instant) -> Self {
        Self {
            counts: Counts::default(),
            slice_bytes: None,
            newest: Newest::default(),
            rate: RateWindow::new(now),
            recent: RecentLatency::new(now),
        }
    }

    /// Counts a frame; the plain wire says nothing of its latency.
    pub fn add_frame(&mut self, bytes: usize, latency: Option<Duration>, now: Instant) {
        let counts = &mut self.counts;
        counts.stream.add_frame(bytes);
        counts.newest = Some(now);
        self.rate.add(bytes as u64, now);
        if let Some(latency) = latency {
            let seconds = latency.as_secs_f64();
            counts.latency_counts[LATENCY_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
            counts.latency_seconds += seconds;
            self.recent.add(latency, now);
        }
    }

    /// Notes what a frame that came says beside its pixels.
    pub fn note(&mut self, frame: &Frame) {
        self.newest.take(frame);
    }

    /// Frames and bytes a second, over the last second.
    pub fn rates(&mut self, now: Instant) -> (f64, f64) {
        self.rate.rates(now)
    }

    /// Half and 99 % of the frames of the last seconds took no longer than this.
    pub fn recent_latency(&mut self, now: Instant) -> Option<(Duration, Duration)> {
        self.recent.quantiles(now)
    }
}

/// Rates over the last second or so, in steps.
#[derive(Debug)]
struct RateWindow {
    steps: [(u64, u64); Self::STEPS],
    begun: Instant,
    /// Steps since `begun`: the one that is being counted in.
    current: u64,
}

impl RateWindow {
    const STEP: Duration = Duration::from_millis(125);
    /// A second, and the step that is being counted in.
    const STEPS: usize = 9;

    fn new(now: Instant) -> Self {
        Self { steps: [(0, 0); Self::STEPS], begun: now, current: 0 }
    }

    fn advance(&mut self, now: Instant) {
        let step = (now.saturating_duration_since(self.begun).as_millis() / Self::STEP.as_millis()) as u64;
        let passed = step.saturating_sub(self.current).min(Self::STEPS as u64);
        for back in 0..passed {
            self.steps[((step - back) % Self::STEPS as u64) as usize] = (0, 0);
        }
        self.current = self.current.max(step);
    }

    fn add(&mut self, bytes: u64, now: Instant) {
        self.advance(now);
        let step = &mut self.steps[(self.current % Self::STEPS as u64) as usize];
        step.0 += 1;
        step.1 += bytes;
    }

    fn rates(&mut self, now: Instant) -> (f64, f64) {
        self.advance(now);
        let (frames, bytes) = self.steps.iter().fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
        // The whole steps before this one, and what there is of this one.
        let whole = self.current.min(Self::STEPS as u64 - 1) as u32;
        let since = now.saturating_duration_since(self.begun);
        let part = Duration::from_nanos((since.as_nanos() % Self::STEP.as_nanos()) as u64);
        let seconds = (Self::STEP * whole + part).as_secs_f64().max(Self::STEP.as_secs_f64());
        (frames as f64 / seconds, bytes as f64 / seconds)
    }
}

/// Latency of the last five to ten seconds, two significant digits.
#[derive(Debug)]
struct RecentLatency {
    current: Histogram<u64>,
    previous: Histogram<u64>,
    turned: Instant,
}

impl RecentLatency {
    const TURN: Duration = Duration::from_secs(5);
    const MICROS_MAX: u64 = 60_000_000;

    fn new(now: Instant) -> Self {
        let empty = Histogram::new_with_bounds(1, Self::MICROS_MAX, 2).expect("the bounds are in order");
        Self { current: empty.clone(), previous: empty, turned: now }
    }

    fn turn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.turned);
        if since < Self::TURN {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.reset();
        if since >= 2 * Self::TURN {
            self.previous.reset();
        }
        self.turned = now;
    }

    fn add(&mut self, latency: Duration, now: Instant) {
        self.turn(now);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.current.saturating_record(micros.max(1));
    }

    fn quantiles(&mut self, now: Instant) -> Option<(Duration, Duration)> {
        self.turn(now);
        let mut all = self.current.clone();
        all.add(&self.previous).expect("both have the same bounds");
        let at = |quantile| Duration::from_micros(all.value_at_quantile(quantile));
        (!all.is_empty()).then(|| (at(0.5), at(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_last_second_and_fall_to_nothing_when_frames_stop() {
        let begun = Instant::now();
        let mut figures = Figures::new(begun);
        let at = |millis| begun + Duration::from_millis(millis);
        for frame in 0..600 {
            figures.add_frame(1_000, None, at(frame * 10));
            let (frames, bytes) = figures.rates(at(frame * 10));
            if frame > 100 {
                assert!((95.0..=105.0).contains(&frames), "{frames} at frame {frame}");
                assert!((frames * 1_000.0 - bytes).abs() < 1.0);
            }
        }
        assert!(figures.rates(at(6_500)).0 > 40.0);
        assert_eq!(figures.rates(at(7_200)), (0.0, 0.0));
        assert_eq!(figures.rates(at(900_000)), (0.0, 0.0));
        figures.add_frame(1_000, None, at(900_001));
        assert!(figures.rates(at(900_001)).0 >= 0.9);
    }

    #[test]
    fn a_first_frame_is_no_burst() {
        let begun = Instant::now();
        let mut figures = Figures::new(begun);
        figures.add_frame(1_000, None, begun);
        assert!(figures.rates(begun).0 <= 8.0);
    }

    #[test]
    fn latency_of_long_ago_is_forgotten_and_the_counts_are_not() {
        let begun = Instant::now();
        let mut figures = Figures::new(begun);
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(figures.recent_latency(begun), None);
        figures.add_frame(1, Some(Duration::from_millis(500)), at(0));
        for frame in 1..100 {
            figures.add_frame(1, Some(Duration::from_micros(700)), at(frame));
        }
        let (half, most) = figures.recent_latency(at(100)).unwrap();
        assert!(half.as_micros().abs_diff(700) <= 7, "{half:?}");
        assert!(most.as_micros().abs_diff(700) <= 7, "{most:?}");
        assert_eq!(figures.recent_latency(at(30_000)), None);
        assert_eq!(figures.counts.latency_counts.iter().sum::<u64>(), 100);
        assert_eq!((figures.counts.latency_counts[1], figures.counts.latency_counts[13]), (99, 1));
        assert!((figures.counts.latency_seconds - (0.5 + 99.0 * 0.0007)).abs() < 1e-9);
    }

    #[test]
    fn a_latency_on_a_bound_belongs_below_it_and_one_beyond_all_is_counted() {
        let begun = Instant::now();
        let mut figures = Figures::new(begun);
        figures.add_frame(1, Some(Duration::from_micros(500)), begun);
        figures.add_frame(1, Some(Duration::from_secs(90)), begun);
        assert_eq!((figures.counts.latency_counts[0], figures.counts.latency_counts[LATENCY_BOUNDS.len()]), (1, 1));
    }
}
