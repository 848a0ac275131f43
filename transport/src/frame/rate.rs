//! How many frames a second, exactly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Frames a second as a fraction in lowest terms, of any two whole numbers that fit 32 bits and are not 0.
///
/// Broadcast rates are not whole: 29.97 is 30000/1001. A fraction keeps them exact over hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

/// Why a frame rate was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is no frame rate; use frames a second such as 30, 29.97 or 30000/1001, above 0 and below 4294967296")]
#[non_exhaustive]
pub struct FrameRateError {
    /// What was given.
    pub text: String,
}

impl FrameRate {
    /// `num / den` frames a second.
    ///
    /// # Errors
    /// A zero on either side.
    pub fn new(num: u32, den: u32) -> Result<Self, FrameRateError> {
        if num == 0 || den == 0 {
            return Err(FrameRateError { text: format!("{num}/{den}") });
        }
        let (num, den) = lowest_terms(num, den);
        Ok(Self { num, den })
    }

    /// A whole number of frames a second.
    ///
    /// # Errors
    /// Zero.
    pub fn per_second(frames: u32) -> Result<Self, FrameRateError> {
        Self::new(frames, 1)
    }

    /// The fraction that a decimal number of frames a second stands for.
    ///
    /// A number within 0.005 of a whole multiple of 1000/1001 of 24 or 30 is that fraction (23.98, 23.976, 29.97, 59.94
    /// and so on); one within 0.0005 of a whole number is that number; any other is taken to the
    /// thousandth, from 1,000,000 on to the whole number, and below 0.01 as one frame in a whole number of seconds.
    ///
    /// # Errors
    /// What is no number, and rates outside [`FrameRate::new`]'s range.
    pub fn from_decimal(frames_per_second: f64) -> Result<Self, FrameRateError> {
        let refused = || FrameRateError { text: frames_per_second.to_string() };
        if !(frames_per_second > 0.0 && frames_per_second <= f64::from(u32::MAX)) {
            return Err(refused());
        }
        let whole = frames_per_second.round();
        if whole >= 1.0 && (frames_per_second - whole).abs() < 0.0005 {
            return Self::new(whole as u32, 1).map_err(|_| refused());
        }
        // The product is at least 24 where it is a broadcast rate, so the cast below is of a small positive number.
        let broadcast = (frames_per_second * 1.001).round();
        let is_broadcast = broadcast >= 24.0 && (broadcast % 24.0 == 0.0 || broadcast % 30.0 == 0.0);
        if is_broadcast && broadcast <= 960.0 && (frames_per_second - broadcast / 1.001).abs() < 0.005 {
            return Self::new(broadcast as u32 * 1000, 1001).map_err(|_| refused());
        }
        // A slow one is kept as its inverse, where that fits 32 bits; the thousandths of a fast one may not fit them.
        if frames_per_second < 0.01 {
            let seconds = (1.0 / frames_per_second).round();
            return if seconds <= f64::from(u32::MAX) { Self::new(1, seconds as u32) } else { Err(refused()) };
        }
        let parts = if frames_per_second < 1e6 { 1000 } else { 1 };
        Self::new((frames_per_second * f64::from(parts)).round() as u32, parts).map_err(|_| refused())
    }

    /// Frames in [`FrameRate::den`] seconds.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Seconds in which [`FrameRate::num`] frames pass.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Time from one frame to the next, to the nanosecond below, at least one: 1 ns to 136 years.
    pub fn interval(self) -> Duration {
        // Below 2^32 times 2^30.
        Duration::from_nanos((u64::from(self.den) * 1_000_000_000 / u64::from(self.num)).max(1))
    }

    /// The rate of frames that are `interval` apart, exactly where that fits 32 bits, else rounded up to the microsecond or, where
    /// that does not fit either, to the second; `None` for zero and for more than 136 years.
    pub fn from_interval(interval: Duration) -> Option<Self> {
        let fraction = |parts: u128, den: u32| {
            let (parts, den) = lowest_terms_wide(parts, u128::from(den));
            Self::new(u32::try_from(den).ok()?, u32::try_from(parts).ok()?).ok()
        };
        let nanos = interval.as_nanos();
        fraction(nanos, 1_000_000_000)
            .or_else(|| fraction(nanos.div_ceil(1_000), 1_000_000))
            .or_else(|| fraction(nanos.div_ceil(1_000_000_000), 1))
    }

