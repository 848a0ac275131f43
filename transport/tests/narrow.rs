//! Real senders and receivers over a relay that drops what is too long: slices become smaller, and no frame is lost.
#![allow(missing_docs)]

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Duration;

use framewire_transport::driver::{SendError, SliceSize};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Passes datagrams on, and drops those towards the receiver that are longer than `limit`.
struct Relay {
    front: UdpSocket,
    back: UdpSocket,
    limit: AtomicUsize,
    done: AtomicBool,
}

impl Relay {
    fn new(receiver: SocketAddr, limit: usize) -> Self {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let socket = socket2::Socket::from(socket);
            socket.set_recv_buffer_size(4 << 20).unwrap();
            UdpSocket::from(socket)
        };
        let (front, back) = (socket(), socket());
        back.connect(receiver).unwrap();
        Self { front, back, limit: AtomicUsize::new(limit), done: AtomicBool::new(false) }
    }

    fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sender: &'scope std::sync::Mutex<Option<SocketAddr>>,
    ) {
        scope.spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !self.done.load(Ordering::Acquire) {
                match self.front.recv_from(&mut bytes) {
                    Ok((len, from)) => {
                        *sender.lock().unwrap() = Some(from);
                        if len <= self.limit.load(Ordering::Acquire) {
                            let _ = self.back.send(&bytes[..len]);
                        }
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
                    }
                }
            }
        });
        scope.spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !self.done.load(Ordering::Acquire) {
                // Where the receiver is not there (yet, or any more) the system says so; the protocol repeats itself.
                let Ok(len) = self.back.recv(&mut bytes) else { continue };
                if let Some(to) = *sender.lock().unwrap() {
                    let _ = self.front.send_to(&bytes[..len], to);
                }
            }
        });
    }
}

/// Ends the relay's threads also where the test fails, so that the failure is seen.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
}

fn with_relay(backend: BackendKind, limit: usize, slice: SliceSize, test: impl FnOnce(&Relay, &Receiver, Sender)) {
    let config = ReceiverConfig { backend, ..ReceiverConfig::default() };
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let relay = Relay::new(receiver.local_addr(), limit);
    let address = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        let _done = Done(&relay.done);
        relay.run(scope, &address);
        let config = SenderConfig { delivery: Delivery::Every, backend, slice, ..SenderConfig::new(format()) };
        let sender = Sender::connect(relay.front.local_addr().unwrap(), config).unwrap();
        test(&relay, &receiver, sender);
    });
}

fn send(sender: &Sender, frames: std::ops::Range<u64>) {
    for number in frames {
        let mut frame = sender.frame().unwrap();
        frame.fill(number as u8);
        sender.send(frame).unwrap();
    }
}

#[test]
fn every_frame_arrives_over_a_path_that_is_narrow_or_becomes_so() {
    for backend in BackendKind::ALL {
        with_relay(*backend, 9_000, SliceSize::Auto, |relay, receiver, sender| {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let stream = receiver.accept().unwrap();
                    let whole = |number: u64, frame: &[u8]| frame.iter().all(|byte| *byte == number as u8);
                    let numbers: Vec<_> = stream
                        .frames()
                        .inspect(|frame| assert!(whole(frame.info().number, frame), "frame {}", frame.info().number))
                        .map(|frame| frame.info().number)
                        .collect();
                    (numbers, stream.slice_bytes())
                });
                send(&sender, 0..20);
                sender.wait_until_settled(PATIENCE).unwrap();
                assert_eq!(sender.slice_bytes(), 8_952, "{backend}");
                relay.limit.store(1_500, Ordering::Release);
                send(&sender, 20..60);
                let report = sender.close(PATIENCE).unwrap();
                let (numbers, slice_bytes) = reader.join().unwrap();
                assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "{backend}");
                assert_eq!((report.delivered, sender.slice_bytes(), slice_bytes), (60, 1_452, 1_452), "{backend}");
            });
        });
    }
}

#[test]
fn slices_of_a_size_that_was_asked_for_and_does_not_get_through_end_the_stream_with_a_remedy() {
    with_relay(BackendKind::Auto, 9_000, SliceSize::Bytes(20_000), |_, _, sender| {
        let frame = sender.frame().unwrap();
        sender.send(frame).unwrap();
        let failed = sender.wait_until_settled(PATIENCE).unwrap_err();
        assert!(matches!(failed, SendError::Failed { .. }), "{failed}");
        let text = failed.to_string();
        assert!(text.contains("20000 bytes") && text.contains("--slice"), "{text}");
    });
}
