//! HOST:PORT, as programs write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use crate::error::{Class, Error};

/// The address that HOST:PORT means: `127.0.0.1:9000`, `[::1]:9000`, `camera.local:9000`. Of a name with several, the first IPv4 one, else the first.
///
/// # Errors
/// [`Class::Argument`] for what is no address, and for a name that nobody knows.
pub(crate) fn resolve(text: &str) -> Result<SocketAddr, Error> {
    let shown: String = text.chars().take(80).collect();
    let wrong = |why: &str| {
        let text = format!(
            "'{}' is no address ({why}); use HOST:PORT such as 127.0.0.1:9000 or [::1]:9000",
            shown.escape_debug()
        );
        Error::new(Class::Argument, "invalid-address", text)
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err(wrong("there is no port")) };
    if host.is_empty() || host.contains(':') {
        return Err(wrong("there is no host before the port"));
    }
    let port: u16 = port.parse().map_err(|_| wrong("the port is no number from 0 to 65535"))?;
    let addresses: Vec<_> = (host, port).to_socket_addrs().map_err(|error| wrong(&error.to_string()))?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first());
    first.copied().ok_or_else(|| wrong("the host has no address"))
}

/// The same of where this machine listens: `:9000` is all of its addresses, of both families where it has both.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn resolve_here(text: &str) -> Result<SocketAddr, Error> {
    let Some(port) = text.strip_prefix(':') else { return resolve(text) };
    let port: u16 = port.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        let text = format!(
            "'{}' is no address (the port is no number from 0 to 65535); use :PORT such as :9000",
            shown.escape_debug()
        );
        Error::new(Class::Argument, "invalid-address", text)
    })?;
    // Where IPv6 is switched off, nothing can be bound to its addresses.
    let has_v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let all = if has_v6 { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    Ok(SocketAddr::new(all, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_this_machine_listens_may_be_all_of_its_addresses() {
        let all = resolve_here(":9000").unwrap();
        assert!(all.ip().is_unspecified() && all.port() == 9000);
        assert_eq!(resolve_here("127.0.0.1:9000").unwrap(), "127.0.0.1:9000".parse().unwrap());
        let error = resolve_here(":70000").unwrap_err();
        assert_eq!(error.class, Class::Argument);
        assert!(error.text.contains("':70000'") && error.text.contains("65535"), "{error}");
    }

    #[test]
    fn addresses_are_read_and_what_is_none_is_said_with_the_value() {
        assert_eq!(resolve("127.0.0.1:9000").unwrap(), "127.0.0.1:9000".parse().unwrap());
        assert_eq!(resolve("[::1]:9000").unwrap(), "[::1]:9000".parse().unwrap());
        assert_eq!(resolve("localhost:9").unwrap().port(), 9);
        for wrong in
            ["", "9000", ":9000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "::1:9000", "a\0b:1", "127.0.0.1:-1"]
        {
            let error = resolve(wrong).unwrap_err();
            assert_eq!(error.class, Class::Argument);
            assert!(error.text.contains("HOST:PORT"), "{wrong}: {error}");
        }
    }
}
