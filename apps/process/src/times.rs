//! Times as command lines have them.

use std::time::Duration;

/// Thirty years: what a clock can be asked to add.
pub const SECONDS_MAX: f64 = 1e9;

/// Seconds, more than none and at most [`SECONDS_MAX`].
///
/// # Errors
/// What is no such number, and how one is written.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= SECONDS_MAX => Ok(seconds),
        _ => Err(format!("'{text}' is no time; write seconds, such as 10 or 0.5, at most {SECONDS_MAX}")),
    }
}

/// A time with its unit, 1 ms to a year; seconds without one.
///
/// # Errors
/// What is no such time, and how one is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refused = || {
        format!("'{}' is no time; write a number and ms, s, min or h, such as 10s, at most a year", text.escape_debug())
    };
    let (number, unit) = text.split_at(text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused()),
    };
    let seconds = number.trim().parse::<f64>().ok().map(|number| number * factor);
    let seconds = seconds.filter(|seconds| (0.001..=DURATION_SECONDS_MAX).contains(seconds)).ok_or_else(refused)?;
    Ok(Duration::from_secs_f64(seconds))
}

/// A year: nobody waits longer.
const DURATION_SECONDS_MAX: f64 = 365.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_unit() {
        for (text, millis) in [("500ms", 500), ("10", 10_000), ("1.5s", 1_500), ("2min", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "-1s", "soon", "5parsecs", "NaN", "inf", "1e300h", "9999h9"] {
            assert!(duration(text).unwrap_err().contains("such as 10s"), "{text}");
        }
    }
}
