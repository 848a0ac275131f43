//! `--print-config`: what a program would work with, as a file that says the same, and where each value comes from.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use framewire_process::exit::Failure;
use toml::Value;

use super::command::{Kind, configurable, is_list, key, variable};
use super::file::Settings;
use super::section::Section;

/// The effective settings as TOML.
///
/// # Errors
/// A value that no text file can hold.
pub(super) fn effective(
    command: &Command,
    section: Section,
    matches: &ArgMatches,
    settings: Option<&Settings>,
) -> Result<String, Failure> {
    // In its own table, so that what two programs print can stand in one file.
    let mut out = format!("# What {} works with, and where it comes from\n[{}]\n", section.program(), section.name());
    for arg in configurable(command) {
        let line = match values(arg, matches)? {
            Some(value) => format!("{} = {value}  # {}", key(arg), origin(arg, matches, settings)),
            None => format!("# {} is not set", key(arg)),
        };
        writeln!(out, "{line}").expect("a string takes all text");
    }
    Ok(out)
}

fn origin(arg: &Arg, matches: &ArgMatches, settings: Option<&Settings>) -> String {
    let id = arg.get_id().as_str();
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "command line".to_owned(),
        Some(ValueSource::EnvVariable) => variable(arg).to_string_lossy().into_owned(),
        _ => match settings.and_then(|settings| settings.place_of(id)) {
            // A file's name may hold what would end the comment.
            Some(place) => place.escape_debug().to_string(),
            None => "default".to_owned(),
        },
    }
}

/// A flag's value as TOML; `None` where it has none.
fn values(arg: &Arg, matches: &ArgMatches) -> Result<Option<Value>, Failure> {
    let (id, kind) = (arg.get_id().as_str(), Kind::of(arg));
    match kind {
        Kind::Switch => return Ok(matches.get_one::<bool>(id).map(|on| Value::Boolean(*on))),
        Kind::Count => return Ok(Some(Value::Integer(matches.get_count(id).into()))),
        Kind::Number | Kind::Text | Kind::Any => {}
    }
    let Some(raw) = matches.get_raw(id) else { return Ok(None) };
    let texts = raw.map(|raw| {
        raw.to_str().ok_or_else(|| {
            let (key, shown) = (key(arg), raw.to_string_lossy());
            Failure::usage(format!("{key} is '{shown}', which is no UTF-8 and cannot stand in a file; rename it"))
        })
    });
    let mut values = texts.map(|text| text.map(|text| value(kind, text))).collect::<Result<Vec<_>, _>>()?;
    Ok(if is_list(arg) { Some(Value::Array(values)) } else { values.pop() })
}

fn value(kind: Kind, text: &str) -> Value {
    if kind != Kind::Text {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Integer(number);
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|number| kind == Kind::Number && number.is_finite()) {
            return Value::Float(number);
        }
    }
    Value::String(text.to_owned())
}
