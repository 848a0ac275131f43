//! To which of this machine's addresses a datagram came, and from which one an answer leaves: what an unconnected socket on a
//! wildcard address is told, and tells, by control messages (IP_PKTINFO, IPV6_PKTINFO). Linux.

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

use libc::{c_int, c_void, cmsghdr, in_pktinfo, in6_pktinfo, iovec, msghdr, socklen_t};
use socket2::{SockAddr, Socket};

use super::socket::canonical;

/// Room for one control message of each kind.
#[repr(C, align(8))]
struct Control([u8; 128]);

const _: () = {
    // SAFETY: CMSG_SPACE only computes.
    let v4 = unsafe { libc::CMSG_SPACE(size_of::<in_pktinfo>() as u32) } as usize;
    // SAFETY: CMSG_SPACE only computes.
    let v6 = unsafe { libc::CMSG_SPACE(size_of::<in6_pktinfo>() as u32) } as usize;
    assert!(v4 + v6 <= size_of::<Control>());
};

/// Has the system tell with every datagram to which address it came.
pub(super) fn ask(socket: &Socket, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        // Of IPv4, only this tells the address that answers come from where it was asked by broadcast; without, none is told.
        let _ = switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO);
        switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO)
    }
}

fn switch_on(socket: &Socket, level: c_int, option: c_int) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of::<c_int>() as socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives a datagram: how much of it `bytes` took, who sent it, and to which address, where that is one to answer from.
/// The port of that address is 0.
pub(super) fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<SocketAddr>)> {
    let mut control = Control([0; _]);
    let mut piece = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = empty_message();
    let mut receive = |name: *mut c_void, len: *mut socklen_t| {
        message.msg_name = name;
        // SAFETY: `len` points to the size of `name`, as `SockAddr::try_init` gives them.
        message.msg_namelen = unsafe { *len };
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        // SAFETY: recvmsg(sockfd: an open socket, msg: a header whose name, single piece and control room all live over the
        // call and have the sizes that it says, flags). `bytes` is borrowed mutably for as long.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        // SAFETY: as above; the kernel has set it to the size of what it wrote to `name`.
        unsafe { *len = message.msg_namelen };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    };
    // SAFETY: the closure has the kernel write an address into the storage it is given, and its size; it fails where the
    // kernel has written none.
    let (len, peer) = unsafe { SockAddr::try_init(|storage, len| receive(storage.cast(), len)) }?;
    let peer = peer.as_socket().ok_or_else(|| io::Error::other("a datagram without a sender's address"))?;
    Ok((len, canonical(peer), destination(&message)))
}

/// Sends a datagram from one of this machine's addresses.
pub(super) fn send(socket: &Socket, bytes: &[u8], peer: &SockAddr, from: SocketAddr) -> io::Result<()> {
    let mut control = Control([0; _]);
    let mut piece = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut message = empty_message();
    message.msg_name = peer.as_ptr().cast_mut().cast();
    message.msg_namelen = peer.len();
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = match from {
        SocketAddr::V4(from) if !peer.is_ipv6() => {
            let local = libc::in_addr { s_addr: u32::from_ne_bytes(from.ip().octets()) };
            // The routes choose the interface.
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: libc::in_addr { s_addr: 0 } };
            put(&mut control, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        from => {
            let (address, interface) = match from {
                SocketAddr::V4(from) => (from.ip().to_ipv6_mapped(), 0),
                // Only a link-local address has an interface of its own.
                SocketAddr::V6(from) => (*from.ip(), from.scope_id()),
            };
            let address = libc::in6_addr { s6_addr: address.octets() };
            // The field's type differs between C libraries.
            let info = in6_pktinfo { ipi6_addr: address, ipi6_ifindex: interface as _ };
            put(&mut control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    } as _;
    // SAFETY: sendmsg(sockfd: an open socket, msg: a header whose name, single piece and control message all live over the call,
    // have the sizes that it says, and are only read, flags).
    let sent =
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes the only control message; returns how many bytes of `control` it takes.
fn put<T: Copy>(control: &mut Control, level: c_int, kind: c_int, value: T) -> usize {
    const { assert!(size_of::<cmsghdr>().is_multiple_of(align_of::<T>())) };
    // SAFETY: CMSG_LEN only computes.
    let len = unsafe { libc::CMSG_LEN(size_of::<T>() as u32) };
    // SAFETY: cmsghdr is a C struct of integers, for which all zeroes is a value.
    let mut header: cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_len = len as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    let at: *mut cmsghdr = (&raw mut *control).cast();
    // SAFETY: `control` is aligned for a cmsghdr and has room for one.
    unsafe { at.write(header) };
    // SAFETY: CMSG_DATA only computes where the value of a message at `at` lies, which is behind its header.
    let data = unsafe { libc::CMSG_DATA(at) };
    // SAFETY: as asserted above, `control` has room for the larger of the two values there are.
    unsafe { data.cast::<T>().write_unaligned(value) };
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(size_of::<T>() as u32) as usize }
}

/// The address that a received message's control messages name, if one can answer from it.
fn destination(message: &msghdr) -> Option<SocketAddr> {
    let mut told = None;
    // SAFETY: the kernel has written whole control messages into the room that `message` names, which still lives, and has
    // set their length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: it points to a whole control message's header inside that room, which is aligned for it.
        let header = unsafe { next.read() };
        // SAFETY: CMSG_DATA only computes.
        let data = unsafe { libc::CMSG_DATA(next) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the kernel puts an in_pktinfo into a message of this kind.
                let info = unsafe { data.cast::<in_pktinfo>().read_unaligned() };
                // Of this machine's addresses the one that answers come from, also where it was asked by broadcast.
                let address = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                return usable(IpAddr::V4(address), 0);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the kernel puts an in6_pktinfo into a message of this kind.
                let info = unsafe { data.cast::<in6_pktinfo>().read_unaligned() };
                // Of an IPv4 datagram this is the address on it, which may be a broadcast one: the other message tells ours.
                told = usable(Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex as u32);
            }
            _ => {}
        }
        // SAFETY: `next` is one of the message's headers, as above.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    told
}

/// The address, if one can answer from it.
fn usable(address: IpAddr, interface: u32) -> Option<SocketAddr> {
    match address {
        _ if address.is_unspecified() || address.is_multicast() => None,
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            Some(SocketAddrV6::new(address, 0, 0, interface).into())
        }
        address => Some(SocketAddr::new(address, 0)),
    }
}

fn empty_message() -> msghdr {
    // SAFETY: msghdr is a C struct of integers and pointers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}
