//! The sending thread: moves what the protocol core wants out, and what the receiver says in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::backend_thread::{self, reopen};
use super::batch_datagrams;
use super::sender::{SendError, SenderConfig, SenderShared};
use super::threads::ThreadConfig;
use crate::backend::{
    Backend, BackendConfig, BackendKind, ConnectedSocket, ReceiveBatch, SendBatch, headers_bytes, wait,
};
use crate::send::CONTROL_MAX;
use crate::time::Time;
use crate::wire::{SLICE_HEADER_LEN, train_slices};

/// Datagrams from the receiver that are read at once: credit comes a few times a frame.
const INBOX: usize = 16;
/// Room for the longest of them, a request for slices.
const INBOX_BYTES: usize = 1024;
/// Less is not worth asking for.
const SEND_BUFFER_MIN: usize = 256 << 10;
/// The largest send buffer that a stream asks for, bytes: 8 MiB, a 4K frame.
pub const SEND_BUFFER_MAX: usize = 8 << 20;
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
    if let Err(error) = socket.set_send_buffer((frame_bytes as usize).clamp(SEND_BUFFER_MIN, SEND_BUFFER_MAX)) {
        tracing::debug!(%error, "the send buffer stays at the system's default");
    }
    let backend_config = BackendConfig {
        send_trains: config.trains,
        sqpoll: config.sqpoll,
        ..BackendConfig::new(datagrams, usize::from(slice_bytes))
    };
    let ThreadConfig { busy_poll, cpus } = config.threads.clone();
    backend_thread::start("framewire-send", config.backend, socket, backend_config, cpus, move |backend| {
        let mut send_loop = SendLoop {
            shared,
            backend,
            backend_config,
            frame_bytes,
            busy_poll,
            batch: SendBatch::new(datagrams, SLICE_HEADER_LEN),
            inbox: ReceiveBatch::new(INBOX, INBOX_BYTES),
            control: vec![0; CONTROL_MAX].into_boxed_slice(),
        };
        send_loop.run();
    })
}

struct SendLoop {
    shared: Arc<SenderShared>,
    backend: Box<dyn Backend>,
    backend_config: BackendConfig,
    frame_bytes: u32,
    busy_poll: Duration,
    batch: SendBatch,
    inbox: ReceiveBatch,
    /// Where datagrams of fields are written.
    control: Box<[u8]>,
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
            let heard = self.receive();
            match self.advance(heard.err()) {
                Next::Stop => return,
                Next::Send => self.send(),
                Next::Sleep(until) => {
                    self.sleep(false, until.since(Time::now()));
                    self.shared.asleep.store(false, Ordering::Release);
                }
            }
        }
    }

    /// Reads what the receiver says.
    ///
    /// # Errors
    /// What the system says of datagrams that were sent before.
    fn receive(&mut self) -> io::Result<()> {
        self.inbox.clear();
        self.inbox.post_heads();
        match self.backend.receive(&mut self.inbox) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs the protocol: takes in what was read, sends datagrams of fields, and fills the batch.
    fn advance(&mut self, error: Option<io::Error>) -> Next {
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
            // At most 48.
            let headers_bytes = headers_bytes(core.peer) as u16;
            core.stream.handle_redirect(headers_bytes, now);
        }
        match error {
            Some(error) if is_unreachable(&error) => core.stream.handle_unreachable(now),
            Some(error) if is_too_large(&error) => core.stream.handle_too_large(self.path_bytes(), now),
            _ => {}
        }
        for datagram in self.inbox.datagrams() {
            core.stream.handle_datagram(datagram.head, now);
        }
        core.stream.handle_timeout(now);
        while let Some(len) = core.stream.poll_transmit(now, &mut self.control) {
            // Lost ones are repeated by the protocol; whether somebody is there shows when reading.
            match self.backend.send_one(&self.control[..len]) {
                Ok(()) => {}
                Err(error) if is_too_large(&error) => core.stream.handle_too_large(self.path_bytes(), now),
                Err(_) => core.stream.handle_not_sent(),
            }
        }
        if core.stream.is_blocked() && core.failure.is_none() {
            core.failure = Some(self.too_narrow(core.peer));
        }
        self.batch.clear();
        let slice_bytes = core.stream.slice_bytes();
        if usize::from(slice_bytes) != self.backend_config.slice_bytes {
            self.shared.unlock(core);
            self.fit_slices(slice_bytes);
            return Next::Send;
        }
        // Whole trains: none is cut in two by the end of the batch.
        let train = train_slices(self.backend_config.slice_bytes);
        while self.batch.room() >= train {
            let room = self.batch.room() - self.batch.room() % train;
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            let Some(run) = core.stream.poll_slices(room, now) else { break };
            let pushed = self.batch.push_slices(
                run.frame,
                run.payload(),
                run.payload_bytes(),
                |nth, head: &mut [u8; SLICE_HEADER_LEN]| run.emit_header(nth, head),
            );
            if let Err(error) = pushed {
                // Asked for again by the receiver, like what the network loses.
                tracing::error!(%error, "slices were not sent");
            }
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
                _ if is_too_large(&error) => {
                    self.shared.lock().stream.handle_too_large(self.path_bytes(), Time::now());
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

    /// Slices are smaller from now on: has them leave in batches of their size, and in trains where they are so small.
    fn fit_slices(&mut self, slice_bytes: u16) {
        let before = self.backend_config.slice_bytes;
        tracing::info!(
            "the path to {} does not carry slices of {before} bytes; they have {slice_bytes} from now on",
            self.backend.socket().peer()
        );
        let datagrams = batch_datagrams(self.frame_bytes, slice_bytes - SLICE_HEADER_LEN as u16);
        self.backend_config.datagrams_max = datagrams;
        self.backend_config.slice_bytes = usize::from(slice_bytes);
        self.batch = SendBatch::new(datagrams, SLICE_HEADER_LEN);
        reopen(&mut self.backend, &self.backend_config);
    }

    /// What the system knows the path to carry.
    fn path_bytes(&self) -> Option<usize> {
        self.backend.socket().known_path_datagram_bytes()
    }

    fn too_narrow(&self, peer: SocketAddr) -> SendError {
        let slices = self.backend_config.slice_bytes;
        let path = self.backend.socket().path_datagram_bytes();
        let message = if path < slices {
            format!(
                "slices have {slices} bytes, and the path carries datagrams of {path}; use --slice {path} or --slice auto"
            )
        } else {
            format!(
                "slices have {slices} bytes, and the path drops datagrams of that size without a word; use a smaller --slice, or --slice auto"
            )
        };
        SendError::Failed { peer, message }
    }

    fn sleep(&self, writable: bool, timeout: Duration) {
        if let Err(error) = wait(self.backend.socket().as_fd(), writable, &self.shared.waker, timeout, self.busy_poll) {
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

/// Whether the system says that the path does not carry so large a datagram.
fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Whether the system says that nobody is at the far end, for now.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | NetworkDown)
}
