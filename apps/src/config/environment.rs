//! Variables that look like settings and are none: a typing error in a unit or a compose file would go unseen.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Command;
use framewire_process::logs;
use tracing::Level;

use super::file::LIKENESS_MIN;
use super::section::for_people;
use crate::cli::{ClientArgs, FramewireArgs, ServerArgs};
use crate::credentials::TOKEN_VARIABLE;

const PREFIX: &str = "FRAMEWIRE_";

/// Tells of each variable `FRAMEWIRE_…` that no program knows, and goes on: it may be for a later release, or for another
/// program of the user's. To be called once the logs are started, whose form it has.
pub fn warn_of_unknown_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in warnings(names) {
        logs::say(Level::WARN, format_args!("framewire: {warning}"));
    }
}

fn warnings(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut unknown: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    let known = known();
    unknown.retain(|name| !known.contains(name));
    unknown.sort_unstable();
    let warning = |name: &String| {
        // What all begin with says nothing.
        let likeness = |known: &str| strsim::jaro_winkler(&name[PREFIX.len()..], &known[PREFIX.len()..]);
        let near = known.iter().filter(|known| likeness(known) >= LIKENESS_MIN);
        let nearest = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let hint = nearest
            .map_or_else(|| "--help names those that are".to_owned(), |nearest| format!("did you mean {nearest}?"));
        let shown: String = name.escape_debug().take(80).collect();
        format!("the variable {shown} is none that this release knows, and is ignored; {hint}")
    };
    unknown.iter().map(warning).collect()
}

/// Those of all programs: one environment may serve both ends.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::from([TOKEN_VARIABLE.to_owned()]);
    for command in [for_people::<ServerArgs>(), for_people::<ClientArgs>(), for_people::<FramewireArgs>()] {
        collect(&command, &mut known);
    }
    known
}

fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(|arg| arg.get_env().map(OsString::from));
    known.extend(variables.filter_map(|name| name.into_string().ok()));
    command.get_subcommands().for_each(|command| collect(command, known));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_no_program_knows_is_told_with_the_nearest_one_and_the_others_are_not() {
        let told = |names: &[&str]| warnings(names.iter().map(|name| (*name).to_owned()));
        let known = ["FRAMEWIRE_LISTEN", "FRAMEWIRE_MAX_RATE", "FRAMEWIRE_TOKEN", "FRAMEWIRE_CONFIG", "PATH"];
        assert_eq!(told(&known), Vec::<String>::new());
        let said = told(&["FRAMEWIRE_LISTN", "FRAMEWIRE_LISTEN"]);
        assert!(
            said.len() == 1
                && said[0].contains("FRAMEWIRE_LISTN")
                && said[0].ends_with("did you mean FRAMEWIRE_LISTEN?")
        );
        assert!(told(&["FRAMEWIRE_QQQ"])[0].ends_with("--help names those that are"));
        assert!(told(&["FRAMEWIRE_\u{1b}[2J"])[0].contains("\\u{1b}"));
    }
}
