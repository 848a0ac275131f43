//! What this machine's wall clock shows beside its monotonic one.

use std::time::{Duration, SystemTime};

use crate::time::Time;
use crate::utc::UtcOffset;

/// A comparison that took longer says too little: half of it is the error.
const TOOK_MAX: Duration = Duration::from_millis(1);

/// Compares the two; `None` where the wall clock shows a time before 1970, and where this thread lost its core while it looked.
pub(crate) fn compare() -> Option<UtcOffset> {
    // The narrowest of three: a thread may lose its core between two readings.
    let pairs = std::array::from_fn::<_, 3, _>(|_| {
        let before = Time::now();
        let utc = SystemTime::now();
        let took = Time::now().since(before);
        (took, before + took / 2, utc)
    });
    let (took, monotonic, utc) = pairs.into_iter().min_by_key(|(took, ..)| *took)?;
    if took > TOOK_MAX {
        return None;
    }
    UtcOffset::new(monotonic, utc, estimated_error())
}

/// What the system thinks its wall clock may be wrong by; `None` where nothing keeps it right.
#[cfg(target_os = "linux")]
fn estimated_error() -> Option<Duration> {
    // SAFETY: plain numbers, for which zeroes stand for "change nothing".
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole `timex` that outlives the call; with `modes` zero the call only reads.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    let is_kept = answer >= 0 && answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0;
    let micros = u64::try_from(state.maxerror).ok()?;
    is_kept.then(|| Duration::from_micros(micros))
}

#[cfg(not(target_os = "linux"))]
fn estimated_error() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_time() {
        let offset = compare().unwrap();
        let told = offset.at(Time::now().as_nanos()).unwrap();
        let apart = SystemTime::now().duration_since(told).unwrap_or_else(|ahead| ahead.duration());
        assert!(apart < Duration::from_secs(60), "{apart:?}");
    }
}
