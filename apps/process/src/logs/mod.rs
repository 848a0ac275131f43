//! Logs on standard error: how much, in which form, and never more than somebody can read, whatever a peer does.
//! Nobody who has something to say waits for whoever reads it.

mod filter;
mod limit;
mod line;
mod news;
mod queue;

use std::io::IsTerminal;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use filter::{Filter, is_discreet};
use limit::{LeftOut, Limit, Limiter};
use line::FORMAT;
use queue::{Of, Queue};

use crate::shown::visible;

pub use line::LogFormat;
pub use news::News;

/// How long the end of a program waits for whoever reads standard error: long for one who reads, short for one who waits.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// Sends logs to standard error: warnings, with `-v` what happens, with `-vv` everything; `RUST_LOG` wins. Of what one
/// place in the program says, ten lines a second are written, the others counted and the count written; but what
/// `debug` and `trace` say is written whole, to whoever asked for that.
///
/// A thread of its own writes them. What finds no room because nobody reads is left out and counted.
///
/// Logs are complete once what is returned is dropped, as far as somebody reads them.
#[must_use = "dropped, it writes how many lines were left out"]
pub fn start(verbose: u8, format: LogFormat) -> Logs {
    let _ = FORMAT.set(format);
    let Filter { targets, unread } = Filter::of(verbose, std::env::var_os("RUST_LOG").as_deref());
    let limiter = Arc::new(Limiter::new());
    // Colours are for eyes, not for a journal.
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| Queue::of_stderr().clone());
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let logs = tracing_subscriber::registry().with(lines).with(Limit::new(limiter.clone())).with(targets);
    let logs = logs.with(filter_fn(|line| is_discreet(line.target(), *line.level())));
    // A program that has logs already (a test) keeps them.
    let _ = logs.try_init();
    if let Some(unread) = unread {
        tracing::warn!("{unread}");
    }
    let counting = limiter.clone();
    let counter = std::thread::Builder::new().name("framewire-logs".into());
    let counter = counter.spawn(move || counting.run(tell));
    if let Err(error) = &counter {
        tracing::warn!(%error, "no thread counts the lines that are left out; that is said at the end");
    }
    Logs { limiter, counter: counter.ok() }
}

/// Logs that are being written.
pub struct Logs {
    limiter: Arc<Limiter>,
    counter: Option<JoinHandle<()>>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.limiter.stop();
        match self.counter.take() {
            Some(counter) => drop(counter.join()),
            None => self.limiter.run(tell),
        }
        flush();
    }
}

fn tell(left_out: LeftOut) {
    line::write(Of::Logs, left_out.level, left_out.target, left_out);
}

/// Waits until all that was said is written, but never long for one who does not read. To be called before something is
/// written elsewhere that belongs after it, and before the process ends.
pub fn flush() {
    Queue::of_stderr().flush(FLUSH_WAIT);
}

/// Tells people something on standard error, if somebody is still there; programs, where they asked for lines of JSON.
pub fn say(level: Level, message: impl std::fmt::Display) {
    match FORMAT.get() {
        Some(LogFormat::Json) => line::write(Of::Program, level, "framewire", message),
        Some(LogFormat::Text) | None => line::write_plain(Of::Program, visible(&message.to_string())),
    }
}
