//! The first bytes of a connection to a server that speaks TLS: who is let in, and at what cost.
//!
//! A handshake is bounded in time and in what its client may send, so that one that is begun and not ended holds its seat for five seconds and
//! a few kilobytes, whatever comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::identity::Identity;

/// How long TLS may take to begin and to be agreed on.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a client may send until TLS is agreed on: several times what any does, of which a certificate is none.
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// The content type of a handshake's records (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What the first byte of a connection says that it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// A record of TLS.
    Tls,
    /// A request of HTTP, or what looks like one.
    Http,
    /// Nothing that is known here.
    Unknown,
}

impl Speech {
    pub(crate) fn of(first: u8) -> Self {
        match first {
            TLS_HANDSHAKE => Self::Tls,
            // Methods are written so.
            b'A'..=b'Z' => Self::Http,
            _ => Self::Unknown,
        }
    }
}

/// A connection that may be talked over.
pub(super) enum Entered<S> {
    Protected(Box<TlsStream<Opening<S>>>),
    /// It speaks HTTP without TLS.
    Plain(Opening<S>),
}

/// Lets a connection in that speaks TLS within [`HANDSHAKE_TIMEOUT`].
///
/// # Errors
/// It does not, for whatever reason.
pub(super) async fn enter<S>(mut stream: S, config: Arc<ServerConfig>) -> io::Result<Entered<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let entering = async {
        let first = stream.read_u8().await?;
        let mut stream = Opening { stream, first: Some(first), bytes_left: None };
        match Speech::of(first) {
            Speech::Unknown => Err(io::Error::new(io::ErrorKind::InvalidData, "it begins with neither TLS nor HTTP")),
            Speech::Http => Ok(Entered::Plain(stream)),
            Speech::Tls => {
                stream.bytes_left = Some(HANDSHAKE_BYTES_MAX);
                let mut stream = TlsAcceptor::from(config).accept(stream).await?;
                stream.get_mut().0.bytes_left = None;
                Ok(Entered::Protected(Box::new(stream)))
            }
        }
    };
    timeout(HANDSHAKE_TIMEOUT, entering).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("TLS was not agreed on within {HANDSHAKE_TIMEOUT:?}")))
    })
}

/// What comes of a connection whose client sends these bytes, and then nothing: for fuzzers.
///
/// # Errors
/// It is not let in.
pub fn outcome_at_the_front(bytes: &[u8], identity: &Identity) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let config = identity.current(std::time::Instant::now()).config.clone();
    runtime.block_on(enter(tokio::io::join(bytes, tokio::io::sink()), config)).map(|_| ())
}

/// A connection whose first byte has been looked at, and of which so much more is read until TLS is agreed on.
pub(super) struct Opening<S> {
    stream: S,
    first: Option<u8>,
    /// `None` once it is.
    bytes_left: Option<usize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(first) = self.first.take() {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let Some(left) = self.bytes_left else { return Pin::new(&mut self.stream).poll_read(context, buffer) };
        if left == 0 {
            let message = format!("its handshake has more than {HANDSHAKE_BYTES_MAX} bytes");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        let mut some = ReadBuf::new(buffer.initialize_unfilled_to(left.min(buffer.remaining())));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut some))?;
        let read = some.filled().len();
        buffer.advance(read);
        self.bytes_left = Some(left - read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
