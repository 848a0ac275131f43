//! Connections: how many, how long they may dawdle, and the HTTP they speak.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::connection::Connection;

/// How long a request's head may take, and how long a connection may be idle between two.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection may have waiting to be read or written: the head of a request is far smaller.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, which mostly means that the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and serves `app` on them, at most `connections_max` at once: one beyond is closed at once, without
/// a word, since saying one would take what is scarce. A WebSocket counts for as long as it is open. Runs until dropped,
/// and all connections end with it, except those that became WebSockets.
pub(super) async fn serve(listener: TcpListener, app: Router, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("a connection could not be accepted ({error}); is the limit of open files too low?");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!("{connections_max} connections are open; one more was closed");
            continue;
        };
        connections.spawn(serve_connection(stream, place, app.clone()));
    }
}

async fn serve_connection(stream: TcpStream, place: OwnedSemaphorePermit, app: Router) {
    // Feedback is small and shall not wait for the next.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY was not set: {error}");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Connection::new(stream, place)), TowerToHyperService::new(app))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended with an error: {error}");
    }
}
