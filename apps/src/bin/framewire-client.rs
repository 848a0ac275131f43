//! `framewire-client`: sends a video stream.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use framewire::cli::ClientArgs;
use framewire::client;
use framewire::exit::{Failure, report, start_logs};
use framewire::stop::Stop;

fn main() -> ExitCode {
    let args = ClientArgs::parse();
    start_logs(args.verbose);
    report("framewire-client", run(&args))
}

fn run(args: &ClientArgs) -> Result<(), Failure> {
    let stop = Stop::new();
    stop.on_interrupt()?;
    let (summary, failure) = client::run(args, &stop)?;
    summary.print(args.common.json)?;
    failure.map_or(Ok(()), Err)
}
