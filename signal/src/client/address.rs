//! Where the server is, as a user writes it.

use std::fmt;

use thiserror::Error;
use url::Url;

/// A server's address, checked: scheme, host and port, and the path below which a proxy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerUrl(Url);

/// An address that is none.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{given:?} is not the address of a server: {problem}; write http://HOST:PORT, such as http://127.0.0.1:8080, with the path of a proxy if there is one"
)]
pub struct UrlError {
    /// What was given.
    pub given: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ServerUrl {
    pub(super) fn parse(given: &str) -> Result<Self, UrlError> {
        let wrong = |problem: &str| UrlError { given: given.into(), problem: problem.into() };
        let url = Url::parse(given.trim()).map_err(|error| wrong(&error.to_string()))?;
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
        Ok(Self(url))
    }

    /// Where Socket.IO is, below the server's path.
    pub(super) fn socket_io(&self) -> String {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/socket.io/", self.0.path().trim_end_matches('/')));
        url.into()
    }

    /// The host alone, as the transport may resolve it.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
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
        assert_eq!(ServerUrl::parse("http://robot:8080").unwrap().host(), "robot");
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
        assert_eq!(ServerUrl::parse("http://proxy/cams/").unwrap().host(), "proxy");
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
