//! A configuration file: read, checked key by key against the command lines, and made their defaults.

use std::borrow::Cow;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::command::{Kind, configurable, is_about_settings, is_list, key};
use super::error::ConfigError;
use super::section::Section;
use crate::credentials::TOKEN_VARIABLE;

/// Far more than settings could need, and little enough to read at once.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A value is shown as far as somebody would recognise it.
const SHOWN_CHARS_MAX: usize = 60;
/// From here on one word is no misspelling of another.
pub(super) const LIKENESS_MIN: f64 = 0.7;

/// The text of a file.
///
/// # Errors
/// A file that cannot be read, or is none of text.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), max_bytes: FILE_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
        ConfigError::NotUtf8 { place: place(path, line) }
    })
}

/// What a file says for one program.
#[derive(Debug)]
pub(super) struct Settings {
    path: PathBuf,
    values: Vec<Setting>,
}

#[derive(Debug)]
struct Setting {
    /// The flag's, within clap.
    id: String,
    line: usize,
    /// A program's own table wins over what stands above all tables.
    own_table: bool,
    values: Vec<String>,
}

impl Settings {
    /// Takes what is for `section`, and checks the rest.
    ///
    /// # Errors
    /// The first thing in the file that is wrong, whichever program it is for.
    pub(super) fn parse(path: &Path, text: &str, section: Section) -> Result<Self, ConfigError> {
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: place(path, error.span().map_or(1, |span| line_of(text.as_bytes(), span.start))),
            message: error.message().trim().replace('\n', ", "),
        })?;
        let commands = Section::ALL.map(|section| (section, section.command()));
        let reader = Reader { path, text, section, commands: &commands };
        let mut settings = Self { path: path.to_owned(), values: Vec::new() };
        for (name, value) in in_order(document.get_ref()) {
            let table = Section::ALL.into_iter().find(|section| section.name() == name.get_ref());
            match (table, value.get_ref()) {
                (Some(owner), DeValue::Table(table)) => {
                    let found = reader.table(owner, table)?;
                    if owner == section {
                        settings.values.extend(found);
                    }
                }
                (Some(owner), other) if !reader.is_setting(name) => {
                    let expected = format!("a table, its settings below [{}]", owner.name());
                    return Err(reader.wrong_type(&name.span(), name.get_ref(), other, expected));
                }
                (_, single) => {
                    let setting = reader.shared(name, single)?;
                    reader.check_once(&settings.values, &setting, name)?;
                    settings.values.push(setting);
                }
            }
        }
        // Stable: of the same flag, the program's own table comes last.
        settings.values.sort_by_key(|setting| setting.own_table);
        Ok(settings)
    }

    /// Makes what the file says the defaults of a command line.
    pub(super) fn apply(&self, command: Command) -> Command {
        // A token in a variable is another flag's, and wins over a file's all the same.
        let token_is_set = std::env::var_os(TOKEN_VARIABLE).is_some();
        let values = self.values.iter().filter(|setting| !(token_is_set && setting.id == "token_file"));
        values.fold(command, |command, setting| {
            command.mut_arg(&setting.id, |arg| arg.default_values(setting.values.clone()))
        })
    }

    /// Where the file sets a flag.
    pub(super) fn place_of(&self, id: &str) -> Option<String> {
        let setting = self.values.iter().rev().find(|setting| setting.id == id)?;
        Some(format!("{}, line {}", self.path.display(), setting.line))
    }
}

/// What every check needs.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// Who reads the file.
    section: Section,
    commands: &'a [(Section, Command)],
}

type Name<'i> = Spanned<Cow<'i, str>>;

