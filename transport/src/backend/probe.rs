//! What this machine lets a stream do, tried on sockets made for the purpose: for programs that tell people. Linux.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::ConnectedSocket;
use super::socket::{bind_listener, local_address, udp_socket};

#[cfg(feature = "uring")]
use super::{BackendConfig, RingError, UringBackend};

/// All hosts on the network: a group that every interface with an IPv4 address is in, so that what is sent to it never takes
/// the way of groups that only others are in, for which a time to live of 0 says nothing.
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Nobody is to listen here (RFC 863).
const DISCARD_PORT: u16 = 9;
/// Segments of the trains that are tried.
const SEGMENT_BYTES: usize = 100;
const SEGMENTS: usize = 4;
/// Loopback delivers at once; this long and it does not deliver.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a train of datagrams (UDP_SEGMENT) out of an interface. It does not leave the machine: its time to live is 0.
///
/// # Errors
/// As the system says. `EIO` and `EINVAL` where the interface or the kernel takes no trains; `ENODEV` where there is no
/// such interface, `ENETUNREACH`, `ENETDOWN` or `EADDRNOTAVAIL` where it is down or has no IPv4 address.
pub fn send_train(interface: &str) -> io::Result<()> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let socket = udp_socket(any)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_multicast_ttl_v4(0)?;
    socket.set_multicast_loop_v4(false)?;
    let socket = ConnectedSocket::to_peer(socket, (ALL_HOSTS, DISCARD_PORT).into())?;
    socket.set_segment(SEGMENT_BYTES)?;
    socket.socket().send(&[0; SEGMENTS * SEGMENT_BYTES]).map(|_| ())
}

/// Whether a socket here is handed a train in one piece (UDP_GRO); one is sent over loopback.
///
/// # Errors
/// As the system says: it has no UDP_SEGMENT or UDP_GRO, or no socket left.
pub fn receive_train() -> io::Result<bool> {
    let listener = bind_listener((Ipv4Addr::LOCALHOST, 0).into())?;
    let sender = ConnectedSocket::connect(local_address(&listener)?)?;
    let receiver = ConnectedSocket::to_peer(listener.try_clone()?, sender.local()?)?;
    receiver.set_coalescing()?;
    listener.set_nonblocking(false)?;
    listener.set_read_timeout(Some(PATIENCE))?;
    sender.set_segment(SEGMENT_BYTES)?;
    sender.socket().send(&[0; SEGMENTS * SEGMENT_BYTES])?;
    let received = listener.recv(&mut [MaybeUninit::uninit(); SEGMENTS * SEGMENT_BYTES])?;
    Ok(received > SEGMENT_BYTES)
}

/// Sets an io_uring up as the backend `uring` does, and takes it down again.
///
/// # Errors
/// Why the system refuses it.
#[cfg(feature = "uring")]
pub fn io_uring() -> Result<(), RingError> {
    let socket = ConnectedSocket::connect((Ipv4Addr::LOCALHOST, DISCARD_PORT).into()).map_err(RingError::Other)?;
    // A thread of its own: the caller's may belong to an asynchronous runtime.
    let tried = std::thread::Builder::new().name("framewire-probe".into()).spawn(move || {
        UringBackend::new(socket, &BackendConfig::new(1, SEGMENT_BYTES)).map(drop).map_err(|(_, error)| error)
    });
    let ended = tried.map_err(RingError::Other)?.join();
    ended.unwrap_or_else(|_| Err(RingError::Other(io::Error::other("the thread that tried it panicked"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_takes_trains_and_hands_them_on_in_one_piece() {
        send_train("lo").unwrap();
        assert!(receive_train().unwrap());
    }

    #[test]
    fn an_interface_that_is_not_there_takes_none() {
        assert_eq!(send_train("no-such-one").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[cfg(feature = "uring")]
    #[test]
    fn a_ring_is_tried_inside_a_runtime_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Whether there is one depends on the machine; that it is said does not.
        runtime.block_on(async {
            if let Err(error) = io_uring() {
                assert!(!error.to_string().is_empty());
            }
        });
    }
}
