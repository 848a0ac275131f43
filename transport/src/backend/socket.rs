//! UDP sockets as streams need them: buffers read back, fragmentation off, the port shared.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::wire::{DATAGRAM_MAX, SLICE_BYTES_MIN};

/// Bytes of IP and UDP headers in front of a datagram to an address.
pub(crate) fn headers_bytes(peer: SocketAddr) -> usize {
    const UDP: usize = 8;
    let is_v4 = match peer.ip() {
        IpAddr::V4(_) => true,
        // Of an IPv4 address that is written as one of IPv6, the datagrams are IPv4's.
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    UDP + if is_v4 { 20 } else { 40 }
}

/// More datagrams than can have come between a bind and the connect after it.
const STRAYS_MAX: usize = 1024;

/// A UDP socket that hears and speaks to one address only.
#[derive(Debug)]
pub struct ConnectedSocket {
    socket: Socket,
    peer: SocketAddr,
}

impl ConnectedSocket {
    /// A socket on a port of the system's choice, connected to `peer`.
    ///
    /// # Errors
    /// As the system says: no route, no descriptor left.
    pub fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::connect_from(wildcard(canonical(peer)), peer)
    }

    /// The same from one of this machine's addresses; port 0 is one of the system's choice.
    ///
    /// # Errors
    /// As the system says: no route, not an address of this machine's, no descriptor left.
    pub fn connect_from(local: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let (local, peer) = (canonical(local), canonical(peer));
        let socket = udp_socket(local)?;
        socket.bind(&local.into())?;
        Self::to_peer(socket, peer)
    }

    /// A socket on the port that a listener that allows it has, connected to `peer`: the kernel gives it what comes from
    /// there to `local`, and the listener everything else. What others sent before it was connected is thrown away. It
    /// speaks from `local`, the address that `peer` asked; only where that is a wildcard does the system choose one.
    ///
    /// # Errors
    /// As the system says.
    pub fn share_port(local: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let (mut local, peer) = (canonical(local), canonical(peer));
        if local.ip().is_unspecified() && local.is_ipv4() != peer.is_ipv4() {
            // A listener on `[::]` hears IPv4, too.
            local = SocketAddr::new(wildcard(peer).ip(), local.port());
        }
        let socket = udp_socket(local)?;
        socket.set_reuse_port(true)?;
        socket.bind(&local.into())?;
        let connected = Self::to_peer(socket, peer)?;
        // What others sent in between; the peer itself sends nothing before it is accepted.
        for _ in 0..STRAYS_MAX {
            if connected.socket.recv(&mut [MaybeUninit::uninit()]).is_err() {
                break;
            }
        }
        Ok(connected)
    }

    /// A listening socket that from now on hears `peer` only, until [`hear_everybody`]. What others have sent before stays in it.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn on_listener(listener: &Socket, peer: SocketAddr) -> io::Result<Self> {
        let (socket, peer) = (listener.try_clone()?, canonical(peer));
        #[cfg(target_os = "linux")]
        super::only_from::hear_only(&socket, peer)?;
        #[cfg(not(target_os = "linux"))]
        socket.connect(&peer.into())?;
        Ok(Self { socket, peer })
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// As the system says: no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, peer: self.peer })
    }

    pub(super) fn to_peer(socket: Socket, peer: SocketAddr) -> io::Result<Self> {
        socket.connect(&peer.into())?;
        Ok(Self { socket, peer })
    }

    /// Connects to another address.
    ///
    /// # Errors
    /// As the system says; the socket is then connected to nobody.
    pub fn redirect(&mut self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(&SockAddr::from(peer))?;
        self.peer = peer;
        Ok(())
    }

    /// The address at the far end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address at this end.
    ///
    /// # Errors
    /// As the system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        local_address(&self.socket)
    }

    /// The largest datagram that the path is known to carry unfragmented, at most [`DATAGRAM_MAX`]: the route's MTU
    /// less the IP and UDP headers. On loopback, whose MTU is 65,536, that is the whole 65,507 (IPv4).
    pub fn path_datagram_bytes(&self) -> usize {
        /// What Ethernet carries, in either version of IP.
        const ETHERNET: usize = 1_452;
        self.known_path_datagram_bytes().unwrap_or(ETHERNET).clamp(SLICE_BYTES_MIN, DATAGRAM_MAX)
    }

    /// The same, unclamped; `None` where the system does not tell.
    pub fn known_path_datagram_bytes(&self) -> Option<usize> {
        let mtu = match self.peer {
            SocketAddr::V4(_) => path_mtu(&self.socket, libc::IPPROTO_IP, IP_MTU),
            SocketAddr::V6(_) => path_mtu(&self.socket, libc::IPPROTO_IPV6, IPV6_MTU),
        };
        Some(mtu?.saturating_sub(headers_bytes(self.peer)))
    }

    /// Datagrams that the system has dropped because this socket's buffer was full, modulo 2^32; `None` where it does not tell.
    pub fn drops(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        {
            /// What SO_MEMINFO tells: `struct sk_meminfo` has nine counters (linux/sock_diag.h), of which this is the last.
            const COUNTERS: usize = 9;
            const DROPS: usize = 8;
            let mut counters = [0_u32; COUNTERS];
            let mut len = size_of_val(&counters) as socklen_t;
            // SAFETY: getsockopt(socket: open, level and option as named, value: an array that lives over the call, len: its
            // size, which the kernel only lowers).
            let result = unsafe {
                libc::getsockopt(
                    self.socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_MEMINFO,
                    counters.as_mut_ptr().cast(),
                    &raw mut len,
                )
            };
            (result == 0 && len as usize == size_of_val(&counters)).then_some(counters[DROPS])
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Asks for a receive buffer and returns what the system really gives, bytes as the kernel accounts them.
    ///
    /// # Errors
    /// Where the buffer's size cannot be read.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        set_receive_buffer(&self.socket, bytes)
    }

    /// Asks for a send buffer and returns what the system really gives.
    ///
    /// # Errors
    /// Where the buffer's size cannot be read.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        let forced = rustix::net::sockopt::set_socket_send_buffer_size_force(&self.socket, bytes).is_ok();
        #[cfg(not(target_os = "linux"))]
        let forced = false;
        if !forced {
            let _ = self.socket.set_send_buffer_size(bytes);
        }
        self.socket.send_buffer_size()
    }

    /// Lets datagrams that the path does not carry whole travel as fragments.
    pub(crate) fn allow_fragments(&self) {
        #[cfg(target_os = "linux")]
        set_path_discovery(&self.socket, self.peer, libc::IP_PMTUDISC_DONT, libc::IPV6_PMTUDISC_DONT);
    }

    /// Has the kernel cut what is longer than `segment` bytes into datagrams of that size; 0 for not at all.
    #[cfg(target_os = "linux")]
    pub(super) fn set_segment(&self, segment: usize) -> io::Result<()> {
        self.set_udp_option(libc::UDP_SEGMENT, c_int::try_from(segment).unwrap_or(c_int::MAX))
    }

    /// Has the kernel return datagrams that came together as one message. False where it cannot.
    #[cfg(target_os = "linux")]
    pub(super) fn coalesce(&self) -> bool {
        let set = self.set_coalescing();
        if let Err(error) = &set {
            tracing::info!(%error, "this system does not receive trains; slices come in one by one");
        }
        set.is_ok()
    }

    #[cfg(target_os = "linux")]
    pub(super) fn set_coalescing(&self) -> io::Result<()> {
        self.set_udp_option(libc::UDP_GRO, 1)
    }

    /// Trains are received no more.
    #[cfg(target_os = "linux")]
    pub(super) fn coalesce_no_more(&self) {
        // A system that has no such option gives no trains.
        let _ = self.set_udp_option(libc::UDP_GRO, 0);
    }

    #[cfg(target_os = "linux")]
    fn set_udp_option(&self, option: c_int, value: c_int) -> io::Result<()> {
        // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_UDP,
                option,
                (&raw const value).cast(),
                size_of::<c_int>() as socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl AsFd for ConnectedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that hears everybody on an address, and whose port streams can share.
///
/// # Errors
/// As the system says: the address is in use, or not one of this machine's.
pub(crate) fn bind_listener(local: SocketAddr) -> io::Result<Socket> {
    let socket = udp_socket(local)?;
    if local.is_ipv6() && local.ip().is_unspecified() {
        // IPv4, too, whatever this system's default is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&local.into())?;
    // After the bind: so a second server on the port is refused, which it would not be if both had asked for it. This one's own
    // streams may share the port from here on, for a system compares the options of both sockets when the later one is bound.
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// An IPv4 address as such, where it is written as an IPv6 one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// Any address of `peer`'s kind, any port.
fn wildcard(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// As [`bind_listener`], with a port that the socket keeps when it is connected and disconnected again, as some systems have it
/// for [`ConnectedSocket::on_listener`]: one of the system's choice would be taken away with the connection.
///
/// # Errors
/// As the system says.
pub(crate) fn bind_fixed_port(address: SocketAddr) -> io::Result<Socket> {
    let chosen = match address.port() {
        0 => local_address(&bind_listener(address)?)?,
        _ => address,
    };
    bind_listener(chosen)
}

/// As [`ConnectedSocket::set_receive_buffer`], for a socket that is not connected yet.
pub(crate) fn set_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    // More than `rmem_max` is for the privileged; everybody else is clamped to it without an error.
    #[cfg(target_os = "linux")]
    let forced = rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_ok();
    #[cfg(not(target_os = "linux"))]
    let forced = false;
    if !forced {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    socket.recv_buffer_size()
}

pub(crate) fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket has no IP address"))
}

pub(super) fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    forbid_fragments(&socket, address);
    Ok(socket)
}

/// A fragmented datagram is lost whole with any of its fragments: rather learn that it is too large. The system refuses only what
/// the interface does not take: what the network reports of the path, which anyone can forge, is told, and not obeyed.
fn forbid_fragments(socket: &Socket, address: SocketAddr) {
    #[cfg(target_os = "linux")]
    set_path_discovery(socket, address, libc::IP_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_PROBE);
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, address);
}

#[cfg(target_os = "linux")]
fn set_path_discovery(socket: &Socket, address: SocketAddr, v4: c_int, v6: c_int) {
    let (level, option, value) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, v4),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, v6),
    };
    // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<c_int>() as socklen_t)
    };
    if result != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "path MTU discovery cannot be set; the system's default holds");
    }
}

