//! How a program ends: 0 done, 1 failed at run time, 2 wrong usage, [`INTERRUPTED`] at a second Ctrl-C.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use tracing::Level;

use crate::logs;
use crate::shown::visible;

/// The exit code of a program that was told twice to end, and so did at once, without its summary: that of shells for SIGINT.
pub const INTERRUPTED: i32 = 130;

/// The same for people, at the end of every `--help`.
pub const CODES: &str = "Exit codes: 0 done; 1 failed at run time, which includes frames of which none arrived; 2 wrong \
                         usage; 130 at a second Ctrl-C, without a summary.";

/// Why a program did not do what it was asked for. The message says what happened, with the value, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was asked for something that cannot be: exit code 2.
    Usage(String),
    /// It failed while it worked: exit code 1.
    Runtime(String),
}

impl Failure {
    /// What cannot be asked for.
    pub fn usage(reason: impl fmt::Display) -> Self {
        Self::Usage(visible(&reason.to_string()))
    }

    /// What failed.
    pub fn runtime(reason: impl fmt::Display) -> Self {
        Self::Runtime(visible(&reason.to_string()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Runtime(message) => f.write_str(message),
        }
    }
}

/// Tells people something on standard error, if somebody is still there.
pub fn say(message: fmt::Arguments<'_>) {
    logs::say(Level::INFO, message);
}

/// Says what a run came to: as the JSON that is given, on standard output, or for people on standard error.
///
/// # Errors
/// Standard output cannot be written to.
pub fn tell_summary(summary: &(impl fmt::Display + ?Sized), json: Option<&str>) -> Result<(), Failure> {
    let Some(json) = json else {
        say(format_args!("{summary}"));
        return Ok(());
    };
    logs::flush();
    writeln!(io::stdout(), "{json}")
        .map_err(|error| Failure::runtime(format!("the summary cannot be written to standard output: {error}")))
}

/// Turns a program's end into its exit code; a failure is told on standard error. Whoever does not read that is not waited for
/// long.
pub fn report(program: &str, end: Result<(), Failure>) -> ExitCode {
    let code = match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            logs::say(Level::ERROR, format_args!("{program}: {failure}"));
            match failure {
                Failure::Usage(_) => {
                    say(format_args!("{program} --help says what there is."));
                    ExitCode::from(2)
                }
                Failure::Runtime(_) => ExitCode::from(1),
            }
        }
    };
    logs::flush();
    code
}
