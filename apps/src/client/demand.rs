//! What a client does while nobody wants its stream (`--on-demand`).

use std::time::Duration;

use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_transport::Delivery;

use super::fan::Fan;
use super::feed::Feed;
use super::source;
use crate::cli::{OnDemand, StreamArgs};

/// How long after a device could not be opened it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// That a stream may rest.
///
/// # Errors
/// None of its frames may be left out, or they are none of now.
pub(super) fn check(on_demand: Option<OnDemand>, delivery: Delivery, feed: &Feed) -> Result<(), Failure> {
    let Some(on_demand) = on_demand else { return Ok(()) };
    let name = on_demand.name();
    if delivery == Delivery::Every {
        return Err(Failure::usage(format!(
            "--on-demand {name} leaves out the frames that nobody is there for, and of an 'every' stream none may be left out; give \
             --delivery latest, or leave --on-demand out"
        )));
    }
    if !feed.source().is_live() {
        return Err(Failure::usage(format!(
            "--on-demand {name} is for sources whose frames are of now, cameras and patterns: a recording would go on without those that \
             nobody saw; leave it out"
        )));
    }
    Ok(())
}

/// Closes the source for as long as nobody wants its frames, and opens it again. A device that another program has meanwhile is waited for.
///
/// # Errors
/// The source is another one than before.
pub(super) fn rest(feed: &mut Feed, fan: &Fan, args: &StreamArgs, stop: &Stop) -> Result<(), Failure> {
    feed.rest();
    say(format_args!("framewire-client: nobody wants the stream: {} is closed until somebody does", args.source));
    let mut is_told = false;
    loop {
        fan.wait_until_wanted(stop);
        if stop.is_stopped() || fan.is_over() {
            return Ok(());
        }
        match source::open(args, stop) {
            Ok(Some(source)) => {
                feed.wake(source)?;
                say(format_args!("framewire-client: somebody wants the stream: {} is open again", args.source));
                return Ok(());
            }
            Ok(None) => return Ok(()),
            Err(failure) if !is_told => {
                is_told = true;
                say(format_args!("framewire-client: {failure}; it is tried again until it opens"));
            }
            Err(_) => {}
        }
        stop.sleep(AGAIN);
    }
}
