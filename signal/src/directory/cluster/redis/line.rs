//! A connection to Redis: found, protected where it is to be, and read no further than what was asked can answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Place, said};
use crate::client::tls_config;

/// For the way there, and TLS.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);
/// For the password and the database.
const LET_IN_WITHIN: Duration = Duration::from_secs(1);
/// For what one that turns everybody away says at once.
const GREETED_WITHIN: Duration = Duration::from_millis(300);
/// Most bytes that come for one thing that is asked: twice the entries that are asked for at once.
const RATION_BYTES: u64 = 4 << 20;

/// How much may still be read. Who is on the other end decides how long an answer says that it is, and it is gathered before it is looked at.
#[derive(Debug, Clone)]
pub(super) struct Ration(Arc<AtomicU64>);

impl Ration {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(RATION_BYTES)))
    }

    /// For another question, or another message.
    pub(super) fn renew(&self) {
        self.0.store(RATION_BYTES, Ordering::Relaxed);
    }
}

/// Connects, and is let in.
///
/// # Errors
/// Why not, for people, with what to do.
pub(super) async fn connect(place: &Place) -> Result<(MultiplexedConnection, Ration), String> {
    let ration = Ration::new();
    let stream = dial(place, &ration).await?;
    let info = info(place);
    // How long an answer may take depends on what is asked.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let made = timeout(LET_IN_WITHIN, MultiplexedConnection::new_with_config(&info, stream, config)).await;
    let (connection, driver) =
        made.map_err(|_| said::silent(place, LET_IN_WITHIN))?.map_err(|error| said::explain(&error, place))?;
    // It ends with the connection's last handle.
    tokio::spawn(driver);
    Ok((connection, ration))
}

/// What it says without being asked, where it does.
pub(super) async fn greeting(place: &Place) -> Option<String> {
    let mut stream = dial(place, &Ration::new()).await.ok()?;
    let mut said = [0; 512];
    let bytes = timeout(GREETED_WITHIN, stream.read(&mut said)).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&said[..bytes]).into_owned();
    said.starts_with('-').then_some(said)
}

/// Who asks.
pub(super) fn info(place: &Place) -> RedisConnectionInfo {
    // What it is told of the library is no business of an engine's, and a user may be forbidden to say it.
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(place.url.database);
    if let Some(user) = &place.url.user {
        info = info.set_username(user);
    }
    if let Some(password) = &place.config.password {
        info = info.set_password(password.secret());
    }
    info
}

/// The way there: an address after the other.
pub(super) async fn dial(place: &Place, ration: &Ration) -> Result<Rationed, String> {
    let url = &place.url;
    let reached = timeout(CONNECTED_WITHIN, TcpStream::connect((url.host.as_str(), url.port))).await;
    let stream = match reached {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(said::unreachable(place, &error)),
        Err(_) => return Err(said::silent(place, CONNECTED_WITHIN)),
    };
    // Without it small questions wait for each other; with an error they do.
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = if url.has_tls { protect(place, stream).await? } else { Box::new(stream) };
    Ok(Rationed { stream, ration: ration.clone() })
}

async fn protect(place: &Place, stream: TcpStream) -> Result<Box<dyn Stream>, String> {
    let ca = place.config.ca.clone();
    // Files are read.
    let config = spawn_blocking(move || tls_config(None, ca)).await.map_err(|error| error.to_string())??;
    let name = ServerName::try_from(place.url.host.clone());
    let name = name.map_err(|_| format!("{:?} is no name that a certificate could be for", place.url.host))?;
    let protected = timeout(CONNECTED_WITHIN, TlsConnector::from(config).connect(name, stream)).await;
    let protected = protected.map_err(|_| said::silent(place, CONNECTED_WITHIN))?;
    Ok(Box::new(protected.map_err(|error| said::not_protected(place, &error))?))
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A stream that ends with an error where more comes than its ration.
pub(super) struct Rationed {
    stream: Box<dyn Stream>,
    ration: Ration,
}

impl AsyncRead for Rationed {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        let came = (into.filled().len() - before) as u64;
        let left = self.ration.0.load(Ordering::Relaxed);
        if came > left {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "it answers more than it is asked")));
        }
        self.ration.0.store(left - came, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rationed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn nobody_is_read_beyond_what_was_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let ration = Ration::new();
            let mut stream = Rationed { stream: Box::new(near), ration: ration.clone() };
            tokio::spawn(async move {
                // Until the other end is dropped.
                while far.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
            });
            let mut read = 0;
            let mut some = vec![0; 1 << 16];
            let error = loop {
                match stream.read(&mut some).await {
                    Ok(bytes) => read += bytes as u64,
                    Err(error) => break error,
                }
            };
            assert!(read <= RATION_BYTES && read + (1 << 16) > RATION_BYTES, "{read}");
            assert!(error.to_string().contains("more than it is asked"), "{error}");
            ration.renew();
            assert!(stream.read(&mut some).await.is_ok());
        });
    }
}
