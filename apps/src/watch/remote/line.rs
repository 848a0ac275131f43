//! What is said with the server that has the stream.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use framewire_process::exit::{Failure, say};
use framewire_signal::message::{Delivery, Refused, WatchRequest};
use framewire_signal::{ClientConfig, ClientError, ClientEvent, ServerTarget, SignalClient};

use super::super::PROGRAM;
use super::port::{Port, delivery};
use crate::cli::WatchArgs;
use crate::client::target::{InTurn, Target, target_of};

/// How long the server may take to say that it sends no more.
const FAREWELL: Duration = Duration::from_millis(500);

/// The connection to a server, and the port that it sends to.
pub(super) struct Line {
    signal: SignalClient,
    servers: InTurn,
    pub(super) port: Port,
    /// What is asked for.
    request: WatchRequest,
    /// As the stream was asked for, and as the server lists it once it sends it.
    pub(super) name: String,
    /// How it is sent.
    pub(super) delivery: Delivery,
    /// The server has sent it.
    was_given: bool,
    /// It says that it does now.
    is_given: bool,
    /// Why there is no connection; it has been told.
    away: Option<String>,
    is_waited_for: bool,
    refused: Option<String>,
}

/// What the server has said of the stream.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// It is sent.
    Given,
    /// It is not there: why, as a sentence.
    NotThere(String),
    /// It is sent no more for now.
    Gone,
    /// Its sender has closed it.
    Over,
    /// The connection is gone.
    Away,
}

impl Line {
    /// Asks for the stream of this name.
    ///
    /// # Errors
    /// A name or an address that cannot be, a port that cannot be listened on, no thread.
    pub(super) fn start(args: &WatchArgs, name: &str, servers: InTurn) -> Result<Self, Failure> {
        let port = Port::bind(args, &servers[0])?;
        let request = WatchRequest::new(port.stream(), name, port.number())
            .delivery(delivery(args)?)
            .frames_per_second_max(args.max_fps);
        let others: Vec<ServerTarget> = servers[1..].iter().map(|server| server.config().into()).collect();
        let config: ClientConfig = servers[0].config().watch(request.clone()).others(others).roams(true);
        let signal = SignalClient::start(config).map_err(|error| match error {
            ClientError::Thread(_) | ClientError::Random(_) => Failure::runtime(error),
            _ => Failure::usage(error),
        })?;
        let name = name.to_owned();
        let delivery = Delivery::Latest;
        Ok(Self {
            signal,
            servers,
            port,
            request,
            name,
            delivery,
            was_given: false,
            is_given: false,
            away: None,
            is_waited_for: false,
            refused: None,
        })
    }

