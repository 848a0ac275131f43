//! `framewire-ros2`: streams as ROS 2 topics, and topics as streams. It is a process of its own, so that what a middleware does slows no frame.

mod cli;
mod publish;
mod ros;
mod subscribe;
mod summary;

use std::process::ExitCode;

use clap::Parser;
use framewire_process::exit::{Failure, report};
use framewire_process::logs;
use framewire_process::stop::Stop;

use cli::{Command, RosArgs};

fn main() -> ExitCode {
    let args = RosArgs::parse();
    report("framewire-ros2", run(&args))
}

fn run(args: &RosArgs) -> Result<(), Failure> {
    let common = args.common();
    let _logs = logs::start(common.verbose, common.log_format);
    quiet_the_middleware(common.verbose);
    let stop = Stop::new();
    stop.on_interrupt()?;
    match &args.command {
        Command::Publish(args) => publish::run(args, &stop)?.conclude(common.json),
        Command::Subscribe(args) => subscribe::run(args, &stop)?.conclude(common.json),
    }
}

/// What the middleware says is for who works on it: its warnings with `-vv`, and everything where `RUST_LOG` asks for it.
fn quiet_the_middleware(verbose: u8) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(if verbose < 2 { log::LevelFilter::Off } else { log::LevelFilter::Warn });
    }
}
