//! The token that both ends share: where a program has it from.

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

/// The variable that may hold the token.
pub(crate) const TOKEN_VARIABLE: &str = "FRAMEWIRE_TOKEN";
