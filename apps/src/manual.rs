//! What the system around the programs is told of their command lines: completions for shells, and man pages.

use std::io::Write;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use framewire_process::exit::{Failure, say};

use crate::cli::{ClientArgs, CompletionsArgs, FramewireArgs, ManArgs, Program, ServerArgs};
use crate::config;

/// Prints a shell's completions on standard output.
///
/// # Errors
/// Where standard output does not take them.
pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = command(args.program);
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    let printed = std::io::stdout().write_all(&text);
    printed.map_err(|error| Failure::runtime(format!("the completions cannot be printed: {error}")))
}

/// Writes a page for each program and each of their subcommands.
///
/// # Errors
/// A directory that cannot be written to.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let failed = |error| {
        let dir = args.dir.display();
        Failure::runtime(format!("man pages cannot be written to '{dir}': {error}; name another directory with --dir"))
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut pages = 0;
    for program in [Program::Framewire, Program::FramewireServer, Program::FramewireClient] {
        let mut command = command(program).disable_help_subcommand(true);
        command.build();
        pages += write_pages(&command, &args.dir).map_err(failed)?;
    }
    say(format_args!("{pages} man pages are in {}", args.dir.display()));
    Ok(())
}

fn write_pages(command: &Command, dir: &Path) -> std::io::Result<usize> {
    let mut pages = 1;
    // `framewire server` is framewire-server, which has its page.
    let same = |name: &str| name == "server" || name == "client";
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set() && !same(command.get_name())) {
        pages += write_pages(subcommand, dir)?;
    }
    Man::new(command.clone()).generate_to(dir)?;
    Ok(pages)
}

fn command(program: Program) -> Command {
    match program {
        Program::Framewire => config::for_people::<FramewireArgs>(),
        Program::FramewireServer => config::for_people::<ServerArgs>(),
        Program::FramewireClient => config::for_people::<ClientArgs>(),
    }
}
