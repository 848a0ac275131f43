//! `framewire`: the demo, the bench, and the other programs under one name.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use framewire::cli::{Command, CommonArgs, DemoArgs, FramewireArgs};
use framewire::exit::{Failure, report, say, start_logs};
use framewire::stop::Stop;
use framewire::{bench, client, demo, server};

fn main() -> ExitCode {
    let command = FramewireArgs::parse().command.unwrap_or_else(default_command);
    report("framewire", run(&command))
}

/// Without a command: the demo, with its defaults.
fn default_command() -> Command {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        demo: DemoArgs,
    }
    Command::Demo(Defaults::parse_from(["framewire"]).demo)
}

fn run(command: &Command) -> Result<(), Failure> {
    let stop = Stop::new();
    stop.on_interrupt()?;
    match command {
        Command::Demo(args) => {
            start_logs(args.verbose);
            announce(args);
            finish(&args.common, demo::run(args, &stop)?)
        }
        Command::Client(args) => {
            start_logs(args.verbose);
            finish(&args.common, client::run(args, &stop)?)
        }
        Command::Server(args) => {
            start_logs(args.verbose);
            finish(&args.common, server::run(args, &stop, server::announce)?)
        }
        Command::Bench(args) => {
            start_logs(0);
            bench::run(args, &stop)
        }
    }
}

fn announce(args: &DemoArgs) {
    say(format_args!("{} from a client to a server on this machine, over UDP on loopback", args.stream.source));
}

fn finish(
    common: &CommonArgs,
    (summary, failure): (framewire::summary::Summary, Option<Failure>),
) -> Result<(), Failure> {
    summary.print(common.json)?;
    failure.map_or(Ok(()), Err)
}
