//! HOST:PORT, as every program here takes it: a name, an IPv4 address, an IPv6 address in brackets, with its zone where it is
//! link-local, or nothing for all addresses of this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;

use thiserror::Error;

use crate::exit::Failure;

/// A place in a network, by name. Names are looked up when the place is used, not when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: Host,
    port: u16,
}

/// Where, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// Nothing was written: all addresses of this machine, IPv4 and IPv6.
    All,
    Ip(IpAddr),
    /// A link-local address and the interface at which it is: its name, or its number.
    Zoned(Ipv6Addr, String),
    Name(String),
}

/// What is no address, why, and how one is written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{problem}; write HOST:PORT, such as 192.168.1.20:8080, cam.local:8080, [::1]:8080, [fe80::1%eth0]:8080, or :8080 \
     for all addresses"
)]
pub struct AddressError {
    problem: String,
}

impl Address {
    /// Reads HOST or HOST:PORT, with this port where there is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn with_default_port(text: &str, port: u16) -> Result<Self, AddressError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let is_host_alone = !text.contains(':') || (bare.contains("::") || bare.matches(':').count() == 7);
        if is_host_alone && !text.starts_with('[') || bare.len() < text.len() {
            let host = if bare.contains(':') { ipv6(bare)? } else { named(bare)? };
            return Ok(Self { host, port });
        }
        text.parse()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it stands for all addresses of this machine, and for none in particular.
    pub fn is_unspecified(&self) -> bool {
        match &self.host {
            Host::All => true,
            Host::Ip(ip) => ip.is_unspecified(),
            Host::Zoned(..) | Host::Name(_) => false,
        }
    }

    /// The host alone, as it stands in an address: an IPv6 one in brackets, all addresses as nothing.
    pub fn host(&self) -> String {
        match &self.host {
            Host::All => String::new(),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
            Host::Zoned(ip, zone) => format!("[{ip}%{zone}]"),
            Host::Name(name) => name.clone(),
        }
    }

    /// Where to listen. A name may have several addresses: IPv4 comes first, for that is what more programs look for.
    ///
    /// # Errors
    /// The name is not known here, nor its zone.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let found = match &self.host {
            Host::All => return Ok(vec![SocketAddr::new(all_addresses(), self.port)]),
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            // Whatever a machine's list of names has for it: this name is loopback in both families (RFC 6761).
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
                return Ok(both.map(|ip| SocketAddr::new(ip, self.port)).to_vec());
            }
            // The system's resolver knows the interfaces.
            Host::Zoned(ip, zone) => {
                (format!("{ip}%{zone}").as_str(), self.port).to_socket_addrs().map_err(|error| {
                    Failure::usage(format!(
                        "{self}: {error}; is '{zone}' an interface of this machine? ip link lists them"
                    ))
                })?
            }
            Host::Name(name) => (name.as_str(), self.port).to_socket_addrs().map_err(|error| {
                Failure::usage(format!(
                    "the host of {self} is not known here: {error}; check the name, or write its address"
                ))
            })?,
        };
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.sort_by_key(SocketAddr::is_ipv6);
        if addresses.is_empty() {
            return Err(Failure::usage(format!("the host of {self} has no address; write one")));
        }
        Ok(addresses)
    }

    /// The one address to send to or to receive at, where there can be but one: of a name the first that is like `like`, else
    /// the first.
    ///
    /// # Errors
    /// As [`Address::resolve`].
    pub fn resolve_one(&self, like: Option<IpAddr>) -> Result<SocketAddr, Failure> {
        let addresses = self.resolve()?;
        let is_same = |address: &&SocketAddr| like == Some(address.ip());
        let is_alike = |address: &&SocketAddr| like.is_some_and(|like| like.is_ipv4() == address.is_ipv4());
        let chosen = addresses.iter().find(is_same).or_else(|| addresses.iter().find(is_alike));
        Ok(*chosen.unwrap_or(&addresses[0]))
    }
}

/// Where a server tells its clients to send frames, where that is not where it takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedAddress {
    /// As it stands in an address; `None` for the host that a client reaches the server at.
    pub host: Option<String>,
    /// Never 0.
    pub port: u16,
}

impl FromStr for AnnouncedAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let address: Address = if is_port { format!(":{text}").parse()? } else { text.parse()? };
        if address.port == 0 {
            return Err(AddressError {
                problem: format!("'{}' has port 0, which nobody can send to", text.escape_debug()),
            });
        }
        let host = (!address.is_unspecified()).then(|| address.host());
        Ok(Self { host, port: address.port })
    }
}