impl Reader<'_> {
    /// A program's own table.
    fn table(&self, owner: Section, table: &DeTable<'_>) -> Result<Vec<Setting>, ConfigError> {
        let mut found = Vec::new();
        for (name, value) in in_order(table) {
            self.check_settable(name)?;
            let Some(arg) = self.find(owner, name) else { return Err(self.elsewhere(name, owner)) };
            let setting = self.setting(owner, arg, name, value.get_ref(), true)?;
            self.check_once(&found, &setting, name)?;
            found.push(setting);
        }
        Ok(found)
    }

    /// A key above all tables: for the program that reads the file.
    fn shared(&self, name: &Name<'_>, value: &DeValue<'_>) -> Result<Setting, ConfigError> {
        self.check_settable(name)?;
        if let Some(arg) = self.find(self.section, name) {
            return self.setting(self.section, arg, name, value, false);
        }
        if matches!(value, DeValue::Table(_)) {
            return Err(self.unknown(name, &[self.section], &Section::ALL.map(Section::name)));
        }
        Err(self.elsewhere(name, self.section))
    }

    /// What is wrong with a key that `here` does not have.
    fn elsewhere(&self, name: &Name<'_>, here: Section) -> ConfigError {
        let Some(owner) = Section::ALL.into_iter().find(|section| self.find(*section, name).is_some()) else {
            return self.unknown(name, &Section::ALL, &[]);
        };
        ConfigError::Misplaced {
            place: self.place(&name.span()),
            key: shown(name.get_ref()),
            owner: owner.program(),
            program: here.program(),
            table: owner.name(),
        }
    }

    /// Whether a flag of any program has this name, as `--server` has, which is a table's name too.
    fn is_setting(&self, name: &Name<'_>) -> bool {
        Section::ALL.into_iter().any(|section| self.find(section, name).is_some())
    }

    fn command(&self, section: Section) -> &Command {
        &self.commands.iter().find(|(of, _)| *of == section).expect("every section has a command").1
    }

    fn find(&self, section: Section, name: &Name<'_>) -> Option<&Arg> {
        let name = with_dashes(name.get_ref());
        configurable(self.command(section)).find(|arg| key(arg) == name)
    }

    fn check_settable(&self, name: &Name<'_>) -> Result<(), ConfigError> {
        let wanted = with_dashes(name.get_ref());
        if self.command(self.section).get_arguments().any(|arg| is_about_settings(arg) && key(arg) == wanted) {
            return Err(ConfigError::FlagOnly { place: self.place(&name.span()), key: wanted });
        }
        Ok(())
    }

    fn check_once(&self, found: &[Setting], setting: &Setting, name: &Name<'_>) -> Result<(), ConfigError> {
        let other = found.iter().find(|other| other.id == setting.id && other.own_table == setting.own_table);
        other.map_or(Ok(()), |other| {
            let (place, key) = (self.place(&name.span()), shown(name.get_ref()));
            Err(ConfigError::Twice { place, key, first: other.line })
        })
    }

    fn setting(
        &self,
        section: Section,
        arg: &Arg,
        name: &Name<'_>,
        value: &DeValue<'_>,
        own_table: bool,
    ) -> Result<Setting, ConfigError> {
        let (kind, list) = (Kind::of(arg), is_list(arg));
        let expected = || match list {
            true => format!("{}, or an array of one or more", kind.expected()),
            false => kind.expected().to_owned(),
        };
        let mut values = Vec::new();
        let mut take = |value: &DeValue<'_>| {
            let wrong = |expected| self.wrong_type(&name.span(), key(arg), value, expected);
            let text = scalar(kind, value).ok_or_else(|| wrong(expected()))?;
            if let Err(reason) = accepted(self.command(section), arg, kind, &text) {
                // Text for a number is a wrong type, unless the flag has words of its own.
                if kind == Kind::Number && matches!(value, DeValue::String(_)) {
                    return Err(wrong(expected()));
                }
                let (place, key, value) = (self.place(&name.span()), key(arg).to_owned(), described(value));
                return Err(ConfigError::BadValue { place, key, value, reason });
            }
            values.push(text);
            Ok(())
        };
        match value {
            DeValue::Array(array) if list && !array.is_empty() => {
                array.iter().try_for_each(|value| take(value.get_ref()))?;
            }
            single => take(single)?,
        }
        let line = line_of(self.text.as_bytes(), name.span().start);
        Ok(Setting { id: arg.get_id().to_string(), line, own_table, values })
    }

    fn wrong_type(&self, at: &Range<usize>, key: &str, value: &DeValue<'_>, expected: String) -> ConfigError {
        let seen = match value {
            DeValue::String(_) => format!("the string {}", described(value)),
            DeValue::Integer(_) | DeValue::Float(_) => format!("the number {}", described(value)),
            _ => described(value),
        };
        ConfigError::WrongType { place: self.place(at), key: shown(key), seen, expected }
    }

    fn unknown(&self, name: &Name<'_>, sections: &[Section], tables: &[&str]) -> ConfigError {
        let wanted = with_dashes(name.get_ref());
        let keys = sections.iter().flat_map(|section| configurable(self.command(*section)).map(key));
        let likeness = |key: &str| strsim::jaro_winkler(key, &wanted);
        let nearest = keys.chain(tables.iter().copied()).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let advice = match nearest.filter(|nearest| likeness(nearest) >= LIKENESS_MIN) {
            Some(nearest) if tables.contains(&nearest) => format!("did you mean [{nearest}]?"),
            Some(nearest) => format!("did you mean '{nearest}'?"),
            None => format!("keys are the long names of flags, which {} --help lists", self.section.program()),
        };
        ConfigError::UnknownKey { place: self.place(&name.span()), key: shown(name.get_ref()), advice }
    }

    fn place(&self, at: &Range<usize>) -> String {
        place(self.path, line_of(self.text.as_bytes(), at.start))
    }
}

