//! Which hub of this machine has a stream.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use framewire_transport::share::{Endpoint, EndpointError};
use framewire_transport::{Reader, ShareError, SharedStreamInfo};

use crate::STEP;
use crate::error::{Class, Error};

/// How long a hub is waited for that nobody named. One that runs answers within a millisecond.
const PATIENCE_OF_ANY: Duration = Duration::from_millis(300);

/// How long one is waited for that was named.
const PATIENCE_OF_NAMED: Duration = Duration::from_secs(5);

/// How long one may take for an answer while frames are taken: whoever takes them waits for it. An answer takes a tenth of a millisecond.
pub(super) const PATIENCE_WHILE_READING: Duration = Duration::from_millis(100);

/// Where a hub is: the port of a server, the name of a publisher, or the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    endpoint: Endpoint,
}

impl Hub {
    /// The hub that publishes streams of its own under this name ([`Endpoint::of_name`]).
    ///
    /// # Errors
    /// [`Class::Argument`] for what is no name.
    pub fn of_name(name: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::of_name(name).map_err(|error| match error {
            // Whoever gave a name knows of no path.
            EndpointError::Path { source, .. } => {
                let text = format!(
                    "'{}' cannot be a name ({source}); use letters, digits, '-', '_', and dots within it, such as front",
                    name.escape_debug()
                );
                Error::new(Class::Argument, "invalid-socket-path", text)
            }
            error => error.into(),
        })?;
        Ok(Self { endpoint })
    }

    /// Where its socket is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl FromStr for Hub {
    type Err = Error;

