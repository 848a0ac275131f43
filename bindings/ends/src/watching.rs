//! A stream of a server, asked for by its name: over a connection of its own the server says in what format and under which key its frames come, as long as they
//! are wished.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use framewire_signal::message::{Role, WatchRequest, Watching};
use framewire_signal::{ClientConfig, ClientEvent, Join, SignalClient, Unexpected, WatchPort};
use framewire_transport::{AnnounceError, Delivery, Protection, Receiver, ReceiverConfig};

use crate::address::resolve_here;
use crate::error::{Class, Error};
use crate::followed::{Follow, Followed, Told, random_stream};
use crate::joined;
use crate::source::WatchOptions;

/// The server that a stream is asked of.
#[derive(Debug, Clone)]
pub enum ServerPlace {
    /// A protected one: the line that it prints at its start, or the file that has it.
    Join(String),
    /// One that nothing protects, or whose certificate this machine trusts, by its address: `http://HOST:PORT`, `https://HOST:PORT`.
    Url(String),
}

/// The wish.
pub(crate) struct Watch {
    followed: Followed<Granted>,
    receiver: Arc<CurrentReceiver>,
}

/// What the stream is called at the server, and how it is sent, once it is.
type Granted = Option<(String, Delivery)>;

/// Where the stream comes in, which moves with the connection.
struct CurrentReceiver(Mutex<Arc<Receiver>>);

impl CurrentReceiver {
    fn now(&self) -> Arc<Receiver> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is(&self, receiver: &Arc<Receiver>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = receiver.clone();
    }
}

impl Watch {
    /// Listens for the stream of this name, and begins to connect; returns at once.
    ///
    /// # Errors
    /// The name, the place or a number cannot be; the system has no port, no thread or no random numbers.
    pub(crate) fn begin(
        name: &str,
        server: &ServerPlace,
        options: &WatchOptions,
        config: ReceiverConfig,
    ) -> Result<Self, Error> {
        let (client, shown, has_secret) = match server {
            ServerPlace::Join(join) => {
                let join: Join = joined::read(join)?;
                // Who only looks needs no more; the token for streaming is proof of that, too.
                (ClientConfig::join(&join).role(Role::View), join.authority(), true)
            }
            ServerPlace::Url(url) => (ClientConfig::new(url).role(Role::View), authority_of(url).to_owned(), false),
        };
        if has_secret && config.protection == Protection::Off {
            let text = "a server that is joined protects the stream; leave protection out";
            return Err(Error::new(Class::Argument, "joined-key", text));
        }
        let stream = random_stream()?;
        let port = match &options.udp {
            Some(udp) => WatchPort::at(stream, resolve_here(udp)?, config),
            None => WatchPort::for_server(stream, &client.server_url, config),
        }?;
        let request = WatchRequest::new(stream, name, port.number())
            .delivery(options.delivery)
            .frames_per_second_max(options.frames_per_second_max);
        let signal = SignalClient::start(client.watch(request.clone()))?;
        let receiver = Arc::new(CurrentReceiver(Mutex::new(port.receiver().clone())));
        let following =
            Following { port, request, has_secret, receiver: receiver.clone(), is_given: false, silence: None };
        let followed = Followed::begin("framewire-watch", shown, signal, following)?;
        Ok(Self { followed, receiver })
    }

    /// Where the stream comes in now. One that was stopped has another in its place, unless nothing comes any more.
    pub(crate) fn receiver(&self) -> Arc<Receiver> {
        self.receiver.now()
    }

    /// What the stream is called at the server, and how it is sent, once it is.
    pub(crate) fn granted(&self) -> Granted {
        self.followed.told().lock().known.clone()
    }

    /// # Errors
    /// Why nothing comes any more.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.followed.told().lock().failure.clone().map_or(Ok(()), Err)
    }

    /// Why nothing comes yet, or for now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.followed.trouble()
    }
}

/// What the thread has.
struct Following {
    port: WatchPort,
    request: WatchRequest,
    has_secret: bool,
    receiver: Arc<CurrentReceiver>,
    /// The server says that it sends the stream.
    is_given: bool,
    /// What is told while nothing of it comes in all the same.
    silence: Option<String>,
}

impl Follow for Following {
    type Known = Granted;

    fn hear(&mut self, event: ClientEvent, signal: &SignalClient, told: &Told<Granted>) {
        match event {
            ClientEvent::Connected => {
                if let Err(error) = self.listen_from(signal) {
                    self.fail(told, error);
                }
            }
            ClientEvent::Watching(watching) => {
                self.is_given = true;
                self.watching(&watching, told);
            }
            ClientEvent::Waiting(waiting) => {
                self.is_given = false;
                let nearest = waiting.nearest.map(|name| format!("; the nearest is '{}'", name.escape_debug()));
                told.trouble(format!("{}{}", waiting.message, nearest.unwrap_or_default()));
            }
            ClientEvent::Unwatched(unwatched) => {
                self.is_given = false;
                told.trouble(unwatched.message);
            }
            _ => {}
        }
    }

