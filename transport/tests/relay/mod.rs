//! A relay between real senders and receivers: it drops what is too long, keeps what it is told to keep, and can speak to the receiver from another port, as a
//! router does that has forgotten a connection.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::Scope;
use std::time::{Duration, Instant};

use framewire_transport::wire::{Kind, Prelude};
use framewire_transport::{Receiver, ReceiverConfig, Sender, SenderConfig};

/// Passes datagrams on, and drops those towards the receiver that are longer than `limit`.
pub(crate) struct Relay {
    receiver: SocketAddr,
    front: UdpSocket,
    back: Mutex<Arc<UdpSocket>>,
    sender: Mutex<Option<SocketAddr>>,
    pub(crate) limit: AtomicUsize,
    /// How long it keeps each datagram, either way, microseconds.
    pub(crate) delay_us: AtomicU64,
    /// So many answers to a close are still to be lost.
    pub(crate) closed_lost: AtomicUsize,
    done: AtomicBool,
}

impl Relay {
    fn new(receiver: SocketAddr, limit: usize) -> Self {
        let (front, back) = (socket(), Mutex::new(Arc::new(towards(receiver))));
        let (limit, delay_us, done) = (AtomicUsize::new(limit), AtomicU64::new(0), AtomicBool::new(false));
        Self {
            receiver,
            front,
            back,
            sender: Mutex::new(None),
            limit,
            delay_us,
            closed_lost: AtomicUsize::new(0),
            done,
        }
    }

    /// Speaks to the receiver from another port from now on, and hears nothing at the old one.
    pub(crate) fn rebind(&self) {
        *self.back.lock().unwrap() = Arc::new(towards(self.receiver));
    }

    /// Says something to the receiver that the sender has not said.
    pub(crate) fn forge_to_receiver(&self, bytes: &[u8]) {
        let _ = self.back().send(bytes);
    }

    /// Says something to the sender that the receiver has not said.
    pub(crate) fn forge_to_sender(&self, bytes: &[u8]) {
        let to = *self.sender.lock().unwrap();
        if let Some(to) = to {
            let _ = self.front.send_to(bytes, to);
        }
    }

    fn back(&self) -> Arc<UdpSocket> {
        self.back.lock().unwrap().clone()
    }

    /// Where what is kept waits until it is due; `pass` then passes it on. Ends with its sender.
    fn delay_line<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        pass: impl Fn(&[u8]) + Send + 'scope,
    ) -> mpsc::Sender<(Instant, Vec<u8>)> {
        let (enters, leaves) = mpsc::channel::<(Instant, Vec<u8>)>();
        scope.spawn(move || {
            for (due, bytes) in leaves {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                pass(&bytes);
            }
        });
        enters
    }

    fn due(&self) -> Instant {
        Instant::now() + Duration::from_micros(self.delay_us.load(Ordering::Acquire))
    }

    fn run<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let to_receiver = self.delay_line(scope, |bytes| {
            let _ = self.back().send(bytes);
        });
        scope.spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !self.done.load(Ordering::Acquire) {
                match self.front.recv_from(&mut bytes) {
                    Ok((len, from)) => {
                        *self.sender.lock().unwrap() = Some(from);
                        if len <= self.limit.load(Ordering::Acquire) {
                            to_receiver.send((self.due(), bytes[..len].to_vec())).unwrap();
                        }
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
                    }
                }
            }
        });
        let to_sender = self.delay_line(scope, |bytes| {
            let to = *self.sender.lock().unwrap();
            if let Some(to) = to {
                let _ = self.front.send_to(bytes, to);
            }
        });
        scope.spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !self.done.load(Ordering::Acquire) {
                // Where the receiver is not there (yet, or any more) the system says so; the protocol repeats itself.
                let back = self.back();
                let Ok(len) = back.recv(&mut bytes) else { continue };
                let is_closed = matches!(Prelude::parse(&bytes[..len]), Ok(Prelude { kind: Kind::Closed, .. }));
                let lose = |left: usize| left.checked_sub(1);
                if is_closed && self.closed_lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, lose).is_ok() {
                    continue;
                }
                if Arc::ptr_eq(&back, &self.back()) {
                    to_sender.send((self.due(), bytes[..len].to_vec())).unwrap();
                }
            }
        });
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let socket = socket2::Socket::from(socket);
    socket.set_recv_buffer_size(4 << 20).unwrap();
    UdpSocket::from(socket)
}

fn towards(receiver: SocketAddr) -> UdpSocket {
    let socket = socket();
    socket.connect(receiver).unwrap();
    socket
}

/// Ends the relay's threads also where the test fails, so that the failure is seen.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs a test with both ends and the relay between them, which at first passes on datagrams of at most `limit` bytes.
pub(crate) fn with_relay(
    receiver: ReceiverConfig,
    limit: usize,
    sender: SenderConfig,
    test: impl FnOnce(&Relay, &Receiver, Sender),
) {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), receiver).unwrap();
    let relay = Relay::new(receiver.local_addr(), limit);
    std::thread::scope(|scope| {
        let _done = Done(&relay.done);
        relay.run(scope);
        let sender = Sender::connect(relay.front.local_addr().unwrap(), sender).unwrap();
        test(&relay, &receiver, sender);
    });
}
