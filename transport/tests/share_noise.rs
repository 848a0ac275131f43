//! What anybody on the machine can do again and again at a hub's socket is told now and then.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

#[path = "system/log.rs"]
mod log;

use std::path::Path;

use framewire_transport::share::ShareConfig;
use framewire_transport::{Endpoint, Publisher};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send, socket_with,
};

/// Says this at the socket, and is told what comes of it.
fn say(path: &Path, bytes: &[u8]) {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    send(&socket, bytes, SendFlags::NOSIGNAL).unwrap();
    let mut answer = [0; 512];
    // After the answer, the end.
    while recv(&socket, &mut answer[..], RecvFlags::empty()).is_ok_and(|(len, _)| len > 0) {}
}

#[test]
fn whoever_connects_again_and_again_to_say_nonsense_does_not_fill_the_log() {
    const TIMES: usize = 200;
    let log = log::of_this_process();
    let folder = std::env::temp_dir().join(format!("fw-noise-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hub.sock");
    let publisher = Publisher::bind(ShareConfig::new(Endpoint::path(&path).unwrap())).unwrap();
    // Of no kind, and of a version that there is not.
    for nonsense in [b"?".as_slice(), b"FS\xff\x01"] {
        (0..TIMES).for_each(|_| say(&path, nonsense));
    }
    drop(publisher);
    let _gone = std::fs::remove_dir_all(&folder);
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("listened to no more")), "{lines:#?}");
    assert!(lines.len() < TIMES / 2, "{} lines: {:#?}", lines.len(), &lines[..10]);
}