    fn lost(&mut self) {
        (self.is_given, self.silence) = (false, None);
    }

    fn look(&mut self, signal: &SignalClient, told: &Told<Granted>) {
        if self.is_given && self.port.is_silent(signal.last_heard(), Instant::now()) {
            let silence = self.port.silence(signal.own_ip(), "udp");
            let silence = format!("{} has it, and {silence}", told.server());
            self.silence = Some(silence.clone());
            told.trouble(silence);
        }
        if self.port.has_come() {
            let silence = self.silence.take();
            // Why the server is away meanwhile stays.
            if silence.is_some() {
                told.change(|state| {
                    state.trouble = state.trouble.take().filter(|trouble| Some(trouble) != silence.as_ref())
                });
            }
        }
        // What was refused was told before this, and whoever waits for frames is to hear of it.
        if told.lock().failure.is_some() {
            self.port.receiver().stop();
        }
    }

    fn leave(&self, signal: &SignalClient) {
        signal.unwatch(self.port.stream());
    }

    fn has_left(event: &ClientEvent) -> Option<bool> {
        match event {
            ClientEvent::Unwatched(_) => Some(true),
            ClientEvent::Watching(_) | ClientEvent::Waiting(_) => Some(false),
            _ => None,
        }
    }
}

impl Following {
    /// Has the server send to where the connection goes out from.
    fn listen_from(&mut self, signal: &SignalClient) -> Result<(), Error> {
        let Some(own) = signal.own_ip() else { return Ok(()) };
        let before = self.port.receiver().clone();
        if self.port.follow(own)? {
            self.silence = None;
            self.receiver.is(self.port.receiver());
            // Whoever waits for the one before looks for another now.
            before.stop();
            self.request.udp_port = self.port.number();
            signal.watch(self.request.clone())?;
        }
        Ok(())
    }

    /// Has the receiver take the stream as the server sends it.
    fn watching(&mut self, watching: &Watching, told: &Told<Granted>) {
        if self.has_secret && watching.key.is_none() {
            let text = format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure",
                told.server()
            );
            return self.fail(told, Error::new(Class::Refused, "server-unprotected", text));
        }
        match self.port.expect(watching) {
            Ok(_) => told.change(|state| {
                state.was_granted = true;
                (state.known, state.trouble) = (Some((watching.name.clone(), watching.delivery)), self.silence.clone());
            }),
            Err(Unexpected::Format(refused)) => told.refused(&refused),
            Err(Unexpected::Announce(error)) => self.fail(told, unexpected(told.server(), error)),
            Err(error) => self.fail(told, Error::new(Class::Refused, error.code(), error.to_string())),
        }
    }

    /// Whoever waits for frames is woken, and told.
    fn fail(&self, told: &Told<Granted>, error: Error) {
        told.fail(error);
        self.port.receiver().stop();
    }
}

/// What the receiver does not take.
fn unexpected(server: &str, error: AnnounceError) -> Error {
    let text = match error {
        AnnounceError::Unprotected { .. } => format!(
            "{server} sends frames in plain text, which anyone on the way could read and change; join one that is protected, or, on a network \
             that you trust, say Protection::Off"
        ),
        AnnounceError::NoKey => format!(
            "{server} gives no key for the frames, and they are to be protected (Protection::On); join one that does"
        ),
        AnnounceError::KeyUnused => {
            format!("{server} protects the frames, and they are not to be (Protection::Off); leave that out")
        }
        other => other.to_string(),
    };
    Error::new(Class::Refused, error.code(), text)
}

/// Host and port of a server's URL, as far as it has them.
pub(crate) fn authority_of(url: &str) -> &str {
    let (_, behind) = url.split_once("://").unwrap_or(("", url));
    behind.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use framewire_signal::message::{Statistics, Unwatched, Waiting};

    use super::*;
    use crate::followed::has_left_after;

    #[test]
    fn of_a_url_host_and_port_are_read() {
        assert_eq!(authority_of("http://127.0.0.1:8080/cams"), "127.0.0.1:8080");
        assert_eq!(authority_of("https://[fe80::1%eth0]:8080"), "[fe80::1%eth0]:8080");
        assert_eq!(authority_of("camera:9"), "camera:9");
    }

    #[test]
    fn what_is_said_of_anything_else_is_no_farewell_and_takes_none_back() {
        let over = ClientEvent::Unwatched(Unwatched::new(7, "it has gone"));
        let other = ClientEvent::Statistics(Statistics::new(Vec::new()));
        let again = ClientEvent::Waiting(Waiting::new(7, "until it is back"));
        let said = [&other, &over, &other, &again, &other];
        let has_left = said.into_iter().scan(false, |has_left, event| {
            *has_left = has_left_after::<Following>(event, *has_left);
            Some(*has_left)
        });
        assert_eq!(has_left.collect::<Vec<_>>(), [false, true, true, false, false]);
    }
}
