//! `framewire token`: a secret for both ends that nobody guesses.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use framewire_process::exit::{Failure, say};
use framewire_process::state::write_private;
use framewire_signal::{Role, Token};

/// What the token is for, and where it goes.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// What it lets its owner do: stream (and look), or view alone
    #[arg(long, value_name = "stream|view", default_value_t = Role::Stream)]
    pub role: Role,
    /// A file to write it to, readable by its owner alone; one that is there is left as it is
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Makes a token of 128 bits, in 22 characters of base64url.
///
/// # Errors
/// A file that is there or cannot be written; standard output that takes nothing.
pub fn run(args: &TokenArgs) -> Result<(), Failure> {
    let token = Token::random_text()
        .map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}; try again")))?;
    let Some(path) = &args.file else {
        let mut stdout = io::stdout();
        let printed = writeln!(stdout, "{token}").and_then(|()| stdout.flush());
        return printed
            .map_err(|error| Failure::runtime(format!("the token cannot be written to standard output: {error}")));
    };
    let name = path.display();
    write_private(path, format!("{token}\n").as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::runtime(format!(
            "'{name}' is there already and was left as it is; name another file, or remove it"
        )),
        _ => Failure::runtime(format!("the token cannot be written to '{name}': {error}; name another file")),
    })?;
    match args.role {
        Role::View => say(format_args!(
            "the token for looking is in {name}; give the server --view-token-file {name}, and whoever may look a copy"
        )),
        _ => say(format_args!(
            "the token for streaming is in {name}; copy it to the other machines, and give each program --token-file {name}"
        )),
    }
    Ok(())
}