/// What a server announced, as one who reached it at `peer` gets there: a link-local address is at the same interface.
///
/// # Errors
/// The name is not known here, or it is none.
pub fn announced(host: Option<&str>, port: u16, peer: SocketAddr) -> Result<SocketAddr, Failure> {
    let at = |ip: Option<IpAddr>, mut address: SocketAddr| {
        if let Some(ip) = ip {
            address.set_ip(ip);
        }
        address.set_port(port);
        address
    };
    let Some(host) = host else { return Ok(at(None, peer)) };
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<Ipv6Addr>() {
        Ok(ip) if ip.is_unicast_link_local() && peer.is_ipv6() => Ok(at(Some(ip.into()), peer)),
        Ok(ip) => Ok(SocketAddr::new(ip.into(), port)),
        Err(_) => {
            let address: Address = format!("{host}:{port}").parse().map_err(|error| {
                Failure::runtime(format!("the server says that frames go to a place that is none: {error}"))
            })?;
            address.resolve_one(Some(peer.ip())).map_err(Failure::runtime)
        }
    }
}

/// That of both families, on a machine that has both.
fn all_addresses() -> IpAddr {
    // Where IPv6 is switched off, nothing can be bound to its addresses.
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Host::Zoned(*v6.ip(), v6.scope_id().to_string()),
            other => Host::Ip(other.ip()),
        };
        Self { host, port: address.port() }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |problem: String| AddressError { problem };
        if text.contains("://") {
            return Err(wrong(format!("'{}' is the address of a page", text.escape_debug())));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let Some((host, rest)) = rest.split_once(']') else {
                    return Err(wrong(format!("'{}' lacks the bracket that closes", text.escape_debug())));
                };
                (ipv6(host)?, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return Err(wrong(format!("'{}': an IPv6 address goes into brackets", text.escape_debug())));
                }
                Some(("", port)) => (Host::All, Some(port)),
                Some((host, port)) => (named(host)?, Some(port)),
                None => (Host::All, None),
            },
        };
        let Some(port) = port else { return Err(wrong(format!("'{}' has no port", text.escape_debug()))) };
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = Some(port).filter(|_| is_number).and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| wrong(format!("'{}' has no port of 0 to 65535", text.escape_debug())))?;
        Ok(Self { host, port })
    }
}

/// An IPv6 address, with a zone as people write it (%eth0), as addresses of pages do (%25eth0), or as a number (%4).
fn ipv6(text: &str) -> Result<Host, AddressError> {
    let shown = text.escape_debug();
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone))),
        None => (text, None),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| AddressError { problem: format!("'{shown}' is no IPv6 address") })?;
    let Some(zone) = zone else {
        if ip.is_unicast_link_local() {
            let problem = format!("'{shown}' is at an interface alone, which belongs behind it, such as {ip}%eth0");
            return Err(AddressError { problem });
        }
        return Ok(Host::Ip(ip.into()));
    };
    let is_zone = !zone.is_empty() && !zone.contains(|char: char| char.is_whitespace() || "%/[]".contains(char));
    if !is_zone {
        return Err(AddressError { problem: format!("'{shown}' names no interface behind the %") });
    }
    Ok(Host::Zoned(ip, zone.to_owned()))
}