/// A value as the flag would be given it; `None` where its type is wrong.
fn scalar(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (Kind::Switch, DeValue::Boolean(value)) => Some(value.to_string()),
        (Kind::Count, DeValue::Integer(_)) => {
            whole(value).filter(|count| u8::try_from(*count).is_ok()).map(|n| n.to_string())
        }
        (Kind::Number | Kind::Any, DeValue::Integer(_)) => whole(value).map(|number| number.to_string()),
        (Kind::Number | Kind::Any, DeValue::Float(number)) => Some(number.as_str().to_owned()),
        // A number in quotes is a mistake that a later release could not tell from a word.
        (Kind::Number, DeValue::String(text)) => text.parse::<f64>().is_err().then(|| text.to_string()),
        (Kind::Text | Kind::Any, DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn whole(value: &DeValue<'_>) -> Option<i128> {
    let DeValue::Integer(number) = value else { return None };
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Whether the flag takes this value, which clap alone knows; why not.
fn accepted(command: &Command, arg: &Arg, kind: Kind, text: &str) -> Result<(), String> {
    let argument = match arg.get_long() {
        Some(_) if kind == Kind::Count => return Ok(()),
        Some(long) => vec![format!("--{long}={text}")],
        None => vec!["--".to_owned(), text.to_owned()],
    };
    let program = command.get_name().to_owned();
    let parsed = command.clone().try_get_matches_from(std::iter::once(program).chain(argument));
    parsed.map(drop).map_err(|error| match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => format!("write {}", valid.join(", ")),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// The entries of a table as they stand in the file, so that the first mistake is the one that is told.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Name<'i>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A value for people. What is in an array or a table is nobody's business here.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", shown(text)),
        DeValue::Integer(number) => shown(&number.to_string()),
        DeValue::Float(number) => shown(number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(array) if array.is_empty() => "an empty array".to_owned(),
        DeValue::Array(array) => format!("an array of {}", array.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Without what would disturb a terminal, and not at any length.
fn shown(text: &str) -> String {
    let escaped: String = text.escape_debug().take(SHOWN_CHARS_MAX).collect();
    if text.escape_debug().nth(SHOWN_CHARS_MAX).is_some() { format!("{escaped}…") } else { escaped }
}

fn with_dashes(key: &str) -> String {
    key.replace('_', "-")
}

fn place(path: &Path, line: usize) -> String {
    format!("{}, line {line}", path.display())
}

/// Counted from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count()
}
