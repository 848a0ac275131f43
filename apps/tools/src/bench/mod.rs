//! `framewire bench`: Framewire beside the bare kernel and a TCP socket, between two processes, on this machine or link; and what two
//! processes of one machine hand over in shared memory, beside what cannot be quicker.
//!
//! The process at hand sends (`near`); another one receives (`far`): one that it starts itself, or one on another
//! host. A TCP connection between them (`control`) says what comes next and brings the receiver's figures back.

mod args;
mod child;
mod contender;
mod control;
mod far;
mod folder;
mod frame;
mod framewire;
mod kernel;
mod memory;
mod near;
mod patience;
mod pipe;
mod report;
pub(crate) mod sealing;
mod shm;
mod stamp;
mod tally;
mod tcp;
mod thread;
mod work;

pub use args::BenchArgs;
pub use contender::Contender;

use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;

use frame::check_frame;

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
