//! Asking a server for its streams, over HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use framewire_process::address::Address;
use framewire_process::exit::Failure;
use framewire_signal::{Join, Token};
use thiserror::Error;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{StatusCode, Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, DefaultConnector, NextTimeout, TcpConnector};

use super::TopArgs;
use super::secure::Secure;
use super::shown::Shown;
use super::streams::{Snapshot, parse};
use crate::join::{check_no_join_string, read_join};

/// A server on the same network answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than a thousand streams take.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// Where a page is unless its address says otherwise.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
/// Whom a page with a password lets in.
const USER: &str = "framewire";
/// More than this is no password file.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// Where to ask, and as whom.
pub(super) struct Source {
    agent: Agent,
    /// As people write it.
    server: String,
    streams: Uri,
    /// The value of the header, where there is a password.
    authorization: Option<String>,
}

impl Source {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// The address is none, what lets one look cannot be read, or would be read by others on the way.
    pub(super) fn new(args: &TopArgs) -> Result<Self, Failure> {
        check_no_join_string("--server", &args.server)?;
        let join = args.join.as_deref().map(read_join).transpose()?;
        let server = match &join {
            Some(join) => format!("https://{}", join.authority()),
            None => args.server.trim_end_matches('/').to_owned(),
        };
        let (zoneless, at) = without_zone(&server)?;
        let streams = streams_uri(&zoneless).map_err(Failure::usage)?;
        let streams = if args.cluster { of_the_cluster(streams) } else { streams };
        let authorization = authorization(args, join.as_ref())?;
        if authorization.is_some()
            && !args.insecure
            && streams.scheme_str() == Some("http")
            && !is_on_this_machine(&streams)
        {
            return Err(Failure::usage(format!(
                "{server} speaks no TLS, so that anyone on the way would read the token or password; give the line that a protected server \
                 prints at its start with --join, write https://, or, on a network that you trust, say --insecure"
            )));
        }
        let secure = match streams.scheme_str() {
            Some("https") => Some(Secure::new(join.map(|join| join.pin), args.ca.clone())?),
            _ => None,
        };
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // Nobody else is to be given the password, nor asked in its stead.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("framewire-top/", env!("CARGO_PKG_VERSION")));
        let places = match at {
            Some(at) => vec![at],
            None => loopback(&streams),
        };
        let agent = match (secure, &places[..]) {
            (None, []) => config.build().into(),
            (None, _) => Agent::with_parts(config.build(), DefaultConnector::default(), At(places)),
            (Some(secure), []) => {
                let way = ().chain(TcpConnector::default()).chain(secure);
                Agent::with_parts(config.build(), way, DefaultResolver::default())
            }
            (Some(secure), _) => {
                Agent::with_parts(config.build(), ().chain(TcpConnector::default()).chain(secure), At(places))
            }
        };
        Ok(Self { agent, server, streams, authorization })
    }

    /// The server's address.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Waits for the server's answer, a few seconds at most.
    ///
    /// # Errors
    /// Why there is none, with what to do.
    pub(super) fn ask(&self) -> Result<Snapshot, AskError> {
        let server = || self.server.clone();
        let mut request = self.agent.get(&self.streams);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let unreachable = |error: ureq::Error| match untrusted(&error) {
            Some(why) => AskError::Untrusted { server: server(), why: Shown::new(&why) },
            None => AskError::Unreachable { server: server(), why: Shown::new(&error.to_string()) },
        };
        let mut response = request.call().map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED if self.authorization.is_some() => return Err(AskError::WrongPassword(server())),
            StatusCode::UNAUTHORIZED => return Err(AskError::NoPassword(server())),
            StatusCode::PERMANENT_REDIRECT if self.streams.scheme_str() == Some("http") => {
                return Err(AskError::SpeaksTls(server()));
            }
            StatusCode::NOT_FOUND => return Err(AskError::NoStreams(server())),
            StatusCode::FORBIDDEN => {
                let said = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
                let why = Shown::new(said.unwrap_or_default().lines().next().unwrap_or_default());
                return Err(AskError::Refused { server: server(), why });
            }
            status => return Err(AskError::Status { server: server(), status: status.as_u16() }),
        }
        let strange = |why: String| AskError::Strange { server: server(), why: Shown::new(&why) };
        let body =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(_) => strange(format!("more than {ANSWER_BYTES_MAX} bytes")),
                error => unreachable(error),
            })?;
        parse(&body).map_err(|error| strange(error.to_string()))
    }
}

