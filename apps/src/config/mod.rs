//! Where a program's settings come from: flags win over `FRAMEWIRE_*` in the environment, which win over a TOML file
//! (`--config`), which wins over what is built in.
//!
//! What a file says becomes clap's defaults before clap reads the command line, so that precedence, types and values
//! are clap's own, and every flag that there is, or that comes, can be in a file and in the environment.

mod command;
mod environment;
mod error;
mod file;
mod print;
mod section;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Parser};

pub use environment::warn_of_unknown_variables;
pub use error::ConfigError;
pub use section::for_people;

use framewire_process::exit::Failure;

use file::Settings;
use section::Section;

/// Reads the settings of a program that is started with `arguments`, the first of which is its name. `None` where
/// `--print-config` was asked for: they have been printed. Ends the process where clap does: at `--help`, `--version`
/// and what it cannot read.
///
/// # Errors
/// What is wrong in the file, with its line.
pub fn load<A: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<A>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = for_people::<A>();
    let parse = |command: &Command| {
        let parsed = command.clone().try_get_matches_from(&arguments);
        parsed.unwrap_or_else(|error| with_origin(error, command, &arguments).exit())
    };
    let mut matches = parse(&command);
    let mut settings = None;
    let file = chosen(&command, &matches);
    let file = file.and_then(|(section, matches)| Some((section, matches.get_one::<PathBuf>("config")?.clone())));
    if let Some((section, path)) = file {
        let text = file::read(&path).map_err(Failure::usage)?;
        let found = Settings::parse(&path, &text, section).map_err(Failure::usage)?;
        command = on_section(command, section, |command| found.apply(command));
        matches = parse(&command);
        settings = Some(found);
    }
    if let Some((section, matches)) = chosen(&command, &matches)
        && matches.get_flag("print_config")
    {
        let text = print::effective(&section.command(), section, matches, settings.as_ref())?;
        let printed = std::io::stdout().write_all(text.as_bytes());
        printed.map_err(|error| Failure::runtime(format!("the configuration cannot be printed: {error}")))?;
        return Ok(None);
    }
    Ok(Some(A::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())))
}

/// A value that clap refuses may stand in the environment, where nobody would look for it who reads of a flag.
fn with_origin(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    let alone = command.clone().mut_subcommands(command::without_environment);
    let alone = command::without_environment(alone).try_get_matches_from(arguments);
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) || alone.is_err() {
        return error;
    }
    // What a flag is called in the error is known once its command line is complete.
    let mut command = command.clone();
    command.build();
    let parts = std::iter::once(&command).chain(command.get_subcommands());
    let is_set = |arg: &&Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
    let refused = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let arg = parts.flat_map(Command::get_arguments).filter(is_set).find(|arg| Some(arg.to_string()) == refused);
    if let Some(arg) = arg {
        let tip = format!("the value is that of the variable {}", command::variable(arg).display());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The program that a command line is for, and its part of what was matched; `None` for what takes no file.
fn chosen<'a>(command: &Command, matches: &'a ArgMatches) -> Option<(Section, &'a ArgMatches)> {
    match Section::of(command.get_name()) {
        Some(section) => Some((section, matches)),
        None => matches.subcommand().and_then(|(name, matches)| Some((Section::of(name)?, matches))),
    }
}

/// Changes the part of a command line that is for a program.
fn on_section(command: Command, section: Section, change: impl FnOnce(Command) -> Command) -> Command {
    match Section::of(command.get_name()) {
        Some(_) => change(command),
        None => command.mut_subcommand(section.name(), change),
    }
}