    /// A number is a server's UDP port, what has a slash in it a path, everything else a name.
    fn from_str(text: &str) -> Result<Self, Error> {
        let endpoint = match text.parse() {
            Ok(port) => Endpoint::of_port(port)?,
            Err(_) if text.contains('/') => Endpoint::path(Path::new(text))?,
            Err(_) => return Self::of_name(text),
        };
        Ok(Self { endpoint })
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// What the hubs of this machine, or the one that is named, share at this moment; and why others did not say.
///
/// `go_on` is asked at least every 50 ms whether to wait on; `None` where it says no.
pub fn shared_streams(named: Option<&Hub>, go_on: &mut dyn FnMut() -> bool) -> Option<Answers> {
    let (endpoints, patience, unlisted) = match named {
        Some(hub) => (vec![hub.endpoint.clone()], PATIENCE_OF_NAMED, Vec::new()),
        None => {
            let (endpoints, unlisted) = Endpoint::all_and_unlisted();
            (endpoints, PATIENCE_OF_ANY, unlisted)
        }
    };
    let mut answers =
        Answers { streams: Vec::new(), troubles: unlisted.iter().map(EndpointError::to_string).collect(), wrong: None };
    let (tell, told) = mpsc::channel();
    let mut asked = endpoints.len();
    for endpoint in endpoints {
        let (tell, ask) = (tell.clone(), move || {
            Reader::connect_within(endpoint.clone(), patience).and_then(|reader| Ok((reader.streams()?, endpoint)))
        });
        // One that is stopped keeps the others' answers waiting no longer than its own.
        let thread = std::thread::Builder::new().name("framewire-ask".into()).spawn(move || {
            // Nobody listens where nobody waits any more.
            let _ = tell.send(ask());
        });
        if let Err(error) = thread {
            asked -= 1;
            let text = format!("no thread to ask a hub in: {error}; raise the limit of threads, or of memory");
            answers.wrong = Some(Error::new(Class::System, "sharing-resources", text));
        }
    }
    let deadline = Instant::now() + patience * 2;
    while asked > 0 && Instant::now() < deadline {
        match told.recv_timeout(STEP) {
            Ok(answer) => {
                asked -= 1;
                answers.add(answer, named.is_some());
            }
            Err(_) if !go_on() => return None,
            Err(_) => {}
        }
    }
    answers.streams.sort_by(|(one, at), (other, there)| (&one.name, at).cmp(&(&other.name, there)));
    Some(answers)
}

/// What a hub answers that is asked in a thread of its own, so that one that is stopped stops nobody else; `None` where `go_on`, asked at least every 50 ms,
/// says no.
///
/// # Errors
/// What the hub answers, or that the system has no thread left.
pub(super) fn asked<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Error> + Send + 'static,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<T>, Error> {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("framewire-ask".into()).spawn(move || {
        // Nobody listens where nobody waits any more.
        let _ = tell.send(ask());
    });
    thread.map_err(|error| {
        let text = format!("no thread to ask a hub in: {error}; raise the limit of threads");
        Error::new(Class::System, "no-thread", text)
    })?;
    loop {
        match told.recv_timeout(STEP) {
            Ok(answer) => return answer.map(Some),
            Err(RecvTimeoutError::Timeout) if go_on() => {}
            // Without an answer it ends only where it panics.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// What hubs have said.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Answers {
    /// Each stream, and where its hub is, in the order of their names.
    pub streams: Vec<(SharedStreamInfo, Endpoint)>,
    /// Why others did not say, those left out whose socket is all that is left of them.
    pub troubles: Vec<String>,
    /// What is wrong with the one that was named, or with this process, so that what is not listed may be there all the same.
    wrong: Option<Error>,
}

impl Answers {
    fn add(&mut self, answer: Result<(Vec<SharedStreamInfo>, Endpoint), ShareError>, is_named: bool) {
        match answer {
            Ok((streams, endpoint)) => {
                self.streams.extend(streams.into_iter().map(|stream| (stream, endpoint.clone())))
            }
            Err(error) if is_named => self.wrong = Some(error.into()),
            // Killed hubs leave their sockets behind; those of others are theirs.
            Err(ShareError::NoHub { .. } | ShareError::Forbidden { .. }) => {}
            Err(error) => match Error::from(error) {
                // It would be so with each.
                error if error.class == Class::System => self.wrong = Some(error),
                error => self.troubles.push(error.to_string()),
            },
        }
    }

    /// All streams, each with where its hub is.
    ///
    /// # Errors
    /// What is wrong with the hub that was named; [`Class::System`] where this process has too little of something to ask.
    pub fn all(self) -> Result<Vec<(SharedStreamInfo, Endpoint)>, Error> {
        self.wrong.map_or(Ok(self.streams), Err)
    }

    /// The stream of this name, or the only one that there is.
    ///
    /// # Errors
    /// [`Class::UnknownStream`] with those that there are; what is wrong with the hub that was named.
    pub(super) fn find(&self, name: Option<&str>) -> Result<(SharedStreamInfo, Endpoint), Error> {
        let found: Vec<_> =
            self.streams.iter().filter(|(stream, _)| name.is_none_or(|name| stream.name == name)).collect();
        if let [(stream, endpoint)] = found.as_slice() {
            return Ok((stream.clone(), endpoint.clone()));
        }
        if let Some(error) = &self.wrong {
            return Err(error.clone());
        }
        let wanted = name.map_or("stream".to_owned(), |name| format!("stream '{}'", name.escape_debug()));
        let text = match found.as_slice() {
            [] if self.streams.is_empty() => format!(
                "there is no {wanted} on this machine: nobody shares one; start a publisher, or a server with --share{}",
                self.besides()
            ),
            [] => format!(
                "there is no {wanted} on this machine; there are {}{}",
                listed(self.streams.iter()),
                self.besides()
            ),
            several => format!(
                "there are several: {}; say which, and with one name, the hub of which",
                listed(several.iter().copied())
            ),
        };
        Err(Error::new(Class::UnknownStream, "unknown-stream", text))
    }

    fn besides(&self) -> String {
        if self.troubles.is_empty() { String::new() } else { format!("; besides, {}", self.troubles.join("; ")) }
    }
}

/// At most eight of them.
fn listed<'a>(streams: impl ExactSizeIterator<Item = &'a (SharedStreamInfo, Endpoint)>) -> String {
    let more = streams.len().saturating_sub(8);
    let mut listed: Vec<_> =
        streams.take(8).map(|(stream, at)| format!("'{}' at {at}", stream.name.escape_debug())).collect();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}
