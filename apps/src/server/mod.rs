//! The server: opens streams that clients ask for, hands their frames to sinks, and tells of them over Socket.IO.

mod announced;
mod busy;
pub(crate) mod cluster;
mod flowing;
pub(crate) mod framed;
pub(crate) mod guard;
mod host;
mod interest;
mod introduction;
mod keys;
mod links;
pub(crate) mod service;
pub(crate) mod setup;
mod share;
pub(crate) mod tally;
mod voice;
mod watching;

use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use crate::cli::ServerArgs;
use crate::recording;
use guard::Guard;
use setup::{Places, forbid_core_dumps, raise_open_files};

pub use introduction::Listening;

/// Sees to it that the server can do what it is asked for, and that it ends when it should; returns where it listens, and
/// what guards it.
///
/// # Errors
/// What cannot be asked for.
pub(crate) fn prepare(args: &ServerArgs, stop: &Stop) -> Result<(Places, Guard), Failure> {
    recording::check(&args.sinks, args.common.run.json)?;
    recording::warn_of_mp4(&args.sinks, args.single_job);
    let places = Places::of(args)?;
    let guard = Guard::of(args, &places)?;
    if guard.is_protected() {
        forbid_core_dumps();
    }
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
    Ok((places, guard))
}