/// Undoes [`ConnectedSocket::on_listener`].
pub(crate) fn hear_everybody(socket: &Socket) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return super::only_from::hear_everybody(socket);
    #[cfg(not(target_os = "linux"))]
    Ok(rustix::net::connect_unspec(socket)?)
}

#[cfg(target_os = "linux")]
const IP_MTU: c_int = libc::IP_MTU;
#[cfg(target_os = "linux")]
const IPV6_MTU: c_int = libc::IPV6_MTU;
#[cfg(not(target_os = "linux"))]
const IP_MTU: c_int = -1;
#[cfg(not(target_os = "linux"))]
const IPV6_MTU: c_int = -1;

fn path_mtu(socket: &Socket, level: c_int, option: c_int) -> Option<usize> {
    let mut mtu: c_int = 0;
    let mut len = size_of::<c_int>() as socklen_t;
    // SAFETY: getsockopt(socket: open, level and option as given, value: an int that lives over the call, len: its size,
    // which the kernel only lowers).
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut mtu).cast(), &raw mut len) };
    if result == 0 { usize::try_from(mtu).ok().filter(|mtu| *mtu > 0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    #[test]
    fn a_listener_that_hears_one_sender_hears_it_at_every_address_and_keeps_its_port_and_then_hears_everybody() {
        let heard = |socket: &Socket| socket.recv(&mut [MaybeUninit::uninit(); 16]).ok();
        for (listen, from, at) in [
            ("127.0.0.1:0", "127.0.0.1:0", vec!["127.0.0.1"]),
            ("0.0.0.0:0", "127.0.0.1:0", vec!["127.0.0.1", "127.0.0.2"]),
            ("[::]:0", "127.0.0.1:0", vec!["127.0.0.1", "127.0.0.2"]),
            ("[::]:0", "[::1]:0", vec!["::1"]),
        ] {
            let (from, listen): (SocketAddr, SocketAddr) = (from.parse().unwrap(), listen.parse().unwrap());
            let Ok(first) = std::net::UdpSocket::bind(from) else {
                framewire_testing::skip(format_args!("{from} cannot be bound"));
                continue;
            };
            let second = std::net::UdpSocket::bind(from).unwrap();
            let listener = bind_fixed_port(listen).unwrap();
            let address = local_address(&listener).unwrap();
            let at: Vec<SocketAddr> =
                at.iter().map(|at| SocketAddr::new(at.parse().unwrap(), address.port())).collect();
            let one = ConnectedSocket::on_listener(&listener, first.local_addr().unwrap()).unwrap();
            for at in &at {
                second.send_to(b"kept out", at).unwrap();
                assert_eq!(heard(&listener), None, "{listen} at {at}");
                first.send_to(b"mine", at).unwrap();
                assert_eq!(heard(one.socket()), Some(4), "{listen} at {at}");
            }
            drop(one);
            hear_everybody(&listener).unwrap();
            assert_eq!(local_address(&listener).unwrap(), address);
            for at in &at {
                second.send_to(b"heard", at).unwrap();
                assert_eq!(heard(&listener), Some(5), "{listen} at {at}");
            }
        }
    }

    #[test]
    fn two_listeners_on_one_port_are_refused_and_a_stream_beside_its_listener_is_not() {
        let listener = bind_listener(loopback()).unwrap();
        let address = local_address(&listener).unwrap();
        assert_eq!(bind_listener(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let peer = bind_listener(loopback()).unwrap();
        let stream = ConnectedSocket::share_port(address, local_address(&peer).unwrap()).unwrap();
        peer.send_to(b"mine", &address.into()).unwrap();
        assert_eq!(stream.socket().recv(&mut [MaybeUninit::uninit(); 16]).unwrap(), 4);
        assert!(listener.recv(&mut [MaybeUninit::uninit(); 16]).is_err());
    }

    #[test]
    fn what_does_not_fit_the_buffer_is_counted() {
        let peer = bind_listener(loopback()).unwrap();
        let socket = ConnectedSocket::connect(local_address(&peer).unwrap()).unwrap();
        peer.connect(&socket.local().unwrap().into()).unwrap();
        assert_eq!(socket.drops(), Some(0));
        let buffer = socket.set_receive_buffer(1).unwrap();
        let sent = 2 * buffer / 1_000;
        for _ in 0..sent {
            peer.send(&[0; 1_000]).unwrap();
        }
        let received = (0..sent).take_while(|_| socket.socket().recv(&mut [MaybeUninit::uninit()]).is_ok()).count();
        assert!(received < sent);
        assert_eq!(socket.drops(), Some((sent - received) as u32));
    }

    #[test]
    fn headers_are_those_of_the_version_of_ip_that_carries_the_datagram() {
        for (peer, bytes) in [("192.0.2.1:1", 28), ("[2001:db8::1]:1", 48), ("[::ffff:192.0.2.1]:1", 28)] {
            assert_eq!(headers_bytes(peer.parse().unwrap()), bytes, "{peer}");
        }
    }

    #[test]
    fn loopback_carries_the_largest_slice() {
        let peer = bind_listener(loopback()).unwrap();
        let socket = ConnectedSocket::connect(local_address(&peer).unwrap()).unwrap();
        assert_eq!(socket.path_datagram_bytes(), DATAGRAM_MAX);
    }
}
