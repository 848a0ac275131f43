//! `framewire bench`: Framewire beside the bare kernel and a TCP socket, between two processes, on this machine or link.
//!
//! The process at hand sends (`near`); another one receives (`far`): one that it starts itself, or one on another
//! host. A TCP connection between them (`control`) says what comes next and brings the receiver's figures back.

mod child;
mod contender;
mod control;
mod far;
mod framewire;
mod kernel;
mod near;
mod patience;
mod report;
mod stamp;
mod tally;
mod tcp;

pub use contender::Contender;

use framewire_capture::RawFormat;
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;

use crate::cli::BenchArgs;

/// So that eight slots of a frame fit the gigabyte that a stream may have: one of 7680x4320 bgr24 does.
const FRAME_BYTES_MAX: usize = 100_000_000;

/// Measures and prints the comparison, or receives for a bench on another host.
///
/// # Errors
/// What cannot be asked for, and what failed at either end.
pub fn run(args: &BenchArgs, stop: &Stop) -> Result<(), Failure> {
    if let Some(address) = &args.receive {
        return far::run(address.resolve_one(None)?, args.once, args.tied, stop);
    }
    check_frame(&args.frame).map_err(Failure::usage)?;
    if cfg!(debug_assertions) {
        say(format_args!(
            "framewire bench: built for debugging; cargo run --release -- bench gives figures that count"
        ));
    }
    near::run(args, stop)?.print(args.json)
}

/// Whether frames like these can be measured.
///
/// # Errors
/// Why not, with the remedy.
fn check_frame(frame: &RawFormat) -> Result<(), String> {
    let bytes = frame.format.frame_bytes();
    if frame.rate.is_some() {
        return Err(format!("'{frame}' has a rate, but a bench sets the rate itself; leave the @ out"));
    }
    if bytes < stamp::Stamp::LEN {
        let least = stamp::Stamp::LEN;
        return Err(format!("a frame of {bytes} bytes ({frame}) is too small to measure; use one of {least} or more"));
    }
    if bytes > FRAME_BYTES_MAX {
        return Err(format!(
            "a frame of {bytes} bytes ({frame}) is larger than the {FRAME_BYTES_MAX} of a bench; use a smaller one"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_cannot_be_measured_are_refused_with_the_remedy() {
        let refused = |text: &str| check_frame(&text.parse().unwrap()).unwrap_err();
        assert!(refused("5x3:gray8").contains("15 bytes (5x3:gray8) is too small"));
        assert!(refused("20000x20000:gray8").contains("400000000 bytes"));
        assert!(refused("640x480:gray8@30").contains("leave the @ out"));
        assert_eq!(check_frame(&"7680x4320:bgr24".parse().unwrap()), Ok(()));
        assert_eq!(check_frame(&"4x4:gray8".parse().unwrap()), Ok(()));
    }
}
