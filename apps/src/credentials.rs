//! The token that both ends share: where a program has it from.

use std::path::Path;

use framewire_process::exit::Failure;
use framewire_signal::Token;

use crate::cli::CommonArgs;

/// The token from `--token-file` or the environment, if there is one.
///
/// # Errors
/// A file that cannot be read, or is empty.
pub(crate) fn token(args: &CommonArgs) -> Result<Option<Token>, Failure> {
    token_in(args.token_file.as_deref())
}

/// The same, of a command line that has this file.
///
/// # Errors
/// As of [`token`].
pub(crate) fn token_in(file: Option<&Path>) -> Result<Option<Token>, Failure> {
    match file {
        Some(path) => Token::from_file(path).map(Some).map_err(Failure::usage),
        None if std::env::var_os(TOKEN_VARIABLE).is_some() => {
            Token::from_environment(TOKEN_VARIABLE).map(Some).map_err(Failure::usage)
        }
        None => Ok(None),
    }
}

/// The variable that may hold the token.
pub(crate) const TOKEN_VARIABLE: &str = "FRAMEWIRE_TOKEN";
