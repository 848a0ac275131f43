//! How large datagrams may be on the way, and how large slices therefore are.

use framewire_transport::SliceSize;

use super::finding::Finding;
use super::machine::Machine;
use super::route::{Host, Route};

const ID: &str = "path-mtu";
/// IP and UDP headers.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;
/// What every network of cables carries.
const ETHERNET_MTU: usize = 1500;

pub(super) fn finding(machine: &Machine, route: &Route) -> Finding {
    let own_mtu = machine.number(&format!("/sys/class/net/{}/mtu", route.interface));
    match &route.host {
        Some(host) => judge_way(host, &route.interface, own_mtu.ok()),
        None => judge_interface(&route.interface, own_mtu),
    }
}

fn judge_way(host: &Host, interface: &str, own_mtu: Option<usize>) -> Finding {
    let address = host.address;
    let Some(datagram_bytes) = host.datagram_bytes else {
        return Finding::unknown(ID, format!("The kernel does not tell the MTU of the way to {address}."));
    };
    let mtu = datagram_bytes + if address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    let seen = format!(
        "The way to {address} by {interface} has an MTU of {mtu} bytes, as far as the kernel knows: slices of {} bytes.",
        slice_bytes(datagram_bytes)
    );
    let finding = judge(seen, mtu);
    match own_mtu {
        _ if mtu >= ETHERNET_MTU => finding,
        Some(own) if own > mtu => finding.mend(format!("tracepath -n {address}   # shows where the way narrows")),
        _ => widen(finding, interface),
    }
}

fn judge_interface(interface: &str, mtu: Result<usize, String>) -> Finding {
    let mtu = match mtu {
        Ok(mtu) => mtu,
        Err(why) => return Finding::unknown(ID, why),
    };
    let seen = format!(
        "{interface} has an MTU of {mtu} bytes: slices of {} bytes (IPv4). --host HOST looks at the way to a host.",
        slice_bytes(mtu.saturating_sub(HEADERS_V4))
    );
    let finding = judge(seen, mtu);
    if mtu >= ETHERNET_MTU { finding } else { widen(finding, interface) }
}

/// As a sender chooses it.
fn slice_bytes(datagram_bytes: usize) -> usize {
    datagram_bytes.clamp(SliceSize::BYTES_MIN.into(), SliceSize::BYTES_MAX.into())
}

fn judge(seen: String, mtu: usize) -> Finding {
    if mtu >= ETHERNET_MTU {
        return Finding::fine(ID, seen);
    }
    Finding::advice(
        ID,
        seen,
        "That is less than Ethernet's 1500, as in a tunnel: a frame takes more slices, and more CPU at both ends.",
    )
}

fn widen(finding: Finding, interface: &str) -> Finding {
    finding.mend(format!(
        "sudo ip link set dev {interface} mtu {ETHERNET_MTU}   # where all that is behind it carries as much"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::machine::made_up::machine;

    fn host(address: &str, datagram_bytes: Option<usize>) -> Host {
        Host { address: address.parse().unwrap(), datagram_bytes }
    }

    #[test]
    fn the_size_of_slices_follows_from_the_way() {
        for (address, datagram_bytes, mtu, slice) in [
            ("10.0.0.2", 1_472, "1500", "1472"),
            ("fd00::2", 1_452, "1500", "1452"),
            ("10.0.0.2", 8_972, "9000", "8972"),
            ("127.0.0.1", 65_508, "65536", "65507"),
        ] {
            let finding = judge_way(&host(address, Some(datagram_bytes)), "eth0", Some(9_000));
            assert_eq!(finding.state, State::Fine);
            assert!(finding.seen.contains(&format!("MTU of {mtu} bytes")), "{}", finding.seen);
            assert!(finding.seen.contains(&format!("slices of {slice} bytes")), "{}", finding.seen);
        }
    }

    #[test]
    fn a_narrow_way_is_slower_and_the_command_fits_the_place() {
        let behind = judge_way(&host("10.0.0.2", Some(1_392)), "eth0", Some(1_500));
        assert_eq!(behind.state, State::Advice);
        assert!(behind.mend.unwrap().starts_with("tracepath -n 10.0.0.2"));
        let here = judge_way(&host("10.0.0.2", Some(1_392)), "wg0", Some(1_420));
        assert!(here.mend.unwrap().starts_with("sudo ip link set dev wg0 mtu 1500"));
    }

    #[test]
    fn without_a_host_the_interface_is_judged() {
        let route = Route { interface: "eth7".into(), is_loopback: false, host: None };
        let (_root, known) = machine(&[("/sys/class/net/eth7/mtu", "1280\n")]);
        let finding = super::finding(&known, &route);
        assert!(finding.state == State::Advice && finding.seen.contains("slices of 1252"), "{finding:?}");
        let (_root, hidden) = machine(&[]);
        assert_eq!(super::finding(&hidden, &route).state, State::Unknown);
    }

    #[test]
    fn a_kernel_that_does_not_tell_leaves_it_unknown() {
        assert_eq!(judge_way(&host("10.0.0.2", None), "eth0", None).state, State::Unknown);
    }
}
