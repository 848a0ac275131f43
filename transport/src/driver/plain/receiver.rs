//! The receiving end: one sender at a time, and another one once that is silent.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;

use super::BUFFER_BYTES;
use crate::backend::{Backend, BackendConfig, BackendKind, ConnectedSocket, ReceiveBatch, Waker, socket, wait};
use crate::driver::errors::{Remedy, Trouble, remedy};
use crate::driver::receiver::BindError;
use crate::frame::{Consumer, ConsumerPolicy, FrameFormat, FramePool, FrameRing};
use crate::receive::{PlainReassembler, PlainStats};
use crate::setters;
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::DATAGRAM_MAX;
use crate::wire::plain::piece_count;

/// A sender that is silent for this long gives way to another one; the original sends a frame every four seconds.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// What a plain receiver is told when it is made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlainReceiverConfig {
    /// The format of every frame; the wire does not say it.
    pub format: FrameFormat,
    /// Slots of the pool, 1 to 64, 4 by default: one being assembled, the others with consumers.
    pub slots: usize,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
    /// How the receiver's own consumer treats frames that wait; [`ConsumerPolicy::Block`] by default.
    pub policy: ConsumerPolicy,
}

impl PlainReceiverConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self { format, slots: 4, backend: BackendKind::Auto, policy: ConsumerPolicy::Block }
    }

    setters! {
        format: FrameFormat,
        slots: usize,
        backend: BackendKind,
        policy: ConsumerPolicy,
    }
}

/// Receives frames as the server of the system that Framewire began as does ([`PlainSender`](crate::PlainSender) is the other end), from one sender at a time: another one is heard once the first has been
/// silent for 8 seconds.
pub struct PlainReceiver {
    shared: Arc<PlainShared>,
    local: SocketAddr,
    consumer: Consumer,
    thread: Option<JoinHandle<()>>,
}

struct PlainShared {
    waker: Waker,
    stop: AtomicBool,
    stats: Mutex<PlainStats>,
}

impl PlainReceiver {
    /// Listens on a UDP address. `on_datagram` is called, on the receiving thread, with the length of each datagram: the
    /// original's acknowledgement is one event a datagram.
    ///
    /// # Errors
    /// The port is in use, the address is not this machine's, or there is no memory or thread left.
    pub fn bind(
        address: SocketAddr,
        config: &PlainReceiverConfig,
        on_datagram: impl FnMut(usize) + Send + 'static,
    ) -> Result<Self, BindError> {
        if config.format.is_variable() {
            return Err(BindError::LengthsDiffer(config.format));
        }
        let listening = socket::bind_fixed_port(address).map_err(|source| BindError::from_bind(address, source))?;
        let local = socket::local_address(&listening).map_err(|source| BindError::Address { address, source })?;
        // Before anybody is told the address: a sender that nothing holds back may send a whole frame at once.
        let granted = socket::set_receive_buffer(&listening, BUFFER_BYTES).map_err(BindError::System)?;
        if granted < BUFFER_BYTES {
            tracing::warn!(
                "the system grants a receive buffer of {granted} bytes instead of {BUFFER_BYTES}; this wire has no credit, so a burst \
                 beyond it is lost. To lift it: sysctl -w net.core.rmem_max={BUFFER_BYTES}"
            );
        }
        let frame_bytes = config.format.frame_bytes();
        let pool =
            FramePool::new(config.slots, PlainReassembler::slot_bytes(frame_bytes))?.with_format(config.format, 0);
        let reassembler = PlainReassembler::new(frame_bytes, pool)?;
        let shared = Arc::new(PlainShared {
            waker: Waker::new().map_err(BindError::System)?,
            stop: AtomicBool::new(false),
            stats: Mutex::default(),
        });
        let ring = FrameRing::new();
        let consumer = ring.subscribe(config.policy);
        let receive = PlainLoop {
            socket: listening,
            kind: config.backend,
            batch: ReceiveBatch::new(piece_count(frame_bytes), 0),
            offsets: Vec::with_capacity(piece_count(frame_bytes)),
            reassembler,
            ring,
            shared: shared.clone(),
            on_datagram,
            trouble: Trouble::default(),
        };
        let thread = std::thread::Builder::new()
            .name("framewire-plain".into())
            .spawn(move || receive.run())
            .map_err(BindError::System)?;
        Ok(Self { shared, local, consumer, thread: Some(thread) })
    }

