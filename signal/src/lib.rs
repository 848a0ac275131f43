//! What Framewire says over Socket.IO: opening streams, feedback, statistics; the server's side and the client's.
//!
//! Frames go over UDP (`framewire-transport`); what is said rarely goes over Socket.IO, so that programs in any language and pages can
//! take part: a client opens a stream and is told where its datagrams go, another asks to watch it, everybody who listens hears of each frame that
//! arrived (`feedback`) and once in a while how all streams do (`statistics`). Nothing of this holds frames up. What is said, event by event, is
//! in [`message`].
//!
//! | you want to | begin at |
//! |---|---|
//! | serve: open streams, tell of frames | [`SignalServer::start`], [`StreamHost`], [`SignalServer::feedback`] |
//! | stream as a client | [`ClientConfig::open`], [`SignalClient::next_event`] |
//! | only listen | [`ClientConfig::new`], [`ClientEvent::Feedback`]; any other Socket.IO client, protocol 5, does too |
//! | watch a stream of a server | [`ClientConfig::watch`], [`ClientEvent::Watching`], [`WatchPort`] |
//! | send on what somebody watches | [`StreamHost::watch`], [`SignalServer::tell_watching`] |
//! | say that nobody wants a stream, or how much it may send | [`SignalServer::tell_idle`], [`SignalServer::tell_grant`]; [`ClientEvent::Idle`], [`ClientEvent::Granted`] |
//! | go to another server when one dies | [`ClientConfig::others`], [`ServerTarget`]; [`ClientConfig::roams`], [`SignalServer::tell_elsewhere`] |
//! | let in only who has a secret | [`Token`], at both ends |
//! | have nobody listen in, or play the server | [`ServerConfig::tls`], [`Identity`]; [`ClientConfig::join`], [`Join`] |
//! | know what is on other servers, and find them | [`directory`] |
//! | know what went wrong without reading text | [`codes`] |
//!
//! # A server and a client
//!
//! The stream's id is the same in both worlds: announced to the [`Receiver`](framewire_transport::Receiver), asked for by the client, and
//! the [`Sender`](framewire_transport::Sender)'s own.
//!
#![cfg_attr(all(feature = "client", feature = "server"), doc = "```")]
#![cfg_attr(not(all(feature = "client", feature = "server")), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use framewire_signal::message::{Feedback, OpenRequest, Opened, Refused};
//! use framewire_signal::{ClientConfig, ClientEvent, ServerConfig, SignalClient, SignalServer, StreamHost};
//! use framewire_transport::{
//!     Admission, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
//! };
//!
//! /// Opens what the receiver has room for.
//! struct Host(Arc<Receiver>);
//!
//! impl StreamHost for Host {
//!     fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
//!         let announced = self.0.announce(request.stream, request.format()?);
//!         announced.map_err(|error| Refused::new(error.code(), error.to_string()))?;
//!         Ok(Opened::new(request.stream, self.0.local_addr().port()))
//!     }
//!     fn close(&self, stream: u32) {
//!         self.0.withdraw(stream);
//!     }
//! }
//!
//! // The server.
//! let config = ReceiverConfig::new().admission(Admission::Announced);
//! let receiver = Arc::new(Receiver::bind("127.0.0.1:0".parse()?, config)?);
//! let server = SignalServer::start(ServerConfig::new().listen("127.0.0.1:0".parse()?), Arc::new(Host(receiver.clone())))?;
//!
//! // The client.
//! let stream = 0x5eed_cafe; // a random number
//! let format = FrameFormat::new(PixelFormat::Gray8, 64, 48)?;
//! let open = OpenRequest::new(stream, &format, Delivery::Every).name("front");
//! let client = SignalClient::start(ClientConfig::new(format!("http://{}", server.local_addr())).open(open))?;
//! let opened = loop {
//!     match client.next_event(Duration::from_secs(10)).ok_or("no answer")? {
//!         ClientEvent::Opened(opened) => break opened,
//!         ClientEvent::Refused(refused) => return Err(refused.into()),
//!         _ => {}
//!     }
//! };
//! let host = client.peer().ok_or("no connection")?.ip();
//! let config = SenderConfig::new(format).delivery(Delivery::Every).stream(stream);
//! let sender = Sender::connect((host, opened.udp_port).into(), config)?;
//! sender.send(sender.frame()?)?;
//!
//! // The server again: a frame came.
//! let frame = receiver.accept()?.recv()?;
//! server.feedback(Feedback::new(stream, frame.info().number, frame.len() as u64));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `client` | [`SignalClient`], with TLS | on |
//! | `server` | [`SignalServer`], with TLS | on |
//! | `cluster` | directories that Redis or Valkey carries | off |
//! | `mdns` | servers that find each other on a network | off |

#![forbid(unsafe_code)]

mod auth;
#[cfg(feature = "client")]
mod client;
pub mod codes;
pub mod directory;
mod introduction;
mod join;
#[cfg(any(feature = "client", feature = "server"))]
mod limit;
pub mod message;
mod pin;
mod report;
mod secret_file;
#[cfg(feature = "server")]
mod server;
mod share;
mod stream_key;
#[cfg(any(feature = "client", feature = "server"))]
mod unpoisoned;

pub use auth::{Token, TokenError};
#[cfg(feature = "client")]
pub use client::{
    ClientConfig, ClientError, ClientEvent, ServerTarget, SignalClient, UdpWatch, Unexpected, UrlError, WatchPort,
    tls_config,
};
pub use introduction::Role;
pub use join::{Join, JoinError};
pub use pin::{Pin, PinError};
pub use secret_file::{SecretFileError, read_secret_file};
#[cfg(feature = "server")]
#[doc(hidden)]
pub use server::outcome_at_the_front;
#[cfg(feature = "server")]
pub use server::{
    Asker, Connected, DEFAULT_CLIENTS_MAX, DEFAULT_FEEDBACK_RATE, DEFAULT_PORT, Full, Identity, IdentityError,
    Neighbour, Place, Places, ServerConfig, SignalCounters, SignalServer, StartError, StreamEnd, StreamHost,
};
