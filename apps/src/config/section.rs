//! Which settings are whose: the programs that have any, and their command lines.

use clap::{Command, CommandFactory};

use super::command;
use crate::cli::{ClientArgs, FramewireArgs, ServerArgs};

/// A program's command line as people meet it: with the environment's variables.
pub fn for_people<A: CommandFactory>() -> Command {
    let command = A::command();
    if Section::of(command.get_name()).is_some() {
        return command::with_environment(command::with_switches(command));
    }
    Section::ALL.into_iter().fold(command, |all, section| {
        all.mut_subcommand(section.name(), |one| command::with_environment(command::with_switches(one)))
    })
}

/// Which part of a file is for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Server,
    Client,
    Demo,
    Watch,
}

impl Section {
    pub(super) const ALL: [Self; 4] = [Self::Server, Self::Client, Self::Demo, Self::Watch];

    /// Its table in a file, and its subcommand of `framewire`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Demo => "demo",
            Self::Watch => "watch",
        }
    }

    /// What the user calls the program.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Server => "framewire-server",
            Self::Client => "framewire-client",
            Self::Demo => "framewire demo",
            Self::Watch => "framewire watch",
        }
    }

    /// Whose a program or subcommand of this name is.
    pub(super) fn of(command: &str) -> Option<Self> {
        let name = command.strip_prefix("framewire-").unwrap_or(command);
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// Its command line, without the environment.
    pub(super) fn command(self) -> Command {
        let command = match self {
            Self::Server => ServerArgs::command(),
            Self::Client => ClientArgs::command(),
            Self::Demo | Self::Watch => {
                let framewire = FramewireArgs::command();
                framewire.find_subcommand(self.name()).expect("it is a subcommand").clone()
            }
        };
        command::without_environment(command::with_switches(command))
    }
}