    /// The server that is spoken to.
    fn server(&self) -> Cow<'_, Target> {
        target_of(&self.servers, &self.signal.server())
    }

    /// What the server says next, within this time.
    ///
    /// # Errors
    /// It refuses, or does not send the stream as was asked for.
    pub(super) fn next(&mut self, timeout: Duration) -> Result<Option<News>, Failure> {
        self.look_for_frames();
        let Some(event) = self.signal.next_event(timeout) else { return Ok(None) };
        self.is_given = match &event {
            ClientEvent::Watching(_) => true,
            ClientEvent::Waiting(_)
            | ClientEvent::Unwatched(_)
            | ClientEvent::WatchRefused { .. }
            | ClientEvent::Refused(_)
            | ClientEvent::Disconnected { .. } => false,
            _ => self.is_given,
        };
        match event {
            ClientEvent::Watching(watching) => {
                let server = target_of(&self.servers, &self.signal.server());
                self.port.expect(&watching, &server, self.signal.own_ip())?;
                (self.was_given, self.refused, self.is_waited_for) = (true, None, false);
                (self.name, self.delivery) = (watching.name, watching.delivery);
                Ok(Some(News::Given))
            }
            ClientEvent::Waiting(waiting) => {
                let nearest = waiting.nearest.map(|name| format!("; the nearest name is {name:?}")).unwrap_or_default();
                let what = format!("{}{nearest}", waiting.message);
                self.is_waited_for(&what);
                Ok(Some(News::NotThere(what)))
            }
            ClientEvent::Unwatched(unwatched) if unwatched.over => Ok(Some(News::Over)),
            // It was found, and cannot be had.
            ClientEvent::Unwatched(unwatched) if !self.was_given => {
                self.is_waited_for(&unwatched.message);
                Ok(Some(News::NotThere(unwatched.message)))
            }
            ClientEvent::Unwatched(unwatched) => {
                tracing::info!("{}", unwatched.message);
                Ok(Some(News::Gone))
            }
            ClientEvent::WatchRefused { refused, .. } | ClientEvent::Refused(refused) => {
                self.refused(&refused).map(|()| None)
            }
            ClientEvent::Retrying { reason, .. } => {
                self.is_away(&reason, "it is asked again until it answers");
                Ok(Some(News::NotThere(reason)))
            }
            ClientEvent::Disconnected { reason } => {
                let reason = format!("{} is gone: {reason}", self.server().server);
                self.is_away(&reason, "it is asked again until it is back");
                Ok(Some(News::Away))
            }
            ClientEvent::Connected => {
                if self.away.take().is_some() {
                    say(format_args!("{PROGRAM}: {} answers", self.server().server));
                }
                self.ask_from_here()?;
                Ok(None)
            }
            other => {
                tracing::debug!(?other, "signal");
                Ok(None)
            }
        }
    }

    /// The connection may go out from another address than the last, to which frames go: then the server is told of another port there.
    fn ask_from_here(&mut self) -> Result<(), Failure> {
        let Some(own) = self.signal.own_ip() else { return Ok(()) };
        if self.port.follow(own)? {
            self.request.udp_port = self.port.number();
            self.signal.watch(self.request.clone()).map_err(Failure::runtime)?;
        }
        Ok(())
    }

    /// Says once that the server sends the stream and nothing of it comes in.
    fn look_for_frames(&mut self) {
        let heard = self.signal.last_heard().filter(|_| self.is_given);
        if let Some(silence) = self.port.silence(heard, self.signal.own_ip()) {
            say(format_args!("{PROGRAM}: {} has stream {:?}, and {silence}", self.server().server, self.name));
        }
    }

    /// Said once a wish.
    fn is_waited_for(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_waited_for, true) {
            say(format_args!("{PROGRAM}: waiting for stream {:?}: {what}", self.name));
        }
    }

    fn is_away(&mut self, reason: &str, what: &str) {
        if self.away.is_none() {
            say(format_args!("{PROGRAM}: {reason}; {what}"));
        }
        self.away = Some(reason.to_owned());
    }

    /// A stream that was given once is asked for again while the server refuses it for now, or another answers; before that a refusal is the answer.
    fn refused(&mut self, refused: &Refused) -> Result<(), Failure> {
        // Who answers in a server's place for a moment is given nothing, and ends no stream.
        if !self.was_given || !(refused.is_for_now() || refused.is_of_another()) {
            return Err(Failure::runtime(format!("{} refuses: {refused}", self.server().server)));
        }
        if self.refused.replace(refused.reason.clone()).as_ref() != Some(&refused.reason) {
            say(format_args!("{PROGRAM}: stream {:?} is not read on: {refused}; it is asked for again", self.name));
        }
        Ok(())
    }

    /// Has the server send no more, and hears that it does not.
    pub(super) fn end(self) {
        self.signal.unwatch(self.port.stream());
        let deadline = Instant::now() + FAREWELL;
        while let Some(event) = self.signal.next_event(deadline.saturating_duration_since(Instant::now())) {
            if matches!(event, ClientEvent::Unwatched(_) | ClientEvent::Disconnected { .. }) {
                break;
            }
        }
        self.signal.shutdown();
    }
}
