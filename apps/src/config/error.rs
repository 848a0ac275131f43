//! What is wrong with a configuration file, where, and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be opened or read.
    #[error("the configuration file '{}' cannot be read: {source}; name another one with --config or FRAMEWIRE_CONFIG", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It has more bytes than settings could need.
    #[error("the configuration file '{}' has more than {max_bytes} bytes; is it the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is taken.
        max_bytes: u64,
    },
    /// It is no text.
    #[error("{place}: the bytes here are no UTF-8; save the file as UTF-8 text")]
    NotUtf8 {
        /// The file and line.
        place: String,
    },
    /// It is no TOML.
    #[error("{place}: {message}; write TOML, such as: listen = \"127.0.0.1:8080\"")]
    Syntax {
        /// The file and line.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// A key that no flag has.
    #[error("{place}: unknown key '{key}'; {advice}")]
    UnknownKey {
        /// The file and line.
        place: String,
        /// What stands there.
        key: String,
        /// The nearest key that there is, or where all of them are listed.
        advice: String,
    },
    /// A key of another program, outside that program's table.
    #[error("{place}: '{key}' is a setting of {owner}, not of {program}; move it below [{table}]")]
    Misplaced {
        /// The file and line.
        place: String,
        /// What stands there.
        key: String,
        /// Whose it is.
        owner: &'static str,
        /// Who reads the file.
        program: &'static str,
        /// The owner's table.
        table: &'static str,
    },
    /// A flag that is about the file.
    #[error("{place}: '{key}' cannot be set in a file; give --{key} on the command line")]
    FlagOnly {
        /// The file and line.
        place: String,
        /// What stands there.
        key: String,
    },
    /// A value of a wrong type.
    #[error("{place}: {key} is {seen}; write {expected}")]
    WrongType {
        /// The file and line.
        place: String,
        /// The setting.
        key: String,
        /// What stands there.
        seen: String,
        /// What is wanted.
        expected: String,
    },
    /// A value that the flag would not take either.
    #[error("{place}: {key} = {value} cannot be: {reason}")]
    BadValue {
        /// The file and line.
        place: String,
        /// The setting.
        key: String,
        /// What stands there.
        value: String,
        /// Why not, with the remedy.
        reason: String,
    },
    /// One setting, written twice with dashes and underscores.
    #[error("{place}: '{key}' was set on line {first} already; leave one of them out")]
    Twice {
        /// The file and line.
        place: String,
        /// What stands there.
        key: String,
        /// The line of the other.
        first: usize,
    },
}
