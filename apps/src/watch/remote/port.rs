//! Where a watched stream's frames come in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use framewire_process::exit::{Failure, say};
use framewire_signal::message::Watching;
use framewire_sink::SinkSpec;
use framewire_transport::crypto::KeyId;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::{Admission, AnnounceError, Announcement, BindError, FrameFormat, Protection};
use framewire_transport::{Delivery, Receiver, ReceiverConfig, ThreadConfig};

use super::super::{PROGRAM, room};
use crate::cli::WatchArgs;
use crate::client::target::Target;

/// Slots beyond those that frames wait in: four being assembled, and one in hand.
const SLOTS_OF_TRANSPORT: usize = 5;

/// Slots that frames wait in which are all to be read.
const SLOTS_THAT_WAIT: usize = 4;

/// A receiver for one stream, under an id that nobody guesses.
pub(super) struct Port {
    receiver: Receiver,
    config: ReceiverConfig,
    stream: u32,
    /// What is expected.
    announced: Option<(FrameFormat, Option<KeyId>)>,
    is_told: bool,
}

impl Port {
    /// Listens where the user says, else where frames of that server come: on loopback where the server is there, so that nobody else sends
    /// there, else on all addresses of this machine.
    ///
    /// # Errors
    /// An address that is not this machine's, a port in use; no random number.
    pub(super) fn bind(args: &WatchArgs, server: &Target) -> Result<Self, Failure> {
        let usual =
            if delivery(args)? == Some(Delivery::Every) { ConsumerPolicy::Block } else { ConsumerPolicy::Latest };
        let policy = args.policy.unwrap_or(usual);
        let waiting = match policy {
            ConsumerPolicy::Queue(frames) => frames,
            ConsumerPolicy::Block => SLOTS_THAT_WAIT,
            _ => 1,
        };
        let sinks = args.sinks.sink.iter().filter(|sink| **sink != SinkSpec::Null).count();
        let config = ReceiverConfig::new()
            .admission(Admission::Announced)
            .streams_max(2)
            .slots(SLOTS_OF_TRANSPORT + waiting + sinks.clamp(1, room::SINKS_WITH_A_SLOT))
            .threads(ThreadConfig::new().busy_poll(args.busy_poll))
            .latest_policy(policy);
        let stream = getrandom::u32()
            .map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}")))?;
        let receiver = match &args.udp {
            Some(udp) => Receiver::bind(udp.resolve_one(None)?, config.clone()),
            None => bind_for(server.host(), &config),
        };
        let receiver = receiver.map_err(Failure::runtime)?;
        Ok(Self { receiver, config, stream, announced: None, is_told: false })
    }

    pub(super) fn stream(&self) -> u32 {
        self.stream
    }

    pub(super) fn number(&self) -> u16 {
        self.receiver.local_addr().port()
    }

    pub(super) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Has the stream taken as this server sends it. True where it is another than before: frames of the one before come no more.
    ///
    /// # Errors
    /// It is not sent as safely as was asked for, or needs more memory than there is.
    pub(super) fn expect(&mut self, watching: &Watching, server: &Target) -> Result<bool, Failure> {
        let format = watching.format().map_err(Failure::runtime)?;
        if watching.key.is_none() && !server.may_be_plain() {
            return Err(Failure::runtime(format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure, or, on a \
                 network that you trust, give this program --insecure",
                server.server
            )));
        }
        let expected = (format, watching.key.as_ref().map(framewire_transport::crypto::Key::id));
        let before = self.announced.replace(expected);
        let is_other = before.is_some_and(|before| before != expected);
        if is_other {
            // From a server that was started anew, or another stream.
            self.receiver.withdraw(self.stream);
        }
        match self.announce(watching, format) {
            Ok(()) => Ok(is_other),
            // Whoever has said that it may be plain meant this, and whoever has a key uses it.
            Err(AnnounceError::Unprotected { .. }) => {
                self.rebind(Protection::Off, watching, format, server).map(|()| true)
            }
            Err(AnnounceError::KeyUnused) => self.rebind(Protection::Auto, watching, format, server).map(|()| true),
            Err(error) => Err(Failure::runtime(error)),
        }
    }

    fn announce(&self, watching: &Watching, format: FrameFormat) -> Result<(), AnnounceError> {
        let metadata_max = watching.metadata_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        // How it is delivered is between this program and the server: on the wire, frames of a queue that may be cut short are those of `latest`.
        let announced = Announcement::new(format).metadata_max(metadata_max);
        self.receiver.announce(self.stream, announced.key(watching.key.clone())).map(drop)
    }

    /// At the same port, with another protection.
    fn rebind(
        &mut self,
        protection: Protection,
        watching: &Watching,
        format: FrameFormat,
        server: &Target,
    ) -> Result<(), Failure> {
        let at = self.receiver.local_addr();
        let config = self.config.clone().protection(protection);
        self.receiver.stop();
        // The port is free once the one before is gone.
        let elsewhere = Receiver::bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), self.config.clone());
        self.receiver = elsewhere.map_err(Failure::runtime)?;
        self.receiver = Receiver::bind(at, config).map_err(Failure::runtime)?;
        if protection == Protection::Off && !std::mem::replace(&mut self.is_told, true) {
            say(format_args!(
                "{PROGRAM}: nothing protects this stream: {} offers nothing else, so that anyone on the way can read and change it",
                server.server
            ));
        }
        self.announce(watching, format).map_err(Failure::runtime)
    }
}

