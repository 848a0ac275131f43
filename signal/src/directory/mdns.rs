//! mDNS: servers announce themselves on their network, and whoever looks for them asks all at once.
//!
//! Anybody on the network can announce anything, and what was announced is remembered for up to 75 minutes by those who heard it, whatever became of the server: what is
//! found is a place to ask, and no more.

mod interfaces;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use url::{Host, Url};

pub(super) use self::interfaces::own_addresses;
use self::interfaces::{is_usable, take_part};
use super::entry::{Guard, OwnNode, check_name};
use super::found::{DiscoverError, Found};

/// What servers are announced as.
const SERVICE: &str = "_framewire._tcp.local.";
/// Longest label of a name, in bytes.
const LABEL_BYTES_MAX: usize = 63;
/// Most servers that are told from each other.
pub(super) const FOUND_MAX: usize = 1024;
/// Addresses of a server that are looked at.
const ADDRESSES_MAX: usize = 16;
/// Records that may be remembered of what others announce, several for each server: beyond that somebody floods the network.
const RECORDS_MAX: i64 = 32 * FOUND_MAX as i64;

/// What this machine says and hears by mDNS, on threads of its own, until it is dropped.
pub(super) struct Mdns {
    daemon: ServiceDaemon,
    heard: Option<Receiver<ServiceEvent>>,
}

/// What is heard of a server, by the name that it is announced as.
pub(super) enum Announced {
    Came(String, Found),
    Went(String),
}

impl Mdns {
    /// Looks for servers.
    ///
    /// # Errors
    /// Nothing on this machine takes part in multicast.
    pub(super) fn look() -> Result<Self, DiscoverError> {
        let daemon = daemon()?;
        let heard = daemon.browse(SERVICE).map_err(no)?;
        Ok(Self { daemon, heard: Some(heard) })
    }

    /// Looks for none, for who only announces.
    ///
    /// # Errors
    /// As [`Mdns::look`].
    pub(super) fn silent() -> Result<Self, DiscoverError> {
        Ok(Self { daemon: daemon()?, heard: None })
    }

    /// Announces this server too.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn announce(&self, own: &OwnNode, version: &str) -> Result<(), String> {
        let service = service(own, version)?;
        self.daemon.register(service).map_err(|error| error.to_string())
    }

    /// What is heard next; never anything where none are looked for. `None` where mDNS has ended by itself.
    pub(super) async fn heard(&self) -> Option<ServiceEvent> {
        match &self.heard {
            Some(heard) => heard.recv_async().await.ok(),
            None => std::future::pending().await,
        }
    }

    /// Whether so much is announced on this network that it is not to be remembered.
    pub(super) async fn is_flooded(&self) -> bool {
        let Ok(metrics) = self.daemon.get_metrics() else { return false };
        let Ok(metrics) = metrics.recv_async().await else { return true };
        metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| count).sum::<i64>()
            > RECORDS_MAX
    }
}

fn daemon() -> Result<ServiceDaemon, DiscoverError> {
    take_part().map_err(|problem| DiscoverError::NoMulticast { problem })?;
    let daemon = ServiceDaemon::new().map_err(no)?;
    let others = IfPredicate::new(|interface| !is_usable(&interface.name) || interface.is_loopback());
    daemon.disable_interface(IfKind::Predicate(others)).map_err(no)?;
    Ok(daemon)
}

fn no(error: mdns_sd::Error) -> DiscoverError {
    DiscoverError::NoMulticast { problem: error.to_string() }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // It may have ended by itself. The end says good-bye for all that it announces.
        let _ = self.daemon.shutdown();
    }
}

/// A server that announces itself. Its host is a name of its own: that of the machine belongs to whoever else answers for it.
fn service(own: &OwnNode, version: &str) -> Result<ServiceInfo, String> {
    let url = Url::parse(&own.url).map_err(|error| format!("{:?} cannot be announced: {error}", own.url))?;
    let port = url.port_or_known_default().ok_or_else(|| format!("{:?} has no port to announce", own.url))?;
    let id = own.node.to_string();
    // Of its own, so that nobody has to be asked whether it is taken.
    let mut instance = own.name.replace('.', "-");
    let room = LABEL_BYTES_MAX - 9;
    let end = (0..=room.min(instance.len())).rev().find(|end| instance.is_char_boundary(*end)).unwrap_or(0);
    instance.truncate(end);
    let instance = format!("{instance} {}", &id[..8]);
    let incarnation = own.incarnation.to_string();
    let guard = own.guard.to_string();
    let said = [
        ("node", id.as_str()),
        ("name", &own.name),
        ("version", version),
        ("guard", &guard),
        ("incarnation", &incarnation),
    ];
    let host = format!("framewire-{}.local.", &id[..16]);
    let address = match url.host() {
        Some(Host::Ipv4(ip)) if !ip.is_unspecified() => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) if !ip.is_unspecified() => Some(IpAddr::V6(ip)),
        _ => None,
    };
    let made = match address {
        Some(ip) => ServiceInfo::new(SERVICE, instance.trim(), &host, ip, port, &said[..]),
        None => {
            ServiceInfo::new(SERVICE, instance.trim(), &host, "", port, &said[..]).map(ServiceInfo::enable_addr_auto)
        }
    };
    let mut made = made.map_err(|error| format!("{:?} cannot be announced: {error}", own.name))?;
    made.set_requires_probe(false);
    Ok(made)
}

