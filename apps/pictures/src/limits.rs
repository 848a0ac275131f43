//! Which values are black and which are white.

use std::fmt;
use std::str::FromStr;

use framewire_transport::frame::{FrameFormat, PixelFormat, PixelLayout};
use thiserror::Error;

use crate::depth;
use crate::reading::is_ranged;

/// Points looked at along each side of a frame, at most.
const POINTS_MAX: usize = 96;
/// Of so many values, one may be darker than black and one lighter than white: a dead pixel and a reflection say nothing of the others.
const OUTLIERS: usize = 100;

/// What is black and what is white: `low` < `high`, both finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    /// # Errors
    /// Limits that are not finite, or where `low` is not below `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, RangeError> {
        if low.is_finite() && high.is_finite() && low < high {
            Ok(Self { low, high })
        } else {
            Err(RangeError::Order { low, high })
        }
    }

    /// What is black.
    pub const fn low(&self) -> f64 {
        self.low
    }

    /// What is white.
    pub const fn high(&self) -> f64 {
        self.high
    }

    /// All that samples of this format can be. Of floats, 0 to 1.
    pub fn full(pixel: PixelFormat) -> Self {
        let bits = if pixel.layout() == PixelLayout::DepthFloat { 1 } else { pixel.bits().clamp(1, 16) };
        Self { low: 0.0, high: f64::from((1_u32 << bits) - 1) }
    }

    /// From the 1st to the 99th percentile of some thousand values of the frame, evenly taken; depths that are not known left out.
    /// [`Limits::full`] for what is not shown by limits, and where there is no value.
    pub fn measured(pixels: &[u8], format: &FrameFormat) -> Self {
        let full = Self::full(format.pixel());
        if !is_ranged(format.pixel()) || pixels.len() < format.frame_bytes() {
            return full;
        }
        let mut values = Vec::with_capacity(4 * POINTS_MAX * POINTS_MAX);
        let (width, height) = (format.width() as usize, format.height() as usize);
        // All four of a Bayer cell.
        let cell = if matches!(format.pixel().layout(), PixelLayout::Bayer(_)) { 2 } else { 1 };
        for row in points(height, cell) {
            for column in points(width, cell) {
                values.extend(value(pixels, format, row, column));
            }
        }
        if values.is_empty() {
            return full;
        }
        let outliers = values.len() / OUTLIERS;
        let last = values.len() - 1 - outliers;
        let (_, low, _) = values.select_nth_unstable_by(outliers, f64::total_cmp);
        let low = *low;
        let (_, high, _) = values.select_nth_unstable_by(last, f64::total_cmp);
        if low < *high { Self { low, high: *high } } else { Self::around(low) }
    }

    /// Where all is the same, it is neither black nor white. Beside large floats, a half is nothing.
    fn around(value: f64) -> Self {
        let half = (value.abs() * f64::from(f32::EPSILON)).max(0.5);
        Self { low: value - half, high: value + half }
    }

    /// These, moved a part of the way to those that a later frame has, so that pictures do not flicker. What differs by more than
    /// the whole range is another scene, and is taken at once.
    pub fn followed_by(self, later: Self) -> Self {
        let range = self.high - self.low;
        if (later.low - self.low).abs() > range || (later.high - self.high).abs() > range {
            return later;
        }
        let part = |from: f64, to: f64| from + (to - from) / 4.0;
        Self { low: part(self.low, later.low), high: part(self.high, later.high) }
    }

    /// How light a value is, from 0 to 255.
    pub(crate) fn shade(self, value: f64) -> u8 {
        ((value - self.low) / (self.high - self.low) * 255.0 + 0.5) as u8
    }
}

/// Evenly taken, whole cells of `cell` beside each other.
fn points(side: usize, cell: usize) -> impl Iterator<Item = usize> {
    let cells = side.div_ceil(cell);
    let looked_at = cells.min(POINTS_MAX);
    (0..looked_at)
        .map(move |nth| (2 * nth + 1) * cells / (2 * looked_at))
        .flat_map(move |nth| nth * cell..((nth + 1) * cell).min(side))
}

