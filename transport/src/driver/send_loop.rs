//! The sending thread: moves what the protocol core wants out, and what the receiver says in.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::sender::{SendError, SenderConfig, SenderShared};
use super::{backend_thread, batch_datagrams};
use crate::backend::{Backend, BackendConfig, BackendKind, ConnectedSocket, ReceiveBatch, SendBatch, wait};
use crate::send::CONTROL_MAX;
use crate::time::Time;
use crate::wire::{SLICE_HEADER_LEN, SliceHeader, train_slices};

/// Datagrams from the receiver that are read at once: credit comes a few times a frame.
const INBOX: usize = 16;
/// Room for the longest of them, a request for slices.
const INBOX_BYTES: usize = 1024;
/// How long the kernel may be out of memory for datagrams before it is asked again.
const NO_BUFFERS_PAUSE: Duration = Duration::from_millis(1);

/// Starts the thread; returns once its backend is open.
pub(super) fn start(
    socket: ConnectedSocket,
    config: &SenderConfig,
    slice_bytes: u16,
    shared: Arc<SenderShared>,
) -> io::Result<(BackendKind, JoinHandle<()>)> {
    let payload_bytes = slice_bytes - SLICE_HEADER_LEN as u16;
    // The format was checked: a frame fits 32 bits.
    let frame_bytes = config.format.frame_bytes() as u32;
    let datagrams = batch_datagrams(frame_bytes, payload_bytes);
    // The send buffer bounds what waits for a slow network card; a frame of it keeps the card busy.
    if let Err(error) = socket.set_send_buffer((frame_bytes as usize).clamp(256 << 10, 8 << 20)) {
        tracing::debug!(%error, "the send buffer stays at the system's default");
    }
    let backend_config = BackendConfig {
        send_trains: config.trains,
        sqpoll: config.sqpoll,
        ..BackendConfig::new(datagrams, usize::from(slice_bytes))
    };
    backend_thread::start("framewire-send", config.backend, socket, backend_config, move |backend| {
        let mut send_loop = SendLoop {
            shared,
            backend,
            batch: SendBatch::new(datagrams, SLICE_HEADER_LEN),
            inbox: ReceiveBatch::new(INBOX, INBOX_BYTES),
            train: train_slices(usize::from(slice_bytes)),
        };
        send_loop.run();
    })
}

struct SendLoop {
    shared: Arc<SenderShared>,
    backend: Box<dyn Backend>,
    batch: SendBatch,
    inbox: ReceiveBatch,
    /// Slices of a whole train.
    train: usize,
}

/// What the loop does next.
enum Next {
    Stop,
    Send,
    /// Nothing to do before this time.
    Sleep(Time),
}

impl SendLoop {
    fn run(&mut self) {
        loop {
            let unreachable = self.receive();
            match self.advance(unreachable) {
                Next::Stop => return,
                Next::Send => self.send(),
                Next::Sleep(until) => {
                    self.sleep(false, until.since(Time::now()));
                    self.shared.asleep.store(false, Ordering::Release);
                }
            }
        }
    }

    /// Reads what the receiver says. True where the system says that nobody is there.
    fn receive(&mut self) -> bool {
        self.inbox.clear();
        self.inbox.post_heads();
        match self.backend.receive(&mut self.inbox) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => is_unreachable(&error),
        }
    }

    /// Runs the protocol: takes in what was read, sends datagrams of fields, and fills the batch.
    fn advance(&mut self, unreachable: bool) -> Next {
        let mut core = self.shared.lock();
        if core.stop {
            return Next::Stop;
        }
        let now = Time::now();
        if let Some(peer) = core.redirect.take() {
            tracing::info!(from = %core.peer, to = %peer, "the receiver has moved");
            match self.backend.redirect(peer) {
                Ok(()) => core.peer = peer,
                Err(error) => tracing::warn!(%peer, %error, "the receiver's new address cannot be reached"),
            }
            core.stream.handle_unreachable(now);
        }
        if unreachable {
            core.stream.handle_unreachable(now);
        }
        for datagram in self.inbox.datagrams() {
            core.stream.handle_datagram(datagram.head, now);
        }
        core.stream.handle_timeout(now);
        let mut bytes = [0; CONTROL_MAX];
        while let Some(len) = core.stream.poll_transmit(now, &mut bytes) {
            // Lost ones are repeated by the protocol; whether somebody is there shows when reading.
            let _ = self.backend.send_one(&bytes[..len]);
        }
        self.batch.clear();
        // Whole trains: none is cut in two by the end of the batch.
        while self.batch.room() >= self.train {
            let room = self.batch.room() - self.batch.room() % self.train;
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            let Some(run) = core.stream.poll_slices(room, now) else { break };
            self.batch.push_slices(
                run.frame,
                run.payload(),
                run.payload_bytes(),
                |nth, head: &mut [u8; SliceHeader::LEN]| {
                    run.header(nth).emit_into(head);
                },
            );
        }
        let next = if self.batch.is_sent() {
            // Under the lock: a frame that comes after this wakes us.
            self.shared.asleep.store(true, Ordering::Release);
            Next::Sleep(core.stream.poll_timeout())
        } else {
            Next::Send
        };
        self.shared.unlock(core);
        next
    }

    fn send(&mut self) {
        while !self.batch.is_sent() {
            let Err(error) = self.backend.send(&mut self.batch) else { continue };
            match error.raw_os_error() {
                _ if error.kind() == io::ErrorKind::WouldBlock => self.sleep(true, Duration::from_millis(100)),
                Some(libc::ENOBUFS | libc::ENOMEM) => std::thread::sleep(NO_BUFFERS_PAUSE),
                _ if is_unreachable(&error) => {
                    // Told once; the protocol decides what that means, and sends these slices again.
                    self.shared.lock().stream.handle_unreachable(Time::now());
                    break;
                }
                Some(libc::EMSGSIZE) => {
                    let path = self.backend.socket().path_datagram_bytes();
                    self.fail(format!(
                        "the path carries datagrams of {path} bytes, and the slices are larger; use --slice {path} or --slice auto"
                    ));
                    break;
                }
                _ => {
                    self.fail(format!("{error}; check the network and the process's permissions"));
                    break;
                }
            }
            if self.shared.lock().stop {
                break;
            }
        }
        self.batch.clear();
    }

    fn sleep(&self, writable: bool, timeout: Duration) {
        if let Err(error) = wait(self.backend.socket().as_fd(), writable, &self.shared.waker, timeout) {
            tracing::error!(%error, "the sending thread cannot wait for its socket");
        }
    }

    fn fail(&self, message: String) {
        let mut core = self.shared.lock();
        let peer = core.peer;
        core.failure = Some(SendError::Failed { peer, message });
        self.shared.unlock(core);
    }
}

/// Whether the system says that nobody is at the far end, for now.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | NetworkDown)
}
