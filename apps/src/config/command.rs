//! Command lines seen as settings: each flag with its variable in the environment, and what a file may say for it.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, Command};
use framewire_process::address::Address;

/// What a value in a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch,
    /// How often a flag is given: 0 to 255.
    Count,
    /// A number; text where the flag takes it, such as `"16M"`.
    Number,
    /// Text alone: an address, a path, a name.
    Text,
    /// Text or a number: `"max"` or 30.
    Any,
}

impl Kind {
    pub(super) fn of(arg: &Arg) -> Self {
        let parser = arg.get_value_parser();
        let is = |types: &[TypeId]| types.iter().any(|id| parser.type_id() == *id);
        match arg.get_action() {
            ArgAction::Count => Self::Count,
            ArgAction::SetTrue => Self::Switch,
            _ if is(&[TypeId::of::<bool>()]) => Self::Switch,
            _ if is(&numbers()) => Self::Number,
            _ if is(&texts()) || !arg.get_possible_values().is_empty() => Self::Text,
            _ => Self::Any,
        }
    }

    /// For people.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Count => "a whole number, 0 to 255",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Any => "a string or a number",
        }
    }
}

fn numbers() -> [TypeId; 9] {
    [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<f64>(),
        TypeId::of::<Duration>(),
    ]
}

fn texts() -> [TypeId; 4] {
    [TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<OsString>(), TypeId::of::<Address>()]
}

/// Whether a flag takes several values, of which a file may have an array.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// A flag's key in a file: its long name, or the name of what stands without one.
pub(super) fn key(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// What a file may say: all that there is but the file's own name and what ends the program at once.
pub(super) fn configurable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !is_about_settings(arg))
}

/// A flag that is about settings rather than one.
pub(super) fn is_about_settings(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "config" | "print_config" | "help" | "version")
}

/// The variable for a flag, `--max-rate` being `FRAMEWIRE_MAX_RATE`.
pub(super) fn variable(arg: &Arg) -> OsString {
    arg.get_env().map_or_else(
        || format!("FRAMEWIRE_{}", key(arg).replace('-', "_").to_uppercase()).into(),
        std::ffi::OsStr::to_owned,
    )
}

/// Gives every setting its variable. Help does not show what the variables hold: it is the same on every machine.
pub(super) fn with_environment(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_id().as_str() {
        "config" => arg.hide_env_values(true),
        _ if is_about_settings(&arg) => arg,
        _ => {
            let variable = variable(&arg);
            arg.env(variable).hide_env_values(true)
        }
    })
}

/// A command line by itself, for what the environment must not have a say in.
pub(super) fn without_environment(command: Command) -> Command {
    command.mut_args(|arg| arg.env(Resettable::Reset))
}

/// Lets every switch be said to be off, so that a flag wins over a variable or a file that has it on.
pub(super) fn with_switches(command: Command) -> Command {
    command.mut_args(|arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) || is_about_settings(&arg) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .value_parser(BoolishValueParser::new())
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true)
    })
}