/// Why a server did not tell its streams.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum AskError {
    #[error("{server} cannot be reached ({why}); is framewire-server running there? --server names another")]
    Unreachable { server: String, why: Shown },
    #[error(
        "the page of {0} asks for a token or a password; give the line that the server prints at its start with --join, or a file with --view-token-file \
         or --view-password-file"
    )]
    NoPassword(String),
    #[error(
        "{0} refuses the token or password; give the one that the server has, with --join, --view-token-file or --view-password-file"
    )]
    WrongPassword(String),
    #[error(
        "{0} speaks TLS; give the line that it prints at its start with --join, or write https:// and name its certificate with --ca"
    )]
    SpeaksTls(String),
    #[error(
        "{server} is not the server that is meant, as far as can be told ({why}); take the line that it prints now, or name its certificate with --ca"
    )]
    Untrusted { server: String, why: Shown },
    #[error("{0} has no /api/streams; is it a framewire-server, of this release?")]
    NoStreams(String),
    #[error("{server} refuses: {why}")]
    Refused { server: String, why: Shown },
    #[error("{server} answers with status {status}; look at its log for the reason")]
    Status { server: String, status: u16 },
    #[error("{server} answers as no framewire-server of this release does ({why}); check the address")]
    Strange { server: String, why: Shown },
}

/// Takes the interface out of a link-local address, which addresses of pages have no place for; and where that is.
fn without_zone(server: &str) -> Result<(String, Option<SocketAddr>), Failure> {
    let Some((scheme, rest)) = server.split_once("://").filter(|(_, rest)| rest.starts_with('[') && rest.contains('%'))
    else {
        return Ok((server.to_owned(), None));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port = if scheme == "https" { HTTPS_PORT } else { HTTP_PORT };
    let address = Address::with_default_port(authority, port).map_err(Failure::usage)?;
    let at = address.resolve_one(None)?;
    Ok((format!("{scheme}://[{}]:{}{path}", at.ip(), at.port()), Some(at)))
}

/// Where `localhost` is, whatever the machine's list of names has for it, and some have no list: loopback in both families
/// (RFC 6761), as for the client. Nothing for any other name.
fn loopback(server: &Uri) -> Vec<SocketAddr> {
    if !server.host().is_some_and(|host| host.eq_ignore_ascii_case("localhost")) {
        return Vec::new();
    }
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("https") { HTTPS_PORT } else { HTTP_PORT });
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// The places to connect to, one after the other, whatever the request's host is.
#[derive(Debug)]
struct At(Vec<SocketAddr>);

impl Resolver for At {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        self.0.iter().for_each(|at| addresses.push(*at));
        Ok(addresses)
    }
}

/// Where the same server tells of all servers of its cluster.
fn of_the_cluster(streams: Uri) -> Uri {
    format!("{streams}?scope=cluster").parse().expect("an address with a question behind it is one")
}

fn streams_uri(server: &str) -> Result<Uri, String> {
    let shown = server.escape_debug();
    let uri: Uri = format!("{server}/api/streams")
        .parse()
        .map_err(|error| format!("'{shown}' is no address ({error}); write http://HOST:PORT"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(format!("'{shown}' is no address of a server; write http://HOST:PORT")),
    }
    // A password in an address is seen by whoever lists processes.
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(
            "the address has a password in it; put that into a file and give it with --view-password-file".to_owned()
        );
    }
    if uri.query().is_some() || server.contains('#') {
        return Err(format!("'{shown}' is no address of a server; write http://HOST:PORT"));
    }
    Ok(uri)
}

/// What lets one look: the token of the join string, one of a file, or the password by HTTP Basic.
fn authorization(args: &TopArgs, join: Option<&Join>) -> Result<Option<String>, Failure> {
    if let Some(file) = &args.view_token_file {
        let token = Token::from_file(file).map_err(Failure::usage)?;
        return Ok(Some(format!("Bearer {}", token.secret())));
    }
    if let Some(file) = &args.view_password_file {
        return basic(file).map(Some);
    }
    Ok(join.map(|join| format!("Bearer {}", join.token.secret())))
}

/// HTTP Basic, with the password in a file, white space at both ends (such as the last newline) left out.
fn basic(file: &Path) -> Result<String, Failure> {
    let password = read_password(file).map_err(Failure::usage)?;
    Ok(format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{password}"))))
}

/// Why it is not known who answers, where that is why nothing was asked.
fn untrusted(error: &ureq::Error) -> Option<String> {
    let ureq::Error::Io(error) = error else { return None };
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        error @ rustls::Error::InvalidCertificate(_) => Some(error.to_string()),
        _ => None,
    }
}

