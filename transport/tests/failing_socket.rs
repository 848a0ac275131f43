//! A socket on which every receive fails, time and again: it costs no core, and no flood of lines.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::frame::RecvError;
use framewire_transport::receive::EndReason;
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};
use libc::{c_ulong, sock_filter, sock_fprog};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Has every `recvmmsg` of this thread, and of those that it starts, fail with EIO, but one that only asks whether there is such
/// a call.
fn fail_to_receive() {
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    // What a filter looks at: the call's number, the architecture, the place, and then six arguments of 64 bits; the third is
    // the number of messages.
    let messages = 16 + 2 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut steps = [
        step(load, 0, 0, 0),
        step(is, 0, 3, libc::SYS_recvmmsg as u32),
        step(load, 0, 0, messages),
        step(is, 1, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EIO as u32),
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

/// What this process has used of the processors.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), used.tv_nsec as u32)
}

#[test]
fn a_socket_that_fails_to_receive_for_good_costs_no_core_and_a_line_a_second() {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let receiver = std::thread::spawn(|| {
        fail_to_receive();
        let config = ReceiverConfig::new().backend(BackendKind::Mmsg);
        Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()
    });
    let receiver = receiver.join().unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
    let config = SenderConfig::new(format).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    sender.send(sender.frame().unwrap()).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert_eq!(stream.info().backend, BackendKind::Mmsg, "it fails later");
    let (begun, used) = (Instant::now(), cpu_time());
    // Nothing of what is sent is heard: after a while the sender counts as silent.
    assert!(matches!(stream.recv_timeout(PATIENCE), Err(RecvError::Ended)));
    assert_eq!(stream.end_reason(), Some(EndReason::Silent));
    let (lasted, used, lines) = (begun.elapsed(), cpu_time() - used, LINES.load(Ordering::Acquire));
    println!("{used:?} of CPU time and {lines} lines in {lasted:?}");
    assert!(used < lasted / 4, "{used:?} of CPU time in {lasted:?}");
    assert!((1..=lasted.as_secs() + 2).contains(&lines), "{lines} lines in {lasted:?}");
}

static LINES: AtomicU64 = AtomicU64::new(0);

/// Counts warnings.
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

    fn event(&self, _: &Event<'_>) {
        LINES.fetch_add(1, Ordering::AcqRel);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
