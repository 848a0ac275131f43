//! Threads that own a backend: some backends cannot leave the thread that opened them.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use super::threads::{Cpus, stay_on};
use crate::backend::{Backend, BackendConfig, BackendKind, ConnectedSocket};

/// Makes a backend anew, of the same kind and on the same socket, for slices of another size. To be called on its thread.
pub(super) fn reopen(backend: &mut Box<dyn Backend>, config: &BackendConfig) {
    match backend.socket().try_clone() {
        Ok(socket) => replace(backend, socket, config),
        // Slices still come and go; only fewer of them together.
        Err(error) => tracing::warn!(%error, "a stream goes on with a backend for larger slices"),
    }
}

/// Goes on with another socket. To be called on the backend's thread.
pub(super) fn replace(backend: &mut Box<dyn Backend>, socket: ConnectedSocket, config: &BackendConfig) {
    *backend = backend.kind().open(socket, config);
}

/// Starts a thread that opens a backend and works with it. Returns once the backend is open, with its kind, which may be
/// another one than asked for.
pub(super) fn start(
    name: &str,
    kind: BackendKind,
    socket: ConnectedSocket,
    config: BackendConfig,
    cpus: Option<Cpus>,
    work: impl FnOnce(Box<dyn Backend>) + Send + 'static,
) -> io::Result<(BackendKind, JoinHandle<()>)> {
    let (opened, opening) = mpsc::sync_channel(1);
    let thread = Builder::new().name(name.into()).spawn(move || {
        stay_on(cpus.as_ref());
        let backend = kind.open(socket, &config);
        // Whoever started the thread waits for this.
        let _ = opened.send(backend.kind());
        work(backend);
    })?;
    match opening.recv() {
        Ok(kind) => Ok((kind, thread)),
        Err(_) => Err(io::Error::other("the thread panicked while it opened its socket's backend")),
    }
}
