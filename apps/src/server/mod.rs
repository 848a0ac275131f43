//! The server: opens streams that clients ask for, hands their frames to sinks, and tells of them over Socket.IO.

mod flowing;
pub(crate) mod framed;
mod host;
mod names;
pub(crate) mod service;
pub(crate) mod setup;
mod share;
pub(crate) mod tally;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;

use crate::cli::ServerArgs;
use crate::recording;
use setup::{Places, raise_open_files};

/// Sees to it that the server can do what it is asked for, and that it ends when it should; returns where it listens.
///
/// # Errors
/// What cannot be asked for.
pub(crate) fn prepare(args: &ServerArgs, stop: &Stop) -> Result<Places, Failure> {
    recording::check(&args.sinks, args.common.run.json)?;
    recording::warn_of_mp4(&args.sinks, args.single_job);
    let places = Places::of(args)?;
    raise_open_files();
    if args.until_input_ends {
        stop.on_end_of(std::io::stdin())?;
    }
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
