//! A stream's id and what its client shows to go on with it: told to that client and to nobody else.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::SocketAddr;

use framewire_signal::ClientEvent;
use framewire_signal::message::{Statistics, StreamStatistics, reason};
use framewire_testing::wait_until;
use serde_json::{Value, json};

use stage::raw::Raw;
use stage::{Asked, PATIENCE, await_feedback, await_opened, connect, feedback, listener, loopback, request, serve};

const STREAM: u32 = 0x1234_5678;

fn open_message(stream: u32, resume: Option<&Value>) -> Value {
    let mut message = serde_json::to_value(request(stream)).unwrap();
    if let Some(resume) = resume {
        message["resume"] = resume.clone();
    }
    message
}

/// Opens the stream over a connection of its own, and returns that and the secret.
fn open(address: SocketAddr, resume: Option<&Value>) -> (Raw, Value) {
    let (mut raw, _) = Raw::connect(address, "");
    raw.emit("open", &open_message(STREAM, resume));
    let opened = raw.receive_event("opened").unwrap();
    assert_eq!(opened["stream"], STREAM);
    (raw, opened["resume"].clone())
}

#[test]
fn feedback_names_a_stream_by_its_id_to_its_own_client_and_by_another_number_to_everyone_else() {
    let (server, _asked) = serve(loopback());
    let (mut viewer, _) = Raw::connect(server.local_addr(), "");
    let (mut owner, _) = open(server.local_addr(), None);
    let shown = server.shown_id(STREAM);
    assert_ne!(shown, STREAM);
    server.feedback(feedback(STREAM, 3));
    for (raw, stream) in [(&mut owner, STREAM), (&mut viewer, shown)] {
        assert_eq!(raw.receive_event("feedback").unwrap(), serde_json::to_value(feedback(stream, 3)).unwrap());
    }
    server.statistics(Statistics::new(vec![StreamStatistics::new(STREAM, "")]));
    let statistics = viewer.receive_event("statistics").unwrap();
    assert_eq!(statistics["streams"][0]["stream"], shown);
    // Once its client has gone, nobody is told the id.
    drop(owner);
    wait_until("its client has gone", || server.counters().clients <= 1);
    server.feedback(feedback(STREAM, 4));
    assert_eq!(viewer.receive_event("feedback").unwrap()["stream"], shown);
}

#[test]
fn who_knows_the_id_alone_neither_takes_the_stream_over_nor_renames_it_nor_ends_it() {
    let (server, asked) = serve(loopback());
    let (mut owner, resume) = open(server.local_addr(), None);
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(STREAM))));
    let (mut thief, _) = Raw::connect(server.local_addr(), "");
    let guess = json!("00000000000000000000000000000000");
    for shown in [None, Some(&guess)] {
        let mut message = open_message(STREAM, shown);
        message["name"] = json!("renamed");
        thief.emit("open", &message);
        let refused = thief.receive_event("refused").unwrap();
        assert_eq!(refused["reason"], reason::NOT_YOURS);
        assert!(refused["message"].as_str().unwrap().contains("'resume'"), "{refused}");
    }
    thief.emit("close", &json!({"stream": STREAM}));
    assert_eq!(thief.receive_event("refused").unwrap()["reason"], reason::NOT_YOURS);
    assert!(asked.try_recv().is_err(), "the host has not been asked");
    owner.emit("close", &json!({"stream": STREAM}));
    owner.receive_event("closed").unwrap();
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Close(STREAM)));
    assert_ne!(open(server.local_addr(), None).1, resume, "a secret ends with its stream");
}

#[test]
fn who_shows_the_secret_goes_on_with_the_stream_before_its_old_connection_is_known_to_be_gone() {
    let (server, asked) = serve(loopback());
    let (old, resume) = open(server.local_addr(), None);
    let (mut new, again) = open(server.local_addr(), Some(&resume));
    assert_eq!(resume, again);
    drop(old);
    server.feedback(feedback(STREAM, 0));
    assert_eq!(new.receive_event("feedback").unwrap()["stream"], STREAM);
    new.emit("close", &json!({"stream": STREAM}));
    new.receive_event("closed").unwrap();
    let asked: Vec<Asked> = (0..3).map(|_| asked.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(asked, [Asked::Open(request(STREAM)), Asked::Open(request(STREAM)), Asked::Close(STREAM)]);
}

#[test]
fn a_secret_that_is_none_is_refused() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    for bad in [json!("short"), json!("x".repeat(200)), json!(7)] {
        raw.emit("open", &open_message(STREAM, Some(&bad)));
        assert_eq!(raw.receive_event("refused").unwrap()["reason"], reason::BAD_REQUEST, "{bad}");
    }
}

#[test]
fn our_client_hears_of_its_own_stream_and_logs_no_secret() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(STREAM))));
    let opened = ClientEvent::Opened(await_opened(&client));
    assert!(!format!("{opened:?}").contains("resume"), "{opened:?}");
    server.feedback(feedback(STREAM, 1));
    assert_eq!(await_feedback(&client).stream, STREAM);
}
