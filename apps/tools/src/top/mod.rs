//! `framewire top`: a server's streams and their figures in the terminal, for machines without a browser.
//!
//! A thread asks the server (`poll`), the model keeps what it says, `view` draws that, and `terminal` has the
//! screen and the keys.

mod columns;
mod model;
mod poll;
mod secure;
mod shown;
mod streams;
mod terminal;
mod view;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use framewire_figures::snapshot::StreamSnapshot;
use model::Model;
use poll::Source;
pub use shown::Shown;
use streams::Snapshot;

/// What is looked at, and how often.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// The server's address, that of its page and of Socket.IO
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "FRAMEWIRE_SERVER")]
    pub server: String,
    /// Show the streams of all servers of its cluster, each with where it is
    #[arg(long)]
    pub cluster: bool,
    /// Seconds between two looks, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// Print the table once and end, as where standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// The line that the server prints at its start: - to paste it, or a file that has it; --server is not looked at
    #[arg(long, value_name = "-|FILE", env = "FRAMEWIRE_JOIN_FILE")]
    pub join: Option<PathBuf>,
    /// A file with the server's view token, or its token for streaming
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_TOKEN_FILE")]
    pub view_token_file: Option<PathBuf>,
    /// A file with the password of the server's page, where it has one
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_PASSWORD_FILE")]
    pub view_password_file: Option<PathBuf>,
    /// A file of certificates, PEM, of which one has signed the server's, or is it, in place of those that this machine trusts
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CA")]
    pub ca: Option<PathBuf>,
    /// Give a token or a password also to a server on another machine that speaks no TLS, where anyone on the way reads it
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
}

impl TopArgs {
    /// Those of somebody who asks once, for the streams of a whole cluster: by default the server on this machine.
    pub fn asking(
        server: Option<String>,
        join: Option<PathBuf>,
        view_token_file: Option<PathBuf>,
        ca: Option<PathBuf>,
        insecure: bool,
    ) -> Self {
        let server = server.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let interval = Duration::from_secs(1);
        let (cluster, once, view_password_file) = (true, true, None);
        Self { server, cluster, interval, once, join, view_token_file, view_password_file, ca, insecure }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("'{text}' is no interval; write seconds, 0.1 to 3600"))
}

/// Shows the streams until the user has seen enough, or prints them once.
///
/// # Errors
/// What cannot be asked for; where they are to be printed, that the server does not answer.
pub fn run(args: &TopArgs, stop: &Stop) -> Result<(), Failure> {
    let source = Source::new(args)?;
    let mut model = Model::new(source.server(), args.interval);
    if args.once || !std::io::stdout().is_terminal() {
        return print(model, &source);
    }
    let answers = ask_again_and_again(source, args.interval, stop.clone())?;
    terminal::show(&mut model, &answers, stop)
}

/// What a server says of its streams, and of those of its cluster.
#[derive(Debug)]
pub struct Streams {
    /// Its address.
    pub server: String,
    /// In the order of their names.
    pub streams: Vec<StreamSnapshot<Shown>>,
}

/// Asks a server once for all streams that it knows of.
///
/// # Errors
/// What cannot be asked for, and why it does not answer.
pub fn ask_once(args: &TopArgs) -> Result<Streams, Failure> {
    let source = Source::new(args)?;
    let streams = source.ask().map_err(Failure::runtime)?.streams;
    Ok(Streams { server: source.server().to_owned(), streams })
}

fn print(mut model: Model, source: &Source) -> Result<(), Failure> {
    let snapshot = source.ask().map_err(Failure::runtime)?;
    model.handle_answer(Ok(snapshot), Duration::ZERO);
    let mut stdout = std::io::stdout();
    stdout
        .write_all(view::text(&model).as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::runtime(format!("the table cannot be written to standard output: {error}")))
}

/// The thread ends when nobody hears it any more, or with the program.
fn ask_again_and_again(
    source: Source,
    interval: Duration,
    stop: Stop,
) -> Result<mpsc::Receiver<Result<Snapshot, String>>, Failure> {
    // One answer is looked at while the next is asked for.
    let (send, answers) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("framewire-top".into())
        .spawn(
            move || {
                while send.send(source.ask().map_err(|error| error.to_string())).is_ok() && !stop.sleep(interval) {}
            },
        )
        .map_err(|error| {
            Failure::runtime(format!("no thread to ask the server: {error}; check the process's limits"))
        })?;
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_cannot_be_are_refused_with_the_remedy() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "NaN", "inf", "4000", "soon"] {
            assert!(interval(text).unwrap_err().contains("0.1 to 3600"), "{text}");
        }
    }
}
