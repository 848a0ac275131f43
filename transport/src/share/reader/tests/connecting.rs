//! What connecting finds, and how long it waits for that.

use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;
use crate::share::messages::{Refusal, VERSION};

/// What a hub is said to be that answers a question with this.
fn told(answer: &FromHub<'_>) -> String {
    let folder = Folder::new();
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| Reader::connect(folder.endpoint()).unwrap_err().to_string());
        let (socket, ()) = accept(&hub, |_| ());
        packet::send(&socket, Packet::from(answer).bytes(), &[]).unwrap();
        reader.join().unwrap()
    })
}

#[test]
fn a_hub_that_does_not_answer_is_waited_for_as_long_as_is_asked_and_not_longer() {
    let folder = Folder::new();
    let _stopped = folder.hub();
    let patience = Duration::from_millis(20);
    // The first ones wait to be accepted; then there is no room for more of them, and that is waited for no longer.
    let mut full = 0;
    for _ in 0..80 {
        let error = Reader::connect_within(folder.endpoint(), patience).unwrap_err();
        if let ShareError::Busy { .. } = error {
            assert!(error.to_string().contains("stopped or overloaded"), "{error}");
            full += 1;
            continue;
        }
        assert!(matches!(error, ShareError::Silent { after, .. } if after == patience), "{error}");
        assert!(error.to_string().contains("did not answer within 20 ms") && full == 0, "{error}");
    }
    assert!(full > 0, "whoever finds no room at a hub is told that it is there");
}

#[test]
fn a_hub_has_the_number_of_its_process_also_where_it_does_not_answer() {
    let folder = Folder::new();
    assert!(matches!(Reader::peer_pid(&folder.endpoint()), Err(ShareError::NoHub { .. })));
    let _stopped = folder.hub();
    assert_eq!(Reader::peer_pid(&folder.endpoint()).unwrap(), Some(std::process::id()));
}

#[test]
fn what_is_no_socket_of_a_hub_is_said_to_be_none_and_a_socket_without_a_hub_to_have_none() {
    let folder = Folder::new();
    let at = |name: &str| Endpoint::path(folder.0.join(name)).unwrap();
    let _others = (UnixDatagram::bind(at("datagram")).unwrap(), UnixListener::bind(at("stream")).unwrap());
    std::fs::write(at("file"), "").unwrap();
    std::os::unix::fs::symlink("file", at("link")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    for (name, what) in [
        ("file", "is no socket, but a file"),
        ("link", "is no socket, but a file"),
        ("", "is no socket, but a folder"),
        ("file/x.sock", "is no socket: what its path leads through is no folder"),
        ("loop", "is no socket, but a link that leads to itself"),
        ("datagram", "is a socket of another kind"),
        ("stream", "is a socket of another kind"),
    ] {
        let error = Reader::connect(at(name)).unwrap_err();
        assert!(matches!(error, ShareError::NotAHub { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(what) && error.to_string().contains("framewire ls"), "{error}");
    }
    drop(folder.hub());
    assert!(matches!(Reader::connect(at("hub.sock")), Err(ShareError::NoHub { .. })));
    // A socket that was left behind.
    drop(UnixListener::bind(at("stale.sock")).unwrap());
    assert!(matches!(Reader::connect(at("stale.sock")), Err(ShareError::NoHub { .. })));
}

#[test]
fn a_hub_of_another_version_is_told_with_both_and_a_version_that_cannot_be_is_none() {
    let refused = |number| told(&FromHub::Refused { refusal: Refusal::Version, number, limit: 0 });
    let other = VERSION + 1;
    let said = refused(other.into());
    assert!(said.contains(&format!("speaks version {other} of sharing and this program {VERSION};")), "{said}");
    for number in [u64::MAX, 256, VERSION.into()] {
        let said = refused(number);
        assert!(said.contains("says what no hub says") && said.contains(&number.to_string()), "{said}");
    }
}

#[test]
fn a_refusal_is_told_in_words() {
    let refused = |refusal| told(&FromHub::Refused { refusal, number: 1, limit: 2 });
    assert!(refused(Refusal::Message).contains("does not understand the question; use the same release"));
    assert!(refused(Refusal::Taken).contains("says what no hub says"));
    assert!(refused(Refusal::Connections).contains("2 connections, as many as it may"));
    let said = refused(Refusal::User);
    assert!(said.contains("not for this user") && !said.contains("its socket is"), "{said}");
}

#[test]
fn a_hub_that_is_back_has_as_long_for_its_answer_as_the_one_before() {
    use super::super::signal::Signal;
    use super::super::standing::{RETRY, Request, Standing, Step, Waiting};
    let folder = Folder::new();
    let hub = folder.hub();
    for patience in [Duration::from_millis(40), Duration::from_secs(40), Duration::MAX] {
        let request = Request {
            endpoint: folder.endpoint(),
            stream: "front".to_owned(),
            program: String::new(),
            wanted: Wanted { overflow: Overflow::Replace, words: 1, hold: 1 },
            patience: PATIENCE,
        };
        let (granted, mapped) = std::thread::scope(|scope| {
            let granting = scope.spawn(|| Granted::accept(&hub));
            let mapped = folder.reader().granted(&request).unwrap();
            (granting.join().unwrap(), mapped)
        });
        let (mut standing, signal) = (Standing::new(Request { patience, ..request }, mapped), Signal::new().unwrap());
        drop(granted);
        let gone = Instant::now();
        // The first look says that it sleeps from here on, and whoever does is told of the end.
        assert!(matches!(standing.step(&signal, true, 1, gone), Step::Nothing(Waiting::Hub { .. })));
        assert!(matches!(standing.step(&signal, true, 1, gone), Step::Error(RecvError::HubGone)));
        // This one takes the question, and says nothing.
        let asked = gone + RETRY;
        let mut waits = |at| matches!(standing.step(&signal, true, 1, at), Step::Nothing(Waiting::Away(_)));
        assert!(waits(asked));
        let (socket, _) = accept_subscription(&hub);
        let Some(over) = asked.checked_add(patience) else { continue };
        assert!(waits(over - Duration::from_millis(1)));
        assert!(!is_readable(&socket, Duration::ZERO), "it is given up after less than {patience:?}");
        assert!(waits(over));
        assert!(is_readable(&socket, Duration::ZERO), "it is waited for after {patience:?}");
    }
}
