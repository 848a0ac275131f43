//! A stream at a server that is joined: over a connection of its own the server says where its frames go and by which key, as long as the stream lives.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use framewire_signal::message::{OpenRequest, Opened, Refused, ShareOffer};
use framewire_signal::{ClientConfig, ClientError, ClientEvent, Join, SignalClient};
use framewire_transport::{FrameFormat, Sender, SenderConfig};

use crate::STEP;
use crate::error::{Class, Error};

/// How long the server may take to say that the stream is closed.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long after a failure a name is looked up again.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);

/// The stream, and the thread that hears what the server says of it.
pub(crate) struct Joined {
    format: FrameFormat,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ends: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Once the server has taken the stream.
    sender: Option<Arc<Sender>>,
    /// Why it cannot go on.
    failure: Option<Error>,
    /// Why it has not been taken yet, or not again.
    trouble: Option<String>,
}

impl Joined {
    /// Begins to connect, and returns at once. The stream is called `name` at the server.
    ///
    /// # Errors
    /// The name or the format cannot be; the system has no thread or no random numbers.
    pub(crate) fn begin(join: &Join, name: &str, config: SenderConfig) -> Result<Self, Error> {
        let stream = random_stream()?;
        let (format, presentation) = (config.format, config.presentation);
        let open = OpenRequest::new(stream, &format, config.delivery)
            .name(name)
            .frames_per_second(presentation.rate.map(|rate| rate.as_f64()))
            .metadata_bytes_max(config.metadata_max as u32);
        let signal = SignalClient::start(ClientConfig::join(join).open(open))?;
        let shared = Arc::new(Shared::default());
        let following =
            Following { signal, config: config.stream(stream), server: join.authority(), shared: shared.clone() };
        let thread = thread::Builder::new().name("framewire-join".into()).spawn(move || following.run());
        let thread = thread.map_err(|error| {
            let text = format!(
                "the thread of the joined stream did not start ({error}); have fewer threads, or raise `ulimit -u`"
            );
            Error::new(Class::System, "client-resources", text)
        })?;
        Ok(Self { format, shared, thread: Some(thread) })
    }

    pub(crate) fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// Whom frames are handed to, once the server has taken the stream; `None` where it has not in time.
    ///
    /// # Errors
    /// The server refuses the stream, or is not the one that was joined.
    pub(crate) fn sender(&self, timeout: Duration) -> Result<Option<Arc<Sender>>, Error> {
        let waiting = |state: &mut State| state.sender.is_none() && state.failure.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.failure.clone().map_or(Ok(state.sender.clone()), Err)
    }

    /// The same whatever has become of it since.
    pub(crate) fn taken(&self) -> Option<Arc<Sender>> {
        self.shared.lock().sender.clone()
    }

    /// Why the server has not taken the stream yet.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// What the thread has.
struct Following {
    signal: SignalClient,
    config: SenderConfig,
    server: String,
    shared: Arc<Shared>,
}

impl Following {
    fn run(self) {
        // Where frames are to go, until that is looked up, and when that is tried again.
        let mut opened: Option<(Opened, Option<Instant>)> = None;
        let mut was_taken = false;
        while !self.shared.ends.load(Ordering::Acquire) {
            match self.signal.next_event(STEP) {
                Some(ClientEvent::Opened(told)) => (was_taken, opened) = (true, Some((told, None))),
                Some(ClientEvent::Refused(refused)) => self.refused(&refused, was_taken),
                Some(ClientEvent::Retrying { reason, .. } | ClientEvent::Disconnected { reason }) => {
                    self.shared.change(|state| state.trouble = Some(reason));
                }
                _ => {}
            }
            if let Some((told, again)) = &mut opened
                && again.is_none_or(|again| Instant::now() >= again)
            {
                match self.follow(told) {
                    Ok(()) => opened = None,
                    Err(trouble) => {
                        *again = Some(Instant::now() + LOOK_UP_PAUSE);
                        self.shared.change(|state| state.trouble = Some(trouble));
                    }
                }
            }
        }
        self.signal.close_stream();
        let deadline = Instant::now() + FAREWELL;
        while let Some(event) = self.signal.next_event(deadline.saturating_duration_since(Instant::now())) {
            if matches!(event, ClientEvent::Closed(_)) {
                break;
            }
        }
        self.signal.shutdown();
    }

    /// A stream that was taken once is asked for again while the server refuses it for now, or another answers; before that a refusal is the answer.
    fn refused(&self, refused: &Refused, was_taken: bool) {
        let text = format!("the server {} refuses: {}", self.server, refused.message);
        // Who answers in a server's place for a moment is given nothing, and ends no stream.
        if was_taken && (refused.is_for_now() || refused.is_of_another()) {
            self.shared.change(|state| state.trouble = Some(text));
        } else {
            self.fail(Error::new(Class::Refused, "server-refuses", text));
        }
    }

