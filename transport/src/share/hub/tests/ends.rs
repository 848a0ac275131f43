//! How readers end, and what they can have the hub's threads wait for.

use rustix::io::Errno;

use super::super::seat::{Reading, Seat};
use super::*;
use crate::time::Time;

/// Whether this process runs the calling test alone, so that it may fork without keeping open what belongs to others; else it is run in such
/// a one.
fn is_alone() -> bool {
    const ALONE: &str = "FRAMEWIRE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args([&test, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&child.stderr));
    false
}

#[test]
fn nobody_passes_a_descriptor_to_a_hub() {
    let host = Host::new(Delivery::Latest, |config| config);
    let (socket, (reader, writer)) = (host.socket(), rustix::pipe::pipe().unwrap());
    let list = Packet::from(&ToHub::List { watch: false });
    match packet::send(&socket, list.bytes(), &[writer.as_fd()]) {
        // Since Linux 6.16.
        Err(packet::PacketError::System(error)) => assert_eq!(Errno::from_io_error(&error), Some(Errno::PERM)),
        sent => sent.unwrap(),
    }
    drop(writer);
    assert_eq!(rustix::io::read(&reader, &mut [0]), Ok(0), "what came is closed");
    say(&socket, &ToHub::List { watch: false });
    assert!(receive(&socket, &mut [0; PACKET_MAX]).is_some(), "whoever tried is served as before");
}

#[test]
fn what_a_reader_holds_stays_as_it_is_where_the_hub_ends_before_the_stream() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let (reader, gone) = (host.read(QUEUE), host.read(QUEUE));
    host.publish();
    let frame = reader.take().unwrap();
    drop(gone);
    host.until("the other's end", |host| host.stream.readers().len() == 1);
    drop(host.hub.take());
    assert_eq!(reader.end(), Some(End::Hub));
    for _ in 0..200 {
        assert!(host.publish(), "the stream goes on without it");
    }
    assert!(frame.iter().all(|byte| *byte == 0), "the slot of a frame that a living reader has was written to");
}

#[test]
fn patience_with_a_reader_begins_when_frames_begin_to_wait_for_it() {
    let host = Host::new(Delivery::Every, |config| config);
    let wanted = Wanted { overflow: Overflow::Wait, words: 1, hold: 1 };
    let reading = Reading { name: "slow".into(), pid: 1, uid: 1, is_foreign: false, wanted };
    let (seat, _pipe) = Seat::new(reading).unwrap();
    let patience = Duration::from_secs(5);
    let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
    seat.tend(at(1), patience);
    // After an hour in which nothing was to be taken, several at once.
    for number in 0..3 {
        let frame = host.pool.try_acquire().unwrap().freeze();
        assert_eq!(seat.offer(frame.slot() as u32, frame), number == 1, "it is looked after once frames wait");
    }
    seat.tend(at(3600), patience);
    seat.tend(at(3604), patience);
    assert!(!seat.figures().quarantined);
    seat.tend(at(3605), patience);
    assert!(seat.figures().quarantined);
}

#[test]
fn a_process_that_was_forked_from_the_hub_keeps_nobody_from_learning_of_the_end() {
    if !is_alone() {
        return;
    }
    let mut host = Host::new(Delivery::Latest, |config| config);
    let reader = host.read(LATEST);
    let watcher = host.socket();
    say(&watcher, &ToHub::List { watch: true });
    let mut bytes = [0; PACKET_MAX];
    assert!(receive(&watcher, &mut bytes).is_some());
    // SAFETY: the child runs nothing of this program but a wait for the signal that ends it.
    let child = match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: it waits, and touches no memory.
            unsafe { libc::pause() };
        },
        child => rustix::process::Pid::from_raw(child).unwrap(),
    };
    drop(host.hub.take());
    assert_eq!(poll(&mut [PollFd::new(&reader.pipe, PollFlags::IN)], None).unwrap(), 1);
    assert_eq!(reader.end(), Some(End::Hub));
    while receive(&watcher, &mut bytes).is_some() {}
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).unwrap();
}
