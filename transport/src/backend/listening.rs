//! The socket that hears everybody on a port, and answers each from the address at which it was asked.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{SockAddr, Socket};

use super::socket::{bind_listener, local_address};

/// Room for any UDP datagram, so that its whole length is seen on every system.
const WHOLE_DATAGRAM: usize = 65_536;

/// A listening socket, whose port the sockets of its streams share.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    socket: Socket,
    local: SocketAddr,
    /// It has a wildcard address: which one a datagram came to is told with each.
    tells_destination: bool,
    bytes: Box<[u8]>,
}

/// A datagram that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Bytes of it.
    pub(crate) len: usize,
    /// Who sent it. An IPv4 address is one, also where the socket hears both kinds.
    pub(crate) peer: SocketAddr,
    /// The address, of this machine, that it was sent to; the wildcard one where the system does not tell.
    pub(crate) local: SocketAddr,
}

impl ListeningSocket {
    /// Listens on an address; on `[::]` for IPv4, too.
    ///
    /// # Errors
    /// As the system says: the address is in use, or not one of this machine's.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = bind_listener(address)?;
        let local = local_address(&socket)?;
        let tells_destination = local.ip().is_unspecified() && ask_destination(&socket, local);
        Ok(Self { socket, local, tells_destination, bytes: vec![0; WHOLE_DATAGRAM].into() })
    }

    /// The address listened on, with the real port.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next datagram, as much of it as `head` takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where none is there; else as the system says.
    pub(crate) fn receive(&mut self, head: &mut [u8]) -> io::Result<Arrived> {
        let (len, peer, destination) = self.receive_whole()?;
        let local = match destination {
            Some(mut destination) => {
                destination.set_port(self.local.port());
                destination
            }
            None => self.local,
        };
        let taken = len.min(head.len());
        head[..taken].copy_from_slice(&self.bytes[..taken]);
        Ok(Arrived { len, peer, local })
    }

    #[cfg(target_os = "linux")]
    fn receive_whole(&mut self) -> io::Result<(usize, SocketAddr, Option<SocketAddr>)> {
        super::packet_info::receive(&self.socket, &mut self.bytes)
    }

    #[cfg(not(target_os = "linux"))]
    fn receive_whole(&mut self) -> io::Result<(usize, SocketAddr, Option<SocketAddr>)> {
        let (len, _, peer) = rustix::net::recvfrom(&self.socket, &mut self.bytes[..], rustix::net::RecvFlags::empty())?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.ok_or_else(|| io::Error::other("a datagram without a sender's address"))?;
        Ok((len, super::socket::canonical(peer), None))
    }

    /// Answers `peer` from the address that it asked, which [`Arrived::local`] told.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn answer(&self, bytes: &[u8], peer: SocketAddr, local: SocketAddr) -> io::Result<()> {
        let peer = self.as_named_here(peer);
        #[cfg(target_os = "linux")]
        if self.tells_destination && !local.ip().is_unspecified() {
            return super::packet_info::send(&self.socket, bytes, &peer, local);
        }
        let _ = local;
        self.socket.send_to(bytes, &peer).map(|_| ())
    }

    /// An address as this socket's kind writes it.
    fn as_named_here(&self, peer: SocketAddr) -> SockAddr {
        match peer {
            SocketAddr::V4(peer) if self.local.is_ipv6() => {
                SocketAddr::from((peer.ip().to_ipv6_mapped(), peer.port())).into()
            }
            peer => peer.into(),
        }
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn ask_destination(socket: &Socket, local: SocketAddr) -> bool {
    let asked = super::packet_info::ask(socket, local.is_ipv6());
    if let Err(error) = &asked {
        tracing::warn!(
            %error, "the system does not tell which address a datagram came to; answers leave from the one that it prefers. To have \
             them leave from another, listen on that address by name"
        );
    }
    asked.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn ask_destination(_socket: &Socket, _local: SocketAddr) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    /// What a socket at `from` that asks a listener on `listen`, at its address `at`, hears of it and is told by it.
    fn ask(listen: &str, from: &str, at: &str) -> Option<(Arrived, SocketAddr)> {
        let mut listener = ListeningSocket::bind(listen.parse().unwrap()).unwrap();
        let peer = match UdpSocket::bind(from) {
            Ok(peer) => peer,
            Err(error) => {
                framewire_testing::skip(format_args!("{from} cannot be bound ({error})"));
                return None;
            }
        };
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let to = SocketAddr::new(at.parse().unwrap(), listener.local().port());
        peer.send_to(&[7; 1_000], to).unwrap();
        let mut head = [0; 4];
        let arrived = listener.receive(&mut head).unwrap();
        assert_eq!((head, arrived.peer), ([7; 4], peer.local_addr().unwrap()));
        listener.answer(b"here", arrived.peer, arrived.local).unwrap();
        let (_, answered) = peer.recv_from(&mut head).unwrap();
        assert_eq!(&head, b"here");
        assert_eq!(answered, to, "{listen} was asked at {at}");
        assert_eq!(arrived.local, to);
        Some((arrived, answered))
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked_whatever_the_socket_listens_on() {
        for (listen, from, at) in [
            ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
            ("[::]:0", "127.0.0.3:0", "127.0.0.2"),
            ("[::]:0", "[::1]:0", "::1"),
        ] {
            ask(listen, from, at);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_asks_by_broadcast_is_answered_from_an_address_of_this_machine_also_where_both_kinds_are_heard() {
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let Ok(mut listener) = ListeningSocket::bind(listen.parse().unwrap()) else {
                framewire_testing::skip(format_args!("{listen} cannot be bound"));
                continue;
            };
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.set_broadcast(true).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            peer.send_to(b"anyone", SocketAddr::from(([127, 255, 255, 255], listener.local().port()))).unwrap();
            let mut head = [0; 8];
            let arrived = listener.receive(&mut head).unwrap();
            let ours = SocketAddr::from(([127, 0, 0, 1], listener.local().port()));
            assert_eq!(arrived.local, ours, "{listen}");
            listener.answer(b"here", arrived.peer, arrived.local).unwrap();
            let (len, answered) = peer.recv_from(&mut head).unwrap();
            assert_eq!((&head[..len], answered), (&b"here"[..], ours), "{listen}");
        }
    }

    #[test]
    fn the_length_of_a_datagram_is_told_whole() {
        if let Some((arrived, _)) = ask("0.0.0.0:0", "127.0.0.1:0", "127.0.0.1") {
            assert_eq!(arrived.len, 1_000);
        }
    }
}
