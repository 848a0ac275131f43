//! What a service manager, such as systemd, is told of a server that it started: it listens, it works, it stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How often the status changes: seldom enough to cost the manager nothing.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// The service manager named by `NOTIFY_SOCKET`; without one, nobody is told anything.
pub(super) struct ServiceManager {
    /// How often it wants to hear that the server works.
    sign_of_life: Option<Duration>,
    heard: Instant,
    status: Instant,
    last: (u64, u64),
}

impl ServiceManager {
    pub(super) fn from_environment() -> Self {
        let now = Instant::now();
        // Twice as often as asked for, as systemd advises.
        Self { sign_of_life: sd_notify::watchdog_enabled().map(|time| time / 2), heard: now, status: now, last: (0, 0) }
    }

    /// Both ports listen.
    pub(super) fn ready(&mut self, signal: SocketAddr, udp: SocketAddr) {
        tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening on http://{signal} and UDP {udp}"))]);
    }

    /// The server's main loop has come round, with these figures since the start.
    pub(super) fn working(&mut self, frames: u64, bytes: u64, dropped: u64) {
        let now = Instant::now();
        if self.sign_of_life.is_some_and(|interval| now - self.heard >= interval) {
            self.heard = now;
            tell(&[NotifyState::Watchdog]);
        }
        if now - self.status >= STATUS_INTERVAL {
            let status = status((frames, bytes, dropped), self.last, now - self.status);
            (self.status, self.last) = (now, (frames, bytes));
            tell(&[NotifyState::Status(&status)]);
        }
    }

    /// No more is taken in; what was promised is finished.
    pub(super) fn stopping(&mut self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told; is NOTIFY_SOCKET its socket?");
    }
}

fn status((frames, bytes, dropped): (u64, u64, u64), (frames_then, bytes_then): (u64, u64), time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let rate = frames.saturating_sub(frames_then) as f64 / seconds;
    let gigabytes = bytes.saturating_sub(bytes_then) as f64 / seconds / 1e9;
    format!("{frames} frames, {rate:.0} frames/s, {gigabytes:.2} GB/s, {dropped} dropped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_has_the_rates_since_the_last_one() {
        let status = status((1100, 5_000_000_000, 3), (1000, 0), Duration::from_secs(5));
        assert_eq!(status, "1100 frames, 20 frames/s, 1.00 GB/s, 3 dropped");
    }
}
