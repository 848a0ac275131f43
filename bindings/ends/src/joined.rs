//! A stream at a server that is joined: over a connection of its own the server says where its frames go and by which key, as long as the stream lives.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use framewire_signal::message::{OpenRequest, Opened, ShareOffer};
use framewire_signal::{ClientConfig, ClientEvent, Join, SignalClient};
use framewire_transport::{FrameFormat, Sender, SenderConfig};

use crate::error::{Class, Error};
use crate::followed::{Follow, Followed, State, Told, random_stream};
use crate::watching::authority_of;

/// How long after a failure a name is looked up again.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);

/// Whom the stream is brought to.
pub(crate) enum Server {
    /// A protected one.
    Joined(Join),
    /// One by its address, `http://HOST:PORT` or `https://HOST:PORT`.
    At(String),
}

impl Server {
    /// Host and port, as far as there are any.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Joined(join) => join.authority(),
            Self::At(url) => authority_of(url).to_owned(),
        }
    }
}

/// The stream, once the server has taken it.
type Taken = Option<Arc<Sender>>;

/// A stream of this program at a server.
pub(crate) struct Joined {
    format: FrameFormat,
    followed: Followed<Taken>,
}

impl Joined {
    /// Begins to connect, and returns at once. The stream is called `name` at the server.
    ///
    /// # Errors
    /// The name or the format cannot be; the system has no thread or no random numbers.
    pub(crate) fn begin(server: &Server, name: &str, config: SenderConfig) -> Result<Self, Error> {
        let stream = random_stream()?;
        let (format, presentation) = (config.format, config.presentation);
        let open = OpenRequest::new(stream, &format, config.delivery)
            .name(name)
            .frames_per_second(presentation.rate.map(|rate| rate.as_f64()))
            .metadata_bytes_max(config.metadata_max as u32);
        let (client, needs_key) = match server {
            Server::Joined(join) => (ClientConfig::join(join), true),
            Server::At(url) => (ClientConfig::new(url), false),
        };
        let signal = SignalClient::start(client.open(open))?;
        let following = Following { config: config.stream(stream), needs_key, opened: None };
        let followed = Followed::begin("framewire-join", server.authority(), signal, following)?;
        Ok(Self { format, followed })
    }

    pub(crate) fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// Whom frames are handed to, once the server has taken the stream; `None` where it has not in time.
    ///
    /// # Errors
    /// The server refuses the stream, or is not the one that was joined.
    pub(crate) fn sender(&self, timeout: Duration) -> Result<Taken, Error> {
        let is_open = |state: &mut State<Taken>| state.known.is_none() && state.failure.is_none();
        let state = self.followed.told().wait_while(timeout, is_open);
        state.failure.clone().map_or(Ok(state.known.clone()), Err)
    }

    /// The same whatever has become of it since.
    pub(crate) fn taken(&self) -> Taken {
        self.followed.told().lock().known.clone()
    }

    /// Why the server has not taken the stream yet.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.followed.trouble()
    }
}

/// What the thread has.
struct Following {
    config: SenderConfig,
    /// Whether the server was joined: nothing goes to it in plain text.
    needs_key: bool,
    /// Where frames are to go, until that is looked up, and when that is tried again.
    opened: Option<(Opened, Option<Instant>)>,
}

impl Follow for Following {
    type Known = Taken;

    fn hear(&mut self, event: ClientEvent, _signal: &SignalClient, told: &Told<Taken>) {
        if let ClientEvent::Opened(opened) = event {
            told.lock().was_granted = true;
            self.opened = Some((opened, None));
        }
    }

    fn look(&mut self, signal: &SignalClient, told: &Told<Taken>) {
        let is_due = |again: &Option<Instant>| again.is_none_or(|again| Instant::now() >= again);
        let Some((opened, _)) = self.opened.take_if(|(_, again)| is_due(again)) else { return };
        if let Err(trouble) = self.send_to(&opened, signal, told) {
            self.opened = Some((opened, Some(Instant::now() + LOOK_UP_PAUSE)));
            told.trouble(trouble);
        }
    }

    fn leave(&self, signal: &SignalClient) {
        signal.close_stream();
    }

    fn has_left(event: &ClientEvent) -> Option<bool> {
        match event {
            ClientEvent::Closed(_) => Some(true),
            ClientEvent::Opened(_) => Some(false),
            _ => None,
        }
    }
}

impl Following {
    /// Sends to where the server takes the frames, which is a new place and by a new key where it was started anew.
    ///
    /// # Errors
    /// Where that is cannot be known for now.
    fn send_to(&self, opened: &Opened, signal: &SignalClient, told: &Told<Taken>) -> Result<(), String> {
        if self.needs_key && opened.key.is_none() {
            let text = format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure",
                told.server()
            );
            told.fail(Error::new(Class::Refused, "server-unprotected", text));
            return Ok(());
        }
        let key = opened.key.clone();
        let peer = signal.peer().ok_or("the server's address is not known yet")?;
        let peer = place(opened.udp_host.as_deref(), opened.udp_port, peer)?;
        let invitation = opened.share.as_ref().and_then(ShareOffer::invitation);
        let taken = told.lock().known.clone();
        match taken {
            Some(sender) => {
                if let Some(key) = key {
                    sender.set_key(key);
                }
                sender.redirect_with(peer, invitation);
            }
            None => match Sender::connect(peer, self.config.clone().key(key).share(invitation)) {
                Ok(sender) => told.change(|state| state.known = Some(Arc::new(sender))),
                Err(error) => told.fail(error.into()),
            },
        }
        told.change(|state| state.trouble = None);
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
