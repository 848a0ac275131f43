//! Frames are shared, or it is said why not, where the system lacks what that rests on: a filter refuses one thing after the other.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

#[path = "system/denied.rs"]
mod denied;

use std::path::PathBuf;
use std::time::Duration;

use denied::{Denied, where_denied};
use framewire_transport::frame::{ConsumerPolicy, FrameFormat, PixelFormat};
use framewire_transport::{Endpoint, PublishConfig, Publisher, Reader, ShareConfig};

const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes a frame and reads it.
fn hand_over(socket: PathBuf) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let endpoint = Endpoint::path(&socket).map_err(|error| text(&error))?;
    let publisher = Publisher::bind(ShareConfig::new(endpoint.clone())).map_err(|error| text(&error))?;
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 1).expect("a format");
    let stream = publisher.stream("front", PublishConfig::new(format)).map_err(|error| text(&error))?;
    let reader = Reader::connect(endpoint).map_err(|error| text(&error))?;
    let subscription = reader.subscribe("front", ConsumerPolicy::Latest).map_err(|error| text(&error))?;
    let mut frame = stream.frame_timeout(PATIENCE).map_err(|error| text(&error))?.expect("a slot");
    frame.fill(7);
    stream.send(frame).map_err(|error| text(&error))?;
    Ok(subscription.recv_timeout(PATIENCE).map_err(|error| text(&error))?.to_vec())
}

/// With a folder of its own.
fn hand_over_where(denied: Denied) -> Result<Vec<u8>, String> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("fw-without-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("hub.sock");
    let handed_over = where_denied(denied, move || hand_over(socket));
    std::fs::remove_dir_all(&folder).unwrap();
    handed_over
}

/// `madvise` with this advice.
const fn advice(advice: i32) -> Denied {
    Denied { call: libc::SYS_madvise, only: Some((2, u32::MAX, advice as u32)), errno: libc::EINVAL }
}

#[test]
fn what_is_only_there_to_be_faster_or_safer_is_done_without() {
    const SO_PEERPIDFD: u32 = 77;
    const MFD_NOEXEC_SEAL: u32 = 8;
    let rows = [
        (
            "memory files that cannot be run (before 6.3)",
            Denied {
                call: libc::SYS_memfd_create,
                only: Some((1, MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL)),
                errno: libc::EINVAL,
            },
        ),
        (
            "the other end's process, of a socket (before 6.5)",
            Denied { call: libc::SYS_getsockopt, only: Some((2, u32::MAX, SO_PEERPIDFD)), errno: libc::ENOPROTOOPT },
        ),
        ("the other end's process, of its number (before 5.3)", Denied::all(libc::SYS_pidfd_open, libc::ENOSYS)),
        ("pages that are there before they are read (before 5.14)", advice(libc::MADV_POPULATE_READ)),
        ("pages that are there before they are written (before 5.14)", advice(libc::MADV_POPULATE_WRITE)),
        ("mappings that are left out of core dumps", advice(libc::MADV_DONTDUMP)),
        ("huge pages", advice(libc::MADV_HUGEPAGE)),
    ];
    for (what, denied) in rows {
        assert_eq!(hand_over_where(denied), Ok(vec![7; 64]), "without {what}");
    }
}

#[test]
fn what_sharing_cannot_be_safe_without_is_refused_by_name() {
    const F_ADD_SEALS: u32 = 1033;
    const F_SEAL_FUTURE_WRITE_AND_SEAL: u32 = 0x11;
    let without = |denied: Denied| hand_over_where(denied).unwrap_err();
    let text = without(Denied::all(libc::SYS_memfd_create, libc::EPERM));
    assert!(text.contains("memfd_create") || text.contains("memory file"), "{text}");
    // Before Linux 5.1.
    let new_writers = (2, u32::MAX, F_SEAL_FUTURE_WRITE_AND_SEAL);
    let text = without(Denied { call: libc::SYS_fcntl, only: Some(new_writers), errno: libc::EINVAL });
    assert!(text.contains("5.1"), "{text}");
    let any = (1, u32::MAX, F_ADD_SEALS);
    let text = without(Denied { call: libc::SYS_fcntl, only: Some(any), errno: libc::EPERM });
    assert!(text.contains("seal") || text.contains("memory file"), "{text}");
}
