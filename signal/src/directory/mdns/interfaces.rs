//! Which interfaces lead to other machines.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// What interfaces are called that lead to containers and virtual machines of this machine, or through a tunnel: a server that is announced there is found at
/// addresses that nobody else reaches.
const VIRTUAL: [&str; 17] = [
    "docker",
    "veth",
    "br-",
    "virbr",
    "vmnet",
    "vboxnet",
    "tun",
    "tap",
    "wg",
    "zt",
    "cni",
    "flannel",
    "cali",
    "lxc",
    "lxd",
    "podman",
    "tailscale",
];

/// Whether it is a network's.
pub(super) fn is_usable(name: &str) -> bool {
    !VIRTUAL.iter().any(|begin| name.starts_with(begin))
}

/// All addresses of this machine, as far as the system says.
pub(in crate::directory) fn own_addresses() -> Vec<IpAddr> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let ip = |address: nix::sys::socket::SockaddrStorage| match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (None, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        (None, None) => None,
    };
    all.filter_map(|interface| ip(interface.address?)).collect()
}

/// # Errors
/// None of them takes part in multicast: what there is, for people.
pub(super) fn take_part() -> Result<(), String> {
    // Where the system does not say, it is tried.
    let Ok(all) = getifaddrs() else { return Ok(()) };
    let all: Vec<_> = all
        .filter(|interface| {
            interface
                .address
                .is_some_and(|address| address.as_sockaddr_in().is_some() || address.as_sockaddr_in6().is_some())
        })
        .collect();
    let able = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST;
    let takes_part = |flags: InterfaceFlags| flags.contains(able) && !flags.contains(InterfaceFlags::IFF_LOOPBACK);
    if all.iter().any(|interface| takes_part(interface.flags) && is_usable(&interface.interface_name)) {
        return Ok(());
    }
    let mut names: Vec<_> = all.iter().map(|interface| interface.interface_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    Err(format!("none of its interfaces ({}) leads to other machines and takes part in multicast", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_containers_and_tunnels_are_left_alone() {
        for name in ["eth0", "enp3s0", "wlan0", "bond0", "br0", "lan", "eno1"] {
            assert!(is_usable(name), "{name}");
        }
        for name in ["docker0", "veth12ab", "br-5f3a", "virbr0", "wg0", "tun0", "tailscale0"] {
            assert!(!is_usable(name), "{name}");
        }
    }
}
