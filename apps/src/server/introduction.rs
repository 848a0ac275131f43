//! What a server says at its start: where it listens, by what line cameras join it, and how people look.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use framewire_process::exit::{Failure, say};
use framewire_process::logs::LogFormat;
use framewire_process::state::replace_private;
use framewire_signal::Join;

use super::guard::{Guard, Looking};
use super::setup::Places;
use crate::cli::ServerArgs;

/// Set by systemd where standard output or standard error goes to its journal.
const JOURNAL: &str = "JOURNAL_STREAM";

/// A server that listens.
pub struct Listening {
    /// Where Socket.IO and the page are.
    pub signal: SocketAddr,
    /// Where frames go.
    pub udp: SocketAddr,
    guarded: Option<Guarded>,
    /// Nothing guards it, because somebody said so.
    is_waived: bool,
    /// Whether who reads standard error is a person before a screen, and nothing keeps what is said there.
    is_before_people: bool,
    /// Whether standard output is nobody's but who started the program: then that line is what it has to say there, for scripts.
    has_stdout: bool,
}

struct Guarded {
    join: Join,
    join_file: Option<PathBuf>,
    looking: Looking,
    /// What people may be shown.
    view_secret: Option<String>,
}

impl Listening {
    /// Writes the line that clients join by where it is to be.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn new(
        args: &ServerArgs,
        places: &Places,
        guard: &Guard,
        signal: SocketAddr,
        udp: SocketAddr,
    ) -> Result<Self, Failure> {
        let guarded = guard.pin().zip(guard.token.clone()).map(|(pin, token)| {
            let port = places.reach_port.unwrap_or(signal.port());
            let host = places.reach_host.clone().unwrap_or_else(|| signal.ip().to_string());
            let join = Join::new(host, port, token, pin).map_err(|error| {
                Failure::runtime(format!(
                    "no line to join by can be made: {error}; say where the server is with --announce HOST"
                ))
            })?;
            if let Some(file) = &guard.join_file {
                replace_private(file, (join.to_text() + "\n").as_bytes()).map_err(|error| {
                    let file = file.display();
                    Failure::runtime(format!(
                        "the line to join by cannot be written to '{file}': {error}; name another with --join-file FILE"
                    ))
                })?;
            }
            let view_secret = guard.view_token.as_ref().map(|token| token.secret().to_owned());
            Ok(Guarded { join, join_file: guard.join_file.clone(), looking: guard.looking.clone(), view_secret })
        });
        let is_text = args.common.run.log_format == LogFormat::Text;
        Ok(Self {
            signal,
            udp,
            guarded: guarded.transpose()?,
            is_waived: guard.is_waived(),
            is_before_people: is_text && std::io::stderr().is_terminal(),
            has_stdout: !args.common.run.json && !args.sinks.writes_stdout() && std::env::var_os(JOURNAL).is_none(),
        })
    }

    /// The address of the page, and of Socket.IO.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.guarded.is_some() { "https" } else { "http" }, self.signal)
    }

    /// Tells people. What lets somebody in is told a screen, or else whoever reads standard output; never a log, which keeps it, and which
    /// others read: standard error where that is no screen, and either where it is the system's journal.
    pub fn announce(&self) {
        say(format_args!("framewire-server: listening on {} (Socket.IO) and UDP {}", self.url(), self.udp));
        if self.is_waived {
            say(format_args!(
                "framewire-server: --insecure: whoever reaches it may look and stream, and who is on the way reads and changes everything; \
                 leave it out to have all of it protected"
            ));
        }
        if let Some(guarded) = &self.guarded {
            say(format_args!("framewire-server: {}", guarded.for_cameras(self.is_before_people)));
            say(format_args!("framewire-server: {}", guarded.for_viewers(self.is_before_people)));
            if !self.is_before_people && self.has_stdout {
                // Nobody may read it.
                let _ = writeln!(std::io::stdout(), "{}", guarded.join.to_text());
            }
        }
    }
}

impl Guarded {
    fn for_cameras(&self, is_before_people: bool) -> String {
        match &self.join_file {
            _ if is_before_people => {
                format!("cameras join by framewire-client --join - and this line: {}", self.join.to_text())
            }
            Some(file) => format!(
                "cameras join {} by framewire-client --join FILE, with a copy of {}",
                self.join.authority(),
                file.display()
            ),
            None => format!(
                "cameras join {} by the token, or by framewire-client --join FILE, which --join-file FILE has this server write",
                self.join.authority()
            ),
        }
    }

    fn for_viewers(&self, is_before_people: bool) -> String {
        let page = format!("the page is https://{}/", self.join.authority());
        match (&self.looking, &self.view_secret) {
            (_, Some(secret)) if is_before_people => format!("{page}, and what lets people in there: {secret}"),
            (Looking::ByFile { what, path }, _) => format!("{page}, for whoever has the {what} in {}", path.display()),
            (Looking::ByVariable, _) => format!("{page}, for whoever has the token"),
            (Looking::Open, _) => page,
        }
    }
}
