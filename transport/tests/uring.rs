//! What becomes of streams where the system refuses io_uring.
#![cfg(all(target_os = "linux", feature = "uring"))]
#![allow(missing_docs)]

use std::fmt::{Debug, Write};
use std::sync::Mutex;
use std::time::Duration;

use framewire_transport::backend::{BackendConfig, ConnectedSocket, RingError, UringBackend};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};
use libc::{c_long, c_ulong, sock_filter, sock_fprog};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs something on a thread on which, and on whose descendants, a system call fails as in a container.
fn where_denied<T: Send + 'static>(call: c_long, errno: i32, run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(move || {
        deny(call, errno);
        run()
    })
    .join()
    .unwrap()
}

fn deny(call: c_long, errno: i32) {
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        // The number of the call is the first field of what a filter looks at.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let (on, none): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: prctl(option, on, unused) names no memory.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, none, none, none) }, 0);
    let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: prctl(option, mode, program: lives over the call, as do the steps it points to).
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}

fn refusal() -> RingError {
    let socket = ConnectedSocket::connect("127.0.0.1:9".parse().unwrap()).unwrap();
    UringBackend::new(socket, &BackendConfig::new(64, 1_472)).err().expect("it is refused").1
}

#[test]
fn a_refusal_says_who_refuses_and_what_to_do() {
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        let denied = where_denied(call, libc::EPERM, refusal);
        assert!(matches!(denied, RingError::Denied(_)), "{denied:?}");
        assert!(denied.to_string().contains("seccomp profile"), "{denied}");
        let missing = where_denied(call, libc::ENOSYS, refusal);
        assert!(matches!(missing, RingError::Unsupported { .. }), "{missing:?}");
        assert!(missing.to_string().contains("Linux 6.0"), "{missing}");
    }
    let memory = where_denied(libc::SYS_io_uring_setup, libc::ENOMEM, refusal);
    assert!(memory.to_string().contains("ulimit -l"), "{memory}");
}

#[test]
fn streams_that_ask_for_uring_run_over_mmsg_where_it_is_refused_and_one_line_says_why() {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    where_denied(libc::SYS_io_uring_setup, libc::EPERM, || {
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
