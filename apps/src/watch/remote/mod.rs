//! `framewire watch --server`: a stream of a server of this or another machine, over the network.

mod line;
mod port;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_signal::Role;
use framewire_sink::Recording;

use self::line::Line;
use self::reading::Remote;
use super::follow::{Asked, follow};
use super::{PROGRAM, room};
use crate::cli::WatchArgs;
use crate::client::target::{Credentials, InTurn, in_turn};
use crate::credentials::token_in;

/// How long servers of this network are looked for with `--no-wait`.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

/// Reads until the stream is closed, the limit is reached, or somebody asks it to stop.
///
/// # Errors
/// What cannot be asked for, and what failed: a stream that is not there with `--no-wait`, a server that refuses, a sink that cannot be
/// written to.
pub(super) fn run(args: &WatchArgs, recording: &Arc<Recording>, stop: &Stop) -> Result<Summary, Failure> {
    if args.share.is_some() {
        return Err(Failure::usage(
            "--share (or FRAMEWIRE_SHARE) is a hub of this machine, and --server and --join are servers anywhere: a stream is read in one place; \
             leave one of them out",
        ));
    }
    let Some(name) = args.stream.as_deref() else {
        return Err(Failure::usage(
            "which stream of the server? give its name; framewire ls --server lists those that there are",
        ));
    };
    // Whoever stops waiting has read nothing, which is no failure.
    let nothing = || Summary { cpu_seconds: cpu_seconds(), ..Summary::default() };
    let Some(servers) = servers(args, stop)? else { return Ok(nothing()) };
    let remote = Remote::new(Line::start(args, name, servers)?, stop);
    let Some(stream) = remote.wait(args.no_wait)? else {
        remote.end();
        return Ok(nothing());
    };
    if let Some(reason) = recording.refusal(&stream.format) {
        return Err(Failure::usage(reason));
    }
    say(format_args!("{PROGRAM}: reading stream {:?}, {}", stream.name, stream.format));
    let asked = Asked {
        policy: room::policy(args, stream.delivery),
        frames_max: args.frames,
        is_quiet: args.verbose > 0,
        recording,
        stop,
    };
    let summary = follow(&remote, stream, &asked);
    remote.end();
    summary
}

/// The server, and those that take its place; `None` where somebody asked to stop before one was found.
fn servers(args: &WatchArgs, stop: &Stop) -> Result<Option<InTurn>, Failure> {
    let remote = &args.remote;
    let credentials = Credentials {
        token: token_in(remote.token_file.as_deref())?,
        role: Role::View,
        ca: remote.ca.as_deref(),
        protect: false,
        insecure: remote.insecure,
        stdin_is_taken: false,
    };
    // Whoever does not wait for a stream waits for no server either, but as long as one takes to answer.
    let limit = args.no_wait.then_some(FOUND_WITHIN);
    match (&remote.join, &remote.server) {
        (Some(_), Some(_)) => Err(Failure::usage("--server and --join both say which server; leave one of them out")),
        (Some(files), None) => in_turn("--join", &files.to_string_lossy(), &credentials, (limit, stop)),
        (None, Some(servers)) => in_turn("--server", servers, &credentials, (limit, stop)),
        (None, None) => Err(Failure::usage("which server? give --server URL or --join FILE")),
    }
}
