//! `framewire-ros2`: streams as ROS 2 topics, and topics as streams. It is a process of its own, so that what a middleware does slows no frame.

mod cli;
mod publish;
mod ros;
mod summary;

use std::process::ExitCode;

use clap::Parser;
use framewire_process::exit::{Failure, report};
use framewire_process::logs;
use framewire_process::stop::Stop;

use cli::{Command, RosArgs};
use summary::Summary;

fn main() -> ExitCode {
    let args = RosArgs::parse();
    report("framewire-ros2", run(&args))
}

fn run(args: &RosArgs) -> Result<(), Failure> {
    let common = args.common();
    let _logs = logs::start(common.verbose, common.log_format);
    let stop = Stop::new();
    stop.on_interrupt()?;
    match &args.command {
        Command::Publish(args) => publish::run(args, &stop)?.print(common.json),
    }
}