/// `None` for what is not known.
fn value(pixels: &[u8], format: &FrameFormat, row: usize, column: usize) -> Option<f64> {
    let row = &pixels[row * format.stride() as usize..];
    match format.pixel().layout() {
        PixelLayout::DepthFloat => depth::float(&row[column * 4..][..4]),
        PixelLayout::Depth => depth::word(&row[column * 2..][..2]),
        _ => Some(f64::from(u16::from_le_bytes([row[column * 2], row[column * 2 + 1]]))),
    }
}

/// How the limits of a picture are found.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum ValueRange {
    /// By what is in the frame: [`Limits::measured`].
    #[default]
    Automatic,
    /// These.
    Given(Limits),
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("automatic"),
            Self::Given(Limits { low, high }) => write!(f, "{low}-{high}"),
        }
    }
}

/// Why a range was not understood.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RangeError {
    /// It is no range.
    #[error("'{0}' is no range of values; use LOW-HIGH, such as 0-4095 or 0.5-4, or automatic")]
    Form(String),
    /// There is nothing between its ends.
    #[error("a range from {low} to {high} cannot be; use two numbers of which the first is the smaller one")]
    Order {
        /// What was to be black.
        low: f64,
        /// What was to be white.
        high: f64,
    },
}

impl FromStr for ValueRange {
    type Err = RangeError;

    /// `LOW-HIGH`, either of which may be negative or a fraction; or `automatic`, or nothing.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.is_empty() || text == "automatic" {
            return Ok(Self::Automatic);
        }
        let numbers = text.match_indices('-').skip_while(|(at, _)| *at == 0).find_map(|(at, _)| {
            let number = |text: &str| text.parse::<f64>().ok();
            Some((number(&text[..at])?, number(&text[at + 1..])?))
        });
        let (low, high) = numbers.ok_or_else(|| RangeError::Form(text.chars().take(40).collect()))?;
        Limits::new(low, high).map(Self::Given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_of_which_either_may_be_negative_or_a_fraction() {
        let range = |text: &str| text.parse::<ValueRange>();
        let given = |low, high| Ok(ValueRange::Given(Limits::new(low, high).unwrap()));
        assert_eq!(range("0-4095"), given(0.0, 4095.0));
        assert_eq!(range("0.5-4"), given(0.5, 4.0));
        assert_eq!(range("-2--1"), given(-2.0, -1.0));
        assert_eq!(range("1e-3-2"), given(0.001, 2.0));
        assert_eq!((range(""), range("automatic")), (Ok(ValueRange::Automatic), Ok(ValueRange::Automatic)));
        for (bad, said) in [
            ("4095", "'4095' is no range"),
            ("a-b", "LOW-HIGH"),
            ("-", "no range"),
            ("5-5", "from 5 to 5"),
            ("9-1", "from 9"),
            ("0-inf", "inf"),
            ("NaN-1", "NaN"),
        ] {
            let error = range(bad).unwrap_err().to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
        assert!(range(&"9".repeat(10_000)).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn what_is_the_same_everywhere_is_between_black_and_white_however_large_it_is() {
        let format = FrameFormat::new(PixelFormat::Depth32f, 4, 4).unwrap();
        for value in [1e-30, 0.5, 65_535.0, 1e17, f32::MAX] {
            let limits = Limits::measured(&value.to_le_bytes().repeat(16), &format);
            assert!(Limits::new(limits.low(), limits.high()).is_ok(), "{value}: {limits:?}");
            assert!(limits.low() < f64::from(value) && f64::from(value) < limits.high(), "{value}: {limits:?}");
            assert_eq!(limits.shade(value.into()), 128, "{value}");
        }
    }

    #[test]
    fn limits_follow_a_scene_slowly_and_another_scene_at_once() {
        let limits = |low, high| Limits::new(low, high).unwrap();
        assert_eq!(limits(0.0, 100.0).followed_by(limits(20.0, 80.0)), limits(5.0, 95.0));
        assert_eq!(limits(0.0, 100.0).followed_by(limits(500.0, 900.0)), limits(500.0, 900.0));
    }
}
