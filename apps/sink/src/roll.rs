//! When a recording goes on in another file.

use std::str::FromStr;
use std::time::Duration;

/// One limit of a part, as the command line has it: `10GB` or `10min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollLimit {
    /// Bytes of a file. At least one frame is in it, however large.
    Bytes(u64),
    /// Time from a part's first frame to the next part's.
    Time(Duration),
}

/// All limits of a part: the first that is reached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roll {
    /// Bytes of a file.
    pub bytes: Option<u64>,
    /// Time in a file.
    pub time: Option<Duration>,
}

impl Roll {
    /// Of several limits of one kind the lowest counts.
    pub fn new(limits: &[RollLimit]) -> Self {
        let mut roll = Self::default();
        for limit in limits {
            match *limit {
                RollLimit::Bytes(bytes) => roll.bytes = Some(roll.bytes.map_or(bytes, |least| least.min(bytes))),
                RollLimit::Time(time) => roll.time = Some(roll.time.map_or(time, |least| least.min(time))),
            }
        }
        roll
    }

    /// Whether there is a limit.
    pub const fn is_on(&self) -> bool {
        self.bytes.is_some() || self.time.is_some()
    }
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const TIMES: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400)];

impl FromStr for RollLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "'{}' is no size or time of a part; write a number and B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, s, min, h or d, such as \
                 10GB or 10min",
                text.chars().take(40).collect::<String>()
            )
        };
        let (number, unit) = text.split_at(text.find(|char: char| char.is_ascii_alphabetic()).ok_or_else(refused)?);
        let number = number.trim().parse::<f64>().ok().filter(|number| *number > 0.0).ok_or_else(refused)?;
        let factor = |units: &[(&str, u64)]| {
            units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| number * *factor as f64)
        };
        // Beyond these, no disk and no clock would ever reach the limit.
        if let Some(bytes) = factor(&UNITS).filter(|bytes| (1.0..=1e18).contains(bytes)) {
            return Ok(Self::Bytes(bytes as u64));
        }
        let seconds = factor(&TIMES).filter(|seconds| (0.001..=1e9).contains(seconds)).ok_or_else(refused)?;
        Ok(Self::Time(Duration::from_secs_f64(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_as_a_size_or_a_time() {
        let read = |text: &str| text.parse::<RollLimit>().unwrap();
        assert_eq!(read("10GB"), RollLimit::Bytes(10_000_000_000));
        assert_eq!(read("1.5 GiB"), RollLimit::Bytes(3 << 29));
        assert_eq!(read("500mb"), RollLimit::Bytes(500_000_000));
        assert_eq!(read("10min"), RollLimit::Time(Duration::from_secs(600)));
        assert_eq!(read("0.5h"), RollLimit::Time(Duration::from_secs(1_800)));
    }

    #[test]
    fn what_is_no_limit_is_refused_with_the_value_and_the_units() {
        for text in ["", "10", "GB", "0GB", "-1GB", "10m", "10 parsecs", "nanGB", "infGB", "1e30TB", "0.1B", "0.0001s"]
        {
            let error = text.parse::<RollLimit>().unwrap_err();
            assert!(error.starts_with(&format!("'{text}' is no size or time of a part")), "{error}");
            assert!(error.contains("10GB or 10min"));
        }
    }

    #[test]
    fn size_and_time_go_together_and_the_lowest_of_each_counts() {
        let limits: Vec<RollLimit> = ["2GB", "10min", "1GB"].map(|text| text.parse().unwrap()).into();
        let roll = Roll::new(&limits);
        assert_eq!((roll.bytes, roll.time), (Some(1_000_000_000), Some(Duration::from_secs(600))));
        assert!(roll.is_on() && !Roll::new(&[]).is_on());
    }
}
