//! `framewire`: the demo, the bench, doctor and top, and the other programs under one name.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use framewire::cli::{Command, DemoArgs, FramewireArgs};
use framewire::{config, demo, ends, formats, ls, manual, server, token, watch};
use framewire_figures::summary::finish;
use framewire_process::exit::{Failure, report, say};
use framewire_process::logs;
use framewire_process::logs::LogFormat;
use framewire_process::stop::Stop;
use framewire_tools::{bench, doctor, top};

fn main() -> ExitCode {
    report("framewire", start())
}

fn start() -> Result<(), Failure> {
    let Some(args) = config::load::<FramewireArgs>(std::env::args_os())? else { return Ok(()) };
    if let Some(command) = args.command {
        return run(&command);
    }
    // Without a command: the demo.
    let demo = ["framewire", "demo"].map(Into::into);
    config::load::<FramewireArgs>(demo)?.and_then(|args| args.command).map_or(Ok(()), |demo| run(&demo))
}

fn run(command: &Command) -> Result<(), Failure> {
    let (verbose, format) = match command {
        Command::Demo(args) => (args.verbose, args.common.run.log_format),
        Command::Client(args) => (args.verbose, args.common.run.log_format),
        Command::Server(args) => (args.verbose, args.common.run.log_format),
        Command::Watch(args) => (args.verbose, args.run.log_format),
        Command::Ls(args) => (args.verbose, LogFormat::Text),
        Command::Bench(_)
        | Command::Doctor(_)
        | Command::Top(_)
        | Command::Formats(_)
        | Command::Token(_)
        | Command::Completions(_)
        | Command::Man(_) => (0, LogFormat::Text),
    };
    // The screen is its own.
    let _logs = (!matches!(command, Command::Top(_))).then(|| logs::start(verbose, format));
    config::warn_of_unknown_variables();
    let stop = Stop::new();
    stop.on_interrupt()?;
    match command {
        Command::Demo(args) => {
            announce(args);
            finish(args.common.run.json, demo::run(args, &stop)?)
        }
        Command::Client(args) => finish(args.common.run.json, ends::send(args, &stop)?),
        Command::Server(args) => finish(args.common.run.json, ends::serve(args, &stop, server::Listening::announce)?),
        Command::Watch(args) => finish(args.run.json, watch::run(args, &stop)?),
        Command::Bench(args) => bench::run(args, &stop),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        Command::Doctor(args) => doctor::run(args, &stop),
        Command::Top(args) => top::run(args, &stop),
        Command::Formats(args) => formats::run(args),
        Command::Ls(args) => ls::run(args, &stop),
        Command::Token(args) => token::run(args),
    }
}

fn announce(args: &DemoArgs) {
    say(format_args!("{} from a client to a server on this machine, over UDP on loopback", args.stream.source));
}