    /// Frames a second as a decimal number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// The same fraction with the smallest numbers; neither may be zero.
pub(super) const fn lowest_terms(num: u32, den: u32) -> (u32, u32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (num / a, den / a)
}

fn lowest_terms_wide(num: u128, den: u128) -> (u128, u128) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (num / a, den / a)
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for FrameRate {
    type Err = FrameRateError;

    fn from_str(text: &str) -> Result<Self, FrameRateError> {
        let refused = || FrameRateError { text: text.chars().take(40).collect() };
        let rate = match text.split_once('/') {
            Some((num, den)) => {
                let (num, den) = (num.parse().map_err(|_| refused())?, den.parse().map_err(|_| refused())?);
                Self::new(num, den)
            }
            None => Self::from_decimal(text.parse().map_err(|_| refused())?),
        };
        rate.map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (u32, u32) {
        let rate: FrameRate = text.parse().unwrap();
        (rate.num(), rate.den())
    }

    #[test]
    fn a_rate_reads_as_a_whole_number_a_decimal_or_a_fraction() {
        assert_eq!(parsed("30"), (30, 1));
        assert_eq!(parsed("30000/1001"), (30_000, 1001));
        assert_eq!(parsed("12.5"), (25, 2));
        assert_eq!(parsed("50/2"), (25, 1));
        assert_eq!(parsed("0.5"), (1, 2));
        assert_eq!(parsed("0.001"), (1, 1000));
        assert_eq!(parsed("1000000"), (1_000_000, 1));
        assert_eq!(parsed("1200000.5"), (1_200_001, 1));
        assert_eq!(parsed("1200000/1"), (1_200_000, 1));
        assert_eq!(parsed("1/100000"), (1, 100_000));
    }

    #[test]
    fn decimals_of_broadcast_rates_become_their_fractions() {
        for (text, num) in
            [("23.976", 24_000), ("23.98", 24_000), ("29.97", 30_000), ("59.94", 60_000), ("119.88", 120_000)]
        {
            assert_eq!(parsed(text), (num, 1001), "{text}");
        }
        assert_eq!(FrameRate::from_decimal(30_000.0 / 1001.0), FrameRate::new(30_000, 1001));
        assert_eq!(parsed("24.95"), (499, 20));
    }

    #[test]
    fn every_fraction_displays_as_text_that_reads_back() {
        for num in 1..400_u32 {
            for den in [1, 2, 7, 1000, 1001] {
                let rate = FrameRate::new(num, den).unwrap();
                assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }
    }

    #[test]
    fn the_interval_is_the_inverse() {
        assert_eq!(FrameRate::per_second(25).unwrap().interval(), Duration::from_millis(40));
        assert_eq!(FrameRate::new(30_000, 1001).unwrap().interval(), Duration::from_nanos(33_366_666));
        assert_eq!(FrameRate::new(1, 86_400).unwrap().interval(), Duration::from_secs(86_400));
        assert_eq!(FrameRate::new(u32::MAX, 5000).unwrap().interval(), Duration::from_nanos(1164));
        assert_eq!(FrameRate::new(u32::MAX, 1).unwrap().interval(), Duration::from_nanos(1));
        assert_eq!(FrameRate::new(1, u32::MAX).unwrap().interval(), Duration::from_secs(u32::MAX.into()));
    }

    #[test]
    fn the_rate_of_an_interval_is_exact_where_it_fits() {
        let rate = |interval| FrameRate::from_interval(interval).map(|rate| (rate.num(), rate.den()));
        assert_eq!(rate(Duration::from_millis(40)), Some((25, 1)));
        assert_eq!(rate(Duration::from_nanos(33_333_333)), Some((1_000_000_000, 33_333_333)));
        assert_eq!(rate(Duration::from_secs(86_400)), Some((1, 86_400)));
        assert_eq!(rate(Duration::from_nanos(1_000_000_000_001)), Some((1_000_000, 1_000_000_001)));
        assert_eq!(rate(Duration::from_nanos(10_000_000_000_000_001)), Some((1, 10_000_001)));
        assert_eq!((rate(Duration::ZERO), rate(Duration::MAX)), (None, None));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_value() {
        for text in ["", "fast", "0", "-1", "0/1", "1/0", "30/", "1e10", "NaN", "inf", "1/4294967296", "1e-10", "+/1"] {
            let error = text.parse::<FrameRate>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}' is no frame rate")), "{error}");
        }
    }
}
