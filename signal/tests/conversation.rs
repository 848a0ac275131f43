//! Opening and closing streams, between the server and its own client, and clients that say anything at all.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use framewire_signal::message::{Opened, PROTOCOL, Statistics, StreamStatistics, Timestamp, reason};
use framewire_signal::{ClientConfig, ClientEvent, SignalClient, SignalServer, StartError, StreamEnd};
use serde_json::{Value, json};

use stage::raw::{Raw, http};
use stage::{
    Asked, Host, PATIENCE, await_event, await_opened, await_refused, connect, listener, loopback, request, serve,
};

#[test]
fn a_client_that_asks_is_told_where_to_send() {
    let (server, asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    assert_eq!(await_opened(&client), Opened::new(7, 12_345));
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    assert_eq!(server.counters().clients, 1);
    client.shutdown();
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Gone(vec![7])));
}

#[test]
fn a_refusal_of_the_host_reaches_the_client_as_it_is() {
    let (server, _asked) = serve(loopback());
    let mut open = request(7);
    open.name = "refuse me".into();
    let client = connect(listener(server.local_addr()).open(Some(open)));
    let refused = await_refused(&client);
    assert_eq!(refused.reason, "unknown-pixel");
    assert_eq!(refused.message, "gray9 is not a pixel format; use gray8");
}

#[test]
fn a_stream_is_closed_at_its_clients_wish() {
    let (server, asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    await_opened(&client);
    client.close_stream();
    let closed = await_event(&client, |event| match event {
        ClientEvent::Closed(closed) => Some(closed.clone()),
        _ => None,
    });
    assert_eq!(closed.stream, 7);
    assert_eq!(asked.iter().nth(1), Some(Asked::Close(7)));
}

#[test]
fn a_wish_to_close_goes_out_before_the_client_ends() {
    let (server, asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    await_opened(&client);
    client.close_stream();
    client.shutdown();
    assert_eq!(asked.iter().nth(1), Some(Asked::Close(7)));
}

#[test]
fn a_client_learns_that_its_stream_ended_on_the_data_path() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    await_opened(&client);
    server.end_stream(7, StreamEnd::MayGoOn, "its sender was silent for 10 s");
    let closed = await_event(&client, |event| match event {
        ClientEvent::Closed(closed) => Some(closed.clone()),
        _ => None,
    });
    assert_eq!((closed.stream, closed.message.as_str()), (7, "its sender was silent for 10 s"));
}

#[test]
fn statistics_reach_every_client() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()));
    stage::await_listening(&server, &client);
    let mut stream = StreamStatistics::new(7, "test");
    (stream.frames_delivered, stream.bytes, stream.frames_per_second) = (3, 300, 59.9);
    stream.latency_ms_p50 = Some(0.5);
    let mut statistics = Statistics::new(vec![stream]);
    // As it is written: to the millisecond.
    statistics.timestamp = Timestamp::from_unix_millis(0);
    server.statistics(statistics.clone());
    let came = await_event(&client, |event| match event {
        ClientEvent::Statistics(statistics) if !statistics.streams.is_empty() => Some(statistics.clone()),
        _ => None,
    });
    // Statistics are for everyone, so nobody is told a stream's id.
    statistics.streams[0].stream = server.shown_id(7);
    assert_eq!(came, statistics);
}

fn open_message(request_id: u64) -> Value {
    let mut message = serde_json::to_value(request(9)).unwrap();
    message["request"] = request_id.into();
    message
}

#[test]
fn an_acknowledgement_says_the_same_as_the_event() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    raw.send(&format!("425{}", json!(["open", open_message(3)])));
    let event = raw.receive_event("opened").unwrap();
    let resume = &event["resume"];
    let opened = json!({"request": 3, "reply": "opened", "stream": 9, "udp_port": 12_345, "protocol": PROTOCOL, "resume": resume});
    assert_eq!(event, opened);
    let ack = raw.receive_that("43").unwrap();
    let ack: Value = serde_json::from_str(ack.strip_prefix("435").expect("the id of the request")).unwrap();
    assert_eq!(ack, json!([event]));
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason_and_the_connection_lives() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    let without_width = json!({"request": 4, "protocol": 1, "stream": 9, "pixel": "gray8", "height": 1, "stride": 1,
        "delivery": "every"});
    let (mut negative, mut unknown, mut huge) = (open_message(4), open_message(4), open_message(4));
    negative["width"] = json!(-1);
    unknown["delivery"] = json!("sometimes");
    huge["height"] = json!(1_000_000);
    for (message, said) in [
        (without_width, "missing field `width`"),
        (negative, "invalid value: integer `-1`"),
        (unknown, "unknown variant `sometimes`"),
        (huge, "a height of 1000000 pixels"),
        (json!({"request": 4}), "missing field"),
    ] {
        raw.emit("open", &message);
        let refused = raw.receive_event("refused").unwrap();
        assert_eq!((&refused["request"], &refused["reason"]), (&json!(4), &json!(reason::BAD_REQUEST)), "{message}");
        assert!(refused["message"].as_str().unwrap().contains(said), "{refused} does not say {said:?}");
    }
    for text in [r#"42["open"]"#, r#"42["open",null]"#, r#"42["open",7]"#, r#"42["open",{},{}]"#, r#"42["close","x"]"#]
    {
        raw.send(text);
        assert_eq!(raw.receive_event("refused").unwrap()["reason"], reason::BAD_REQUEST, "{text}");
    }
    raw.emit("an event of tomorrow", &json!({}));
    raw.emit("open", &open_message(5));
    assert_eq!(raw.receive_event("opened").unwrap()["request"], 5);
}

