//! Watching a stream of a server: who may, what the host is asked, what is said, and when it is over.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::{IpAddr, TcpStream};
use std::sync::mpsc::Receiver;

use framewire_signal::message::{
    Delivery, Grant, Hops, Refused, Role, Unwatched, Waiting, WatchRequest, Watching, reason,
};
use framewire_signal::{Asker, ClientConfig, ClientEvent, SignalClient, Token};
use framewire_testing::wait_until;
use serde_json::{Value, json};

use stage::raw::{Raw, connect_from, introduction, proof};
use stage::{
    Asked, TOKEN, await_asked, await_connected, await_event, await_opened, connect, feedback, identity, join_string,
    listener, loopback, protected, request, serve, stream_key, token, watching,
};

const VIEW_TOKEN: &str = "AAECAwQFBgcICQoLDA0ODw";
const CLUSTER_KEY: &str = "ffeeddccbbaa99887766554433221100";

fn wish(stream: u32, name: &str) -> WatchRequest {
    WatchRequest::new(stream, name, 9_000)
}

fn await_watching(client: &SignalClient) -> Watching {
    await_event(client, |event| match event {
        ClientEvent::Watching(watching) => Some(watching.clone()),
        _ => None,
    })
}

fn await_unwatched(client: &SignalClient) -> Unwatched {
    await_event(client, |event| match event {
        ClientEvent::Unwatched(unwatched) => Some(unwatched.clone()),
        _ => None,
    })
}

fn await_watch_refused(client: &SignalClient) -> (u32, Refused) {
    await_event(client, |event| match event {
        ClientEvent::WatchRefused { stream, refused } => Some((*stream, refused.clone())),
        _ => None,
    })
}

fn await_watch(asked: &Receiver<Asked>) -> (Asker, WatchRequest) {
    await_asked(asked, |asked| match asked {
        Asked::Watch(asker, request) => Some((asker, request)),
        _ => None,
    })
}

#[test]
fn a_watcher_is_told_what_it_gets_and_when_it_comes_and_goes() {
    let (server, asked) = serve(loopback());
    let whole = wish(5, "front").delivery(Delivery::Every).frames_per_second_max(10.0).slice_bytes(1_472);
    let client = connect(listener(server.local_addr()).watch(whole.clone()));
    assert_eq!(await_watching(&client), watching(5, "front"));
    let (asker, request) = await_watch(&asked);
    assert_eq!((asker.ip, asker.role, asker.protected), (IpAddr::from([127, 0, 0, 1]), Role::Stream, false));
    assert_eq!((asker.at(9_000), request), (([127, 0, 0, 1], 9_000).into(), whole));
    assert_eq!(server.counters().wishes, 1);

    server.tell_unwatched(5, "its client has gone");
    assert_eq!(await_unwatched(&client), Unwatched::new(5, "its client has gone"));
    let back = watching(5, "front").frames_per_second(30.0);
    server.tell_watching(back.clone());
    assert_eq!(await_watching(&client), back);
    server.tell_watching(watching(6, "front"));
    client.unwatch(5);
    assert_eq!(await_unwatched(&client).stream, 5);
    assert_eq!(await_asked(&asked, Some), Asked::Unwatch(5));
    assert_eq!(server.counters().wishes, 0);
}

#[test]
fn a_name_that_is_not_there_is_waited_for_and_the_nearest_is_said() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).watch(wish(5, "not yet")));
    let waiting = await_event(&client, |event| match event {
        ClientEvent::Waiting(waiting) => Some(waiting.clone()),
        _ => None,
    });
    assert_eq!(waiting, Waiting::new(5, "it is not there").nearest("not yes".to_owned()));
    server.tell_watching(watching(5, "not yet"));
    assert_eq!(await_watching(&client).stream, 5);
}

#[test]
fn a_wish_may_come_and_go_beside_a_stream_and_a_refusal_is_told_with_its_id() {
    let (server, asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(request(7)));
    await_opened(&client);
    client.watch(wish(5, "front")).unwrap();
    assert_eq!(await_watching(&client).stream, 5);
    client.watch(wish(6, "refuse me")).unwrap();
    assert_eq!(await_watch_refused(&client), (6, Refused::new("no", "not this one")));
    client.watch(wish(5, "back")).unwrap();
    assert_eq!(await_watching(&client).name, "back", "what was asked last holds");
    let error = client.watch(wish(5, "")).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("without a name")), ("invalid-watch-request", true));
    client.watch(wish(8, "panic")).unwrap();
    assert_eq!(await_watch_refused(&client).1.reason, reason::INTERNAL);
    drop(client);
    assert_eq!(await_asked(&asked, |asked| matches!(asked, Asked::Unwatch(_)).then_some(asked)), Asked::Unwatch(5));
}

