//! Trains (GSO and GRO): many slices through the network stack in one piece, which off loopback is the largest lever there is.

use std::io;

use super::finding::Finding;
use super::machine::Machine;
use super::route::Route;

const SENDING: &str = "segmentation-offload";
const RECEIVING: &str = "receive-offload";

pub(super) fn findings(machine: &Machine, route: &Route) -> Vec<Finding> {
    let (interface, tried) = (&route.interface, Tried::on(&route.interface));
    let is_wire = !route.is_loopback && !is_virtual(machine, interface);
    vec![judge_sending(interface, &tried), judge_receiving(interface, is_wire, &tried)]
}

/// Whether there is no device behind an interface, as with those of containers: trains cross it as they were made elsewhere.
fn is_virtual(machine: &Machine, interface: &str) -> bool {
    let attributes = machine.names(&format!("/sys/class/net/{interface}"));
    !attributes.is_empty() && !attributes.iter().any(|attribute| attribute == "device")
}

/// What became of trains on real sockets, and what the driver says of itself.
#[derive(Debug)]
struct Tried {
    sent: io::Result<()>,
    /// Whether one came in one piece, over loopback.
    received: io::Result<bool>,
    driver: io::Result<Driver>,
}

/// Which of its duties an interface does.
#[derive(Debug, Clone, Copy)]
struct Driver {
    send_checksums: bool,
    segmentation: bool,
    coalescing: bool,
}

impl Tried {
    #[cfg(target_os = "linux")]
    fn on(interface: &str) -> Self {
        use framewire_transport::backend::{Offloads, probe};
        let driver = Offloads::of(interface).map(|offloads| Driver {
            send_checksums: offloads.send_checksums,
            segmentation: offloads.segmentation,
            coalescing: offloads.coalescing,
        });
        Self { sent: probe::send_train(interface), received: probe::receive_train(), driver }
    }

    #[cfg(not(target_os = "linux"))]
    fn on(_interface: &str) -> Self {
        let refused = || io::Error::from(io::ErrorKind::Unsupported);
        Self { sent: Err(refused()), received: Err(refused()), driver: Err(refused()) }
    }
}

fn judge_sending(interface: &str, tried: &Tried) -> Finding {
    /// What is lost without them.
    const CONSEQUENCE: &str = "Slices pass the network stack one by one: sending over a network costs much more CPU.";
    let refused = match &tried.sent {
        Ok(()) => None,
        Err(error) => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::IO | rustix::io::Errno::INVAL | rustix::io::Errno::NOPROTOOPT) => Some(error),
            _ => {
                return Finding::unknown(
                    SENDING,
                    format!("No train could be sent by {interface} to see: {error}. Is it up, with an IPv4 address?"),
                );
            }
        },
    };
    let lacks = |feature| {
        ethtool(Finding::advice(SENDING, format!("{interface}: {feature} is off."), CONSEQUENCE), interface, feature)
    };
    match (refused, &tried.driver) {
        (Some(_), Ok(driver)) if !driver.send_checksums => lacks("tx"),
        (_, Ok(driver)) if !driver.segmentation => lacks("gso"),
        (Some(error), _) => {
            Finding::advice(SENDING, format!("{interface} takes no trains (UDP_SEGMENT): {error}."), CONSEQUENCE)
                .mend(format!("ethtool -k {interface}   # what it can do; Linux 4.18 or later is needed"))
        }
        (None, Ok(_)) => {
            Finding::fine(SENDING, format!("{interface} takes trains (UDP_SEGMENT, tried on a socket; gso is on)."))
        }
        (None, Err(error)) => Finding::fine(
            SENDING,
            format!(
                "{interface} takes trains (UDP_SEGMENT, tried on a socket; its driver does not tell of gso: {error})."
            ),
        ),
    }
}

fn judge_receiving(interface: &str, is_wire: bool, tried: &Tried) -> Finding {
    const CONSEQUENCE: &str = "Slices are received one by one: receiving over a network costs much more CPU.";
    match &tried.received {
        Err(error) => {
            return Finding::advice(
                RECEIVING,
                format!("Sockets are not handed trains (UDP_GRO): {error}."),
                CONSEQUENCE,
            )
            .mend("uname -r   # Linux 5.0 or later is needed");
        }
        Ok(false) => {
            return Finding::advice(RECEIVING, "A train that was sent over loopback came in pieces.", CONSEQUENCE)
                .mend("uname -r   # Linux 5.0 or later is needed");
        }
        Ok(true) => {}
    }
    match &tried.driver {
        _ if !is_wire => Finding::fine(
            RECEIVING,
            format!(
                "Sockets are handed trains whole (UDP_GRO, tried on a socket); {interface} leaves them as they are."
            ),
        ),
        Ok(driver) if driver.coalescing => Finding::fine(
            RECEIVING,
            format!("Sockets are handed trains whole (UDP_GRO, tried over loopback), and gro is on at {interface}."),
        ),
        Ok(_) => {
            ethtool(Finding::advice(RECEIVING, format!("{interface}: gro is off."), CONSEQUENCE), interface, "gro")
        }
        Err(error) => Finding::unknown(
            RECEIVING,
            format!("Sockets are handed trains whole, but {interface} does not tell whether gro is on: {error}."),
        ),
    }
}

