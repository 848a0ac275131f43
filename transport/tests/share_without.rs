//! Frames are shared, or it is said why not, where the system lacks what that rests on: a filter refuses one thing after the other. What is
//! done without is done without aloud: the log says what, what follows and what mends it.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

#[path = "system/denied.rs"]
mod denied;
#[path = "system/log.rs"]
mod log;

use std::path::{Path, PathBuf};
use std::process::Command;

use denied::{Denied, where_denied};
use framewire_testing::{PATIENCE, wait_for};
use framewire_transport::frame::{ConsumerPolicy, FrameFormat, PixelFormat};
use framewire_transport::share::ShareConfig;
use framewire_transport::{
    Endpoint, PathChoice, PathKind, PublishConfig, Publisher, Reader, Receiver, ReceiverConfig, Sender, SenderConfig,
};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 1).expect("a format")
}

/// Publishes a frame and reads it.
fn hand_over(socket: &Path) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let endpoint = Endpoint::path(socket).map_err(|error| text(&error))?;
    let publisher = Publisher::bind(ShareConfig::new(endpoint.clone())).map_err(|error| text(&error))?;
    let stream = publisher.stream("front", PublishConfig::new(format())).map_err(|error| text(&error))?;
    let reader = Reader::connect(endpoint).map_err(|error| text(&error))?;
    let subscription = reader.subscribe("front", ConsumerPolicy::Latest).map_err(|error| text(&error))?;
    let mut frame = stream.frame_timeout(PATIENCE).map_err(|error| text(&error))?.expect("a slot");
    frame.fill(7);
    stream.send(frame).map_err(|error| text(&error))?;
    Ok(subscription.recv_timeout(PATIENCE).map_err(|error| text(&error))?.to_vec())
}

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fw-without-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("hub.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Where all of these fail.
fn where_all_denied<T: Send + 'static>(mut denied: Vec<Denied>, run: impl FnOnce() -> T + Send + 'static) -> T {
    fn nested<T: Send + 'static>(mut denied: Vec<Denied>, run: Box<dyn FnOnce() -> T + Send>) -> T {
        match denied.pop() {
            None => run(),
            Some(first) => where_denied(first, move || nested(denied, run)),
        }
    }
    denied.reverse();
    nested(denied, Box::new(run))
}

fn hand_over_where(denied: Vec<Denied>) -> Result<Vec<u8>, String> {
    let folder = Folder::new();
    let socket = folder.socket();
    where_all_denied(denied, move || hand_over(&socket))
}

/// `madvise` with this advice.
const fn advice(advice: i32) -> Denied {
    Denied { call: libc::SYS_madvise, only: Some((2, u32::MAX, advice as u32)), errno: libc::EINVAL }
}

const MFD_NOEXEC_SEAL: u32 = 8;

/// Before Linux 6.3.
const NO_EXEC: Denied =
    Denied { call: libc::SYS_memfd_create, only: Some((1, MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL)), errno: libc::EINVAL };

/// Before Linux 6.5.
const PEER_DESCRIPTOR: Denied =
    Denied { call: libc::SYS_getsockopt, only: Some((2, u32::MAX, 77)), errno: libc::ENOPROTOOPT };

#[test]
fn what_is_only_there_to_be_faster_or_safer_is_done_without_aloud() {
    let log = log::of_this_process();
    let to_read = |call, flags| Denied { call, only: Some((flags, 0o3, libc::O_RDONLY as u32)), errno: libc::ENOENT };
    let proc = vec![
        to_read(libc::SYS_openat, 2),
        #[cfg(target_arch = "x86_64")]
        to_read(libc::SYS_open, 1),
    ];
    // What is refused; what the log says of what follows, and of what mends it.
    let rows = [
        ("memory files that cannot be run", vec![NO_EXEC], "not to be executed", "6.3"),
        ("the other end's process, of a socket", vec![PEER_DESCRIPTOR], "known by their numbers", "6.5"),
        (
            "the other end's process at all",
            vec![PEER_DESCRIPTOR, Denied::all(libc::SYS_pidfd_open, libc::ENOSYS)],
            "only their sockets tell of their end",
            "pidfd_open",
        ),
        ("pages that are there before they are read", vec![advice(libc::MADV_POPULATE_READ)], "first read", "5.14"),
        ("pages that are there before they are written", vec![advice(libc::MADV_POPULATE_WRITE)], "one by one", "5.14"),
        ("mappings left out of core dumps", vec![advice(libc::MADV_DONTDUMP)], "in core dumps", "ulimit -c 0"),
        ("huge pages", vec![advice(libc::MADV_HUGEPAGE)], "in ordinary pages", "transparent_hugepage"),
        ("files opened by /proc", proc, "their seals alone", "mount /proc"),
    ];
    for (what, denied, follows, mends) in rows {
        assert_eq!(hand_over_where(denied), Ok(vec![7; 64]), "without {what}");
        let said = log.lines().into_iter().filter(|line| line.contains(follows)).collect::<Vec<_>>();
        assert!(matches!(&said[..], [line] if line.contains(mends)), "without {what}: {said:#?}");
    }
}

