//! The line that shows how a program gets on, while somebody looks.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line changes: as fast as a figure can be read.
pub const REFRESH: Duration = Duration::from_millis(250);

/// One line on standard error, if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    last: Option<(Instant, u64, u64)>,
}

impl Progress {
    /// A line, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bar =
            if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well formed");
        bar.set_style(style);
        Self { bar, last: None }
    }

    /// Shows the rates since the last call, and the losses so far.
    pub fn show(&mut self, frames: u64, bytes: u64, latency: Option<Duration>, dropped: u64) {
        let now = Instant::now();
        let (then, frames_then, bytes_then) = self.last.replace((now, frames, bytes)).unwrap_or((now, frames, bytes));
        let seconds = (now - then).as_secs_f64();
        if seconds == 0.0 {
            return;
        }
        let rate = frames.saturating_sub(frames_then) as f64 / seconds;
        let gigabytes = bytes.saturating_sub(bytes_then) as f64 / seconds / 1e9;
        let latency = latency.map(|latency| format!(", {:.2} ms", latency.as_secs_f64() * 1e3)).unwrap_or_default();
        let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
        self.bar.set_message(format!("{frames} frames, {rate:.0} frames/s, {gigabytes:.2} GB/s{latency}{dropped}"));
        self.bar.tick();
    }

    /// Shows a sentence instead of figures.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
        self.bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
