//! Messages that are none, or out of place, and processes that do not read what they are told.

use super::super::connection::{Connection, Outcome};
use super::super::discard::Discard;
use super::*;
use crate::time::Time;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

/// What is heard until the end of the connection.
fn heard(socket: &OwnedFd) -> Vec<String> {
    let mut bytes = [0; PACKET_MAX];
    let next = || {
        let (len, _) = receive(socket, &mut bytes)?;
        Some(format!("{:?}", FromHub::parse(&bytes[..len]).unwrap()))
    };
    std::iter::from_fn(next).collect()
}

fn cannot_be() -> String {
    format!("{:?}", FromHub::Refused { refusal: Refusal::Message, number: 0, limit: 0 })
}

#[test]
fn a_message_that_is_empty_too_long_of_no_kind_or_out_of_place_is_refused_before_the_end() {
    let host = Host::new(Delivery::Latest, |config| config);
    let places = [ToHub::Mapped, ToHub::Told, ToHub::Close, ToHub::Leave].map(|message| Packet::from(&message));
    let mut wrong = vec![vec![], b"FS".to_vec(), b"FS\x01\xff".to_vec(), vec![7; PACKET_MAX + 1], vec![7; 65_536]];
    wrong.extend(places.iter().map(|packet| packet.bytes().to_vec()));
    for bytes in wrong {
        let socket = host.socket();
        rustix::net::send(&socket, &bytes, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(heard(&socket), [cannot_be()], "{} bytes: {:?}", bytes.len(), bytes.get(..4));
    }
    // Beside what was asked for before.
    let socket = host.socket();
    say(&socket, &ToHub::List { watch: true });
    say(&socket, &ToHub::List { watch: true });
    assert_eq!(heard(&socket).last(), Some(&cannot_be()));
}

#[test]
fn a_reader_that_says_what_does_not_belong_is_told_so_and_stays_connected_with_what_it_holds() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let too_long = [7; PACKET_MAX + 1];
    for wrong in [Packet::from(&ToHub::Mapped).bytes(), b"FS\x01\x06", b"?", b"", &too_long] {
        let reader = host.read(LATEST);
        assert!(host.publish());
        let held = reader.take().unwrap();
        // Not every one of them is a message to those who keep to the protocol.
        rustix::net::send(&reader.socket, wrong, SendFlags::NOSIGNAL).unwrap();
        let mut bytes = [0; PACKET_MAX];
        let (len, _) = receive(&reader.socket, &mut bytes).unwrap();
        assert_eq!(format!("{:?}", FromHub::parse(&bytes[..len]).unwrap()), cannot_be());
        assert_eq!(reader.end(), Some(End::Misconduct));
        assert!(matches!(packet::receive(&reader.socket, &mut bytes), Err(packet::PacketError::WouldBlock)));
        assert_eq!(host.figures().held, 1, "what it holds is its own");
        drop((held, reader));
        host.until_gone();
    }
}

#[test]
fn who_asks_which_streams_there_are_and_reads_nothing_of_it_is_not_waited_for_and_hung_up_on() {
    let host = Host::new(Delivery::Latest, |config| config);
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            .unwrap();
    let listed: Vec<_> = (0..20_000).map(|nth| (Arc::from(format!("{nth:05}")), host.stream.clone())).collect();
    let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
    let peer = Peer::of(&theirs).unwrap().unwrap();
    let mut connection = Connection::new(theirs, peer, at(0));
    say(&ours, &ToHub::List { watch: false });
    let shared = &host.hub.as_ref().unwrap().shared;
    let outcome = connection.receive(shared, &listed, at(1), &mut Discard::default());
    assert_eq!(outcome, Outcome::WantsRoom);
    assert!(connection.is_awaited() && !connection.is_mute(at(5)));
    // What is listed anew meanwhile does not begin its time anew, and that it has read something does.
    assert_eq!(connection.tell(&listed, at(5)), Outcome::Stays);
    assert!(connection.is_mute(at(6)));
    assert_eq!(connection.go_on_telling(&listed, at(5)), Outcome::WantsRoom);
    assert!(!connection.is_mute(at(9)) && connection.is_mute(at(10)));
    // One that reads is told all of it.
    let mut bytes = [0; PACKET_MAX];
    let mut told = 0;
    while connection.is_awaited() {
        while packet::receive(&ours, &mut bytes).is_ok() {
            told += 1;
        }
        connection.go_on_telling(&listed, at(9));
    }
    while packet::receive(&ours, &mut bytes).is_ok() {
        told += 1;
    }
    assert_eq!(told, listed.len() + 1);
    assert!(!connection.is_mute(at(3600)));
}

#[test]
fn a_hub_whose_connections_are_all_taken_says_so_and_is_not_taken_for_gone() {
    use crate::share::Reader;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const FILES: u64 = 4_096;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < FILES) {
        framewire_testing::skip(format_args!("this process may have {maximum:?} files open, and {FILES} are needed"));
        return;
    }
    if current.is_some_and(|current| current < FILES) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum }).unwrap();
    }
    let host = Host::new(Delivery::Latest, |config| config);
    let mut there = Vec::new();
    let endpoint = &host.hub.as_ref().unwrap().config().endpoint;
    for nth in 0..640 {
        let socket = host.socket();
        // As many as are let in; and then those that say nothing, more than are heard out.
        if nth < 520 {
            say(&socket, &ToHub::List { watch: true });
        }
        there.push(socket);
        if nth % 16 == 0 {
            // So many may wait to be accepted, and no more: this one has its turn after all of those.
            let _turn = Reader::connect(endpoint.clone());
        }
    }
    let refused = Reader::connect(endpoint.clone()).unwrap_err();
    assert!(matches!(&refused, ShareError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("it has 512 connections"), "{refused}");
    assert!(matches!(Hub::bind(host.hub.as_ref().unwrap().config()), Err(ShareError::HubThere { .. })));
    drop(there);
}
