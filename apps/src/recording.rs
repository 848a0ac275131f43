//! The sinks of the command line: whether they can be, and what they record together.

use std::num::NonZeroU64;
use std::sync::Arc;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_sink::{Asked, Recording, Roll, SinkSpec, VideoCodec, try_all};

use crate::cli::SinkArgs;

/// Sees to it that frames can go where they are to.
///
/// # Errors
/// What cannot be asked for.
pub(crate) fn check(args: &SinkArgs, json: bool) -> Result<(), Failure> {
    let stdout = args.sink.iter().find(|sink| matches!(sink, SinkSpec::Stdout(_)));
    if let Some(sink) = stdout.filter(|_| json) {
        return Err(Failure::usage(format!(
            "--sink {sink} and --json both want standard output; leave one of them out"
        )));
    }
    try_all(&args.sink)?;
    if args.mcap_chunk.is_some() && !args.sink.iter().any(|sink| matches!(sink, SinkSpec::Mcap(..))) {
        tracing::warn!("--mcap-chunk does nothing here: no --sink is a FILE.mcap");
    }
    if args.picture_every > NonZeroU64::MIN && !args.sink.iter().any(|sink| matches!(sink, SinkSpec::Pictures(..))) {
        tracing::warn!(
            "--picture-every does nothing here: no --sink is pictures, such as shots/{{stream}}-{{frame}}.png"
        );
    }
    Ok(())
}

/// What a crash costs of a recording that opens once it is ended.
pub(crate) fn warn_of_mp4(args: &SinkArgs, is_short: bool) {
    let is_mp4 = |sink: &SinkSpec| matches!(sink, SinkSpec::Video(_, VideoCodec::Mp4v));
    if args.roll.is_empty() && !is_short && args.sink.iter().any(is_mp4) {
        tracing::warn!(
            "an .mp4 opens once it is ended: with --roll 10min, a crash costs the last part and not the whole recording"
        );
    }
}

/// What a program records.
pub(crate) fn begin(program: Program, args: &SinkArgs, frames_max: Option<u64>, stop: &Stop) -> Arc<Recording> {
    let asked_for = |sink: &SinkSpec| {
        let sink = sink.clone().with_picture_every(args.picture_every);
        match args.mcap_chunk {
            Some(bytes) => sink.with_mcap_chunks(bytes),
            None => sink,
        }
    };
    let asked = Asked {
        program: program.name,
        sinks: args.sink.iter().map(asked_for).collect(),
        roll: Roll::new(&args.roll),
        slow: args.slow_sink,
        stops_at_failure: program.has_one_job,
        frames_max,
    };
    Recording::new(asked, stop)
}

/// Who records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// As its messages begin.
    pub(crate) name: &'static str,
    /// It has failed where a file cannot be written.
    pub(crate) has_one_job: bool,
}