    /// The address listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The frames.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// What has happened so far.
    pub fn stats(&self) -> PlainStats {
        *unpoisoned(self.shared.stats.lock())
    }

    /// Stops receiving; the consumer takes what is waiting, and then learns of the end.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake();
    }
}

impl Drop for PlainReceiver {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the receiving thread panicked");
        }
    }
}

struct PlainLoop<F> {
    socket: Socket,
    kind: BackendKind,
    batch: ReceiveBatch,
    offsets: Vec<usize>,
    reassembler: PlainReassembler,
    ring: FrameRing,
    shared: Arc<PlainShared>,
    on_datagram: F,
    trouble: Trouble,
}

impl<F: FnMut(usize)> PlainLoop<F> {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let served = self.next_peer().and_then(|peer| peer.map_or(Ok(()), |peer| self.serve(peer)));
            let Err(error) = served else { continue };
            if remedy(&error) == Remedy::Fatal {
                tracing::error!(%error, "the plain receiver cannot go on; make a new one");
                break;
            }
            if let Some(times) = self.trouble.tell(Time::now()) {
                tracing::warn!(%error, times, "the plain receiver's socket fails at present; it is tried again");
            }
            self.shared.waker.sleep(self.trouble.pause());
        }
        self.ring.end();
    }

    /// Whom the next datagram is from; the datagram stays in the socket.
    fn next_peer(&self) -> io::Result<Option<SocketAddr>> {
        wait(self.socket.as_fd(), false, &self.shared.waker, Duration::from_secs(1), Duration::ZERO)?;
        match self.socket.peek_sender() {
            Ok(peer) => Ok(peer.as_socket()),
            Err(error) if matches!(remedy(&error), Remedy::Wait | Remedy::Ask) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hears one sender until it is silent.
    fn serve(&mut self, peer: SocketAddr) -> io::Result<()> {
        let connected = match ConnectedSocket::on_listener(&self.socket, peer) {
            Ok(connected) => connected,
            Err(error) => {
                tracing::warn!(%peer, %error, "a datagram came from where none can be sent to; it is dropped");
                self.socket.recv(&mut [std::mem::MaybeUninit::uninit()])?;
                return Ok(());
            }
        };
        let mut backend = self.kind.open(connected, &BackendConfig::new(self.offsets.capacity(), DATAGRAM_MAX));
        tracing::info!(%peer, backend = %backend.kind(), "plain sender");
        let heard = self.hear(backend.as_mut());
        tracing::info!(%peer, "plain sender is silent; another one may come");
        self.reassembler.reset();
        // Also where it has failed: nobody else would ever be heard.
        heard.and(socket::hear_everybody(&self.socket))
    }

    fn hear(&mut self, backend: &mut dyn Backend) -> io::Result<()> {
        let mut heard = Time::now();
        while !self.shared.stop.load(Ordering::Acquire) {
            let received = self.receive(backend)?;
            let now = Time::now();
            if received > 0 {
                heard = now;
                continue;
            }
            let left = (heard + SILENCE_MAX).since(now);
            if left.is_zero() {
                break;
            }
            wait(backend.socket().as_fd(), false, &self.shared.waker, left, Duration::ZERO)?;
        }
        Ok(())
    }

    fn receive(&mut self, backend: &mut dyn Backend) -> io::Result<usize> {
        self.batch.clear();
        self.offsets.clear();
        for (arrival, range) in self.reassembler.landings() {
            let offset = range.start;
            self.batch.post(arrival, range).map_err(io::Error::other)?;
            self.offsets.push(offset);
        }
        let received = backend.receive(&mut self.batch);
        self.batch.release();
        let received = match received {
            Ok(received) => received,
            Err(error) if matches!(remedy(&error), Remedy::Wait | Remedy::Ask) => 0,
            Err(error) => return Err(error),
        };
        self.trouble.end();
        let now = Time::now();
        for datagram in self.batch.datagrams() {
            (self.on_datagram)(datagram.len);
            let frame = self.reassembler.handle_piece(self.offsets[datagram.index], datagram.len, now);
            *unpoisoned(self.shared.stats.lock()) = *self.reassembler.stats();
            if let Some(frame) = frame {
                self.ring.publish(&frame);
            }
        }
        Ok(received)
    }
}
