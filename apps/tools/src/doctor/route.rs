//! Which interface is looked at, and the way to the host that was named.

use std::net::IpAddr;

use framewire_process::address::Address;
use framewire_process::exit::Failure;
use framewire_transport::backend::ConnectedSocket;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Where frames would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) interface: String,
    pub(super) is_loopback: bool,
    pub(super) host: Option<Host>,
}

/// The far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    /// The largest datagram that goes there whole, as far as the kernel knows.
    pub(super) datagram_bytes: Option<usize>,
}

/// The interface that was asked for, else the one that frames to `host` would leave by, else loopback.
///
/// # Errors
/// There is no such interface, or no way to the host.
pub(super) fn find(interface: Option<&str>, host: Option<&str>) -> Result<Route, Failure> {
    let interfaces = interfaces()?;
    let way = host.map(reach).transpose()?;
    let chosen = match (interface, &way) {
        (Some(name), _) => interfaces.iter().find(|interface| interface.name == name).ok_or_else(|| {
            let names = interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ");
            Failure::usage(format!("there is no interface '{}'; this machine has {names}", name.escape_debug()))
        })?,
        (None, Some((host, local))) => leaves_by(*local, host.address, &interfaces).ok_or_else(|| {
            Failure::usage(format!(
                "no interface has the address {local}, from which {} is reached; name one with \
                 --interface",
                host.address
            ))
        })?,
        (None, None) => interfaces
            .iter()
            .find(|interface| interface.is_loopback)
            .ok_or_else(|| Failure::usage("this machine has no loopback interface; name another with --interface"))?,
    };
    let (interface, is_loopback) = (chosen.name.clone(), chosen.is_loopback);
    Ok(Route { interface, is_loopback, host: way.map(|(host, _)| host) })
}

/// An interface and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interface {
    name: String,
    is_loopback: bool,
    addresses: Vec<IpAddr>,
}

fn interfaces() -> Result<Vec<Interface>, Failure> {
    let entries = getifaddrs().map_err(|error| {
        Failure::runtime(format!("the system does not tell its interfaces: {error}; check what the sandbox allows"))
    })?;
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in entries {
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
    Ok(interfaces)
}

/// The interface that takes what goes from `local` to `peer`. To an address of this machine's own, that is loopback,
/// whichever interface the address belongs to.
fn leaves_by(local: IpAddr, peer: IpAddr, interfaces: &[Interface]) -> Option<&Interface> {
    if interfaces.iter().any(|interface| interface.addresses.contains(&peer)) {
        return interfaces.iter().find(|interface| interface.is_loopback);
    }
    interfaces.iter().find(|interface| interface.addresses.contains(&local))
}

/// Any: nothing is sent.
const PORT: u16 = 12345;

/// Connects a socket, which sends nothing, to the first address of a host that there is a way to.
fn reach(host: &str) -> Result<(Host, IpAddr), Failure> {
    let shown = host.escape_debug();
    let address = Address::with_default_port(host, PORT).map_err(Failure::usage)?;
    let mut refused = "it has none".to_owned();
    for address in address.resolve()? {
        let reached = ConnectedSocket::connect(address)
            .and_then(|socket| Ok((socket.local()?.ip(), socket.known_path_datagram_bytes())));
        match reached {
            Ok((local, datagram_bytes)) => {
                return Ok((Host { address: address.ip().to_canonical(), datagram_bytes }, local.to_canonical()));
            }
            Err(error) => refused = format!("{}: {error}", address.ip()),
        }
    }
    Err(Failure::usage(format!("there is no way to the host '{shown}' ({refused}); check the network, and ip route")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, is_loopback: bool, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Interface { name: name.into(), is_loopback, addresses }
    }

    #[test]
    fn what_goes_to_this_machine_itself_leaves_by_loopback() {
        let all = [
            interface("lo", true, &["127.0.0.1", "::1"]),
            interface("eth0", false, &["10.0.0.2"]),
            interface("eth1", false, &["10.1.0.2", "fd00::2"]),
        ];
        let by = |local: &str, peer: &str| {
            leaves_by(local.parse().unwrap(), peer.parse().unwrap(), &all).map(|interface| interface.name.as_str())
        };
        assert_eq!(by("10.1.0.2", "10.1.0.9"), Some("eth1"));
        assert_eq!(by("fd00::2", "fd00::9"), Some("eth1"));
        assert_eq!(by("10.1.0.2", "10.1.0.2"), Some("lo"));
        assert_eq!(by("127.0.0.1", "127.0.0.1"), Some("lo"));
        assert_eq!(by("10.9.0.1", "10.9.0.2"), None);
    }

    #[test]
    fn without_a_host_loopback_is_looked_at() {
        let route = find(None, None).unwrap();
        assert!(route.is_loopback && route.host.is_none());
        let route = find(None, Some("127.0.0.1")).unwrap();
        assert!(route.is_loopback && route.host.unwrap().datagram_bytes > Some(60_000));
    }

    #[test]
    fn an_interface_or_host_that_is_not_there_is_wrong_usage() {
        let refused = |interface, host| match find(interface, host).unwrap_err() {
            Failure::Usage(message) => message,
            other => panic!("{other:?}"),
        };
        let said = refused(Some("no\x1bsuch"), None);
        assert!(said.contains("no\\u{1b}such") && said.contains("this machine has lo"), "{said}");
        assert!(refused(None, Some("no such host")).contains("'no such host'"));
        assert!(refused(None, Some("127.0.0.1:port")).contains("'127.0.0.1:port'"));
    }
}
