//! The token that both ends share: where a program has it from.

use framewire_monitor::Secret;
use framewire_process::exit::Failure;
use framewire_signal::Token;

use crate::cli::CommonArgs;

/// The token from `--token-file` or the environment, if there is one.
///
/// # Errors
/// A file that cannot be read, or is empty.
pub(crate) fn token(args: &CommonArgs) -> Result<Option<Token>, Failure> {
    match &args.token_file {
        Some(path) => Token::from_file(path).map(Some).map_err(Failure::usage),
        None if std::env::var_os(TOKEN_VARIABLE).is_some() => {
            Token::from_environment(TOKEN_VARIABLE).map(Some).map_err(Failure::usage)
        }
        None => Ok(None),
    }
}

/// What lets whoever has the token look, too.
///
/// # Errors
/// As [`token`].
pub(crate) fn token_as_secret(args: &CommonArgs) -> Result<Option<Secret>, Failure> {
    let text = match &args.token_file {
        Some(path) => Some(std::fs::read(path).map_err(Failure::usage)?),
        None => std::env::var_os(TOKEN_VARIABLE).map(std::ffi::OsString::into_encoded_bytes),
    };
    Ok(text.map(|text| Secret::token(text.trim_ascii())))
}

/// The variable that may hold the token.
pub(crate) const TOKEN_VARIABLE: &str = "FRAMEWIRE_TOKEN";
