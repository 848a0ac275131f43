//! `framewire-server`: receives video streams and hands their frames on.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use framewire::cli::ServerArgs;
use framewire::exit::{Failure, report, start_logs};
use framewire::server;
use framewire::stop::Stop;

fn main() -> ExitCode {
    let args = ServerArgs::parse();
    start_logs(args.verbose);
    report("framewire-server", run(&args))
}

fn run(args: &ServerArgs) -> Result<(), Failure> {
    let stop = Stop::new();
    stop.on_interrupt()?;
    let (summary, failure) = server::run(args, &stop, server::announce)?;
    summary.print(args.common.json)?;
    failure.map_or(Ok(()), Err)
}
