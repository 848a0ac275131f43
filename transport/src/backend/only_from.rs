//! A listening socket that for a while hears one sender only, at whichever of this machine's addresses it was asked. To connect it
//! would bind it to one of them, the one that the system prefers: so the kernel sorts out the others by a filter. Linux.

use std::io;
use std::net::SocketAddr;

use socket2::{SockFilter, Socket};

/// Instructions of the classic BPF (linux/bpf_common.h): load a byte, 16 or 32 bits from a place; and; jump if equal; return.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the IP header begins (linux/filter.h, SKF_NET_OFF); places below it count from the UDP header.
const IP_HEADER: u32 = (-0x10_0000_i32).cast_unsigned();
/// Bytes of a datagram that are kept: all, or none, which drops it.
const ALL: u32 = u32::MAX;
const NONE: u32 = 0;

/// Drops what others send from now on, before it takes room in the socket's buffer.
pub(super) fn hear_only(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    socket.attach_filter(&filter(peer))
}

/// Hears everybody again.
pub(super) fn hear_everybody(socket: &Socket) -> io::Result<()> {
    socket.detach_filter()
}

fn filter(peer: SocketAddr) -> Vec<SockFilter> {
    let mut checks = vec![(LOAD_HALF, 0, u32::MAX, u32::from(peer.port()))];
    let (version, source, words): (u32, u32, Vec<u32>) = match peer {
        SocketAddr::V4(peer) => (0x40, 12, vec![peer.ip().to_bits()]),
        SocketAddr::V6(peer) => {
            let address = peer.ip().to_bits();
            (0x60, 8, [96, 64, 32, 0].map(|shift| (address >> shift) as u32).into())
        }
    };
    checks.push((LOAD_BYTE, IP_HEADER, 0xf0, version));
    for (offset, word) in (IP_HEADER + source..).step_by(4).zip(words) {
        checks.push((LOAD_WORD, offset, u32::MAX, word));
    }
    let mut program = Vec::new();
    for (nth, (load, offset, mask, expected)) in checks.iter().copied().enumerate() {
        // Behind this check are the others, of three instructions each, and what keeps the datagram; then what drops it.
        let to_drop = u8::try_from(3 * (checks.len() - nth - 1) + 1).unwrap_or(u8::MAX);
        program.push(SockFilter::new(load, 0, 0, offset));
        program.push(SockFilter::new(AND, 0, 0, mask));
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, to_drop, expected));
    }
    program.push(SockFilter::new(RETURN, 0, 0, ALL));
    program.push(SockFilter::new(RETURN, 0, 0, NONE));
    program
}