#[test]
fn packets_that_are_no_socket_io_end_their_connection_and_no_other() {
    let (server, _asked) = serve(loopback());
    let (mut bystander, _) = Raw::connect(server.local_addr(), "");
    for text in
        ["42[", "42{}", "42[7]", "4", "49", "9", "45999-[\"open\"]", "451-[\"open\",{}]", "42/nowhere,[\"open\",{}]"]
    {
        let (mut raw, _) = Raw::connect(server.local_addr(), "");
        raw.send(text);
        // Some are ignored, some end the connection: whichever, the next word finds out, and nothing panics.
        if raw.send_frame(b"42[\"heartbeat\",{\"beat\":1}]").is_ok() {
            let _ = raw.receive();
        }
    }
    bystander.emit("open", &open_message(6));
    assert_eq!(bystander.receive_event("opened").unwrap()["request"], 6);
}

#[test]
fn a_client_cannot_close_what_another_opened() {
    let (server, _asked) = serve(loopback());
    let (mut owner, _) = Raw::connect(server.local_addr(), "");
    owner.emit("open", &open_message(1));
    owner.receive_event("opened").unwrap();
    let (mut other, _) = Raw::connect(server.local_addr(), "");
    other.emit("close", &json!({"request": 2, "stream": 9}));
    let refused = other.receive_event("refused").unwrap();
    assert_eq!((&refused["request"], &refused["reason"]), (&json!(2), &json!(reason::NOT_YOURS)));
    owner.emit("close", &json!({"request": 3, "stream": 9}));
    assert_eq!(owner.receive_event("closed").unwrap()["request"], 3);
}

#[test]
fn a_host_that_panics_refuses_that_request_and_goes_on() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    let mut message = open_message(1);
    message["name"] = json!("panic");
    raw.emit("open", &message);
    assert_eq!(raw.receive_event("refused").unwrap()["reason"], reason::INTERNAL);
    raw.emit("open", &open_message(2));
    assert_eq!(raw.receive_event("opened").unwrap()["request"], 2);
}

#[test]
fn on_the_plain_wire_nothing_is_opened() {
    let (server, _asked) = serve(loopback().plain(true));
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    raw.emit("open", &open_message(1));
    assert_eq!(raw.receive_event("refused").unwrap()["reason"], reason::PLAIN_WIRE);
}

#[test]
fn a_browser_that_looks_in_is_told_what_this_is() {
    let (server, _asked) = serve(loopback());
    let answer = http(server.local_addr(), "/", "");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Socket.IO client"), "{answer}");
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let (server, _asked) = serve(loopback());
    let taken = loopback().listen(server.local_addr());
    let error = SignalServer::start(taken, Host::new().0).unwrap_err();
    assert!(matches!(error, StartError::InUse(address) if address == server.local_addr()));
    assert!(error.to_string().contains("another port"), "{error}");
    let elsewhere = loopback().listen("192.0.2.1:0".parse().unwrap());
    assert!(matches!(SignalServer::start(elsewhere, Host::new().0).unwrap_err(), StartError::NotHere(_)));
}

#[test]
fn settings_out_of_range_are_refused_with_the_value() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e6] {
        let config = loopback().feedback_rate(rate);
        let error = SignalServer::start(config, Host::new().0).unwrap_err();
        assert!(matches!(error, StartError::FeedbackRate(_)) && error.to_string().contains(&format!("rate of {rate}")));
    }
    let config = loopback().clients_max(0);
    assert!(matches!(SignalServer::start(config, Host::new().0).unwrap_err(), StartError::NoClients));
}

#[test]
fn a_client_with_a_bad_address_does_not_start() {
    let config = ClientConfig::new("127.0.0.1:8080");
    let error = SignalClient::start(config).unwrap_err().to_string();
    assert!(error.contains("\"127.0.0.1:8080\"") && error.contains("http://HOST:PORT"), "{error}");
}
