//! Which backend a socket gets: the one asked for, where the system lets it.

use super::{Backend, BackendConfig, BackendKind, ConnectedSocket, StdBackend};

#[cfg(target_os = "linux")]
pub(super) use on_linux::open;

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_kind: BackendKind, socket: ConnectedSocket, _config: &BackendConfig) -> Box<dyn Backend> {
    Box::new(StdBackend::new(socket))
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::sync::Once;

    use super::{Backend, BackendConfig, BackendKind, ConnectedSocket, StdBackend};
    use crate::backend::MmsgBackend;

    pub(in crate::backend) fn open(
        kind: BackendKind,
        socket: ConnectedSocket,
        config: &BackendConfig,
    ) -> Box<dyn Backend> {
        static SAID: Once = Once::new();
        if config.sqpoll && kind != BackendKind::Uring {
            SAID.call_once(|| {
                tracing::warn!("no thread of the kernel polls for backend {kind}; only uring can have one")
            });
        }
        match kind {
            BackendKind::Auto => open_fastest(socket, config),
            BackendKind::Std => Box::new(StdBackend::new(socket)),
            BackendKind::Mmsg => open_mmsg(socket, config),
            BackendKind::Uring => open_uring(socket, config),
        }
    }

    fn open_fastest(socket: ConnectedSocket, config: &BackendConfig) -> Box<dyn Backend> {
        static SAID: Once = Once::new();
        let backend = open_mmsg(socket, config);
        if backend.kind() == BackendKind::Mmsg {
            SAID.call_once(|| {
                tracing::info!(
                    "backend mmsg: a system call a batch; an io_uring is no faster and takes longer to set up"
                );
            });
        }
        backend
    }

    fn open_mmsg(socket: ConnectedSocket, config: &BackendConfig) -> Box<dyn Backend> {
        static SAID: Once = Once::new();
        match MmsgBackend::check(&socket) {
            Ok(()) => Box::new(MmsgBackend::new(socket, config)),
            Err(error) => {
                SAID.call_once(|| {
                    tracing::warn!(
                        "the process may not send or receive batches ({error}); std takes the place of mmsg, with a system call a \
                         datagram. To allow it, add sendmmsg and recvmmsg to the seccomp profile"
                    );
                });
                Box::new(StdBackend::new(socket))
            }
        }
    }

    #[cfg(feature = "uring")]
    fn open_uring(socket: ConnectedSocket, config: &BackendConfig) -> Box<dyn Backend> {
        static SAID: Once = Once::new();
        match crate::backend::UringBackend::new(socket, config) {
            Ok(backend) => Box::new(backend),
            Err((socket, error)) => {
                SAID.call_once(|| tracing::warn!("mmsg takes the place of uring: {error}"));
                open_mmsg(socket, config)
            }
        }
    }

    #[cfg(not(feature = "uring"))]
    fn open_uring(socket: ConnectedSocket, config: &BackendConfig) -> Box<dyn Backend> {
        static SAID: Once = Once::new();
        SAID.call_once(|| tracing::warn!("mmsg takes the place of uring, which this program was built without"));
        open_mmsg(socket, config)
    }
}