#[test]
fn a_watcher_is_not_bothered_with_frames_of_others_and_who_listens_hears_of_all() {
    let (server, _asked) = serve(loopback());
    let watcher = connect(listener(server.local_addr()).watch(wish(5, "front")));
    await_watching(&watcher);
    let owner = connect(listener(server.local_addr()).open(request(7)));
    await_opened(&owner);
    let every = connect(listener(server.local_addr()));
    stage::await_listening(&server, &every);
    // What was asked before on these connections has been heard: one is answered after the other.
    for (client, stream) in [(&watcher, 50), (&owner, 70)] {
        client.watch(wish(stream, "front")).unwrap();
        await_watching(client);
    }
    server.feedback(feedback(7, 0));
    assert_eq!(stage::await_feedback(&owner).stream, 7);
    assert_eq!(stage::await_feedback(&every).stream, server.shown_id(7));
    server.tell_unwatched(5, "");
    let before = await_event(&watcher, |event| match event {
        ClientEvent::Feedback(_) => Some(Err(())),
        ClientEvent::Unwatched(_) => Some(Ok(())),
        _ => None,
    });
    assert_eq!(before, Ok(()));
}

#[test]
fn a_wish_is_asked_again_by_a_client_that_comes_back_and_ends_with_it() {
    let (server, asked) = serve(loopback());
    let address = server.local_addr();
    let (mut raw, _) = Raw::connect(address, "");
    raw.emit("watch", &json!(wish(5, "front")));
    assert_eq!(raw.receive_event("watching").unwrap()["stream"], 5);
    drop(raw);
    let (mut again, _) = Raw::connect(address, "");
    again.emit("watch", &json!(wish(5, "front")));
    assert_eq!(again.receive_event("watching").unwrap()["stream"], 5);
    drop(again);
    // On a busy machine it may come back too late for the wish of before.
    let watches = [(); 2].map(|()| await_watch(&asked));
    assert!(watches.iter().all(|(_, wish)| wish.stream == 5), "{watches:?}");
    let ended = await_asked(&asked, |asked| match asked {
        Asked::Unwatch(stream) => Some(stream),
        _ => None,
    });
    assert_eq!((ended, server.counters().wishes), (5, 0));
}

#[test]
fn a_client_asks_again_at_a_server_that_comes_back() {
    let (server, asked) = serve(loopback());
    let address = server.local_addr();
    let client = connect(listener(address).watch(wish(5, "front")));
    await_watching(&client);
    client.watch(wish(6, "side")).unwrap();
    await_watching(&client);
    drop((server, asked));
    let (_server, asked) = serve(loopback().listen(address));
    // One beside the other, so in no order.
    for mut streams in [
        [await_watch(&asked).1.stream, await_watch(&asked).1.stream],
        [await_watching(&client).stream, await_watching(&client).stream],
    ] {
        streams.sort_unstable();
        assert_eq!(streams, [5, 6]);
    }
}

#[test]
fn the_frames_go_to_who_asks_whatever_else_is_said() {
    let (server, asked) = serve(loopback());
    let mut said = json!(wish(5, "front"));
    for field in ["ip", "host", "udp_host", "address", "peer"] {
        said[field] = "198.51.100.7".into();
    }
    let (mut raw, _) = Raw::connect_over(connect_from([127, 0, 0, 9], server.local_addr()), "");
    raw.emit("watch", &said);
    assert_eq!(raw.receive_event("watching").unwrap()["stream"], 5);
    assert_eq!(await_watch(&asked).0.at(9_000), ([127, 0, 0, 9], 9_000).into());
    // Another address does not get what is asked for there, though it knows the id.
    let (mut stranger, _) = Raw::connect(server.local_addr(), "");
    stranger.emit("watch", &json!(wish(5, "front")));
    assert_eq!(stranger.receive_event("refused").unwrap()["reason"], reason::NOT_YOURS);
    stranger.emit("unwatch", &json!({"stream": 5}));
    assert_eq!(stranger.receive_event("refused").unwrap()["reason"], reason::NOT_YOURS);
}

