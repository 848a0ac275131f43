//! How the threads that move datagrams run: where, and whether they sleep at once when there is nothing to do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::setters;

/// How a stream's thread runs. The default: on any CPU, and asleep whenever there is nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadConfig {
    /// Look for datagrams and frames for this long before going to sleep; zero by default. Saves the time of a wake-up, some
    /// 50 µs, for a core that is busy that long.
    pub busy_poll: Duration,
    /// CPUs to run on; any by default.
    pub cpus: Option<Cpus>,
}

impl ThreadConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        busy_poll: Duration,
        cpus: impl Into<Option<Cpus>>,
    }
}

/// CPUs that this process may use: `2`, `0,2` or `4-7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

/// Why CPUs cannot be run on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CpuError {
    /// Not a list of numbers.
    #[error("'{0}' is no list of CPUs; write numbers and ranges, such as 0,2 or 4-7")]
    Syntax(String),
    /// Not there, or not allowed.
    #[error("CPU {cpu} is not one that this process may use; it may use {allowed}")]
    NotAllowed {
        /// The one asked for.
        cpu: usize,
        /// The ones there are.
        allowed: String,
    },
    /// The platform gives no choice.
    #[error("threads cannot be kept on CPUs of one's choice on this platform")]
    Unsupported,
}

impl Cpus {
    /// These CPUs, numbered from 0.
    ///
    /// # Errors
    /// None, one that this process may not use, or a platform that gives no choice (all but Linux).
    pub fn new(cpus: impl IntoIterator<Item = usize>) -> Result<Self, CpuError> {
        let cpus: Vec<usize> = cpus.into_iter().collect();
        let allowed = allowed()?;
        if let Some(cpu) = cpus.iter().find(|cpu| !allowed.contains(cpu)) {
            return Err(CpuError::NotAllowed { cpu: *cpu, allowed: Self(allowed).to_string() });
        }
        if cpus.is_empty() { Err(CpuError::Syntax(String::new())) } else { Ok(Self(cpus)) }
    }
}

impl FromStr for Cpus {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        /// No kernel has more.
        const CPUS_MAX: usize = 1 << 16;
        let syntax = || CpuError::Syntax(text.chars().take(40).collect());
        let number = |text: &str| text.parse::<usize>().ok().filter(|cpu| *cpu < CPUS_MAX).ok_or_else(syntax);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => {
                    let range = number(first)?..=number(last)?;
                    if range.is_empty() {
                        return Err(syntax());
                    }
                    cpus.extend(range);
                }
                None => cpus.push(number(part)?),
            }
        }
        Self::new(cpus)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.pad(&names.join(","))
    }
}

#[cfg(target_os = "linux")]
fn allowed() -> Result<Vec<usize>, CpuError> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Result<Vec<usize>, CpuError> {
    Err(CpuError::Unsupported)
}

/// Keeps the calling thread where it belongs.
pub(super) fn stay_on(cpus: Option<&Cpus>) {
    #[cfg(target_os = "linux")]
    if let Some(cpus) = cpus {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let mut set = CpuSet::new();
        cpus.0.iter().for_each(|cpu| set.set(*cpu));
        if let Err(error) = sched_setaffinity(None, &set) {
            tracing::warn!(%error, "a thread does not stay on CPUs {cpus}; it runs on any");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = cpus;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_name_cpus_that_are_there() {
        let first = allowed().unwrap()[0];
        assert_eq!(format!("{first}").parse(), Ok(Cpus(vec![first])));
        assert_eq!(format!("{first}-{first},{first}").parse(), Ok(Cpus(vec![first, first])));
        for nonsense in ["", "x", "1-", "-1", "3-2", "99999999", "0,,1", "0,3-2"] {
            assert!(matches!(nonsense.parse::<Cpus>(), Err(CpuError::Syntax(_))), "{nonsense}");
        }
        let error = "1023".parse::<Cpus>().unwrap_err().to_string();
        assert!(error.contains("CPU 1023") && error.contains(&format!("may use {first}")), "{error}");
    }

    #[test]
    fn a_thread_stays_where_it_is_told() {
        let last = *allowed().unwrap().last().unwrap();
        std::thread::spawn(move || {
            stay_on(Some(&Cpus::new([last]).unwrap()));
            assert_eq!(allowed().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}
