//! Where descriptors go that nobody wants: to close one can take as long as whoever passed it likes (a socket that lingers over what it has
//! not sent), and the hub's thread waits for nobody.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

/// Descriptors that wait to be closed, at most. Beyond them nobody has any more than the process may have open.
const WAITING_MAX: usize = 512;

/// Closes descriptors on a thread whose only job that is. It is there once there is one to close, and ends with this.
#[derive(Debug, Default)]
pub(super) struct Discard {
    to_close: Option<SyncSender<OwnedFd>>,
}

impl Discard {
    /// Has it closed; here, where the system has no thread for that, or hundreds wait already.
    pub(super) fn discard(&mut self, descriptor: OwnedFd) {
        if self.to_close.is_none() {
            self.to_close = begin();
        }
        let Some(to_close) = &self.to_close else { return };
        if let Err(TrySendError::Full(descriptor) | TrySendError::Disconnected(descriptor)) =
            to_close.try_send(descriptor)
        {
            drop(descriptor);
        }
    }
}

fn begin() -> Option<SyncSender<OwnedFd>> {
    let (to_close, closes) = sync_channel(WAITING_MAX);
    let thread = Builder::new().name("framewire-close".into()).spawn(move || closes.into_iter().for_each(drop));
    thread.map(|_| to_close).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_descriptor_that_takes_seconds_to_close_keeps_only_the_thread_that_closes() {
        // Nobody reads what is sent, and closing lingers over it.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (held, _) = listener.accept().unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::from_secs(20))).unwrap();
        stream.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut &stream, &[0; 65_536]).is_ok() {}
        stream.set_nonblocking(false).unwrap();
        let begun = Instant::now();
        let mut discard = Discard::default();
        discard.discard(stream.into());
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        discard.discard(writer);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "closing was waited for: {took:?}");
        // Once the other end is gone, nothing lingers, and what waited behind it is closed.
        drop(held);
        assert_eq!(rustix::io::read(&reader, &mut [0]), Ok(0));
    }
}
