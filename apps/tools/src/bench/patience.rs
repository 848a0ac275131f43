//! How long to wait for the other end.

use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

/// How long a step may take: the largest frame on a slow link, or a port that a firewall closes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a thread that waits sees that it is asked to stop.
pub(super) const LOOK_AROUND: Duration = Duration::from_millis(100);

/// A wait that has begun: it ends by what is waited for, by Ctrl-C, or by its deadline.
pub(super) struct Wait<'a> {
    stop: &'a Stop,
    patience: Duration,
    deadline: Instant,
}

impl<'a> Wait<'a> {
    pub(super) fn begin(stop: &'a Stop, patience: Duration) -> Self {
        Self { stop, patience, deadline: Instant::now() + patience }
    }

    /// Whether to wait on.
    ///
    /// # Errors
    /// Somebody asked to stop, or it has taken too long: what did not happen, as `missing` says it, and the remedy.
    pub(super) fn check(&self, missing: &str, remedy: &str) -> Result<(), Failure> {
        if self.stop.is_stopped() {
            return Err(Failure::runtime("stopped"));
        }
        if Instant::now() >= self.deadline {
            return Err(Failure::runtime(format!("{missing} within {:?}; {remedy}", self.patience)));
        }
        Ok(())
    }
}

/// How often a thread that polls looks whether it is asked to stop.
const POLLS: u32 = 1 << 16;

/// Tries again and again, without sleeping, until there is something.
///
/// # Errors
/// That of a try; somebody asked to stop, or the patience is over.
pub(super) fn poll<T>(stop: &Stop, mut attempt: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let wait = Wait::begin(stop, PATIENCE);
    loop {
        for _ in 0..POLLS {
            if let Some(found) = attempt()? {
                return Ok(found);
            }
            std::hint::spin_loop();
        }
        wait.check("nothing came", "is the other end still there?")?;
    }
}
