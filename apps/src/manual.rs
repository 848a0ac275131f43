//! What the system around the programs is told of their command lines: completions for shells, and man pages.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use framewire_process::exit::{Failure, say};

use crate::cli::{ClientArgs, FramewireArgs, ServerArgs};
use crate::config;

/// A program of Framewire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The demo, and the others as its subcommands.
    Framewire,
    /// Receives.
    FramewireServer,
    /// Sends.
    FramewireClient,
}

impl Program {
    fn command(self) -> Command {
        match self {
            Self::Framewire => config::for_people::<FramewireArgs>(),
            Self::FramewireServer => config::for_people::<ServerArgs>(),
            Self::FramewireClient => config::for_people::<ClientArgs>(),
        }
    }
}

/// For which shell, and of which program.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
    /// The program whose command line is completed
    #[arg(long, value_enum, default_value_t = Program::Framewire)]
    pub program: Program,
}

/// Prints a shell's completions on standard output.
///
/// # Errors
/// Where standard output does not take them.
pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = args.program.command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    let printed = std::io::stdout().write_all(&text);
    printed.map_err(|error| Failure::runtime(format!("the completions cannot be printed: {error}")))
}

/// Where man pages go.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The directory that the pages are written to, such as /usr/local/share/man/man1
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
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
        let mut command = program.command().disable_help_subcommand(true);
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
