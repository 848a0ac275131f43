//! Where other machines reach this one, as far as it can tell itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::net::if_::InterfaceFlags;

/// Addresses for documentation alone: nobody has them, and nothing is sent there.
const FAR_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const FAR_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// The host that others reach a server at which listens on all addresses: that of the way to the rest of the world, else the first
/// of an interface that is up; as it stands in an address, but without brackets. `None` where this machine has loopback alone.
pub fn own_host() -> Option<String> {
    let on_the_way_to = |far: SocketAddr, any: IpAddr| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(far).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(is_reached)
    };
    on_the_way_to(FAR_V4, Ipv4Addr::UNSPECIFIED.into())
        .map(|ip| ip.to_string())
        .or_else(|| best(interfaces(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING)))
        .or_else(|| on_the_way_to(FAR_V6, Ipv6Addr::UNSPECIFIED.into()).map(|ip| ip.to_string()))
}

fn is_reached(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

/// Each address that this machine has, also where its link has nobody at the other end; none where the system does not tell.
pub fn own_addresses() -> Vec<IpAddr> {
    interfaces(InterfaceFlags::empty()).into_iter().map(|(_, ip)| ip).collect()
}

/// Each address of an interface that is all of this, with the interface's name.
fn interfaces(state: InterfaceFlags) -> Vec<(String, IpAddr)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let such = all.filter(|one| one.flags.contains(state));
    such.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))?;
        Some((one.interface_name, ip))
    })
    .collect()
}

/// What reaches furthest first; of its kind the first one.
fn best(all: Vec<(String, IpAddr)>) -> Option<String> {
    let kind = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) if !ip.is_link_local() => 0,
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    };
    let reached = all.into_iter().filter(|(_, ip)| is_reached(ip));
    reached.min_by_key(|(_, ip)| kind(ip)).map(|(interface, ip)| match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("{v6}%{interface}"),
        ip => ip.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_furthest_is_told_and_a_link_local_address_with_its_interface() {
        let of = |all: &[(&str, &str)]| {
            best(all.iter().map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap())).collect())
        };
        let all = [
            ("lo", "127.0.0.1"),
            ("eth0", "fe80::1"),
            ("eth1", "169.254.3.4"),
            ("eth0", "fd00::7"),
            ("eth0", "10.0.0.7"),
            ("wlan0", "192.168.1.2"),
        ];
        assert_eq!(of(&all), Some("10.0.0.7".to_owned()));
        assert_eq!(of(&all[..4]), Some("fd00::7".to_owned()));
        assert_eq!(of(&all[..3]), Some("169.254.3.4".to_owned()));
        assert_eq!(of(&all[..2]), Some("fe80::1%eth0".to_owned()));
        assert_eq!(of(&all[..1]), None);
    }

    #[test]
    fn the_own_host_is_never_loopback() {
        if let Some(host) = own_host() {
            let ip: IpAddr = host.split('%').next().unwrap().parse().unwrap();
            assert!(is_reached(&ip), "{host}");
        }
    }
}
