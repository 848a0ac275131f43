//! The UDP port that a watched stream comes to. The server sends to the address that asked, so the port is where the connection goes out from, and
//! moves with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use framewire_transport::crypto::{Key, KeyId};
use framewire_transport::{AnnounceError, Announcement, BindError, FrameFormat, Protection, Receiver, ReceiverConfig};
use thiserror::Error;

use super::address::ServerUrl;
use super::udp_watch::UdpWatch;
use crate::message::{Refused, Watching};

/// A receiver for one watched stream: on loopback where the server is reached over it, so that nobody else sends there, else on all addresses of this
/// machine, of both families.
///
/// Before there is a connection that is a guess. [`follow`](Self::follow) sets it right: a name may stand for either family, and the server that takes
/// another's place may be elsewhere.
pub struct WatchPort {
    receiver: Arc<Receiver>,
    config: ReceiverConfig,
    stream: u32,
    /// The user has said where.
    is_fixed: bool,
    /// What is expected.
    announced: Option<(FrameFormat, Option<KeyId>)>,
    udp_watch: UdpWatch,
}

/// Why a stream is not taken as a server sends it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unexpected {
    /// It is of a format that this release does not know.
    #[error(transparent)]
    Format(#[from] Refused),
    /// The receiver does not take it: its memory or its key.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl WatchPort {
    /// Listens for `stream`, the watcher's own id of it, on a port of the system's choice, where a connection to this server is likely to go out from.
    /// `config` should admit [announced](framewire_transport::Admission::Announced) streams alone. Asks no resolver.
    ///
    /// # Errors
    /// As [`Receiver::bind`].
    pub fn for_server(stream: u32, server_url: &str, config: ReceiverConfig) -> Result<Self, BindError> {
        let receiver = listen(likely_own(server_url), &config)?;
        Ok(Self::of(stream, receiver, config, false))
    }

    /// Listens there and nowhere else; on all addresses of this machine where `at` is `[::]` or `0.0.0.0`.
    ///
    /// # Errors
    /// As [`Receiver::bind`].
    pub fn at(stream: u32, at: SocketAddr, config: ReceiverConfig) -> Result<Self, BindError> {
        let receiver = Arc::new(Receiver::bind(at, config.clone())?);
        Ok(Self::of(stream, receiver, config, true))
    }

    fn of(stream: u32, receiver: Arc<Receiver>, config: ReceiverConfig, is_fixed: bool) -> Self {
        Self { receiver, config, stream, is_fixed, announced: None, udp_watch: UdpWatch::default() }
    }

    /// The id that the stream has here.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// What to ask the server with, as [`WatchRequest::udp_port`](crate::message::WatchRequest::udp_port).
    pub fn number(&self) -> u16 {
        self.receiver.local_addr().port()
    }

    /// Where the stream is accepted: another one once [`follow`](Self::follow) or [`protect`](Self::protect) has moved.
    pub fn receiver(&self) -> &Arc<Receiver> {
        &self.receiver
    }

    /// The connection goes out from this address ([`SignalClient::own_ip`](super::SignalClient::own_ip)): to be said at each
    /// [`ClientEvent::Connected`](super::ClientEvent::Connected). True where frames that are sent there would not have come in: then it listens on another
    /// port by now, expects nothing, and the server is to be asked anew with [that](Self::number). The receiver of before goes on for as long as somebody has
    /// it, and hears of nothing more.
    ///
    /// # Errors
    /// As [`Receiver::bind`]; it listens where it did.
    pub fn follow(&mut self, own: IpAddr) -> Result<bool, BindError> {
        if self.is_fixed || listening_ips(own).contains(&self.receiver.local_addr().ip()) {
            return Ok(false);
        }
        self.receiver = listen(own, &self.config)?;
        (self.announced, self.udp_watch) = (None, UdpWatch::default());
        Ok(true)
    }

    /// Has the stream taken as the server sends it. True where it is another than before: frames of the one before come no more.
    ///
    /// # Errors
    /// [`Unexpected`]: of a [format](Unexpected::Format) that is not known it stays as it was. Where the receiver does not
    /// [take it](Unexpected::Announce) and it is another than before, nothing is expected from then on: the one before is no longer sent.
    pub fn expect(&mut self, watching: &Watching) -> Result<bool, Unexpected> {
        let format = watching.format()?;
        let expected = (format, watching.key.as_ref().map(Key::id));
        let is_other = self.announced.as_ref().is_some_and(|before| *before != expected);
        if is_other {
            // From a server that was started anew, or another stream.
            self.receiver.withdraw(self.stream);
            self.announced = None;
        }
        let metadata_max = watching.metadata_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        // How it is delivered is between the two ends: on the wire, frames of a queue that may be cut short are those of `latest`.
        let announced = Announcement::new(format).metadata_max(metadata_max).key(watching.key.clone());
        self.receiver.announce(self.stream, announced)?;
        self.announced = Some(expected);
        Ok(is_other)
    }

    /// Listens at the same port by another protection, and expects nothing. Nobody else may have the [receiver](Self::receiver) then.
    ///
    /// # Errors
    /// As [`Receiver::bind`].
    pub fn protect(&mut self, protection: Protection) -> Result<(), BindError> {
        let at = self.receiver.local_addr();
        // The port is free once the one before is gone.
        self.receiver = listen(Ipv4Addr::LOCALHOST.into(), &self.config)?;
        self.announced = None;
        self.receiver = Arc::new(Receiver::bind(at, self.config.clone().protection(protection))?);
        Ok(())
    }

    /// Whether something of the stream has come in, and is here still.
    pub fn has_come(&self) -> bool {
        self.receiver.memory_bytes() > 0
    }

    /// Whether nothing of the stream has come in, though the server says that it sends it and was heard at `heard`
    /// ([`SignalClient::last_heard`](super::SignalClient::last_heard)). True where people are to be told, as [`UdpWatch::is_unopened`] is.
    pub fn is_silent(&mut self, heard: Option<Instant>, now: Instant) -> bool {
        if self.has_come() {
            self.udp_watch.is_open();
            return false;
        }
        self.udp_watch.is_unopened(heard, now)
    }

    /// What to say where it [is silent](Self::is_silent): the connection goes out from `own`, and a port is chosen by `choice`, such as `--udp`.
    pub fn silence(&self, own: Option<IpAddr>, choice: &str) -> String {
        let local = self.receiver.local_addr();
        let port = local.port();
        if local.ip().is_loopback() {
            return format!(
                "nothing of it comes in on UDP {local}, as from behind a container's port or a tunnel; listen on all addresses by {choice} ':PORT', or name \
                 the server by its own address"
            );
        }
        let at = own.map(|own| format!(" of {own}")).unwrap_or_default();
        let how =
            if self.is_fixed { String::new() } else { format!(", or a port that stays the same by {choice} ':PORT'") };
        format!(
            "nothing of it comes in on UDP port {port}{at}: where its camera sends, a firewall or a NAT drops it; let it in here (ufw allow {port}/udp; nft add rule inet \
             filter input udp dport {port} accept){how}"
        )
    }
}

