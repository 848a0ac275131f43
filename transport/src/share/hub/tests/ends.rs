//! How readers end, and what they can have the hub's threads wait for.

use rustix::io::Errno;

use super::super::seat::{Reading, Seat};
use super::*;
use crate::time::Time;

/// Whether this process runs the calling test alone, so that it may fork without keeping open what belongs to others; else it is run in such
/// a one.
pub(super) fn is_alone() -> bool {
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
        assert_eq!(seat.offer(frame.hold()), number == 1, "it is looked after once frames wait");
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

/// What a hub grants to who subscribes to `front`: the control page's file and the pipe.
fn granted(socket: &OwnedFd, wanted: Wanted) -> (OwnedFd, OwnedFd) {
    let (stream, program) = (Name::new("front").unwrap(), Name::new("test").unwrap());
    say(socket, &ToHub::Subscribe { wanted, stream, program });
    let mut bytes = [0; PACKET_MAX];
    let (len, mut descriptors) = receive(socket, &mut bytes).unwrap();
    assert!(matches!(FromHub::parse(&bytes[..len]), Ok(FromHub::Subscribed { .. })));
    let mut next = || descriptors.take().unwrap();
    let _frames = (next(), next());
    (next(), next())
}

fn punch(file: &OwnedFd) -> Result<(), Errno> {
    use rustix::fs::{FallocateFlags, fallocate};
    fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096)
}

#[test]
fn who_publishes_touches_a_readers_page_only_once_nobody_can_punch_holes_into_it() {
    let mut host = Host::new(Delivery::Latest, |config| config);
    let socket = host.socket();
    let (file, _pipe) = granted(&socket, LATEST);
    let control = Shared::<Control>::received(file.try_clone().unwrap(), 1, Right::Write).unwrap();
    for _ in 0..3 {
        assert!(host.publish());
    }
    punch(&file).unwrap();
    assert!(host.stream.readers().is_empty() && !Borrower::new(1).has_offer(&control[0]));
    say(&socket, &ToHub::Mapped);
    let mut bytes = [0; PACKET_MAX];
    let (len, _) = receive(&socket, &mut bytes).unwrap();
    assert_eq!(FromHub::parse(&bytes[..len]), Ok(FromHub::Admitted));
    assert!(Borrower::new(1).has_offer(&control[0]), "the newest frame is there at once");
    assert_eq!(punch(&file), Err(Errno::PERM));
    assert!(Shared::<Control>::received(file, 1, Right::Write).is_err(), "nor does anybody map it anew");
    assert_eq!(host.stream.readers().len(), 1);
}

#[test]
fn a_reader_that_keeps_the_hub_from_sealing_its_page_or_goes_before_gets_nothing_and_leaves_nothing_behind() {
    let host = Host::new(Delivery::Latest, |config| config.reader_slots(3));
    for goes in [true, false] {
        let socket = host.socket();
        let (file, _pipe) = granted(&socket, LATEST);
        if !goes {
            rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::SEAL).unwrap();
            say(&socket, &ToHub::Mapped);
            let mut bytes = [0; PACKET_MAX];
            let (len, _) = receive(&socket, &mut bytes).unwrap();
            assert!(matches!(FromHub::parse(&bytes[..len]), Ok(FromHub::Refused { refusal: Refusal::Message, .. })));
            assert!(receive(&socket, &mut bytes).is_none());
        }
        drop(socket);
        // All slots for readers are free again.
        host.until("its end", |host| TestReader::subscribe(host.socket(), "front", LATEST).is_ok());
        host.until_gone();
    }
}

#[test]
fn a_stream_that_has_no_name_is_listed_under_a_number_of_the_hub() {
    let host = Host::new(Delivery::Latest, |config| config);
    let hub = host.hub.as_ref().unwrap();
    // A program has taken the first one's name.
    let named = hub.share(Some("stream-1"), to_share(&host.pool, 5, Delivery::Latest)).unwrap();
    let unnamed = hub.share(None, to_share(&host.pool, 5, Delivery::Latest)).unwrap();
    for name in ["front", "stream-1", "stream-2"] {
        TestReader::subscribe(host.socket(), name, LATEST).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
    }
    crate::frame::Outlet::end(&*named);
    crate::frame::Outlet::end(&*unnamed);
}

#[test]
fn a_child_process_of_the_hub_changes_nothing_for_its_readers() {
    if !is_alone() {
        return;
    }
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(QUEUE);
    host.publish();
    // SAFETY: this process has a second thread, the hub's, which holds no lock while it waits for somebody; the child uses no other thread.
    let child = match unsafe { libc::fork() } {
        0 => {
            host.publish();
            let is_refused = host.hub.as_ref().unwrap().share(None, to_share(&host.pool, 5, Delivery::Every)).is_err();
            let is_empty = host.stream.readers().is_empty();
            host.ring.end();
            drop(host.hub.take());
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!(is_refused && is_empty))) };
        }
        child => rustix::process::Pid::from_raw(child).unwrap(),
    };
    let (_, status) = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
    assert_eq!((reader.end(), host.figures().offered), (None, 1));
    host.publish();
    assert_eq!(std::iter::from_fn(|| reader.take()).map(|frame| frame.info().number).collect::<Vec<_>>(), [0, 1]);
}
