//! The server: opens streams that clients ask for, hands their frames to sinks, and tells of them over Socket.IO.

mod flowing;
pub(crate) mod framed;
mod host;
mod names;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod tally;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_sink::{SinkSpec, VideoCodec, try_all};

use crate::cli::ServerArgs;
use setup::{Places, raise_open_files};

/// Sees to it that the server can do what it is asked for, and that it ends when it should; returns where it listens.
///
/// # Errors
/// What cannot be asked for.
pub(crate) fn prepare(args: &ServerArgs, stop: &Stop) -> Result<Places, Failure> {
    check(args)?;
    let places = Places::of(args)?;
    raise_open_files();
    if let Some(seconds) = args.seconds {
        let (stop, deadline) = (stop.clone(), Instant::now() + Duration::from_secs_f64(seconds));
        std::thread::Builder::new()
            .name("framewire-limit".into())
            .spawn(move || {
                if !stop.sleep_until(deadline) {
                    stop.stop();
                }
            })
            .map_err(Failure::runtime)?;
    }
    Ok(places)
}

/// Tells people where the server listens.
pub fn announce(signal: SocketAddr, udp: SocketAddr) {
    say(format_args!("framewire-server: listening on http://{signal} (Socket.IO) and UDP {udp}"));
}

fn check(args: &ServerArgs) -> Result<(), Failure> {
    let stdout = args.sink.iter().find(|sink| matches!(sink, SinkSpec::Stdout(_)));
    if let Some(sink) = stdout.filter(|_| args.common.json) {
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
    let is_mp4 = |sink: &SinkSpec| matches!(sink, SinkSpec::Video(_, VideoCodec::Mp4v));
    if args.roll.is_empty() && !args.single_job && args.sink.iter().any(is_mp4) {
        tracing::warn!(
            "an .mp4 opens once it is ended: with --roll 10min, a crash costs the last part and not the whole recording"
        );
    }
    Ok(())
}
