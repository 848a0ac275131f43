//! Where the server is, as a user writes it.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

/// A server's address, checked: scheme, host and port, and the path below which a proxy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerUrl {
    url: Url,
    /// The interface at which a link-local IPv6 host is: its name, or its number. Addresses of pages have none.
    zone: Option<String>,
}

/// An address that is none.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{given:?} is not the address of a server: {problem}; write http://HOST:PORT, such as http://127.0.0.1:8080, with the path of a proxy if there is one"
)]
#[non_exhaustive]
pub struct UrlError {
    /// What was given.
    pub given: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ServerUrl {
    pub(super) fn parse(given: &str) -> Result<Self, UrlError> {
        let wrong = |problem: &str| UrlError { given: given.into(), problem: problem.into() };
        let (text, zone) = split_zone(given.trim()).ok_or_else(|| wrong("its % names no interface"))?;
        let url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it does not begin with http:// or https://"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // What was given holds a secret, and errors end in logs.
            let given = "http://…@…".into();
            return Err(UrlError { given, problem: "secrets do not belong in an address; use a token file".into() });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has more than host, port and path"));
        }
        if url.port() == Some(0) {
            return Err(wrong("port 0 is no port to connect to"));
        }
        match (url.host(), &zone) {
            (Some(Host::Ipv6(ip)), None) if ip.is_unicast_link_local() => {
                return Err(wrong(&format!("[{ip}] is at an interface alone; write it behind, such as [{ip}%eth0]")));
            }
            (Some(Host::Ipv6(_)), _) | (_, None) => {}
            (_, Some(_)) => return Err(wrong("only an IPv6 address has an interface behind a %")),
        }
        Ok(Self { url, zone })
    }

    /// Where Socket.IO is, below the server's path. Without the zone, which means something on this machine alone.
    pub(super) fn socket_io(&self) -> String {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/socket.io/", self.url.path().trim_end_matches('/')));
        url.into()
    }

    /// Whether it is written with TLS.
    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host alone, an address without brackets and zone: what a certificate is for.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// As the system's resolver takes it, which knows the interfaces.
    pub(super) fn host_and_port(&self) -> (String, u16) {
        let host = self.host();
        let zone = self.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
        (format!("{host}{zone}"), self.url.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_str().trim_end_matches('/');
        match (&self.zone, url.split_once(']')) {
            (Some(zone), Some((host, port))) => write!(f, "{host}%{zone}]{port}"),
            _ => f.write_str(url),
        }
    }
}

/// Takes the zone out of an address: what stands behind the % of an IPv6 host, or behind its %25, as addresses of pages have
/// it. `None` for a zone that is none.
fn split_zone(given: &str) -> Option<(String, Option<String>)> {
    let Some((before, after)) = given.split_once('%') else { return Some((given.to_owned(), None)) };
    let Some((zone, after)) = after.split_once(']').filter(|_| before.contains('[')) else {
        return Some((given.to_owned(), None));
    };
    let zone = zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone);
    let is_zone = !zone.is_empty() && zone.chars().all(|char| char.is_ascii_alphanumeric() || "-_.:@".contains(char));
    is_zone.then(|| (format!("{before}]{after}"), Some(zone.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_taken_as_they_are() {
        for given in ["http://127.0.0.1:8080", "https://cam.example", "http://[::1]:9", "http://localhost:8080/"] {
            let url = ServerUrl::parse(given).unwrap();
            assert_eq!(url.to_string(), given.trim_end_matches('/'));
        }
        assert_eq!(ServerUrl::parse("http://robot:8080").unwrap().host_and_port(), ("robot".into(), 8080));
        assert_eq!(ServerUrl::parse("http://robot").unwrap().host_and_port(), ("robot".into(), 80));
    }

    #[test]
    fn a_link_local_address_keeps_its_interface_which_the_far_end_does_not_hear_of() {
        for given in ["http://[fe80::1%eth0]:8080", "http://[fe80::1%25eth0]:8080"] {
            let url = ServerUrl::parse(given).unwrap();
            assert_eq!(url.to_string(), "http://[fe80::1%eth0]:8080");
            assert_eq!(url.socket_io(), "http://[fe80::1]:8080/socket.io/");
            assert_eq!(url.host_and_port(), ("fe80::1%eth0".into(), 8080));
        }
        assert_eq!(ServerUrl::parse("http://[fe80::1%4]").unwrap().host_and_port(), ("fe80::1%4".into(), 80));
    }

    #[test]
    fn socket_io_is_below_the_path_that_a_proxy_has_the_server_at() {
        for (given, socket_io) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/socket.io/"),
            ("http://proxy/cams", "http://proxy/cams/socket.io/"),
            ("https://proxy:8443/a/cams/", "https://proxy:8443/a/cams/socket.io/"),
        ] {
            assert_eq!(ServerUrl::parse(given).unwrap().socket_io(), socket_io);
        }
        assert_eq!(ServerUrl::parse("http://proxy/cams/").unwrap().host_and_port(), ("proxy".into(), 80));
    }

    #[test]
    fn anything_else_is_named_with_the_form_it_should_have() {
        for (given, problem) in [
            ("127.0.0.1:8080", "relative URL without a base"),
            ("localhost:8080", "does not begin with http"),
            ("ftp://host", "does not begin with http"),
            ("http://", "empty host"),
            ("http://host:99999", "invalid port number"),
            ("http://host:0", "port 0"),
            ("http://host/#stream", "more than host, port and path"),
            ("http://host?token=x", "more than host, port and path"),
            ("http://[fe80::1]:80", "[fe80::1%eth0]"),
            ("http://[fe80::1%]:80", "names no interface"),
            ("http://[fe80::1%a/b]:80", "names no interface"),
            ("http://host%eth0:80", "invalid international domain name"),
            ("", "relative URL without a base"),
        ] {
            let error = ServerUrl::parse(given).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("http://HOST:PORT"), "{given}: {error}");
            assert!(error.starts_with(&format!("{given:?}")), "{error}");
        }
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        let error = ServerUrl::parse("http://me:hunter2@host").unwrap_err().to_string();
        assert!(error.contains("token file") && !error.contains("hunter2"), "{error}");
    }
}
