//! Which names a browser may know this server by.
//!
//! A name that its owner points at this machine makes a stranger's page look like ours (DNS rebinding), so a name must be one
//! that nobody else can give away: an address, `localhost`, this machine's own, or one that the operator has named.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// The host of a request, as it was written there; empty where there is none.
pub(super) fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Names that are allowed beside those that every server has.
#[derive(Debug)]
pub(super) struct Hosts {
    allowed: Vec<String>,
    /// What this machine is called, asked each time: that may change.
    own_name: fn() -> String,
}

impl Hosts {
    /// `origins` are as browsers write them, such as `https://monitor.example:8443`.
    pub(super) fn new(origins: &[String]) -> Self {
        let hosts = origins.iter().filter_map(|origin| origin.split_once("://"));
        let allowed = hosts.map(|(_, host)| name_of(host.trim_end_matches('/')).to_ascii_lowercase()).collect();
        Self { allowed, own_name: node_name }
    }

    /// Whether a `Host` header names this server. Which port is no matter, but what is none may be another address yet.
    pub(super) fn contain(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        // A name that ends with a dot is the same name.
        let name = name.strip_suffix('.').unwrap_or(&name);
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        !name.is_empty() && (self.allowed.iter().any(|allowed| allowed == name) || self.is_own(name))
    }

    fn is_own(&self, name: &str) -> bool {
        let own = (self.own_name)().to_ascii_lowercase();
        let label = own.split('.').next().unwrap_or_default();
        !label.is_empty() && (name == own || name == label || name.strip_suffix(".local") == Some(label))
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The last colon is a port's, unless it is inside the brackets of an IPv6 address.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let origins = ["https://Monitor.example:8443/".to_owned(), "http://proxy".to_owned()];
        Hosts { own_name: || "Robot.lab.example".into(), ..Hosts::new(&origins) }
    }

    #[test]
    fn addresses_loopback_the_machines_names_and_those_that_are_allowed_are_this_servers() {
        for host in [
            "127.0.0.1:8080",
            "192.168.7.2",
            "[::1]:8080",
            "[fe80::1]",
            "localhost:8080",
            "LOCALHOST",
            "localhost.",
            "cam.localhost:8080",
            "robot:8080",
            "ROBOT.local",
            "robot.lab.example:1",
            "monitor.example",
            "Monitor.Example:9",
            "proxy:80",
        ] {
            assert!(hosts().contain(host), "{host}");
        }
    }

    #[test]
    fn a_name_that_somebody_else_may_give_away_is_not() {
        for host in [
            "",
            ":8080",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "robot.evil.example",
            "robot.local.evil.example",
            "a.monitor.example",
            "xlocalhost",
            "[::1].evil.example",
            "127.0.0.1:80@evil.example",
            "localhost:@evil.example",
            "[::1]:80@evil.example",
            ".local",
        ] {
            assert!(!hosts().contain(host), "{host}");
        }
    }

    #[test]
    fn this_machine_has_a_name() {
        let own = node_name();
        assert!(own.is_empty() || Hosts::new(&[]).contain(&format!("{own}:8080")), "{own}");
    }
}