    fn fail(&self, error: Error) {
        self.shared.change(|state| state.failure = Some(error));
    }

    /// Sends to where the server takes the frames, which is a new place and by a new key where it was started anew.
    ///
    /// # Errors
    /// Where that is cannot be known for now.
    fn follow(&self, opened: &Opened) -> Result<(), String> {
        let Some(key) = opened.key.clone() else {
            let text = format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure",
                self.server
            );
            self.fail(Error::new(Class::Refused, "server-unprotected", text));
            return Ok(());
        };
        let peer = self.signal.peer().ok_or("the server's address is not known yet")?;
        let peer = place(opened.udp_host.as_deref(), opened.udp_port, peer)?;
        let invitation = opened.share.as_ref().and_then(ShareOffer::invitation);
        if let Some(sender) = &self.shared.lock().sender {
            sender.set_key(key);
            sender.redirect_with(peer, invitation);
        } else {
            match Sender::connect(peer, self.config.clone().key(key).share(invitation)) {
                Ok(sender) => self.shared.change(|state| state.sender = Some(Arc::new(sender))),
                Err(error) => self.fail(error.into()),
            }
        }
        self.shared.change(|state| state.trouble = None);
        Ok(())
    }
}

/// Where frames go: the host that the server names, else the one that it was reached at.
fn place(host: Option<&str>, port: u16, reached: SocketAddr) -> Result<SocketAddr, String> {
    let mut here = reached;
    here.set_port(port);
    let Some(host) = host else { return Ok(here) };
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<IpAddr>() {
        // Its interface is known by the connection alone.
        Ok(IpAddr::V6(ip)) if is_link_local(ip) && reached.is_ipv6() => {
            here.set_ip(ip.into());
            Ok(here)
        }
        Ok(ip) => Ok(SocketAddr::new(ip, port)),
        Err(_) => {
            let unknown = |why: String| {
                format!("the server takes frames at '{}', which is not known here ({why})", host.escape_debug())
            };
            let found: Vec<_> = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?.collect();
            let alike = found.iter().find(|address| address.is_ipv4() == reached.is_ipv4());
            alike.or_else(|| found.first()).copied().ok_or_else(|| unknown("it has no address".to_owned()))
        }
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local()
}

/// Who knows the id knows a stream, so nobody may guess it.
pub(crate) fn random_stream() -> Result<u32, Error> {
    getrandom::u32().map_err(|error| {
        let text = format!("the system gives no random numbers ({error}); wait until it has started up");
        Error::new(Class::System, "client-resources", text)
    })
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let class = match error {
            ClientError::Random(_) | ClientError::Thread(_) => Class::System,
            _ => Class::Argument,
        };
        Self::new(class, error.code(), error.to_string())
    }
}

/// A join string, or the file that it is in.
///
/// # Errors
/// It is none, or not whole; the file cannot be read, or is open to others. Nothing of it is repeated.
pub(crate) fn read(join: &str) -> Result<Join, Error> {
    let is_text = join.trim_start().starts_with("framewire:");
    let read = if is_text { join.parse() } else { Join::from_file(join) };
    read.map_err(|error| Error::new(Class::Argument, error.code(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_where_the_server_says_or_where_it_was_reached() {
        let reached: SocketAddr = "10.0.0.7:8080".parse().unwrap();
        assert_eq!(place(None, 9, reached), Ok("10.0.0.7:9".parse().unwrap()));
        assert_eq!(place(Some("10.0.0.8"), 9, reached), Ok("10.0.0.8:9".parse().unwrap()));
        assert_eq!(place(Some("[2001:db8::1]"), 9, reached), Ok("[2001:db8::1]:9".parse().unwrap()));
        let by_interface: SocketAddr = "[fe80::7%3]:8080".parse().unwrap();
        assert_eq!(place(Some("fe80::8"), 9, by_interface), Ok("[fe80::8%3]:9".parse().unwrap()));
        assert!(place(Some("no such host"), 9, reached).unwrap_err().contains("no such host"));
    }

    #[test]
    fn what_is_no_join_string_is_told_and_not_repeated() {
        for (wrong, code) in [("framewire://h:1", "half-join-string"), ("/no/such/file", "secret-unreadable")] {
            assert_eq!(read(wrong).err().map(|error| (error.class, error.code)), Some((Class::Argument, code)));
        }
        let error = read("framewire://h:1#kCpVUAk0lZlcKPXqdcE7gQ.short").err().unwrap();
        assert!(!error.text.contains("kCpVUAk0"), "{error}");
    }
}
