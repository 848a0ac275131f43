//! Threads that own a backend: some backends cannot leave the thread that opened them.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use super::threads::{Cpus, stay_on};
use crate::backend::{Backend, BackendConfig, BackendKind, ConnectedSocket};

/// A backend of the same kind on the same socket, made for something else. To be called on the thread that will use it.
pub(super) fn reopen(backend: &dyn Backend, config: &BackendConfig) -> io::Result<Box<dyn Backend>> {
    Ok(backend.kind().open(backend.socket().try_clone()?, config))
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
