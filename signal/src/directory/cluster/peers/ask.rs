//! One server, asked for its entry over HTTP: `GET /api/node`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::places::Place;
use crate::client::{pin_of, tls_config_for_anyone};
use crate::directory::entry::Guard;
use crate::directory::found::Found;
use crate::directory::key::ClusterKey;
use crate::directory::proof::NodeProof;
use crate::directory::signed::ENTRY_BYTES_MAX;
use crate::pin::Pin;

/// For one server to be reached, and to answer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1500);
/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// What is known of how to ask a server.
pub(super) struct Asking {
    pub(super) place: Arc<Place>,
    key: ClusterKey,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Where it was reached last.
    reached: Option<SocketAddr>,
    /// Where it answered as a node of the cluster.
    proven: Option<SocketAddr>,
    /// Which of its addresses is asked first, where none has proven itself.
    first: usize,
}

impl Asking {
    pub(super) fn new(place: Arc<Place>, key: ClusterKey) -> Self {
        Self { place, key, tls: None, reached: None, proven: None, first: 0 }
    }

    /// The server's entry.
    ///
    /// # Errors
    /// It does not answer, or something else.
    pub(super) async fn ask(&mut self) -> io::Result<Vec<u8>> {
        self.reached = None;
        timeout(ANSWERED_WITHIN, self.ask_once()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// It is asked at the address at which it answered.
    pub(super) fn stay(&mut self) {
        self.proven = self.reached;
    }

    /// What answered, or did not, is not who is meant: of a server's addresses the next may be.
    pub(super) fn turn_elsewhere(&mut self) {
        self.first = self.first.wrapping_add(1);
    }

    async fn ask_once(&mut self) -> io::Result<Vec<u8>> {
        let found = self.place.found();
        let stream = self.reach(&found).await?;
        let host = host(&found);
        if found.guard != Guard::Protected {
            return request(stream, &host, &self.key, None).await;
        }
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => self.tls.insert(tls_config_for_anyone().map_err(io::Error::other)?).clone(),
        };
        let name = ServerName::from(stream.peer_addr()?.ip());
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let pin = certificate.and_then(|certificate| pin_of(certificate).ok());
        let pin = pin.ok_or_else(|| io::Error::other("its certificate has no key that can be read"))?;
        // Whoever it is: what it is shown is of no use elsewhere, and what it answers is signed.
        request(stream, &host, &self.key, Some(pin)).await
    }

    /// By the address that has proven itself or is the likeliest, else by the others.
    async fn reach(&mut self, found: &Found) -> io::Result<TcpStream> {
        let mut addresses: Vec<_> = lookup_host(host(found)).await.map(Iterator::collect).unwrap_or_default();
        for address in found.addresses.iter().map(|ip| SocketAddr::new(*ip, found.port)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let first = self.first % addresses.len().max(1);
        addresses.rotate_left(first);
        if let Some(at) = self.proven.and_then(|proven| addresses.iter().position(|address| *address == proven)) {
            addresses.swap(0, at);
        }
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match timeout(ANSWERED_WITHIN / 3, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.reached = Some(address);
                    return Ok(stream);
                }
                Ok(Err(error)) => problem = error,
                Err(_) => problem = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(problem)
    }
}

/// Host and port of its page.
fn host(found: &Found) -> String {
    let rest = found.url.split_once("://").map_or("", |(_, rest)| rest);
    match Url::parse(&found.url) {
        Ok(url) => format!("{}:{}", url.host_str().unwrap_or_default(), found.port),
        // With an interface, as the resolver takes it.
        Err(_) => rest.to_owned(),
    }
}

async fn request<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    host: &str,
    key: &ClusterKey,
    pin: Option<Pin>,
) -> io::Result<Vec<u8>> {
    let proof = NodeProof::new(key, pin)?;
    let asked =
        format!("GET /api/node HTTP/1.1\r\nhost: {host}\r\nauthorization: {proof}\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = (&mut stream).take((HEAD_BYTES_MAX + ENTRY_BYTES_MAX) as u64).read_to_end(&mut answer).await;
    // A server that ends without the last words of TLS has said all that its head promised, or not.
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => body(&answer).map_err(io::Error::other),
    }
}

/// What an answer holds.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end =
        answer.windows(4).take(HEAD_BYTES_MAX).position(|bytes| bytes == b"\r\n\r\n").ok_or("it answers no HTTP")?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| "it answers no HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).and_then(|rest| rest.get(2..5));
    match status {
        Some("200") => {}
        Some(status) if status.bytes().all(|digit| digit.is_ascii_digit()) => {
            return Err(format!("it answers {status}; has it the same cluster key?"));
        }
        _ => return Err("it answers no HTTP".into()),
    }
    let is_length = |line: &str| {
        line.split_once(':')
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim().to_owned())
    };
    let length = lines
        .find_map(is_length)
        .and_then(|value| value.parse::<usize>().ok())
        .ok_or("it does not say how long its answer is")?;
    let body = &answer[end + 4..];
    if length > ENTRY_BYTES_MAX || body.len() < length {
        return Err(format!("it answers {} bytes, and says that they are {length}", body.len()));
    }
    Ok(body[..length].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_its_head_says_it_is() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nentry").unwrap(), b"entry");
        for (answer, said) in [
            (&b""[..], "no HTTP"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
            (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "401"),
            (b"HTTP/1.1 \xff\xff\r\n\r\n", "no HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\nentry", "how long"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nentry", "5 bytes"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nentry", "5 bytes"),
        ] {
            let error = body(answer).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
