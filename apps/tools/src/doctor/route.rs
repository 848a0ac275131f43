//! Which interface is looked at, and the way to the host that was named.

use std::net::IpAddr;

use framewire_budget::routes;
use framewire_process::address::Address;
use framewire_process::exit::Failure;
use framewire_transport::backend::ConnectedSocket;

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
    let routes = routes().map_err(|error| {
        Failure::runtime(format!("the system does not tell its interfaces: {error}; check what the sandbox allows"))
    })?;
    let interfaces = routes.interfaces();
    let way = host.map(reach).transpose()?;
    let chosen = match (interface, &way) {
        (Some(name), _) => interfaces.iter().find(|interface| interface.name == name).ok_or_else(|| {
            let names = interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ");
            Failure::usage(format!("there is no interface '{}'; this machine has {names}", name.escape_debug()))
        })?,
        (None, Some((host, local))) => routes.between(*local, host.address).ok_or_else(|| {
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