/// What an event says of a server.
pub(super) fn announced(event: ServiceEvent) -> Option<Announced> {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let found = found(&service)?;
            Some(Announced::Came(service.fullname.clone(), found))
        }
        ServiceEvent::ServiceRemoved(_, name) => Some(Announced::Went(name)),
        _ => None,
    }
}

/// A server as it announces itself; `None` where that cannot be.
fn found(service: &ResolvedService) -> Option<Found> {
    let text = |key: &str| service.get_property_val_str(key).unwrap_or_default();
    let instance = service.fullname.strip_suffix(SERVICE).unwrap_or(&service.fullname).trim_end_matches('.');
    let name = if text("name").is_empty() { instance } else { text("name") };
    check_name("a server's name", name).ok()?;
    let version: String = text("version").chars().filter(|char| !char.is_control()).take(32).collect();
    let guard: Guard = text("guard").parse().unwrap_or_default();
    let mut addresses: Vec<_> = service.addresses.iter().filter(|ip| is_of_a_host(&ip.to_ip_addr())).collect();
    addresses.sort_by_key(|ip| (ip.is_ipv6(), is_link_local(&ip.to_ip_addr()), ip.to_ip_addr()));
    addresses.truncate(ADDRESSES_MAX);
    let host = host_of(addresses.first()?);
    let scheme = if guard == Guard::Protected { "https" } else { "http" };
    (service.port != 0).then(|| Found {
        name: name.to_owned(),
        url: format!("{scheme}://{host}:{}", service.port),
        addresses: addresses.iter().map(|ip| ip.to_ip_addr()).collect(),
        port: service.port,
        node: text("node").parse().ok(),
        incarnation: text("incarnation").parse().unwrap_or_default(),
        version,
        guard,
    })
}

/// As an address of a page has it: with the interface at which a link-local one is.
fn host_of(ip: &ScopedIp) -> String {
    match ip {
        ScopedIp::V6(v6) if is_link_local(&ip.to_ip_addr()) && !v6.scope_id().name.is_empty() => {
            format!("[{}%{}]", ip.to_ip_addr(), v6.scope_id().name)
        }
        _ => match ip.to_ip_addr() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    }
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whoever announces an address of this machine's own loopback wants something else asked.
fn is_of_a_host(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && *ip != IpAddr::from([255, 255, 255, 255])
}

/// As [`discover`](super::discover).
pub(super) fn discover(timeout: Duration) -> Result<Vec<Found>, DiscoverError> {
    let until = Instant::now() + timeout;
    let mdns = Mdns::look()?;
    let mut servers = BTreeMap::new();
    while let Some(Ok(event)) = mdns.heard.as_ref().map(|heard| heard.recv_deadline(until)) {
        match announced(event) {
            Some(Announced::Came(name, found)) if servers.len() < FOUND_MAX || servers.contains_key(&name) => {
                servers.insert(name, found);
            }
            Some(Announced::Went(name)) => {
                servers.remove(&name);
            }
            _ => {}
        }
    }
    let mut servers: Vec<_> = servers.into_values().collect();
    servers.sort_by(|a, b| (&a.name, a.node, &a.url).cmp(&(&b.name, b.node, &b.url)));
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::node::NodeId;

    fn own() -> OwnNode {
        OwnNode::new(NodeId::new([0xab; 16]), 7, "hall 1", "https://10.0.0.7:8443").guard(Guard::Protected)
    }

    #[test]
    fn a_server_is_found_as_it_announces_itself() {
        let announced = service(&own(), "0.1.0").unwrap();
        assert_eq!(announced.get_fullname(), "hall 1 abababab._framewire._tcp.local.");
        let found = found(&announced.as_resolved_service()).unwrap();
        assert_eq!((found.name.as_str(), found.url.as_str(), found.port), ("hall 1", "https://10.0.0.7:8443", 8443));
        assert_eq!((found.node, found.incarnation, found.guard), (Some(NodeId::new([0xab; 16])), 7, Guard::Protected));
        assert_eq!(found.version, "0.1.0");
    }

    #[test]
    fn a_long_name_is_cut_between_its_characters() {
        let mut own = own();
        own.name = "ü".repeat(64);
        let announced = service(&own, "").unwrap();
        let instance = announced.get_fullname().split('.').next().unwrap();
        assert!(instance.len() <= LABEL_BYTES_MAX && instance.ends_with("ü abababab"), "{instance}");
    }

    #[test]
    fn what_announces_nothing_that_can_be_asked_is_no_server() {
        let with = |ip: &str, port, name: &str| {
            let service = ServiceInfo::new(SERVICE, "x", "x.local.", ip, port, &[("name", name)][..]).unwrap();
            found(&service.as_resolved_service())
        };
        assert!(with("10.0.0.1", 80, "x").is_some());
        assert_eq!(with("10.0.0.1", 80, "").unwrap().name, "x");
        for (ip, port, name) in [
            ("127.0.0.1", 80, "x"),
            ("0.0.0.0", 80, "x"),
            ("224.0.0.1", 80, "x"),
            ("10.0.0.1", 0, "x"),
            ("10.0.0.1", 80, "a\u{1b}[2J"),
            ("", 80, "x"),
        ] {
            assert_eq!(with(ip, port, name), None, "{ip} {port} {name:?}");
        }
    }
}
