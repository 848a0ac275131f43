//! What becomes of streams where the system refuses io_uring.
#![cfg(all(target_os = "linux", feature = "uring"))]
#![allow(missing_docs)]

#[path = "system/denied.rs"]
mod denied;

use std::fmt::{Debug, Write};
use std::sync::Mutex;

use denied::{Denied, where_denied};
use framewire_testing::PATIENCE;
use framewire_transport::backend::{BackendConfig, ConnectedSocket, RingError, UringBackend};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

fn refusal() -> RingError {
    let socket = ConnectedSocket::connect("127.0.0.1:9".parse().unwrap()).unwrap();
    UringBackend::new(socket, &BackendConfig::new(64, 1_472)).err().expect("it is refused").1
}

#[test]
fn a_refusal_says_who_refuses_and_what_to_do() {
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        let denied = where_denied(Denied::all(call, libc::EPERM), refusal);
        assert!(matches!(denied, RingError::Denied(_)), "{denied:?}");
        assert!(denied.to_string().contains("seccomp profile"), "{denied}");
        let missing = where_denied(Denied::all(call, libc::ENOSYS), refusal);
        assert!(matches!(missing, RingError::Unsupported { .. }), "{missing:?}");
        assert!(missing.to_string().contains("Linux 6.0"), "{missing}");
    }
    let memory = where_denied(Denied::all(libc::SYS_io_uring_setup, libc::ENOMEM), refusal);
    assert!(memory.to_string().contains("ulimit -l"), "{memory}");
}

#[test]
fn streams_that_ask_for_uring_run_over_mmsg_where_it_is_refused_and_one_line_says_why() {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    where_denied(Denied::all(libc::SYS_io_uring_setup, libc::EPERM), || {
        let config = ReceiverConfig::new().backend(BackendKind::Uring);
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        for _ in 0..2 {
            let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
            let config = SenderConfig::new(format).delivery(Delivery::Every).backend(BackendKind::Uring);
            let sender = Sender::connect(receiver.local_addr(), config).unwrap();
            assert_eq!(sender.backend(), BackendKind::Mmsg);
            sender.send(sender.frame().unwrap()).unwrap();
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            assert_eq!(stream.info().backend, BackendKind::Mmsg);
            stream.recv_timeout(PATIENCE).unwrap();
            assert_eq!(sender.close(PATIENCE).unwrap().delivered, 1);
        }
    });
    let lines = LINES.lock().unwrap();
    let said: Vec<_> = lines.iter().filter(|line| line.contains("uring")).collect();
    assert_eq!(said.len(), 1, "{lines:?}");
    assert!(said[0].contains("mmsg takes the place of uring") && said[0].contains("seccomp profile"), "{}", said[0]);
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged as a warning.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
