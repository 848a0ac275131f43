//! What a program inherits that this process executes while it shares, reads and listens: nothing of it.

use std::collections::BTreeSet;

use rustix::io::{FdFlags, fcntl_getfd};

use super::*;
use crate::share::{Reader, SubscriptionConfig};

/// Descriptors that this process has.
fn open() -> BTreeSet<i32> {
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_str()?.parse().ok();
    std::fs::read_dir("/proc/self/fd").unwrap().filter_map(number).collect()
}

#[test]
fn every_descriptor_of_a_hub_and_a_reader_is_closed_when_a_program_is_executed() {
    // Those that are made meanwhile are to be of this test alone.
    if !ends::is_alone() {
        return;
    }
    let before = open();
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = Reader::connect(host.hub.as_ref().unwrap().config().endpoint.clone()).unwrap();
    let subscription = reader.subscribe_with("front", SubscriptionConfig::new()).unwrap();
    let _followed = subscription.as_fd();
    assert!(host.publish());
    let _held = subscription.recv().unwrap();
    let by_hand = host.read(LATEST);
    let mut made = 0;
    for number in open().difference(&before) {
        // The folder that was read is not open any more.
        let path = format!("/proc/self/fd/{number}");
        let Ok(what) = std::fs::read_link(&path) else { continue };
        // SAFETY: it is open: of this test alone, which closes nothing meanwhile.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) };
        let flags = fcntl_getfd(descriptor).unwrap();
        assert!(flags.contains(FdFlags::CLOEXEC), "{number}, {}, would be inherited", what.display());
        made += 1;
    }
    // Of the hub: socket, lock, epoll, bell; for each reader, at both ends, socket, page and pipe at least.
    assert!(made > 16, "{made} are too few to be all of them");
    drop(by_hand);
}
