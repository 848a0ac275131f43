//! Feedback to everyone who listens, and what a slow listener does to the others: nothing.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use framewire_signal::message::PlainFeedback;
use framewire_signal::{ClientEvent, StreamEnd};
use serde_json::json;

use stage::raw::Raw;
use stage::{
    await_event, await_feedback, await_listening, await_opened, connect, feedback, listener, loopback, request, serve,
};

#[test]
fn every_client_hears_of_each_frame() {
    let (server, _asked) = serve(loopback());
    let clients: Vec<_> = (0..3).map(|_| connect(listener(server.local_addr()))).collect();
    clients.iter().for_each(|client| await_listening(&server, client));
    for frame in 0..10 {
        server.feedback(feedback(1, frame));
    }
    for client in &clients {
        for frame in 0..10 {
            assert_eq!(await_feedback(client), feedback(server.shown_id(1), frame));
        }
    }
    assert_eq!((server.counters().feedback_sent, server.counters().clients), (10, 3));
}

#[test]
fn a_client_that_streams_hears_of_its_own_frames_only() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    await_opened(&client);
    server.feedback(feedback(8, 0));
    server.feedback(feedback(7, 1));
    assert_eq!(await_feedback(&client).frame, 1);
}

#[test]
fn a_flood_of_frames_is_merged_and_the_last_one_is_always_reported() {
    let (server, _asked) = serve(loopback().feedback_rate(10.0));
    let client = connect(listener(server.local_addr()));
    await_listening(&server, &client);
    for frame in 0..100_000 {
        server.feedback(feedback(1, frame));
    }
    let (mut events, mut frames) = (0, 0);
    loop {
        let feedback = await_feedback(&client);
        events += 1;
        frames += feedback.coalesced;
        if feedback.frame == 99_999 {
            break;
        }
    }
    assert_eq!(frames, 100_000, "every frame is stood for once");
    let counters = server.counters();
    assert_eq!((counters.feedback_sent, counters.feedback_coalesced), (events, 100_000 - events));
    assert!(events < 1000, "{events} events");
}

#[test]
fn the_last_feedback_goes_out_when_the_server_ends() {
    // At this rate, the second would come after ten minutes.
    let (server, _asked) = serve(loopback().feedback_rate(1.0 / 600.0));
    let client = connect(listener(server.local_addr()));
    await_listening(&server, &client);
    for frame in 0..3 {
        server.feedback(feedback(1, frame));
    }
    server.shutdown();
    assert_eq!(await_feedback(&client).frame, 0);
    let last = await_feedback(&client);
    assert_eq!((last.frame, last.coalesced), (2, 2));
}

#[test]
fn the_last_feedback_goes_out_when_its_stream_ends() {
    let (server, _asked) = serve(loopback().feedback_rate(1.0 / 600.0));
    let client = connect(listener(server.local_addr()));
    await_listening(&server, &client);
    for frame in 0..3 {
        server.feedback(feedback(1, frame));
    }
    server.end_stream(1, StreamEnd::Over, "done");
    assert_eq!(await_feedback(&client).frame, 0);
    assert_eq!(await_feedback(&client).frame, 2);
}

#[test]
fn on_the_plain_wire_each_datagram_is_an_event_of_two_fields() {
    let (server, _asked) = serve(loopback().plain(true));
    let client = connect(listener(server.local_addr()).plain(true));
    await_listening(&server, &client);
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    for size in 0..3000 {
        server.plain_feedback(size);
    }
    for size in 0..3000 {
        let came = await_event(&client, |event| match event {
            ClientEvent::PlainFeedback(plain) => Some(plain.clone()),
            _ => None,
        });
        assert_eq!(came, PlainFeedback { frame_size: size, timestamp: came.timestamp.clone() });
        assert_eq!(came.timestamp.len(), "Sun Nov 22 07:00:22 2026".len(), "{}", came.timestamp);
    }
    let event = raw.receive_event("feedback").unwrap();
    assert_eq!(event, json!({"timestamp": event["timestamp"], "frame_size": 0}));
    assert_eq!(server.counters().plain_sent, 3000);
}

#[test]
fn a_client_that_does_not_read_loses_events_then_its_place_and_slows_nobody() {
    let (server, _asked) = serve(loopback().feedback_rate(100_000.0));
    let (stalled, _) = Raw::connect(server.local_addr(), "");
    let client = connect(listener(server.local_addr()));
    await_listening(&server, &client);
    let mut frame = 0;
    let mut has_missed = false;
    while !has_missed || server.counters().clients > 1 {
        has_missed |= server.counters().missed_by_slow_clients > 0;
        for _ in 0..32 {
            server.feedback(feedback(1, frame));
            frame += 1;
        }
        // In step with the one that reads, so that it is never the slow one.
        let newest = frame - 1;
        await_event(&client, |event| match event {
            ClientEvent::Feedback(feedback) if feedback.frame == newest => Some(()),
            _ => None,
        });
    }
    assert_eq!(client.events_dropped(), 0);
    drop(stalled);
}
