//! Makes the connection to a node: a WebSocket on which it is asked for pictures.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Uri, header};
use framewire_signal::directory::{ClusterKey, NodeProof};
use framewire_signal::tls_config;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use super::PeerAddress;

/// A node of the same network answers within milliseconds; what takes longer is as good as gone, and is asked again.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer.
const MESSAGE_BYTES_MAX: usize = crate::pictures::ANSWER_BYTES_MAX;

/// In TLS or not.
type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;
pub(super) type Connection = WebSocketStream<Wire>;

/// Connects to a node.
///
/// # Errors
/// Why not, for people.
pub(super) async fn call(address: &PeerAddress, key: Option<&ClusterKey>) -> Result<Connection, String> {
    match timeout(PATIENCE, connect(address, key)).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("{} does not answer within {} s", address.url, PATIENCE.as_secs())),
    }
}

async fn connect(address: &PeerAddress, key: Option<&ClusterKey>) -> Result<Connection, String> {
    let url = &address.url;
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no address of a server ({error})"))?;
    let (is_https, default_port) = match uri.scheme_str() {
        Some("https") => (true, 443),
        Some("http") => (false, 80),
        _ => return Err(format!("{url:?} is no address of a server; it begins with neither http:// nor https://")),
    };
    let authority = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(default_port);
    let unreachable = |error: io::Error| format!("{url} cannot be reached ({error}); is that server running?");
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let (stream, scheme) =
        if is_https { (protected(stream, host, address).await?, "wss") } else { (Wire::Left(stream), "ws") };
    let path = uri.path().trim_end_matches('/');
    let failed = |error: Error| explain(url, &error);
    let mut request = format!("{scheme}://{authority}{path}/api/pictures").into_client_request().map_err(failed)?;
    if let Some(key) = key {
        // Said to this server alone: the token that it is made of never leaves this one.
        let proof = NodeProof::new(key, address.pin.filter(|_| is_https));
        let proof = proof.map_err(|error| format!("no random numbers for a proof: {error}"))?;
        let mut value = HeaderValue::try_from(proof.to_string()).expect("hexadecimal digits fit a header");
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let (stream, _) = client_async_with_config(request, stream, Some(config)).await.map_err(failed)?;
    Ok(stream)
}

/// TLS with the node of this key, and with no other.
async fn protected(stream: TcpStream, host: String, address: &PeerAddress) -> Result<Wire, String> {
    let url = &address.url;
    let pin = address.pin.ok_or_else(|| format!("{url} says no key by which it would be known"))?;
    let name = ServerName::try_from(host).map_err(|_| format!("{url} has a host that no certificate could be for"))?;
    let config = tls_config(Some(pin), None).map_err(|error| format!("no TLS with {url}: {error}"))?;
    let connected = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await;
    connected.map(|stream| Wire::Right(Box::new(stream))).map_err(|error| {
        format!(
            "{url} is not the node that is meant, as far as can be told ({error}); its next entry may say another key"
        )
    })
}

fn explain(url: &str, error: &Error) -> String {
    match error {
        Error::Http(answer) if answer.status().as_u16() == 401 => {
            format!("{url} takes this server for none of its cluster; give all nodes the same --cluster-key-file")
        }
        Error::Http(answer) => format!("{url} answers with status {}; its log says why", answer.status().as_u16()),
        error => format!("{url} speaks otherwise than a server of this release ({error})"),
    }
}