/// A name or an IPv4 address.
fn named(text: &str) -> Result<Host, AddressError> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let is_name = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if text.is_empty() || is_numeric || !text.chars().all(is_name) {
        return Err(AddressError { problem: format!("'{}' is no host", text.escape_debug()) });
    }
    Ok(Host::Name(text.to_owned()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Address>().unwrap_err().to_string()
    }

    #[test]
    fn an_address_reads_as_it_is_written() {
        for text in [
            "127.0.0.1:0",
            "localhost:8080",
            "cam-1.lab_2.local:9",
            ":8080",
            "[::]:1",
            "[2001:db8::1]:65535",
            "[fe80::1%eth0]:80",
            "[fe80::1%4]:80",
            "0.0.0.0:12345",
            "kamera-küche:1",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[fe80::1%25eth0]:80".parse::<Address>().unwrap().to_string(), "[fe80::1%eth0]:80");
        assert_eq!("[fe80::1%25]:80".parse::<Address>().unwrap().to_string(), "[fe80::1%25]:80");
    }

    #[test]
    fn what_is_no_address_is_told_with_its_fault_and_how_one_is_written() {
        for (text, says) in [
            ("", "'' has no port"),
            ("nowhere", "'nowhere' has no port"),
            ("[::1]", "'[::1]' has no port"),
            ("host:", "no port of 0 to 65535"),
            ("host:65536", "no port of 0 to 65535"),
            ("host:+80", "no port of 0 to 65535"),
            ("host:http", "no port of 0 to 65535"),
            ("::1:80", "an IPv6 address goes into brackets"),
            ("fe80::1%eth0", "an IPv6 address goes into brackets"),
            ("[::1:80", "lacks the bracket"),
            ("[cam]:80", "'cam' is no IPv6 address"),
            ("[fe80::1]:80", "belongs behind it, such as fe80::1%eth0"),
            ("[fe80::1%]:80", "names no interface"),
            ("http://host:80", "is the address of a page"),
            ("a b:80", "'a b' is no host"),
            ("300.1.1.1:80", "'300.1.1.1' is no host"),
            ("a\u{1b}[2J:80", "no host"),
        ] {
            let said = refused(text);
            assert!(said.contains(says) && said.contains("write HOST:PORT, such as"), "{text}: {said}");
            assert!(!said.contains('\u{1b}'), "{said:?}");
        }
    }

    #[test]
    fn a_host_alone_gets_the_port_of_the_occasion() {
        let read = |text: &str| Address::with_default_port(text, 7).map(|address| address.to_string());
        for (text, read_as) in [
            ("cam", "cam:7"),
            ("cam:8", "cam:8"),
            ("10.0.0.1", "10.0.0.1:7"),
            ("::1", "[::1]:7"),
            ("[::1]", "[::1]:7"),
            ("[::1]:8", "[::1]:8"),
            ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:7"),
            ("fe80::1%eth0", "[fe80::1%eth0]:7"),
            ("[fe80::1%25eth0]", "[fe80::1%eth0]:7"),
        ] {
            assert_eq!(read(text), Ok(read_as.to_owned()), "{text}");
        }
        assert!(read("fe80::1").is_err() && read("no such").is_err());
    }

    #[test]
    fn loopback_by_name_is_both_families_and_nothing_is_all_addresses() {
        let localhost = "localhost:9".parse::<Address>().unwrap().resolve().unwrap();
        assert_eq!(localhost, ["127.0.0.1:9".parse().unwrap(), "[::1]:9".parse().unwrap()]);
        let all = ":9".parse::<Address>().unwrap();
        assert!(all.is_unspecified() && all.resolve().unwrap()[0].ip().is_unspecified());
    }

    #[test]
    fn a_zone_is_an_interface_of_this_machine_by_name_or_number() {
        let by_name = "[fe80::1%lo]:9".parse::<Address>().unwrap().resolve().unwrap();
        let by_number = "[fe80::1%1]:9".parse::<Address>().unwrap().resolve().unwrap();
        assert_eq!(by_name, by_number);
        assert_eq!(Address::from(by_name[0]).to_string(), "[fe80::1%1]:9");
        let said = "[fe80::1%nowhere]:9".parse::<Address>().unwrap().resolve().unwrap_err().to_string();
        assert!(said.contains("'nowhere'") && said.contains("ip link"), "{said}");
    }

    #[test]
    fn what_a_server_announces_is_found_from_where_it_was_reached() {
        let read = |text: &str| text.parse::<AnnouncedAddress>().map(|announced| (announced.host, announced.port));
        assert_eq!(read("18301"), Ok((None, 18301)));
        assert_eq!(read(":18301"), Ok((None, 18301)));
        assert_eq!(read("cams.example:9"), Ok((Some("cams.example".into()), 9)));
        assert_eq!(read("[2001:db8::1]:9"), Ok((Some("[2001:db8::1]".into()), 9)));
        assert!(read("0").unwrap_err().to_string().contains("port 0"));
        assert!(read("70000").is_err() && read("").is_err() && read("cams").is_err());
        let peer: SocketAddr = "[fe80::1%4]:8080".parse().unwrap();
        let found = |host, peer| announced(host, 9, peer).map(|address| address.to_string());
        assert_eq!(found(None, peer).unwrap(), "[fe80::1%4]:9");
        assert_eq!(found(Some("[fe80::2]"), peer).unwrap(), "[fe80::2%4]:9");
        assert_eq!(found(Some("10.0.0.9"), peer).unwrap(), "10.0.0.9:9");
        assert_eq!(found(Some("[::1]"), "127.0.0.1:8080".parse().unwrap()).unwrap(), "[::1]:9");
        for strange in ["", "a b", "[x]", "http://x"] {
            assert!(matches!(found(Some(strange), peer), Ok(_) | Err(Failure::Runtime(_))), "{strange}");
        }
    }

    #[test]
    fn of_several_addresses_the_one_that_answered_is_taken_and_else_one_of_its_family() {
        let localhost = "localhost:9".parse::<Address>().unwrap();
        assert!(localhost.resolve_one(None).unwrap().is_ipv4());
        assert!(localhost.resolve_one(Some("10.0.0.1".parse().unwrap())).unwrap().is_ipv4());
        assert!(localhost.resolve_one(Some("fd00::1".parse().unwrap())).unwrap().is_ipv6());
    }
}