/// Where a connection to this server goes out from, as far as its address says that itself; else any address.
fn likely_own(server_url: &str) -> IpAddr {
    let host = ServerUrl::parse(server_url).map(|url| url.host().to_owned()).unwrap_or_default();
    if host.eq_ignore_ascii_case("localhost") {
        return Ipv4Addr::LOCALHOST.into();
    }
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        // To all of its addresses, this machine goes out from the first.
        Ok(IpAddr::V4(ip)) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        Ok(ip) => ip,
        Err(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Where what is sent to this address of the machine comes in, the best first.
fn listening_ips(own: IpAddr) -> [IpAddr; 2] {
    match own.to_canonical() {
        ip if ip.is_loopback() => [ip, ip],
        // Without IPv6 there is no address of it to listen on.
        _ => [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
    }
}

fn listen(own: IpAddr, config: &ReceiverConfig) -> Result<Arc<Receiver>, BindError> {
    let at = |ip: IpAddr| Receiver::bind(SocketAddr::new(ip, 0), config.clone());
    let [best, other] = listening_ips(own);
    let bound = at(best).or_else(|error| match error {
        BindError::Address { .. } if other != best => at(other),
        error => Err(error),
    });
    bound.map(Arc::new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use framewire_transport::{Admission, Delivery, PixelFormat};

    use super::*;

    fn port(server_url: &str) -> WatchPort {
        WatchPort::for_server(7, server_url, ReceiverConfig::new().admission(Admission::Announced)).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn gray(width: u32) -> Watching {
        let format = FrameFormat::new(PixelFormat::Gray8, width, 48).unwrap();
        Watching::new(7, "front", &format, Delivery::Latest)
    }

    #[test]
    fn a_server_on_this_machine_is_listened_to_on_loopback_alone_and_any_other_on_all_addresses() {
        for (url, own) in [
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://127.0.0.2:8080/cams", "127.0.0.1"),
            ("http://LocalHost:8080", "127.0.0.1"),
            ("https://[::1]:8080", "::1"),
        ] {
            assert_eq!(port(url).receiver().local_addr().ip(), ip(own), "{url}");
        }
        // What is no address at all is told by who connects to it.
        for url in ["http://192.0.2.7:8080", "http://cam.example", "http://[2001:db8::1]:1", "nonsense"] {
            assert!(port(url).receiver().local_addr().ip().is_unspecified(), "{url}");
        }
    }

    #[test]
    fn it_moves_with_the_connection_and_only_where_frames_would_not_come_in() {
        let mut port = port("http://localhost:8080");
        for (own, moves, at) in [
            ("127.0.0.1", false, Some("127.0.0.1")),
            ("::1", true, Some("::1")),
            ("::1", false, Some("::1")),
            ("::ffff:127.0.0.1", true, Some("127.0.0.1")),
            ("192.0.2.1", true, None),
            ("2001:db8::2", false, None),
            ("192.0.2.9", false, None),
            ("127.0.0.1", true, Some("127.0.0.1")),
        ] {
            let before = port.receiver().clone();
            assert_eq!(port.follow(ip(own)).unwrap(), moves, "{own}");
            let now = port.receiver().local_addr().ip();
            assert_eq!((now.is_unspecified(), at.is_none_or(|at| ip(at) == now)), (at.is_none(), true), "{own}: {now}");
            assert_eq!(!Arc::ptr_eq(&before, port.receiver()), moves, "{own}");
        }
        let mut fixed = WatchPort::at(7, "127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
        assert!(!fixed.follow(ip("192.0.2.1")).unwrap(), "the user has said where");
    }

    #[test]
    fn another_format_or_another_key_is_another_stream_and_the_same_is_the_same() {
        let mut port = port("http://127.0.0.1:8080");
        let key = Key::from_bytes([7; 32]);
        assert!(!port.expect(&gray(64)).unwrap() && !port.expect(&gray(64)).unwrap());
        assert!(port.expect(&gray(32)).unwrap() && port.expect(&gray(32).key(key)).unwrap());
        port.follow(ip("::1")).unwrap();
        assert!(!port.expect(&gray(64)).unwrap(), "at another port nothing came before");
        let mut foreign = gray(64);
        foreign.pixel = "gray9".into();
        assert!(matches!(port.expect(&foreign), Err(Unexpected::Format(_))));
    }

    #[test]
    fn the_port_stays_the_same_where_the_protection_is_another() {
        let mut port = port("http://192.0.2.7:8080");
        assert!(matches!(port.expect(&gray(64)), Err(Unexpected::Announce(AnnounceError::Unprotected { .. }))));
        let number = port.number();
        port.protect(Protection::Off).unwrap();
        assert!(!port.expect(&gray(64)).unwrap());
        assert_eq!(port.number(), number);
    }

    #[test]
    fn it_is_silent_once_where_the_server_is_heard_and_nothing_comes() {
        let (mut port, start) = (port("http://127.0.0.1:8080"), Instant::now());
        let silences = (0..100).map(|tenth| start + Duration::from_millis(tenth * 100));
        assert_eq!(silences.clone().filter(|now| port.is_silent(None, *now)).count(), 0, "it does not send");
        assert_eq!(silences.filter(|now| port.is_silent(Some(*now), *now)).count(), 1);
    }

    #[test]
    fn silence_is_told_with_the_port_and_what_lets_it_in() {
        let away = port("http://192.0.2.7:8080");
        let number = away.number();
        let said = away.silence(Some(ip("192.0.2.1")), "--udp");
        for part in
            [format!("UDP port {number} of 192.0.2.1"), format!("ufw allow {number}/udp"), "--udp ':PORT'".into()]
        {
            assert!(said.contains(&part), "{said}");
        }
        let fixed =
            WatchPort::at(7, "0.0.0.0:0".parse().unwrap(), ReceiverConfig::new().admission(Admission::Announced));
        assert!(!fixed.unwrap().silence(None, "--udp").contains("--udp"), "it is chosen");
        let said = port("http://127.0.0.1:8080").silence(Some(ip("127.0.0.1")), "--udp");
        assert!(said.contains("container") && said.contains("--udp ':PORT'"), "{said}");
    }
}
