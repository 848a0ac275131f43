//! `framewire-server`: receives video streams and hands their frames on.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use framewire::cli::ServerArgs;
use framewire::{config, ends, server};
use framewire_figures::summary::finish;
use framewire_process::exit::{Failure, report};
use framewire_process::logs;
use framewire_process::stop::Stop;

fn main() -> ExitCode {
    report("framewire-server", run())
}

fn run() -> Result<(), Failure> {
    let Some(args) = config::load::<ServerArgs>(std::env::args_os())? else { return Ok(()) };
    let _logs = logs::start(args.verbose, args.common.run.log_format);
    config::warn_of_unknown_variables();
    let stop = Stop::new();
    stop.on_interrupt()?;
    finish(args.common.run.json, ends::serve(&args, &stop, server::Listening::announce)?)
}
