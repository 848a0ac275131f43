//! What an interface does for the host, as its driver says. Linux.

use std::ffi::c_void;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use super::socket::udp_socket;

/// Work that is spared the host, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// What is sent is checksummed by the interface.
    pub send_checksums: bool,
    /// Trains pass the network stack in one piece and are cut at the interface (GSO).
    pub segmentation: bool,
    /// Datagrams that arrive together are put together before they pass the network stack (GRO).
    pub coalescing: bool,
}

impl Offloads {
    /// Asks the driver of an interface.
    ///
    /// # Errors
    /// As the system says: `ENODEV` where there is no such interface, `EOPNOTSUPP` where its driver does not tell.
    pub fn of(interface: &str) -> io::Result<Self> {
        let is_on = |command| Ok::<_, io::Error>(ask(interface, command)? != 0);
        Ok(Self {
            send_checksums: is_on(ETHTOOL_GTXCSUM)?,
            segmentation: is_on(ETHTOOL_GGSO)?,
            coalescing: is_on(ETHTOOL_GGRO)?,
        })
    }
}

/// Questions that anyone may ask (linux/ethtool.h).
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_GGSO: u32 = 0x23;
const ETHTOOL_GGRO: u32 = 0x2b;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

fn ask(interface: &str, command: u32) -> io::Result<u32> {
    let name = interface.as_bytes();
    // One byte is left for the zero at the end.
    if name.len() >= libc::IFNAMSIZ || name.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let socket = udp_socket((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let mut value = EthtoolValue { command, data: 0 };
    let data: *mut c_void = (&raw mut value).cast();
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data.cast() },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed() as libc::c_char;
    }
    // SAFETY: ioctl(fd: an open socket, request: SIOCETHTOOL, argument: an ifreq that lives over the call, with a name that
    // ends in a zero and a pointer to an ethtool_value that lives over it too, which is all that the command reads and writes).
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if result == 0 { Ok(value.data) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_tells_what_it_does() {
        // It has no wire to send checksums over, and sends trains as they are.
        let offloads = Offloads::of("lo").unwrap();
        assert!(offloads.send_checksums && offloads.segmentation);
    }

    #[test]
    fn a_name_that_no_interface_has_or_can_have_is_refused() {
        for name in ["no-such-one", "a-name-that-is-far-too-long", "nul\0l", ""] {
            assert_eq!(Offloads::of(name).unwrap_err().raw_os_error(), Some(libc::ENODEV), "{name:?}");
        }
    }
}