#[test]
fn an_ipv4_watcher_of_a_server_of_both_families_is_one() {
    let Ok(probe) = std::net::TcpListener::bind("[::]:0") else {
        framewire_testing::skip(format_args!("this machine has no IPv6"));
        return;
    };
    drop(probe);
    let (server, asked) = serve(loopback().listen("[::]:0".parse().unwrap()));
    let client =
        connect(ClientConfig::new(format!("http://127.0.0.1:{}", server.local_addr().port())).watch(wish(5, "front")));
    await_watching(&client);
    assert_eq!(await_watch(&asked).0.at(9_000), ([127, 0, 0, 1], 9_000).into());
}

#[test]
fn what_is_not_as_documented_is_refused_and_the_host_is_not_asked() {
    let (server, asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    let whole = json!(wish(5, "front"));
    let with = |field: &str, value: Value| {
        let mut said = whole.clone();
        said[field] = value;
        said
    };
    for said in [
        json!(null),
        json!([]),
        json!("watch"),
        json!({}),
        with("stream", (-1).into()),
        with("stream", 4_294_967_296_u64.into()),
        with("udp_port", 65_536.into()),
        with("udp_port", 0.into()),
        with("name", "".into()),
        with("name", json!("x".repeat(50_000))),
        with("delivery", "some".into()),
        with("frames_per_second_max", json!(0)),
        with("slice_bytes", 0.into()),
        with("hops", json!("a")),
        with("hops", json!([7])),
        with("hops", json!(vec!["z"; 1_000])),
        with("hops", json!(["a", "b", "a"].map(|digit| digit.repeat(32)))),
        with("hops", json!(["a", "b", "c", "d"].map(|digit| digit.repeat(32)))),
    ] {
        raw.emit("watch", &said);
        let refused = raw.receive_event("refused").unwrap();
        assert_eq!(refused["reason"], reason::BAD_REQUEST, "{refused}");
        assert!(refused["message"].as_str().unwrap().len() < 500, "{refused}");
    }
    for said in [json!(null), json!({}), json!({"stream": "5"})] {
        raw.emit("unwatch", &said);
        assert_eq!(raw.receive_event("refused").unwrap()["reason"], reason::BAD_REQUEST);
    }
    raw.emit("quiet", &json!({"quiet": "yes"}));
    raw.emit("watch", &whole);
    raw.receive_event("watching").unwrap();
    assert!(matches!(asked.try_recv(), Ok(Asked::Watch(..))));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_name_of_a_million_characters_ends_who_sends_it_and_nobody_else() {
    let (server, asked) = serve(loopback());
    let other = connect(listener(server.local_addr()).watch(wish(6, "front")));
    await_watching(&other);
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    let long = format!("42{}", json!(["watch", wish(5, &"x".repeat(1_000_000))]));
    // The server hangs up as soon as it sees how long it is.
    let _ = raw.send_frame(long.as_bytes());
    while raw.receive().is_some() {}
    other.watch(wish(7, "side")).unwrap();
    assert_eq!(await_watching(&other).stream, 7);
    assert!(asked.try_iter().all(|asked| !matches!(asked, Asked::Watch(_, request) if request.stream == 5)));
}

#[test]
fn a_flood_of_wishes_is_answered_one_by_one_and_takes_no_more_than_a_client_may_have() {
    let (server, _asked) = serve(loopback());
    let address = server.local_addr();
    let (mut raw, _) = Raw::connect(address, "");
    for round in 0..20_u32 {
        for stream in 0..50 {
            raw.emit("watch", &json!(wish(round * 50 + stream + 100, "front")));
        }
        for _ in 0..50 {
            let answer = raw.receive_that("42[").unwrap();
            let is_known = answer.contains("\"watching\"") || answer.contains(reason::TOO_MANY);
            assert!(is_known, "{answer}");
        }
        assert!(server.counters().wishes <= 16, "{}", server.counters().wishes);
    }
    assert_eq!(server.counters().wishes, 16);
    let (mut other, _) = Raw::connect(address, "");
    other.emit("watch", &json!(wish(5, "front")));
    other.receive_event("watching").unwrap();
}

#[test]
fn who_may_look_may_watch_and_its_hops_are_not_believed() {
    let (server, asked) = serve(loopback().token(token()).view_token(Token::new(VIEW_TOKEN).unwrap()));
    let lie = wish(5, "front").hops(hops(["a"]));
    for (role, secret) in [("view", VIEW_TOKEN), ("view", TOKEN), ("stream", TOKEN)] {
        let (mut raw, _) = Raw::prove_as(role, TcpStream::connect(server.local_addr()).unwrap(), secret);
        raw.emit("watch", &json!(lie));
        raw.receive_event("watching").unwrap();
        let (asker, request) = await_watch(&asked);
        assert_eq!((asker.role.to_string().as_str(), request.hops.len()), (role, 0));
        raw.emit("unwatch", &json!({"stream": 5}));
        assert_eq!(raw.receive_event("unwatched").unwrap()["stream"], 5);
    }
}

#[test]
fn a_node_proves_the_clusters_key_watches_with_its_hops_and_opens_nothing() {
    let node_token = Token::of_node(&Token::new(CLUSTER_KEY).unwrap());
    let (server, asked) = serve(protected().node_token(node_token.clone()));
    let hops = wish(5, "front").hops(hops(["a", "b"]));
    let node = listener(server.local_addr()).token(node_token).pin(server.pin()).role(Role::Node);
    let client = connect(node.clone().watch(hops.clone()));
    await_watching(&client);
    let (asker, request) = await_watch(&asked);
    assert_eq!((asker.role, asker.protected, request), (Role::Node, true, hops));
    let opening = connect(node.open(request_of_node()));
    assert_eq!(stage::await_refused(&opening).reason, reason::VIEW_ONLY);
    // A token for streaming makes nobody a node.
    let streamer = connect(ClientConfig::join(&join_string(&server)).role(Role::Node));
    assert_eq!(stage::await_refused(&streamer).reason, reason::SERVER_UNPROVEN);
}

/// Servers whose ids have one digit only.
fn hops<const N: usize>(digits: [&str; N]) -> Hops {
    Hops::new(digits.map(|digit| digit.repeat(32).parse().unwrap())).unwrap()
}

fn request_of_node() -> framewire_signal::message::OpenRequest {
    request(9)
}

#[test]
fn a_server_in_no_cluster_takes_no_node_and_one_that_asks_nobody_else_for_a_token_still_asks_nodes() {
    let node_token = Token::of_node(&Token::new(CLUSTER_KEY).unwrap());
    let node = |server: &framewire_signal::SignalServer| {
        listener(server.local_addr()).token(node_token.clone()).insecure(true).role(Role::Node)
    };
    let (alone, _asked) = serve(loopback().token(token()));
    assert_eq!(stage::await_refused(&connect(node(&alone))).reason, reason::NO_CLUSTER);

    let (open, asked) = serve(loopback().node_token(node_token.clone()));
    let anybody = connect(listener(open.local_addr()).open(request(7)));
    await_opened(&anybody);
    let client = connect(node(&open).watch(wish(5, "front")));
    await_watching(&client);
    assert_eq!(await_watch(&asked).0.role, Role::Node);
    let other = Token::of_node(&token());
    assert_eq!(stage::await_refused(&connect(node(&open).token(other))).reason, reason::SERVER_UNPROVEN);
    let streamer = connect(listener(open.local_addr()).token(token()).insecure(true));
    assert_eq!(stage::await_refused(&streamer).reason, reason::NO_TOKEN_HERE);
}

#[test]
fn the_proof_of_a_node_is_good_once_and_for_that_connection() {
    let node_token = Token::of_node(&Token::new(CLUSTER_KEY).unwrap());
    let (server, _asked) = serve(loopback().token(token()).node_token(node_token.clone()));
    let address = server.local_addr();
    let secret = node_token.secret();
    let (_raw, answer) = Raw::prove_as("node", TcpStream::connect(address).unwrap(), secret);
    assert!(answer.starts_with("42[\"proven\",{\"role\":\"node\"}"), "{answer}");
    // What was proved on one connection, said again on another.
    let (mut first, _) = Raw::connect(address, &introduction("node"));
    let nonce = first.receive_event("challenge").unwrap()["nonce"].as_str().unwrap().to_owned();
    let replayed = json!({"proof": proof("client", "node", secret, &nonce)});
    let (mut second, _) = Raw::connect(address, &introduction("node"));
    second.receive_event("challenge").unwrap();
    second.emit("prove", &replayed);
    assert_eq!(second.receive_event("refused").unwrap()["reason"], reason::PROOF_WRONG);
    // And a node's token proved as another role, and the server's own proof said back.
    let (_raw, answer) = Raw::prove_as("stream", TcpStream::connect(address).unwrap(), secret);
    assert!(answer.contains(reason::PROOF_WRONG), "{answer}");
    let (mut third, _) = Raw::connect(address, &introduction("node"));
    let challenge = third.receive_event("challenge").unwrap();
    third.emit("prove", &json!({"proof": challenge["proof"]}));
    assert_eq!(third.receive_event("refused").unwrap()["reason"], reason::PROOF_WRONG);
    // The first is still good where it was made.
    first.emit("prove", &replayed);
    assert_eq!(first.receive_event("proven").unwrap()["role"], "node");
}

#[test]
fn a_key_travels_over_tls_alone() {
    let (plain, asked) = serve(loopback());
    let client = connect(listener(plain.local_addr()).watch(wish(5, "sealed")));
    let (stream, refused) = await_watch_refused(&client);
    assert_eq!((stream, refused.reason.as_str()), (5, reason::KEY_OVER_PLAIN));
    assert_eq!(await_asked(&asked, |asked| matches!(asked, Asked::Unwatch(_)).then_some(asked)), Asked::Unwatch(5));
    assert_eq!(plain.counters().wishes, 0);
    client.watch(wish(6, "not yet")).unwrap();
    await_event(&client, |event| matches!(event, ClientEvent::Waiting(_)).then_some(()));
    plain.tell_watching(watching(6, "not yet").key(stream_key()));
    assert!(await_unwatched(&client).message.contains("TLS"));

    let (sealed, _asked) = serve(loopback().tls(identity()));
    let client = connect(listener(sealed.local_addr()).pin(sealed.pin()).watch(wish(5, "sealed")));
    assert_eq!(await_watching(&client).key, Some(stream_key()));
}

#[test]
fn a_server_that_shares_nothing_and_one_of_the_plain_wire_say_so() {
    struct NoHost;
    impl framewire_signal::StreamHost for NoHost {
        fn open(
            &self,
            request: &framewire_signal::message::OpenRequest,
        ) -> Result<framewire_signal::message::Opened, Refused> {
            Ok(framewire_signal::message::Opened::new(request.stream, 1))
        }
        fn close(&self, _stream: u32) {}
    }
    for (config, expected) in [(loopback(), reason::NO_WATCHERS), (loopback().plain(true), reason::PLAIN_WIRE)] {
        let server = framewire_signal::SignalServer::start(config, std::sync::Arc::new(NoHost)).unwrap();
        let client = connect(listener(server.local_addr()).watch(wish(5, "front")));
        assert_eq!(await_watch_refused(&client).1.reason, expected);
        assert_eq!(server.counters().wishes, 0);
    }
}

#[test]
fn the_owner_of_a_stream_is_told_that_nobody_wants_it_and_what_it_may_send_and_again_when_it_is_back() {
    let (server, _asked) = serve(loopback());
    let address = server.local_addr();
    let opening = json!({"protocol": 4, "stream": 7, "name": "n", "pixel": "gray8", "width": 1, "height": 1, "stride": 1,
        "delivery": "latest", "on_demand": true, "priority": 9, "resume": "abababababababababababababababab"});
    let grant = Grant::new(7, 95_000_000, 65_536).frames_per_second(12.5).phase_us(3_000).cycle_us(4_194);
    let (mut raw, _) = Raw::connect(address, "");
    raw.emit("open", &opening);
    raw.receive_event("opened").unwrap();
    server.tell_idle(7, true);
    server.tell_grant(grant);
    let idle = json!({"stream": 7, "idle": true});
    let granted = json!({"stream": 7, "bits_per_second": 95_000_000, "burst_bytes": 65_536, "frames_per_second": 12.5, "phase_us": 3_000, "cycle_us": 4_194});
    assert_eq!(
        (raw.receive_event("idle").unwrap(), raw.receive_event("grant").unwrap()),
        (idle.clone(), granted.clone())
    );
    let (mut again, _) = Raw::connect(address, "");
    again.emit("open", &opening);
    again.receive_event("opened").unwrap();
    assert_eq!((again.receive_event("idle").unwrap(), again.receive_event("grant").unwrap()), (idle, granted));
    server.tell_idle(7, false);
    assert_eq!(again.receive_event("idle").unwrap()["idle"], false);
    // Of streams that nobody has, nobody hears.
    server.tell_idle(8, true);
    server.tell_grant(Grant::new(8, 1, 1));
}

#[test]
fn a_client_hears_of_its_own_stream_alone_and_of_no_grant_that_cannot_be_kept() {
    let (server, _asked) = serve(loopback());
    let client = connect(listener(server.local_addr()).open(request(7)));
    await_opened(&client);
    server.tell_grant(Grant::new(7, 0, 1));
    server.tell_grant(Grant::new(7, 1_000_000, 1_500));
    server.tell_idle(7, true);
    let granted = await_event(&client, |event| match event {
        ClientEvent::Granted(grant) => Some(*grant),
        _ => None,
    });
    assert_eq!(granted, Grant::new(7, 1_000_000, 1_500));
    let idle = await_event(&client, |event| match event {
        ClientEvent::Idle(idle) => Some(*idle),
        _ => None,
    });
    assert!(idle.idle && idle.stream == 7);
}

#[test]
fn of_two_streams_of_one_name_the_older_ones_client_is_told_so() {
    let (server, asked) = serve(loopback());
    let older = connect(listener(server.local_addr()).open(request(7).incarnation(10)));
    await_opened(&older);
    let newer = connect(listener(server.local_addr()).open(request(8).incarnation(20)));
    await_opened(&newer);
    let replaced = await_event(&older, |event| match event {
        ClientEvent::Replaced(replaced) => Some(replaced.clone()),
        _ => None,
    });
    assert!(replaced.stream == 7 && replaced.message.contains("\"test\""), "{replaced:?}");
    let told = await_asked(&asked, |asked| matches!(asked, Asked::Replaced(..)).then_some(asked));
    assert_eq!(told, Asked::Replaced(7, 8));
}

#[test]
fn what_is_told_while_the_host_is_asked_comes_after_the_answer() {
    let (server, asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    for stream in 0..200_u32 {
        raw.emit("watch", &json!({"request": 1, "protocol": 4, "stream": stream, "name": "not yet", "udp_port": 9}));
        await_watch(&asked);
        // The host has been asked, and its answer is on its way or was said.
        server.tell_watching(watching(stream, "not yet"));
        let order = [raw.receive_that("42[").unwrap(), raw.receive_that("42[").unwrap()];
        assert!(order[0].contains("\"waiting\"") && order[1].contains("\"watching\""), "{order:?}");
        raw.emit("unwatch", &json!({"stream": stream}));
        raw.receive_event("unwatched").unwrap();
    }
    await_connected(&connect(listener(server.local_addr())));
}

#[test]
fn a_client_whose_buffer_is_full_hears_what_holds_and_its_answers_once_there_is_room() {
    let (server, asked) = serve(loopback().feedback_rate(100_000.0));
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    raw.emit("open", &serde_json::to_value(request(9)).unwrap());
    raw.receive_event("opened").unwrap();
    raw.emit("watch", &json!({"request": 1, "protocol": 4, "stream": 5, "name": "front", "udp_port": 9}));
    raw.receive_event("watching").unwrap();
    await_watch(&asked);
    // It does not read. What its buffer and the system's hold is full once it has missed so much.
    let mut frame = 0;
    wait_until("its buffer is full", || {
        for _ in 0..320 {
            server.feedback(stage::feedback(9, frame));
            frame += 1;
        }
        server.counters().missed_by_slow_clients >= 1_000
    });
    for is_idle in [true, false, true] {
        server.tell_idle(9, is_idle);
    }
    for bits_per_second in [1_000_000, 2_000_000] {
        server.tell_grant(Grant::new(9, bits_per_second, 1));
    }
    server.tell_unwatched(5, "it is away");
    server.tell_watching(watching(5, "front"));
    raw.emit("watch", &json!({"request": 2, "protocol": 4, "stream": 6, "name": "rear", "udp_port": 9}));
    await_watch(&asked);
    let mut heard = Vec::new();
    while heard.len() < 5 {
        let said = raw.receive_that("42[").expect("it has its place still");
        let said: Value = serde_json::from_str(&said[2..]).unwrap();
        if !matches!(said[0].as_str(), Some("feedback" | "statistics")) {
            heard.push(said);
        }
    }
    let of = |name: &str| heard.iter().filter(|said| said[0] == name).map(|said| &said[1]).collect::<Vec<_>>();
    assert_eq!(of("idle"), [&json!({"stream": 9, "idle": true})], "{heard:?}");
    assert_eq!(of("grant").iter().map(|grant| &grant["bits_per_second"]).collect::<Vec<_>>(), [&json!(2_000_000)]);
    assert_eq!(of("unwatched")[0]["stream"], 5);
    assert_eq!(
        of("watching").iter().map(|said| &said["stream"]).collect::<Vec<_>>(),
        [&json!(5), &json!(6)],
        "{heard:?}"
    );
    let at = |name: &str| heard.iter().position(|said| said[0] == name);
    assert!(at("unwatched") < at("watching"), "{heard:?}");
}
