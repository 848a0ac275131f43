//! Servers that go and come back, or are not there yet.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use framewire_signal::ClientEvent;

use stage::{Asked, PATIENCE, await_event, await_opened, connect, listener, loopback, request, serve};

#[test]
fn a_client_finds_a_server_that_comes_back_and_opens_its_stream_again() {
    let (server, asked) = serve(loopback());
    let address = server.local_addr();
    let client = connect(listener(address).open(Some(request(7))));
    await_opened(&client);
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    server.shutdown();
    let reason = await_event(&client, |event| match event {
        ClientEvent::Disconnected { reason } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains(&address.to_string()), "{reason}");

    let (_server, asked) = serve(loopback().listen(address));
    let back = Instant::now();
    await_opened(&client);
    println!("the stream was open again {:?} after the server's return", back.elapsed());
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))), "the same stream id");
}

#[test]
fn a_server_that_is_not_there_is_tried_again_and_the_reason_is_said() {
    // Bound and dropped: a port that nothing listens on.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = connect(listener(address).open(Some(request(7))));
    for wanted in 1..=3 {
        let (in_, reason) = await_event(&client, |event| match event {
            ClientEvent::Retrying { in_, attempt, reason } if *attempt == wanted => Some((*in_, reason.clone())),
            _ => None,
        });
        assert!(in_ <= Duration::from_millis(800), "{in_:?}");
        assert!(reason.contains(&address.to_string()) && reason.contains("refused"), "{reason}");
    }
    let (_server, _asked) = serve(loopback().listen(address));
    await_opened(&client);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_no_server() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = connect(listener(mute.local_addr().unwrap()));
    let reason = await_event(&client, |event| match event {
        ClientEvent::Retrying { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("no answer within 5s"), "{reason}");
}

#[test]
fn a_client_that_is_shut_down_while_it_waits_ends_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let waiting_to_retry = connect(listener(nobody));
    await_event(&waiting_to_retry, |event| matches!(event, ClientEvent::Retrying { attempt: 4, .. }).then_some(()));
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    // Two that wait for the same answer; the first one's patience ends first.
    let patient = connect(listener(mute.local_addr().unwrap()));
    let first = mute.accept().unwrap();
    let waiting_for_an_answer = connect(listener(mute.local_addr().unwrap()));
    let second = mute.accept().unwrap();
    waiting_to_retry.shutdown();
    waiting_for_an_answer.shutdown();
    // Had either waited for what it waited for, the first one would have lost patience meanwhile.
    while let Some(event) = patient.next_event(Duration::ZERO) {
        assert!(!matches!(event, ClientEvent::Retrying { .. }), "{event:?}");
    }
    drop((first, second));
}
