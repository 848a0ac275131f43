//! What a server says at its start: where it listens, by what line cameras join it, and how people look.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use framewire_process::exit::{Failure, say};
use framewire_process::logs::LogFormat;
use framewire_process::state::replace_private;
use framewire_signal::{Join, Pin};
use rustix::fs::{FileType, fstat};

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
    /// A token is asked for all the same.
    has_token: bool,
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
            let view_secret = guard.view_token.as_ref().map(|token| token.secret().to_owned());
            let (join_file, looking) = (guard.join_file.clone(), guard.looking.clone());
            let guarded = Guarded { join, join_file, looking, view_secret };
            guarded.keep_join()?;
            Ok(guarded)
        });
        let is_text = args.common.run.log_format == LogFormat::Text;
        Ok(Self {
            signal,
            udp,
            guarded: guarded.transpose()?,
            is_waived: guard.is_waived(),
            has_token: guard.token.is_some(),
            is_before_people: is_text && io::stderr().is_terminal(),
            has_stdout: !args.common.run.json
                && !args.sinks.writes_stdout()
                && std::env::var_os(JOURNAL).is_none()
                && !rustix::process::getpid().is_init()
                && is_read_at_once(&io::stdout(), &io::stderr()),
        })
    }

    /// The address of the page, and of Socket.IO.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.guarded.is_some() { "https" } else { "http" }, self.signal)
    }

    /// Has the line that clients join by say the key that the server proves now to have: its certificate may have been renewed with another.
    pub(crate) fn follow(&mut self, pin: Option<Pin>) {
        let is_before_people = self.is_before_people;
        let Some((guarded, pin)) = self.guarded.as_mut().zip(pin) else { return };
        if !guarded.follow(pin) {
            return;
        }
        if let Err(failure) = guarded.keep_join() {
            say(format_args!("framewire-server: {failure}"));
        }
        say(format_args!("framewire-server: its key is another now: {}", guarded.for_cameras(is_before_people)));
    }

    /// Tells people. What lets somebody in is told a screen, or else whoever reads standard output; never a log, which keeps it, and which
    /// others read: standard error where that is no screen, standard output where it is a file or goes where standard error does, either where it
    /// is the system's journal, or a container's.
    pub fn announce(&self) {
        say(format_args!("framewire-server: listening on {} (Socket.IO) and UDP {}", self.url(), self.udp));
        if self.is_waived {
            let who = if self.has_token { "whoever has the token" } else { "whoever reaches it" };
            say(format_args!(
                "framewire-server: --insecure: {who} may look and stream, and who is on the way reads and changes everything; \
                 leave it out to have all of it protected"
            ));
        }
        if let Some(guarded) = &self.guarded {
            say(format_args!("framewire-server: {}", guarded.for_cameras(self.is_before_people)));
            say(format_args!("framewire-server: {}", guarded.for_viewers(self.is_before_people)));
            if !self.is_before_people && self.has_stdout {
                // Nobody may read it.
                let _ = writeln!(io::stdout(), "{}", guarded.join.to_text());
            }
        }
    }
}

/// Leaves a file that has the text as it is: the directory of a service may be read-only once it is whole.
fn keep(file: &Path, text: &str) -> io::Result<()> {
    if is_private(file).unwrap_or(false) && std::fs::read(file).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    replace_private(file, text.as_bytes())
}

fn is_private(file: &Path) -> io::Result<bool> {
    let found = std::fs::symlink_metadata(file)?;
    Ok(found.is_file() && found.permissions().mode() & 0o077 == 0)
}

/// Whether what is written to `out` is gone when it was read, as far as can be told: on a screen, or in a pipe of its own, as a script has
/// it. A file keeps it, and so does whatever collects both outputs in one.
fn is_read_at_once(out: &impl AsFd, error: &impl AsFd) -> bool {
    let (Ok(at), Ok(beside)) = (fstat(out), fstat(error)) else {
        return false;
    };
    match FileType::from_raw_mode(at.st_mode) {
        FileType::Fifo => (at.st_dev, at.st_ino) != (beside.st_dev, beside.st_ino),
        FileType::CharacterDevice => rustix::termios::isatty(out),
        _ => false,
    }
}

impl Guarded {
    fn keep_join(&self) -> Result<(), Failure> {
        let Some(file) = &self.join_file else { return Ok(()) };
        keep(file, &(self.join.to_text() + "\n")).map_err(|error| {
            let file = file.display();
            Failure::runtime(format!(
                "the line to join by cannot be written to '{file}': {error}; name another with --join-file FILE"
            ))
        })
    }

    /// Has the line say this key; false where it says that already.
    fn follow(&mut self, pin: Pin) -> bool {
        std::mem::replace(&mut self.join.pin, pin) != pin
    }

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

#[cfg(test)]
mod tests {
    use framewire_signal::Token;

    use super::*;

    #[test]
    fn what_lets_in_goes_to_a_pipe_of_its_own_and_never_into_a_file_or_where_errors_go() {
        let (_reader, pipe) = io::pipe().unwrap();
        let (_other_reader, other) = io::pipe().unwrap();
        let file = tempfile::tempfile().unwrap();
        assert!(is_read_at_once(&pipe, &other));
        assert!(is_read_at_once(&pipe, &file));
        assert!(!is_read_at_once(&pipe, &pipe.try_clone().unwrap()), "as with 2>&1");
        assert!(!is_read_at_once(&file, &pipe), "as under nohup");
        assert!(!is_read_at_once(&std::fs::File::open("/dev/null").unwrap(), &pipe));
    }

    #[test]
    fn a_line_to_join_by_that_is_there_already_is_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let (file, missing) = (directory.path().join("join"), directory.path().join("gone/join"));
        keep(&file, "a").unwrap();
        let number = |file: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(file).unwrap());
        let first = number(&file);
        keep(&file, "a").unwrap();
        assert_eq!(number(&file), first, "a read-only directory will do");
        keep(&file, "b").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"b");
        // What others may read by now is replaced, whatever is in it.
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        keep(&file, "b").unwrap();
        assert!(is_private(&file).unwrap());
        assert!(keep(&missing, "a").is_err());
    }

    #[test]
    fn a_certificate_that_was_renewed_with_another_key_changes_the_line_to_join_by_and_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("join");
        let token = Token::new(Token::random_text().unwrap()).unwrap();
        let (old, new) = (Pin::of_public_key(b"old"), Pin::of_public_key(b"new"));
        let join = Join::new("cams.example", 8080, token, old).unwrap();
        let guarded = Guarded { join, join_file: Some(file.clone()), looking: Looking::Open, view_secret: None };
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut listening = Listening {
            signal: nowhere,
            udp: nowhere,
            guarded: Some(guarded),
            is_waived: false,
            has_token: true,
            is_before_people: false,
            has_stdout: false,
        };
        listening.follow(Some(old));
        assert!(!file.exists(), "nothing has changed");
        listening.follow(Some(new));
        assert_eq!(Join::from_file(&file).unwrap().pin, new);
    }
}
