//! How busy this server is, as the others of its cluster are told.

use std::time::{Duration, Instant};

use framewire_signal::directory::Load;

/// How far apart what is compared was looked at, at least: of less, a figure would be of chance.
const APART: Duration = Duration::from_secs(1);

/// What a server has used and done since it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) cpu_seconds: f64,
    /// Bytes of frames sent on to watchers.
    pub(super) bytes_sent: u64,
}

/// Makes rates of it.
#[derive(Default)]
pub(super) struct Busy {
    looked: Option<(Instant, Use)>,
    rates: Load,
}

impl Busy {
    /// A load with what of it is known by now: how many cores it keeps busy, and what it sends on.
    pub(super) fn look(&mut self, now: Instant, used: Use) -> Load {
        let (then, before) = *self.looked.get_or_insert((now, used));
        let apart = now.saturating_duration_since(then);
        if apart >= APART {
            let seconds = apart.as_secs_f64();
            let bytes = used.bytes_sent.saturating_sub(before.bytes_sent) as f64 / seconds;
            let cores = (used.cpu_seconds - before.cpu_seconds).max(0.0) / seconds;
            self.rates = Load::new().relayed_bytes_per_second(bytes as u64).cores(cores);
            self.looked = Some((now, used));
        }
        self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_a_second_at_least_and_unknown_before() {
        let begun = Instant::now();
        let used = |cpu_seconds, bytes_sent| Use { cpu_seconds, bytes_sent };
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut busy = Busy::default();
        assert_eq!(busy.look(begun, used(1.0, 500)), Load::new());
        assert_eq!(busy.look(at(999), used(9.0, 9_000)), Load::new());
        let first = Load::new().cores(0.25).relayed_bytes_per_second(1_000);
        assert_eq!(busy.look(at(2_000), used(1.5, 2_500)), first);
        assert_eq!(busy.look(at(2_500), used(7.0, 7_000)), first, "the same until it is time");
        // What is counted never goes down; where it did, there is nothing to say.
        assert_eq!(busy.look(at(3_000), used(0.5, 0)), Load::new().cores(0.0));
    }
}
