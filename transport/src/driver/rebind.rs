//! When a sender's socket is made anew: it speaks from the address that this machine had when it was connected. An interface that
//! has another one since, or is another one, is not always told by an error: a kernel may go on sending from an address that is
//! gone. So where the far end is silent, too, it is looked which address one would speak from now.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::errors::Remedy;
use crate::backend::ConnectedSocket;
use crate::time::Time;

/// A far end that has said nothing for this long may be asked from an address that is gone. It answers four times a second.
const LOOK_AFTER: Duration = Duration::from_millis(400);
/// Between looks: a socket is made and thrown away for each.
const LOOK_APART: Duration = Duration::from_millis(200);
/// The same of a far end that has been silent for longer than eight times as long, as one is that was never there: a relay may have a thousand of those.
const LOOK_APART_MAX: Duration = Duration::from_secs(2);

/// What a look has found.
#[derive(Debug)]
pub(super) enum Look {
    /// The far end is spoken to from the address that it should be.
    Same,
    /// This socket speaks to it from another one.
    Other(ConnectedSocket),
    /// It cannot be spoken to at present.
    Failed(io::Error),
}

/// Decides when to look, and looks.
#[derive(Debug)]
pub(super) struct Rebind {
    /// Where the far end is.
    peer: SocketAddr,
    /// Something has happened for which a look may help.
    is_wanted: bool,
    /// The socket does not work any more, whatever address it has.
    is_dead: bool,
    /// When that was last done.
    looked: Option<Time>,
}

impl Rebind {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, is_wanted: false, is_dead: false, looked: None }
    }

    /// The far end is at this address from now on.
    pub(super) fn redirect(&mut self, peer: SocketAddr) {
        self.peer = peer;
        self.is_wanted = true;
        self.looked = None;
    }

    /// Takes in what would help against an error of the socket.
    pub(super) fn note(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::Look => self.is_wanted = true,
            Remedy::Replace | Remedy::Fatal => (self.is_wanted, self.is_dead) = (true, true),
            Remedy::Wait | Remedy::Ask | Remedy::Again | Remedy::Smaller => {}
        }
    }

    /// Whether a look may help that has not been taken yet.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// When to look; `heard` is when the far end was heard last, `None` where it has nothing more to say.
    pub(super) fn poll_timeout(&self, heard: Option<Time>) -> Time {
        let Some(heard) = heard else { return Time::MAX };
        let (due, apart) = match self.looked {
            _ if self.is_wanted => (Time::ZERO, LOOK_APART),
            None => (heard + LOOK_AFTER, LOOK_APART),
            Some(looked) => (heard + LOOK_AFTER, (looked.since(heard) / 8).clamp(LOOK_APART, LOOK_APART_MAX)),
        };
        self.looked.map_or(due, |looked| due.max(looked + apart))
    }

    /// Looks which address the system would have one speak from now.
    pub(super) fn look(&mut self, socket: &ConnectedSocket, now: Time) -> Look {
        self.looked = Some(now);
        let other = match ConnectedSocket::connect(self.peer) {
            Ok(other) => other,
            Err(error) => {
                self.is_wanted = true;
                return Look::Failed(error);
            }
        };
        self.is_wanted = false;
        if !std::mem::take(&mut self.is_dead) && is_same_way(socket, &other) { Look::Same } else { Look::Other(other) }
    }
}

fn is_same_way(one: &ConnectedSocket, other: &ConnectedSocket) -> bool {
    let address = |socket: &ConnectedSocket| {
        let mut local = socket.local().ok()?;
        local.set_port(0);
        Some(local)
    };
    let Some((local, preferred)) = address(one).zip(address(other)) else { return false };
    let is_right = local == preferred || (is_of_same_network(local, preferred) && is_of_this_machine(local));
    one.peer() == other.peer() && is_right
}

/// Whether these are addresses of one IPv6 network. Of those, an interface has several, and prefers another one from time to time
/// (temporary addresses, RFC 8981), while those before it go on working until they are gone. Of several IPv4 addresses, or networks,
/// the old one may be that of a cable which is out.
fn is_of_same_network(one: SocketAddr, other: SocketAddr) -> bool {
    let network = |address: SocketAddr| match address {
        SocketAddr::V6(address) => Some((address.ip().to_bits() >> 64, address.scope_id())),
        SocketAddr::V4(_) => None,
    };
    network(one).is_some_and(|network_of_one| network(other) == Some(network_of_one))
}

