//! Where a watched stream's frames come in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use framewire_process::exit::{Failure, say};
use framewire_signal::message::Watching;
use framewire_signal::{Unexpected, WatchPort};
use framewire_sink::SinkSpec;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::{Admission, AnnounceError, Protection};
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
    port: WatchPort,
    /// People know that nothing protects it.
    is_told: bool,
}

impl Port {
    /// Listens where the user says, else where frames of that server come in.
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
        let port = match &args.udp {
            Some(udp) => WatchPort::at(stream, udp.resolve_one(None)?, config),
            None => WatchPort::for_server(stream, &server.server, config),
        };
        Ok(Self { port: port.map_err(Failure::runtime)?, is_told: false })
    }

    pub(super) fn stream(&self) -> u32 {
        self.port.stream()
    }

    pub(super) fn number(&self) -> u16 {
        self.port.number()
    }

    pub(super) fn receiver(&self) -> &Arc<Receiver> {
        self.port.receiver()
    }

    /// Listens where the connection goes out from now. True where that is another port, to ask the server with.
    ///
    /// # Errors
    /// The system gives no port there.
    pub(super) fn follow(&mut self, own: IpAddr) -> Result<bool, Failure> {
        self.port.follow(own).map_err(Failure::runtime)
    }

    /// What to say, once, where the server sends the stream, and was heard then, and nothing of it comes in; it goes to `own`, an address of this machine.
    pub(super) fn silence(&mut self, heard: Option<Instant>, own: Option<IpAddr>) -> Option<String> {
        self.port.is_silent(heard, Instant::now()).then(|| self.port.silence(own, "--udp"))
    }

    /// Has the stream taken as this server sends it to `own`, an address of this machine.
    ///
    /// # Errors
    /// It is not sent as safely as was asked for, or needs more memory than there is.
    pub(super) fn expect(&mut self, watching: &Watching, server: &Target, own: Option<IpAddr>) -> Result<(), Failure> {
        if watching.key.is_none() && !server.may_be_plain() {
            return Err(Failure::runtime(format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure, or, on a \
                 network that you trust, give this program --insecure",
                server.server
            )));
        }
        let protection = match self.port.expect(watching) {
            Ok(_) => return Ok(()),
            // Whoever has said that it may be plain meant this, and whoever has a key uses it.
            Err(Unexpected::Announce(AnnounceError::Unprotected { .. })) => Protection::Off,
            Err(Unexpected::Announce(AnnounceError::KeyUnused)) => Protection::Auto,
            Err(error) => return Err(Failure::runtime(error)),
        };
        self.port.protect(protection).map_err(Failure::runtime)?;
        let leaves = own.is_none_or(|own| !own.to_canonical().is_loopback());
        if protection == Protection::Off && leaves && !std::mem::replace(&mut self.is_told, true) {
            say(format_args!(
                "{PROGRAM}: nothing protects this stream: {} offers nothing else, so that anyone on the way can read and change it",
                server.server
            ));
        }
        self.port.expect(watching).map(drop).map_err(Failure::runtime)
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

#[cfg(test)]
mod tests {
    use super::*;

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
