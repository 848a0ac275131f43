//! `framewire watch`: reads a stream that a server of this machine shares, and hands its frames on.

mod choice;
mod follow;
mod found;
mod reading;

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_sink::SinkSpec;
use framewire_transport::Delivery;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::share::{SharedStreamInfo, SubscriptionConfig};

use crate::cli::{QUEUE_MAX, WatchArgs};
use crate::recording::{self, Program};
use found::Found;

/// What the program is called in what it says, and at the server.
const PROGRAM: &str = "framewire watch";

/// Reads until the stream is closed, the limit is reached, or somebody asks it to stop. The second value is that of a sink that failed.
///
/// # Errors
/// What cannot be asked for, and what failed: a stream that is not there with `--no-wait`, a server that refuses, a sink that cannot be
/// written to.
pub fn run(args: &WatchArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    recording::check(&args.sinks, args.run.json)?;
    recording::warn_of_mp4(&args.sinks, args.frames.is_some());
    let recording = recording::begin(Program { name: PROGRAM, has_one_job: true }, &args.sinks, args.frames, stop);
    let as_asked = |info: &SharedStreamInfo| config(args, info.delivery);
    let Some(Found { frames, info }) = found::wait(args, as_asked, stop)? else {
        // Whoever stops waiting has read nothing, which is no failure.
        return Ok((Summary { cpu_seconds: cpu_seconds(), ..Summary::default() }, None));
    };
    if let Some(reason) = recording.refusal(&info.format) {
        return Err(Failure::usage(reason));
    }
    say(format_args!("{PROGRAM}: reading stream {:?}, {}", info.name, info.format));
    let asked = follow::Asked {
        policy: policy(args, info.delivery),
        frames_max: args.frames,
        is_quiet: args.verbose > 0,
        recording: &recording,
        stop,
    };
    let summary = follow::follow(&frames, info.into(), &asked)?;
    Ok((summary, recording.failure()))
}

/// By which policy frames wait for this program: as for its server's own sinks, none is lost of a stream that loses none, as far as eight
/// can wait.
fn policy(args: &WatchArgs, delivery: Delivery) -> ConsumerPolicy {
    args.policy.unwrap_or(match delivery {
        Delivery::Every => ConsumerPolicy::Queue(QUEUE_MAX),
        Delivery::Latest => ConsumerPolicy::Latest,
    })
}

fn config(args: &WatchArgs, delivery: Delivery) -> SubscriptionConfig {
    let sinks = args.sinks.sink.iter().filter(|sink| **sink != SinkSpec::Null).count();
    // One frame is in hand. Each sink writes one; of one alone the next waits, and of several as many as do not keep the others waiting.
    let hold = match sinks {
        0 => 2,
        1 => 3,
        _ => (1 + 4 * sinks).min(HOLD_MAX),
    };
    SubscriptionConfig::new().policy(policy(args, delivery)).hold(hold).name(PROGRAM).busy_poll(args.busy_poll)
}

/// More could not be granted beside a queue.
const HOLD_MAX: usize = 40;
