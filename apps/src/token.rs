//! `framewire token`: a secret for both ends that nobody guesses.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use framewire_process::exit::{Failure, say};
use framewire_signal::Token;

/// Where the token goes.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// A file to write it to, readable by its owner alone; one that is there is left as it is
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Makes a token of 128 bits, in 32 digits of hexadecimal.
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
    write(path, &token).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::runtime(format!(
            "'{name}' is there already and was left as it is; name another file, or remove it"
        )),
        _ => Failure::runtime(format!("the token cannot be written to '{name}': {error}; name another file")),
    })?;
    say(format_args!(
        "the token is in {name}; copy it to the other machines, and give each program --token-file {name}"
    ));
    Ok(())
}

/// Never one that is there, nor through a link.
fn write(path: &Path, token: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}