/// How the stream is asked for: whoever waits for every frame means every frame.
///
/// # Errors
/// Two things were said that contradict each other.
pub(super) fn delivery(args: &WatchArgs) -> Result<Option<Delivery>, Failure> {
    match (args.delivery, args.policy) {
        (Some(Delivery::Latest), Some(ConsumerPolicy::Block)) => Err(Failure::usage(
            "--policy block waits for every frame, and --delivery latest sends the newest alone; leave one of them out",
        )),
        (None, Some(ConsumerPolicy::Block)) => Ok(Some(Delivery::Every)),
        (delivery, _) => Ok(delivery),
    }
}

fn bind_for(host: &str, config: &ReceiverConfig) -> Result<Receiver, BindError> {
    let at = |ip: IpAddr| Receiver::bind(SocketAddr::new(ip, 0), config.clone());
    match loopback(host) {
        Some(ip) => at(ip),
        // Without IPv6 there is no address of it to listen on.
        None => at(Ipv6Addr::UNSPECIFIED.into()).or_else(|error| match error {
            BindError::Address { .. } => at(Ipv4Addr::UNSPECIFIED.into()),
            error => Err(error),
        }),
    }
}

/// Where a server on this machine sends from. A name that is not known yet may be of any machine.
fn loopback(host: &str) -> Option<IpAddr> {
    let with_port = host.to_socket_addrs().or_else(|_| (host.trim_matches(['[', ']']), 80).to_socket_addrs());
    let mut found = with_port.ok()?.map(|address| address.ip());
    found.next().filter(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_server_on_this_machine_come_in_on_loopback_alone() {
        assert!(
            loopback("127.0.0.1:8080").is_some() && loopback("[::1]:8080").is_some() && loopback("127.0.0.1").is_some()
        );
        assert_eq!((loopback("192.0.2.7:8080"), loopback("")), (None, None));
    }

    #[test]
    fn whoever_waits_for_every_frame_asks_for_every_frame() {
        use clap::Parser;

        use crate::cli::{Command, FramewireArgs};
        let of = |flags: &[&str]| {
            let arguments = ["framewire", "watch", "front", "--server", "http://a:1"].iter().chain(flags);
            let Some(Command::Watch(args)) = FramewireArgs::parse_from(arguments).command else {
                panic!("it is watch")
            };
            delivery(&args).map_err(|failure| failure.to_string())
        };
        let every = Ok(Some(Delivery::Every));
        assert_eq!(
            (of(&["--policy", "block"]), of(&["--delivery", "every", "--policy", "queue:3"])),
            (every.clone(), every)
        );
        assert_eq!((of(&[]), of(&["--policy", "latest"])), (Ok(None), Ok(None)));
        assert!(of(&["--policy", "block", "--delivery", "latest"]).unwrap_err().contains("leave one of them out"));
    }
}
