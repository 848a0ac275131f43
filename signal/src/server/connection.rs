//! One TCP connection: it holds a place, and it ends when its peer takes nothing for too long, or when it is cut.
//!
//! The Socket.IO library's writer waits for as long as a socket takes nothing, and until it is done the library neither
//! forgets the client nor says that it is gone: a peer that is alive and does not read would keep its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

/// How long a write may find no room. A client that reads at all makes room much sooner.
pub(super) const STALL_MAX: Duration = Duration::from_secs(5);

/// A stream whose writes fail, then and ever after, once one has waited for [`STALL_MAX`].
pub(super) struct Connection<S, P> {
    stream: S,
    /// Given back when the stream is closed, also when it has long become a WebSocket.
    _place: P,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    is_given_up: bool,
    /// Whoever holds the other end may cut it.
    cut: Option<oneshot::Receiver<()>>,
}

impl<S, P> Connection<S, P> {
    pub(super) fn new(stream: S, place: P, cut: Option<oneshot::Receiver<()>>) -> Self {
        Self { stream, _place: place, stall: None, is_given_up: false, cut }
    }

    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        let Some(cut) = &mut self.cut else { return false };
        match Pin::new(cut).poll(context) {
            Poll::Pending => false,
            Poll::Ready(said) => {
                self.cut = None;
                self.is_given_up |= said.is_ok();
                said.is_ok()
            }
        }
    }

    fn bound<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        ready!(stall.as_mut().poll(context));
        self.is_given_up = true;
        Poll::Ready(Err(given_up()))
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the client took nothing for {STALL_MAX:?}, or was not let in"))
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Connection<S, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_given_up || self.is_cut(context) {
            return Poll::Ready(Err(given_up()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Connection<S, P> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_given_up {
            return Poll::Ready(Err(given_up()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_given_up {
            return Poll::Ready(Err(given_up()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bound(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_given_up {
            return Poll::Ready(Err(given_up()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, advance};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up_and_its_place_is_free() {
        let place = Arc::new(());
        let (near, _far) = duplex(8);
        let mut connection = Connection::new(near, place.clone(), None);
        let begun = Instant::now();
        let error = connection.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, STALL_MAX));
        connection.write_all(&[0]).await.unwrap_err();
        drop(connection);
        assert_eq!(Arc::strong_count(&place), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_waited_for_each_time_anew() {
        let (near, mut far) = duplex(8);
        let mut connection = Connection::new(near, (), None);
        let reader = async {
            let mut bytes = [0; 8];
            for _ in 0..8 {
                advance(STALL_MAX - Duration::from_millis(1)).await;
                far.read_exact(&mut bytes).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(connection.write_all(&[0; 64]), reader);
        written.unwrap();
    }
}