/// Whether this machine has the address still.
fn is_of_this_machine(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(1) + Duration::from_millis(millis)
    }

    #[test]
    fn a_socket_that_speaks_from_the_right_address_stays_whatever_is_reported() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = ConnectedSocket::connect(far).unwrap();
        let mut rebind = Rebind::new(far);
        assert_eq!(rebind.poll_timeout(Some(at(0))), at(400));
        rebind.note(Remedy::Ask);
        rebind.note(Remedy::Again);
        assert!(!rebind.is_wanted());
        rebind.note(Remedy::Look);
        assert_eq!(rebind.poll_timeout(Some(at(0))), Time::ZERO);
        assert!(matches!(rebind.look(&socket, at(10)), Look::Same));
        // However many are reported.
        rebind.note(Remedy::Look);
        assert_eq!(rebind.poll_timeout(Some(at(0))), at(210));
        assert_eq!(rebind.poll_timeout(None), Time::MAX);
    }

    #[test]
    fn a_far_end_that_has_never_been_there_is_looked_for_seldom_until_it_is_heard_or_an_error_says_something() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = ConnectedSocket::connect(far).unwrap();
        let mut rebind = Rebind::new(far);
        let (mut now, mut looks) = (at(0), Vec::new());
        while now < at(60_000) {
            now = rebind.poll_timeout(Some(at(0)));
            assert!(matches!(rebind.look(&socket, now), Look::Same));
            looks.push(now);
        }
        assert!(looks.len() < 60, "{} looks in a minute", looks.len());
        // At first it may have been there a moment ago.
        assert_eq!(looks[..5], [400, 600, 800, 1_000, 1_200].map(at));
        assert!(looks.is_sorted_by_key(|look| *look) && *looks.last().unwrap() <= at(62_000));
        rebind.note(Remedy::Look);
        assert_eq!(rebind.poll_timeout(Some(at(0))), now + LOOK_APART);
        assert!(matches!(rebind.look(&socket, now), Look::Same));
        assert_eq!(rebind.poll_timeout(Some(now)), now + LOOK_AFTER);
    }

    #[test]
    fn an_address_that_is_merely_not_preferred_any_more_is_one_of_the_same_ipv6_network() {
        for (one, other, is_same) in [
            ("[fd87::2]:0", "[fd87::3:4:5:6]:0", true),
            ("[fd87::2]:0", "[fd87:0:0:1::2]:0", false),
            ("[fe80::2%1]:0", "[fe80::3%1]:0", true),
            ("[fe80::2%1]:0", "[fe80::3%2]:0", false),
            ("10.87.0.2:0", "10.87.0.3:0", false),
            ("10.87.0.2:0", "[fd87::2]:0", false),
        ] {
            assert_eq!(is_of_same_network(one.parse().unwrap(), other.parse().unwrap()), is_same, "{one} {other}");
        }
        assert!(is_of_this_machine("127.0.0.1:0".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1:0".parse().unwrap()));
    }

    #[test]
    fn another_one_is_made_where_the_old_one_speaks_from_another_address_or_does_not_work() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // As one that was connected while the machine had this address.
        let socket = ConnectedSocket::connect_from("127.0.0.2:0".parse().unwrap(), far).unwrap();
        let mut rebind = Rebind::new(far);
        let Look::Other(socket) = rebind.look(&socket, at(0)) else { panic!("the address has changed") };
        assert!(matches!(rebind.look(&socket, at(300)), Look::Same));
        rebind.note(Remedy::Replace);
        let Look::Other(socket) = rebind.look(&socket, at(600)) else { panic!("the socket does not work") };
        rebind.redirect("127.0.0.2:9".parse().unwrap());
        assert_eq!(rebind.poll_timeout(Some(at(600))), Time::ZERO);
        assert!(matches!(rebind.look(&socket, at(601)), Look::Other(_)));
    }
}