#[test]
fn what_sharing_cannot_be_safe_without_is_refused_by_name_with_the_remedy() {
    // What a process does without is told once: also here it is heard.
    log::of_this_process();
    const F_ADD_SEALS: u32 = 1033;
    const F_SEAL_FUTURE_WRITE_AND_SEAL: u32 = 0x11;
    let without = |denied: Denied| hand_over_where(vec![denied]).unwrap_err();
    let text = without(Denied::all(libc::SYS_memfd_create, libc::EPERM));
    assert!(text.contains("memory files") && text.contains("allow the system calls memfd_create"), "{text}");
    // Before Linux 5.1.
    let new_writers = (2, u32::MAX, F_SEAL_FUTURE_WRITE_AND_SEAL);
    let text = without(Denied { call: libc::SYS_fcntl, only: Some(new_writers), errno: libc::EINVAL });
    assert!(text.contains("seal") && text.contains("5.1"), "{text}");
    let any = (1, u32::MAX, F_ADD_SEALS);
    let text = without(Denied { call: libc::SYS_fcntl, only: Some(any), errno: libc::EPERM });
    assert!(text.contains("allow the system calls") && text.contains("F_ADD_SEALS"), "{text}");
}

/// A sender whose stream goes by UDP, where it could be in place: what it says of that.
fn trouble_of_sender_where(denied: Denied) -> String {
    let folder = Folder::new();
    let endpoint = Endpoint::path(folder.socket()).unwrap();
    let config = ReceiverConfig::default().share(ShareConfig::new(endpoint.clone()));
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let peer = receiver.local_addr();
    receiver.announce(1, format()).unwrap();
    let trouble = where_denied(denied, move || {
        let config = SenderConfig::new(format()).path(PathChoice::Auto).share(endpoint);
        let sender = Sender::connect(peer, config).unwrap();
        let mut frame = sender.frame().unwrap();
        frame.fill(7);
        sender.send(frame).unwrap();
        let trouble = wait_for("a word of its way", || sender.path_trouble().ok_or("it says nothing"));
        assert_eq!(sender.path(), PathKind::Udp);
        trouble
    });
    drop(receiver);
    trouble
}

#[test]
fn a_sender_that_cannot_write_in_place_says_why_and_sends_by_udp() {
    let log = log::of_this_process();
    const F_GET_SEALS: u32 = 1034;
    let unix = (0, u32::MAX, libc::AF_UNIX as u32);
    let seals = (1, u32::MAX, F_GET_SEALS);
    let rows = [
        (Denied { call: libc::SYS_socket, only: Some(unix), errno: libc::EAFNOSUPPORT }, "allow Unix sockets"),
        (Denied { call: libc::SYS_fcntl, only: Some(seals), errno: libc::EPERM }, "the filter of the sandbox"),
    ];
    for (denied, says) in rows {
        let trouble = trouble_of_sender_where(denied);
        assert!(trouble.contains(says), "{denied:?}: {trouble}");
        assert!(log.lines().iter().any(|line| line.contains(says)), "{denied:?}: {:#?}", log.lines());
    }
}

/// What tells this program that it is the process in a namespace of its own, and whether it is to hand over without the flag.
const ROLE: &str = "FRAMEWIRE_TEST_MEMFD_NOEXEC";

#[test]
fn what_a_system_demands_of_memory_files_they_say_of_themselves() {
    log::of_this_process();
    if let Some(role) = std::env::var_os(ROLE) {
        let denied = if role == "unflagged" { vec![NO_EXEC] } else { Vec::new() };
        return println!("handed over: {:?}", hand_over_where(denied).map(|bytes| bytes == [7; 64]));
    }
    let run = |switch: u32, role: &str| {
        let test = std::env::current_exe().unwrap();
        // The setting is of a process namespace, and goes with it.
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "sh", "-c"]);
        command.arg(format!("echo {switch} > /proc/sys/vm/memfd_noexec && exec \"$0\" --exact \"$1\" --nocapture"));
        command.arg(test).arg("what_a_system_demands_of_memory_files_they_say_of_themselves").env(ROLE, role);
        let output = command.output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let shown = said.split_once("handed over: ").map(|(_, shown)| shown.lines().next().unwrap_or("").to_owned());
        assert!(shown.is_some() || !output.status.success(), "{said}");
        shown
    };
    if run(0, "flagged").is_none() {
        return framewire_testing::skip(
            "vm.memfd_noexec cannot be set in a process namespace (root, unshare, Linux 6.3)",
        );
    }
    for switch in [1, 2] {
        assert_eq!(run(switch, "flagged").as_deref(), Some("Ok(true)"), "vm.memfd_noexec = {switch}");
    }
    // The kernel says it for whoever does not.
    assert_eq!(run(2, "unflagged").as_deref(), Some("Ok(true)"));
}