fn ethtool(finding: Finding, interface: &str, feature: &str) -> Finding {
    finding.mend(format!("sudo ethtool -K {interface} {feature} on")).keep(format!(
        r#"echo 'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="{interface}", RUN+="/usr/sbin/ethtool -K {interface} {feature} on"' | sudo tee -a /etc/udev/rules.d/80-framewire.rules"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::machine::made_up::machine;

    const ALL: Driver = Driver { send_checksums: true, segmentation: true, coalescing: true };

    fn tried(sent: io::Result<()>, received: io::Result<bool>, driver: io::Result<Driver>) -> Tried {
        Tried { sent, received, driver }
    }

    fn errno(number: rustix::io::Errno) -> io::Error {
        number.into()
    }

    #[test]
    fn an_interface_that_does_both_is_fine() {
        let tried = tried(Ok(()), Ok(true), Ok(ALL));
        assert_eq!(judge_sending("eth0", &tried).state, State::Fine);
        assert_eq!(judge_receiving("eth0", true, &tried).state, State::Fine);
    }

    #[test]
    fn what_is_switched_off_is_switched_on_with_one_command() {
        let off = tried(Ok(()), Ok(true), Ok(Driver { send_checksums: false, segmentation: false, coalescing: false }));
        let (sending, receiving) = (judge_sending("eth0", &off), judge_receiving("eth0", true, &off));
        assert_eq!((sending.state, receiving.state), (State::Advice, State::Advice));
        assert_eq!(sending.mend.as_deref(), Some("sudo ethtool -K eth0 gso on"));
        assert_eq!(receiving.mend.as_deref(), Some("sudo ethtool -K eth0 gro on"));
        assert!(receiving.keep.unwrap().contains("/etc/udev/rules.d/"));
        // What the driver of loopback says of GRO is of no matter.
        assert_eq!(judge_receiving("lo", false, &off).state, State::Fine);
    }

    #[test]
    fn an_interface_without_a_device_behind_it_is_no_wire() {
        let files = [("/sys/class/net/veth0/mtu", "1500"), ("/sys/class/net/eth0/device/vendor", "0x1af4")];
        let (_root, machine) = machine(&files);
        assert!(is_virtual(&machine, "veth0") && !is_virtual(&machine, "eth0"));
        // What cannot be read is taken for a wire: it is the one where gro matters.
        assert!(!is_virtual(&machine, "wlan0"));
    }

    #[test]
    fn trains_that_are_refused_for_want_of_checksums_name_them() {
        let refused = || Err(errno(rustix::io::Errno::IO));
        let no_checksums = Driver { send_checksums: false, ..ALL };
        let finding = judge_sending("eth0", &tried(refused(), Ok(true), Ok(no_checksums)));
        assert_eq!(finding.mend.as_deref(), Some("sudo ethtool -K eth0 tx on"));
        let finding = judge_sending("eth0", &tried(refused(), Ok(true), Err(errno(rustix::io::Errno::OPNOTSUPP))));
        assert_eq!(finding.state, State::Advice);
    }

    #[test]
    fn an_interface_that_is_down_or_does_not_tell_is_unknown() {
        let silent = || Err(errno(rustix::io::Errno::OPNOTSUPP));
        let down = tried(Err(errno(rustix::io::Errno::NETUNREACH)), Ok(true), silent());
        assert_eq!(judge_sending("eth0", &down).state, State::Unknown);
        assert_eq!(judge_receiving("eth0", true, &down).state, State::Unknown);
        // What was tried and worked is no less true for it.
        assert_eq!(judge_sending("eth0", &tried(Ok(()), Ok(true), silent())).state, State::Fine);
    }

    #[test]
    fn a_kernel_that_hands_on_no_trains_is_told() {
        for received in [Ok(false), Err(errno(rustix::io::Errno::NOPROTOOPT))] {
            assert_eq!(judge_receiving("lo", false, &tried(Ok(()), received, Ok(ALL))).state, State::Advice);
        }
    }
}
