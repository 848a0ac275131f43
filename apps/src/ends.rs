//! The two ends, each on the wire that was asked for.

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use crate::cli::{ClientArgs, ServerArgs, Wire};
use crate::client::source;
use crate::client::target::targets;
use crate::server::Listening;
use crate::{client, plain, server};

/// Runs a server until its limits are reached or somebody asks it to stop. `ready` is called once it listens. The second value is that of a sink that failed, where the server went on without it.
///
/// # Errors
/// What cannot be asked for, and what failed: an address in use, a sink that cannot be written to, where that is the server's one job.
pub fn serve(
    args: &ServerArgs,
    stop: &Stop,
    ready: impl FnOnce(&Listening),
) -> Result<(Summary, Option<Failure>), Failure> {
    let (places, guard) = server::prepare(args, stop)?;
    match args.common.wire {
        Wire::Framed => server::framed::run(args, &places, guard, stop, ready),
        Wire::Plain => plain::server::run(args, &places, guard, stop, ready),
    }
}

/// Runs a client until its source or its limit ends, or somebody asks it to stop. The second value is a failure of the
/// source after which everything before it was sent in order (a truncated file).
///
/// # Errors
/// What cannot be asked for, and what failed.
pub fn send(args: &ClientArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    // First who is meant: standard input may have the line that says so, and frames are none of those to be looked for.
    let nothing = || (Summary { frames_sent: Some(0), cpu_seconds: cpu_seconds(), ..Summary::default() }, None);
    let Some(targets) = targets(args, stop)? else { return Ok(nothing()) };
    let Some(source) = source::open(&args.stream, stop)? else { return Ok(nothing()) };
    match args.common.wire {
        Wire::Framed => client::run::run(args, targets, source, stop),
        Wire::Plain => plain::client::run(args, &targets, source, stop),
    }
}