fn is_on_this_machine(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn read_password(file: &Path) -> Result<String, PasswordError> {
    let path = || file.to_owned();
    let text = std::fs::read_to_string(file).map_err(|source| PasswordError::Unreadable { path: path(), source })?;
    let password = text.trim();
    match password.len() {
        0 => Err(PasswordError::Empty(path())),
        PASSWORD_BYTES_MAX.. => Err(PasswordError::TooLarge(path())),
        _ => Ok(password.to_owned()),
    }
}

/// Why there is no password in a file.
#[derive(Debug, Error)]
enum PasswordError {
    #[error("the password file {path} cannot be read ({source}); check the path and who may read it")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the password file {0} is empty; write the password of the server's page into it")]
    Empty(PathBuf),
    #[error("the password file {0} has more than {PASSWORD_BYTES_MAX} bytes; is it the right file?")]
    TooLarge(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    fn top(arguments: &[&str]) -> TopArgs {
        use clap::{Args, FromArgMatches};
        let command = TopArgs::augment_args(clap::Command::new("top"));
        TopArgs::from_arg_matches(&command.get_matches_from(["top"].iter().chain(arguments))).unwrap()
    }

    #[test]
    fn addresses_are_taken_as_people_write_them_and_others_refused_with_the_remedy() {
        let uri = |server: &str| streams_uri(server.trim_end_matches('/')).map(|uri| uri.to_string());
        assert_eq!(uri("http://127.0.0.1:8080/"), Ok("http://127.0.0.1:8080/api/streams".into()));
        assert_eq!(uri("http://[::1]:8080"), Ok("http://[::1]:8080/api/streams".into()));
        assert_eq!(uri("http://proxy/cams/"), Ok("http://proxy/cams/api/streams".into()));
        for (server, says) in [
            ("127.0.0.1:8080", "write http://HOST:PORT"),
            ("localhost", "write http://HOST:PORT"),
            ("", "write http://HOST:PORT"),
            ("http://framewire:secret@cams", "--view-password-file"),
            ("http://cams/?x=1", "write http://HOST:PORT"),
        ] {
            let refused = uri(server).unwrap_err();
            assert!(refused.contains(says) && !refused.contains("secret"), "{server}: {refused}");
        }
    }

    #[test]
    fn a_link_local_server_is_asked_at_its_interface_under_an_address_that_pages_have() {
        let (uri, at) = without_zone("http://[fe80::1%lo]:8080").unwrap();
        assert_eq!(uri, "http://[fe80::1]:8080");
        assert_eq!(at, Some("[fe80::1%1]:8080".parse().unwrap()));
        assert_eq!(without_zone("http://cams:8080").unwrap(), ("http://cams:8080".into(), None));
        assert!(without_zone("http://[fe80::1%nowhere]").unwrap_err().to_string().contains("'nowhere'"));
    }

    #[test]
    fn localhost_is_loopback_in_both_families_without_the_machines_list_of_names() {
        let at = |server: &str| loopback(&streams_uri(server).unwrap());
        let both = |port| vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        assert_eq!(at("http://localhost:8080"), both(8080));
        assert_eq!(at("http://LOCALHOST/cams"), both(80));
        for other in ["http://localhost.example:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert_eq!(at(other), []);
        }
    }

    #[test]
    fn a_server_that_listens_on_one_loopback_family_alone_is_reached_as_localhost() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                framewire_testing::skip("there is no IPv6 here");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let answering = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while asked.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                let body = r#"{"server":{"version":"0.1.0","uptime_seconds":1},"streams":[]}"#;
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            });
            let source = Source::new(&top(&["--server", &format!("http://localhost:{port}")])).unwrap();
            assert_eq!(source.ask().unwrap().server.version.as_str(), "0.1.0");
            answering.join().unwrap();
        }
    }

    #[test]
    fn a_password_comes_from_a_file_without_its_newline() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let refused = |file: &Path| basic(file).unwrap_err().to_string();
        assert!(refused(&file).contains("cannot be read"));
        std::fs::write(&file, " \n").unwrap();
        assert!(refused(&file).contains("is empty"));
        std::fs::write(&file, "x".repeat(PASSWORD_BYTES_MAX)).unwrap();
        assert!(refused(&file).contains("right file"));
        std::fs::write(&file, "open sesame\n").unwrap();
        let expected = format!("Basic {}", BASE64_STANDARD.encode("framewire:open sesame"));
        assert_eq!(basic(&file).unwrap(), expected);
    }

    #[test]
    fn what_lets_one_look_leaves_the_machine_over_tls_alone_unless_that_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "open sesame\n").unwrap();
        let asks = |server: &str, more: &[&str]| {
            let of_file = ["--view-password-file", file.to_str().unwrap()];
            Source::new(&top(&[&["--server", server], &of_file[..], more].concat()))
        };
        for server in
            ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "http://[::ffff:127.0.0.1]"]
        {
            assert!(asks(server, &[]).is_ok(), "{server}");
        }
        let refused = asks("http://cams:8080", &[]).err().unwrap().to_string();
        assert!(
            refused.contains("--join") && refused.contains("--insecure") && !refused.contains("sesame"),
            "{refused}"
        );
        assert!(asks("http://cams:8080", &["--insecure"]).is_ok());
    }
}
