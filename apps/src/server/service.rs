//! What a service manager, such as systemd, is told of a server that it started: it listens, it works, it stops.

use std::time::{Duration, Instant};

use framewire_monitor::Health;
use sd_notify::NotifyState;

use super::introduction::Listening;

/// How often the status changes: seldom enough to cost the manager nothing.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// The service manager named by `NOTIFY_SOCKET`; without one, nobody is told anything.
pub(crate) struct ServiceManager {
    /// How often it wants to hear that the server works.
    sign_of_life: Option<Duration>,
    heard: Instant,
    status: Instant,
    last: (u64, u64),
}

impl ServiceManager {
    pub(crate) fn from_environment() -> Self {
        // Twice as often as asked for, as systemd advises.
        Self::new(sd_notify::watchdog_enabled().map(|time| time / 2), Instant::now())
    }

    fn new(sign_of_life: Option<Duration>, now: Instant) -> Self {
        Self { sign_of_life, heard: now, status: now, last: (0, 0) }
    }

    /// Both ports listen.
    pub(crate) fn ready(&mut self, listening: &Listening) {
        let status = format!("listening on {} and UDP {}", listening.url(), listening.udp);
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The server's main loop has come round, with these figures since the start. How it does is asked when it is told.
    pub(crate) fn working(&mut self, frames: u64, bytes: u64, dropped: u64, health: impl FnOnce() -> Health) {
        let now = Instant::now();
        if self.is_sign_of_life_due(now) {
            tell(&[NotifyState::Watchdog]);
        }
        if let Some(status) = self.status_due(now, (frames, bytes, dropped), health) {
            tell(&[NotifyState::Status(&status)]);
        }
    }

    fn is_sign_of_life_due(&mut self, now: Instant) -> bool {
        let due = self.sign_of_life.is_some_and(|interval| now - self.heard >= interval);
        if due {
            self.heard = now;
        }
        due
    }

    /// The figures, with the rates since they were told last; before them what does not work.
    fn status_due(
        &mut self,
        now: Instant,
        (frames, bytes, dropped): (u64, u64, u64),
        health: impl FnOnce() -> Health,
    ) -> Option<String> {
        let seconds = (now - self.status).as_secs_f64();
        if seconds < STATUS_INTERVAL.as_secs_f64() {
            return None;
        }
        let (frames_then, bytes_then) = self.last;
        (self.status, self.last) = (now, (frames, bytes));
        let rate = frames.saturating_sub(frames_then) as f64 / seconds;
        let gigabytes = bytes.saturating_sub(bytes_then) as f64 / seconds / 1e9;
        let figures = format!("{frames} frames, {rate:.0} frames/s, {gigabytes:.2} GB/s, {dropped} dropped");
        Some(match health() {
            Health::Fine => figures,
            degraded @ Health::Degraded { .. } => format!("{degraded}; {figures}"),
        })
    }

    /// No more is taken in; what was promised is finished.
    pub(crate) fn stopping(&mut self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told; is NOTIFY_SOCKET its socket?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_every_few_seconds_with_the_rates_since_the_last() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut manager = ServiceManager::new(None, start);
        let fine = || Health::Fine;
        assert_eq!(manager.status_due(at(4999), (1000, 0, 0), fine), None);
        let told = |status: Option<String>| status.unwrap();
        let first = told(manager.status_due(at(5000), (1000, 0, 0), fine));
        assert_eq!(first, "1000 frames, 200 frames/s, 0.00 GB/s, 0 dropped");
        assert_eq!(manager.status_due(at(5250), (1001, 0, 0), fine), None);
        let second = told(manager.status_due(at(10_000), (1100, 5_000_000_000, 3), fine));
        assert_eq!(second, "1100 frames, 20 frames/s, 1.00 GB/s, 3 dropped");
    }

    #[test]
    fn a_status_begins_with_the_recordings_that_fail_and_is_the_figures_again_when_none_does() {
        let start = Instant::now();
        let mut manager = ServiceManager::new(None, start);
        let mut told =
            |seconds, health| manager.status_due(start + Duration::from_secs(seconds), (9, 0, 0), || health).unwrap();
        let status = told(5, Health::Degraded { failing: 1, sinks: 2, frames: 3 });
        assert!(
            status.starts_with("degraded: recording fails at 1 of 2 sinks, and 3 frames are not recorded"),
            "{status}"
        );
        assert!(status.contains("; 9 frames, "), "{status}");
        assert!(told(10, Health::Fine).starts_with("9 frames, "));
    }

    #[test]
    fn a_sign_of_life_comes_as_often_as_it_is_wanted() {
        let start = Instant::now();
        let due = |manager: &mut ServiceManager| {
            let times = (0..=40).map(|times| start + times * Duration::from_millis(250));
            times.filter(|now| manager.is_sign_of_life_due(*now)).count()
        };
        assert_eq!(due(&mut ServiceManager::new(Some(Duration::from_secs(1)), start)), 10);
        assert_eq!(due(&mut ServiceManager::new(None, start)), 0);
    }
}
