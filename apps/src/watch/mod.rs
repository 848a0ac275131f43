//! `framewire watch`: reads a stream that a hub of this machine shares, or a server has, and hands its frames on.

mod choice;
mod follow;
mod found;
mod presence;
mod reading;
mod remote;
mod room;

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;

use crate::cli::WatchArgs;
use crate::recording::{self, Program};
use found::Found;

/// What the program is called in what it says, and at the hub.
const PROGRAM: &str = "framewire watch";

/// Reads until the stream is closed, the limit is reached, or somebody asks it to stop. The second value is that of a sink that failed.
///
/// # Errors
/// What cannot be asked for, and what failed: a stream that is not there with `--no-wait`, a hub that refuses, a sink that cannot be
/// written to.
pub fn run(args: &WatchArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    recording::check(&args.sinks, args.run.json)?;
    recording::warn_of_mp4(&args.sinks, args.frames.is_some());
    let recording = recording::begin(Program { name: PROGRAM, has_one_job: true }, &args.sinks, args.frames, stop);
    if args.remote.is_named() {
        let summary = remote::run(args, &recording, stop)?;
        return Ok((summary, recording.failure()));
    }
    if args.udp.is_some() || args.max_fps.is_some() || args.delivery.is_some() {
        return Err(Failure::usage(
            "--udp, --delivery and --max-fps are for frames that come by the network, of --server or --join; leave them out",
        ));
    }
    let Some(Found { frames, info }) = found::wait(args, stop)? else {
        // Whoever stops waiting has read nothing, which is no failure.
        return Ok((Summary { cpu_seconds: cpu_seconds(), ..Summary::default() }, None));
    };
    if let Some(reason) = recording.refusal(&info.format) {
        return Err(Failure::usage(reason));
    }
    say(format_args!("{PROGRAM}: reading stream {:?}, {}", info.name, info.format));
    let asked = follow::Asked {
        policy: room::policy(args, info.delivery),
        frames_max: args.frames,
        is_quiet: args.verbose > 0,
        recording: &recording,
        stop,
    };
    let summary = follow::follow(&frames, info.into(), &asked)?;
    Ok((summary, recording.failure()))
}
