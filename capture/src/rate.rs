//! How many frames a second, exactly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// The fastest rate that is understood, in frames a second: an interval of one microsecond.
const FASTEST: u64 = 1_000_000;
/// The slowest, as seconds from frame to frame: one day.
const SLOWEST_SECONDS: u64 = 86_400;

/// Frames a second as a fraction in lowest terms, between one a day and a million a second.
///
/// Broadcast rates are not whole: 29.97 is 30000/1001. A fraction keeps them exact over hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

/// Why a frame rate was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is no frame rate; use frames a second such as 30, 29.97 or 30000/1001, from one a day to 1000000")]
pub struct FrameRateError {
    /// What was given.
    pub text: String,
}

impl FrameRate {
    /// `num / den` frames a second.
    ///
    /// # Errors
    /// A zero on either side, and rates below one frame a day or above a million a second.
    pub fn new(num: u32, den: u32) -> Result<Self, FrameRateError> {
        let (wide_num, wide_den) = (u64::from(num), u64::from(den));
        if num == 0 || den == 0 || wide_num > FASTEST * wide_den || wide_den > SLOWEST_SECONDS * wide_num {
            return Err(FrameRateError { text: format!("{num}/{den}") });
        }
        let divisor = greatest_common_divisor(num, den);
        Ok(Self { num: num / divisor, den: den / divisor })
    }

    /// A whole number of frames a second.
    ///
    /// # Errors
    /// Zero, and more than a million.
    pub fn per_second(frames: u32) -> Result<Self, FrameRateError> {
        Self::new(frames, 1)
    }

    /// The fraction that a decimal number of frames a second stands for.
    ///
    /// A number within 0.005 of a whole multiple of 1000/1001 of 24 or 30 is that fraction (23.98, 23.976, 29.97, 59.94
    /// and so on); one within 0.0005 of a whole number is that number; any other is taken to the thousandth.
    ///
    /// # Errors
    /// What is no number, and rates outside [`FrameRate::new`]'s range.
    pub fn from_decimal(frames_per_second: f64) -> Result<Self, FrameRateError> {
        let refused = || FrameRateError { text: frames_per_second.to_string() };
        if !(frames_per_second.is_finite() && frames_per_second > 0.0 && frames_per_second <= FASTEST as f64) {
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
        // Below a million a second the thousandths fit 32 bits; a rate below one thousandth is kept as its inverse.
        if frames_per_second < 0.01 {
            return Self::new(1, (1.0 / frames_per_second).round().min(f64::from(u32::MAX)) as u32)
                .map_err(|_| refused());
        }
        Self::new((frames_per_second * 1000.0).round() as u32, 1000).map_err(|_| refused())
    }

    /// Frames in [`FrameRate::den`] seconds.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Seconds in which [`FrameRate::num`] frames pass.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Time from one frame to the next, to the nanosecond below.
    pub fn interval(self) -> Duration {
        // At most a day, by the constructor's check, so the nanoseconds fit.
        Duration::from_nanos(u64::from(self.den) * 1_000_000_000 / u64::from(self.num))
    }

    /// Frames a second as a decimal number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
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
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_value() {
        for text in
            ["", "fast", "0", "-1", "0/1", "1/0", "30/", "1e9", "NaN", "inf", "1/90000", "1000001", "1e-9", "+/1"]
        {
            let error = text.parse::<FrameRate>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}' is no frame rate")), "{error}");
        }
    }
}
