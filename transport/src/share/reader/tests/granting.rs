//! What a hub may answer, and what is made of it.

use super::*;

fn refusal(change: impl FnOnce(&mut Parts) + Send) -> ShareError {
    let folder = Folder::new();
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| Granted::accept_with(&hub, change));
        let refused = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap_err();
        granting.join().unwrap();
        refused
    })
}

#[test]
fn a_descriptor_that_was_lost_on_the_way_is_an_error_that_says_so() {
    let refused = refusal(|parts| drop(parts.descriptors.pop()));
    assert!(matches!(refused, ShareError::DescriptorsLost { .. }), "{refused}");
}

#[test]
fn memory_without_its_seals_or_of_another_size_is_refused_before_it_is_mapped() {
    let bytes = FramePool::bytes(SLOTS, format().frame_bytes() + TAIL_MAX).unwrap();
    let unsealed = rustix::fs::memfd_create("unsealed", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&unsealed, bytes as u64).unwrap();
    let unshrinkable = memfd::create("unshrinkable", bytes).unwrap();
    let (empty, _writer) = rustix::pipe::pipe().unwrap();
    let short = memfd::create("short", 4096).unwrap();
    memfd::seal_writes(short.as_fd()).unwrap();
    let refused_with = |place: usize, descriptor: &OwnedFd| {
        refusal(|parts| parts.descriptors[place] = descriptor.try_clone().unwrap())
    };
    for (place, descriptor, why) in [
        (0, &unsealed, "not sealed against shrinking"),
        (0, &unshrinkable, "not sealed against writing"),
        (0, &short, "has 4096 bytes where"),
        (0, &empty, "no memory file"),
        (1, &unsealed, "not sealed against shrinking"),
        (1, &unshrinkable, "not sealed against writing"),
        (2, &unsealed, "not sealed against shrinking"),
        (2, &empty, "no memory file"),
    ] {
        let refused = refused_with(place, descriptor);
        assert!(matches!(refused, ShareError::UnsafeMemory { .. }), "{place}, {why}: {refused}");
        assert!(refused.to_string().contains(why), "{place}: {refused} does not say {why}");
    }
    let refused = refused_with(3, &short);
    assert!(refused.to_string().contains("is no pipe"), "{refused}");
}

#[test]
fn a_size_that_the_file_does_not_have_is_refused_also_where_it_can_be() {
    let refused = refusal(|parts| parts.shape.slots -= 1);
    assert!(matches!(refused, ShareError::UnsafeMemory { .. }), "{refused}");
}

#[test]
fn a_hub_of_another_version_is_told_from_one_that_is_none() {
    let folder = Folder::new();
    let hub = folder.hub();
    let answered = |bytes: &[u8]| {
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| {
                let (socket, ()) = accept(&hub, |_| ());
                packet::send(&socket, bytes, &[]).unwrap();
                socket
            });
            let refused = Reader::connect(folder.endpoint()).unwrap_err();
            drop(answering.join().unwrap());
            refused
        })
    };
    let mut other = Packet::from(&FromHub::Listed { streams: 0 }).bytes().to_vec();
    other[2] = 9;
    let refused = answered(&other);
    assert!(matches!(refused, ShareError::Version { theirs: 9, ours: 1, .. }), "{refused}");
    let refused = answered(b"HTTP/1.1 400 Bad Request");
    assert!(matches!(refused, ShareError::Nonsense { .. }), "{refused}");
    let refused = answered(Packet::from(&FromHub::Preparing).bytes());
    assert!(matches!(refused, ShareError::Nonsense { .. }), "{refused}");
}

#[test]
fn a_hub_that_is_not_there_and_a_socket_that_nobody_answers_on_are_no_hub() {
    let folder = Folder::new();
    let refused = Reader::connect(folder.endpoint()).unwrap_err();
    assert!(matches!(refused, ShareError::NoHub { .. }), "{refused}");
    let left = std::os::unix::net::UnixListener::bind(folder.endpoint().as_path()).unwrap();
    let refused = Reader::connect(folder.endpoint()).unwrap_err();
    assert!(matches!(refused, ShareError::NotAHub { .. }), "a stream socket: {refused}");
    drop(left);
}

#[test]
fn who_waits_for_a_stream_is_told_which_there_are_and_gets_it_when_it_comes() {
    let folder = Folder::new();
    let hub = folder.hub();
    let say = |socket: &OwnedFd, said: FromHub<'_>| packet::send(socket, Packet::from(&said).bytes(), &[]).unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let (first, watches) = accept(&hub, |asked| asked == ToHub::List { watch: true });
            assert!(watches);
            say(&first, FromHub::Stream(stream("rear")));
            say(&first, FromHub::Listed { streams: 1 });
            let (second, _) = accept(&hub, |_| ());
            say(&second, FromHub::Stream(stream("rear")));
            say(&second, FromHub::Listed { streams: 1 });
            say(&second, FromHub::Gone { name: Name::new("rear").unwrap() });
            say(&second, FromHub::Stream(stream("front")));
            (first, second)
        });
        let reader = folder.reader();
        let refused = reader.wait_for("front", Duration::ZERO).unwrap_err();
        assert!(matches!(&refused, ShareError::NoStreamYet { streams, .. } if *streams == ["rear"]), "{refused}");
        let found = reader.wait_for("front", PATIENCE).unwrap();
        assert_eq!((found.name.as_str(), found.format, found.readers), ("front", format(), 1));
        serving.join().unwrap();
    });
}

#[test]
fn more_readers_than_a_hub_has_room_for_at_once_have_their_turn() {
    let folder = Folder::new();
    let hub = folder.hub();
    let question = ToHub::List { watch: false };
    let mut waiting = Vec::new();
    while let Ok(call) = call::Call::begin(&folder.endpoint(), &question, PATIENCE) {
        waiting.push(call);
    }
    std::thread::scope(|scope| {
        let late = scope.spawn(|| call::Call::begin_in_turn(&folder.endpoint(), &question, PATIENCE).is_ok());
        // Kept: the last one may be who waited, and has not asked yet.
        let mut taken_in = Vec::new();
        while !late.is_finished() {
            taken_in.extend(hub.accept().unwrap());
            std::thread::yield_now();
        }
        assert!(late.join().unwrap());
    });
}
