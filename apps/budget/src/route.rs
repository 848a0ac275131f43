//! By which interface a peer is reached.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The interfaces of this machine with their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Interface>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Such as `eth0`.
    pub name: String,
    /// Whether it leads to this machine itself.
    pub is_loopback: bool,
    addresses: Vec<IpAddr>,
}

/// As they are now.
///
/// # Errors
/// The system does not tell.
pub fn routes() -> io::Result<Routes> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let address = entry.address.as_ref().and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        match interfaces.iter_mut().find(|interface| interface.name == entry.interface_name) {
            Some(interface) => interface.addresses.extend(address),
            None => interfaces.push(Interface {
                name: entry.interface_name,
                is_loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                addresses: address.into_iter().collect(),
            }),
        }
    }
    Ok(Routes(interfaces))
}

impl Routes {
    /// All interfaces, in the system's order.
    pub fn interfaces(&self) -> &[Interface] {
        &self.0
    }

    /// The interface that what goes to `peer` leaves by; `None` where there is no way there. Nothing is sent.
    pub fn to(&self, peer: IpAddr) -> Option<&Interface> {
        let peer = peer.to_canonical();
        self.between(local_towards(peer)?, peer)
    }

    /// The interface that takes what goes from `local` to `peer`: to an address of this machine's own that is loopback, whichever interface the address belongs
    /// to. `None` where `local` is no address of this machine.
    pub fn between(&self, local: IpAddr, peer: IpAddr) -> Option<&Interface> {
        let (local, peer) = (local.to_canonical(), peer.to_canonical());
        if peer.is_loopback() || self.0.iter().any(|interface| interface.addresses.contains(&peer)) {
            return self.0.iter().find(|interface| interface.is_loopback);
        }
        self.0.iter().find(|interface| interface.addresses.contains(&local))
    }
}

/// The address that what goes to `peer` leaves from.
fn local_towards(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port: nothing is sent.
    socket.connect(SocketAddr::new(peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_this_machine_itself_leaves_by_loopback_and_the_rest_by_where_its_address_is() {
        let interface = |name: &str, is_loopback, addresses: &[&str]| Interface {
            name: name.into(),
            is_loopback,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let all = Routes(vec![
            interface("lo", true, &["127.0.0.1", "::1"]),
            interface("eth0", false, &["10.0.0.2"]),
            interface("eth1", false, &["10.1.0.2", "fd00::2"]),
        ]);
        let by = |local: &str, peer: &str| {
            all.between(local.parse().unwrap(), peer.parse().unwrap()).map(|interface| interface.name.as_str())
        };
        assert_eq!(by("10.1.0.2", "10.1.0.9"), Some("eth1"));
        assert_eq!(by("::ffff:10.1.0.2", "::ffff:10.1.0.9"), Some("eth1"));
        assert_eq!(by("fd00::2", "fd00::9"), Some("eth1"));
        assert_eq!(by("10.1.0.2", "10.1.0.2"), Some("lo"));
        assert_eq!(by("127.0.0.1", "127.0.0.7"), Some("lo"));
        assert_eq!(by("10.9.0.1", "10.9.0.2"), None);
    }

    #[test]
    fn the_way_to_loopback_is_found_on_the_machine_itself() {
        let routes = routes().unwrap();
        for peer in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()] {
            let interface = routes.to(peer).unwrap();
            assert!(interface.is_loopback && interface.name == "lo", "{interface:?}");
        }
    }
}
