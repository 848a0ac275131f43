//! Connections: how many, how long they may dawdle, and the HTTP they speak.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::Connection;
use super::front::{self, Entered};
use super::identity::Identity;
use super::redirect::Redirect;
use super::seats::{Seats, Taken, UnderWay};
use super::trouble::Trouble;
use crate::limit;

/// How long a request's head may take, and how long a connection may be idle between two.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection may have waiting to be read or written: the head of a request is far smaller.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, which mostly means that the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and serves `app` on them, as long as `seats` has one for each: one beyond is closed at once, without
/// a word, since saying one would take what is scarce. A WebSocket counts for as long as it is open. Runs until dropped,
/// and all connections end with it, except those that became WebSockets.
pub(super) async fn serve(listeners: Vec<TcpListener>, app: Router, seats: Arc<Seats>, tls: Option<Arc<Tls>>) {
    let app = TowerToHyperService::new(app);
    let (mut connections, mut trouble) = (JoinSet::new(), Trouble::default());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listeners) => match accepted {
                Ok(accepted) => {
                    if trouble.passed() {
                        tracing::warn!("connections are accepted again");
                    }
                    accepted
                }
                Err(error) => {
                    if let Some(times) = trouble.failed(Instant::now()) {
                        let remedy = limit::remedy(&error).unwrap_or("they wait until it passes");
                        tracing::warn!(times, "connections cannot be accepted ({error}); {remedy}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        // One that is gone already has no address.
        let Ok(local) = stream.local_addr() else { continue };
        match seats.take(peer, local) {
            Ok(seat) => drop(connections.spawn(serve_connection(stream, seat, app.clone(), tls.clone()))),
            Err(full) => tracing::debug!("a connection of {peer} was closed: {full}"),
        }
    }
}

/// The next connection of any of these.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        listeners.iter().map(|listener| listener.poll_accept(context)).find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// What a server that speaks TLS does with connections before it hears a request.
pub(super) struct Tls {
    pub(super) identity: Identity,
    pub(super) redirect: Redirect,
    /// Connections that spoke no TLS, or not to its end.
    pub(super) failed: AtomicU64,
}

async fn serve_connection(stream: TcpStream, seat: Taken, app: TowerToHyperService<Router>, tls: Option<Arc<Tls>>) {
    // Feedback is small and shall not wait for the next.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY was not set: {error}");
    }
    let seat = Arc::new(seat);
    let stream = Connection::new(stream, seat.clone(), seat.take_cut());
    let Some(tls) = tls else { return converse(stream, seat, app).await };
    let loaded = tls.identity.current(std::time::Instant::now());
    let entered = tokio::select! {
        entered = front::enter(stream, loaded.config.clone()) => entered,
        () = seat.left() => return,
    };
    match entered {
        Ok(Entered::Protected(stream)) => {
            seat.connected().protect(loaded.pin);
            converse(stream, seat, app).await;
        }
        Ok(Entered::Plain(stream)) => redirect(stream, &seat, &tls.redirect).await,
        Err(error) => {
            tls.failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("a connection of {} spoke no TLS: {error}", seat.connected().peer());
        }
    }
}

/// HTTP, and what it becomes.
async fn converse<S>(stream: S, seat: Arc<Taken>, app: TowerToHyperService<Router>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connected, sitting) = (seat.connected(), seat.clone());
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connected.clone());
        let (under_way, answer) = (sitting.begin_request(), app.call(request));
        async move { answer.await.map(|response| watched(response, under_way)) }
    });
    let served = http1().serve_connection(TokioIo::new(stream), answer).with_upgrades();
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!("a connection ended with an error: {error}");
        },
        () = seat.left() => {}
    }
}

/// One answer, to who speaks HTTP without TLS.
async fn redirect<S>(stream: S, seat: &Taken, redirect: &Redirect)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(redirect.answer(&request)));
    let served = http1().keep_alive(false).serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!("a connection without TLS ended with an error: {error}");
        },
        () = seat.left() => {}
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(BUFFER_BYTES_MAX);
    builder
}

/// An answer during which its connection is in use, or after which it is for good.
fn watched(response: Response, under_way: UnderWay) -> Response {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        under_way.stays();
        return response;
    }
    response.map(|body| Body::new(Watched { body, _under_way: under_way }))
}

struct Watched {
    body: Body,
    _under_way: UnderWay,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
