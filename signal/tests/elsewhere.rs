//! Clients that are given one server, and told by it of others.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::{io, thread};

use framewire_signal::message::{Elsewhere, OtherServer, WatchRequest};
use framewire_signal::{ClientConfig, ClientEvent, Pin, SignalClient, SignalServer, Token};
use serde_json::{Value, json};

use stage::raw::{Raw, introduction, proof};
use stage::{
    Asked, TOKEN, await_asked, await_event, await_opened, connect, identity, join_string, listener, loopback,
    protected, request, serve, token,
};

fn at(address: SocketAddr) -> OtherServer {
    OtherServer::new(format!("http://{address}"), None)
}

fn told(servers: impl IntoIterator<Item = OtherServer>) -> Elsewhere {
    Elsewhere::new(servers)
}

fn is_at(client: &SignalClient, server: &SignalServer) -> bool {
    let address = server.local_addr();
    client.peer() == Some(address) && client.server().contains(&address.to_string())
}

fn incarnation(asked: &Receiver<Asked>) -> u64 {
    await_asked(asked, |asked| match asked {
        Asked::Open(request) => request.incarnation,
        _ => None,
    })
}

#[test]
fn a_client_whose_only_server_dies_goes_to_one_that_it_told_of_with_all_that_it_has() {
    let ((first, asked), (second, asked_then)) = (serve(loopback()), serve(loopback()));
    first.tell_elsewhere(told([at(second.local_addr())]));
    let wish = WatchRequest::new(5, "front", 9_000);
    let config = listener(first.local_addr()).open(request(7).incarnation(10)).watch(wish.clone()).roams(true);
    let client = connect(config);
    await_opened(&client);
    assert!(is_at(&client, &first));
    drop(first);
    await_event(&client, |event| matches!(event, ClientEvent::Disconnected { .. }).then_some(()));
    await_opened(&client);
    assert!(is_at(&client, &second));
    let moved = await_asked(&asked_then, |asked| match asked {
        Asked::Open(request) => request.incarnation,
        Asked::Watch(_, request) => {
            assert_eq!(request, wish);
            None
        }
        _ => None,
    });
    assert!(incarnation(&asked) == 10 && moved > 10, "it is newer there");
}

#[test]
fn it_goes_back_to_the_one_that_it_was_given_when_the_other_dies_and_on_to_one_that_the_other_told_of() {
    let ((first, asked), (second, asked_then), (third, asked_last)) =
        (serve(loopback()), serve(loopback()), serve(loopback()));
    let address = first.local_addr();
    first.tell_elsewhere(told([at(second.local_addr())]));
    second.tell_elsewhere(told([at(address), at(third.local_addr())]));
    let client = connect(listener(address).open(request(7).incarnation(10)).roams(true));
    await_opened(&client);
    first.tell_moved("it ends");
    await_opened(&client);
    assert!(is_at(&client, &second));
    drop(first);
    // What is left is the one that is away and the third.
    second.tell_moved("it ends, too");
    await_opened(&client);
    assert!(is_at(&client, &third));
    let (first, asked_again) = serve(loopback().listen(address));
    drop((second, third));
    await_opened(&client);
    assert!(is_at(&client, &first));
    let all = [asked, asked_then, asked_last, asked_again].map(|asked| incarnation(&asked));
    assert!(all.is_sorted_by(|before, after| before < after), "{all:?}");
}

#[test]
fn a_client_hears_of_a_change_while_it_is_there_and_who_does_not_roam_stays() {
    let ((first, _asked), (second, _asked_then)) = (serve(loopback()), serve(loopback()));
    let roaming = connect(listener(first.local_addr()).open(request(7)).roams(true));
    let staying = connect(listener(first.local_addr()).open(request(8)));
    for client in [&roaming, &staying] {
        await_opened(client);
    }
    first.tell_elsewhere(told([at(second.local_addr())]));
    first.tell_moved("it ends");
    await_opened(&roaming);
    assert!(is_at(&roaming, &second));
    first.feedback(stage::feedback(8, 0));
    assert_eq!(stage::await_feedback(&staying).stream, 8);
    // What was told is taken back: nothing is left to go to.
    let alone = connect(listener(first.local_addr()).open(request(9)).roams(true));
    await_opened(&alone);
    first.tell_elsewhere(Elsewhere::default());
    first.tell_moved("it ends");
    first.feedback(stage::feedback(9, 0));
    assert_eq!(stage::await_feedback(&alone).stream, 9);
}

#[test]
fn a_protected_client_goes_to_a_server_of_the_same_token_by_the_key_that_it_was_told() {
    let ((first, _asked), (second, _asked_then)) = (serve(protected()), serve(protected()));
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = OtherServer::new(format!("https://{}", second.local_addr()), second.pin());
    first.tell_elsewhere(told([at(plain.local_addr().unwrap()), there]));
    let client = connect(ClientConfig::join(&join_string(&first)).open(request(7)).roams(true));
    await_opened(&client);
    first.shutdown();
    await_opened(&client);
    assert_eq!(client.server_pin(), second.pin());
    plain.set_nonblocking(true).unwrap();
    assert_eq!(plain.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nothing says who that is");
}

/// Passes all on to this server, and tells of each connection.
fn counted(server: SocketAddr) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (come, came)) = (listener.local_addr().unwrap(), mpsc::channel());
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(server).unwrap());
            if come.send(()).is_err() {
                return;
            }
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            for (mut from, mut to) in [(near, far), back] {
                thread::spawn(move || {
                    // It may be cut at any time.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (address, came)
}

#[test]
fn a_server_of_another_token_or_key_is_tried_once_and_the_own_one_is_found_when_it_is_back() {
    let key = identity();
    let start = |address: Option<SocketAddr>| {
        let config = loopback().token(token()).tls(key.clone());
        serve(address.into_iter().fold(config, |config, address| config.listen(address))).0
    };
    let stranger = Token::new("00112233445566778899aabbccddeeff").unwrap();
    let (second, asked) = serve(loopback().token(stranger).tls(identity()));
    let (third, _asked) = serve(protected());
    for (server, pin) in [(&second, second.pin()), (&third, Some(Pin::of_public_key(b"another")))] {
        let (address, came) = counted(server.local_addr());
        let first = start(None);
        let own = first.local_addr();
        first.tell_elsewhere(told([OtherServer::new(format!("https://{address}"), pin)]));
        let client = connect(ClientConfig::join(&join_string(&first)).open(request(7)).roams(true));
        await_opened(&client);
        first.shutdown();
        let mut seen = Vec::new();
        await_event(&client, |event| {
            seen.push(event.clone());
            matches!(event, ClientEvent::Retrying { attempt, .. } if *attempt >= 6).then_some(())
        });
        assert!(!seen.iter().any(|event| matches!(event, ClientEvent::Refused(_))), "{seen:?}");
        let _first = start(Some(own));
        await_opened(&client);
        assert!(client.server().contains(&own.to_string()));
        assert_eq!(came.try_iter().count(), 1, "{seen:?}");
    }
    assert!(asked.try_recv().is_err());
}

#[test]
fn what_a_server_that_was_told_of_refuses_is_asked_of_the_own_one_and_no_business_of_the_program() {
    let ((first, _asked), (second, _asked_then)) = (serve(loopback()), serve(loopback().plain(true)));
    let own = first.local_addr();
    first.tell_elsewhere(told([at(second.local_addr())]));
    let client = connect(listener(own).open(request(7)).roams(true));
    await_opened(&client);
    drop(first);
    let mut seen = Vec::new();
    await_event(&client, |event| {
        seen.push(event.clone());
        matches!(event, ClientEvent::Retrying { attempt, .. } if *attempt >= 6).then_some(())
    });
    assert_eq!(seen.iter().filter(|event| matches!(event, ClientEvent::Connected)).count(), 1, "{seen:?}");
    assert!(!seen.iter().any(|event| matches!(event, ClientEvent::Refused(_))), "{seen:?}");
    let (first, _asked) = serve(loopback().listen(own));
    await_opened(&client);
    assert!(is_at(&client, &first));
}

/// What comes to this client before it is told to go, by its name.
fn heard(server: &SignalServer, raw: &mut Raw) -> Vec<String> {
    server.tell_moved("it ends");
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "moved") {
        let text = raw.receive_that("42").unwrap();
        let said: Vec<Value> = serde_json::from_str(&text[2..]).unwrap();
        names.push(said[0].as_str().unwrap().to_owned());
    }
    names
}

#[test]
fn a_client_is_told_once_it_has_proved_the_token_and_a_node_never() {
    let node_token = Token::of_node(&Token::new("ffeeddccbbaa99887766554433221100").unwrap());
    let (server, _asked) = serve(loopback().token(token()).node_token(node_token.clone()));
    let others = told([at(SocketAddr::from(([10, 0, 0, 1], 8080)))]);
    server.tell_elsewhere(others.clone());
    for (role, secret, expected) in
        [("stream", TOKEN, &["proven", "elsewhere", "moved"][..]), ("node", node_token.secret(), &["proven", "moved"])]
    {
        let (mut raw, _) = Raw::connect(server.local_addr(), &introduction(role));
        let challenge = raw.receive_event("challenge").unwrap();
        server.tell_elsewhere(others.clone());
        let nonce = challenge["nonce"].as_str().unwrap();
        raw.emit("prove", &json!({"proof": proof("client", role, secret, nonce)}));
        assert_eq!(raw.receive_that("42").unwrap().split('"').nth(1), Some("proven"));
        let mut heard = [vec!["proven".to_owned()], heard(&server, &mut raw)].concat();
        // What was told meanwhile may be told to all once more.
        heard.dedup();
        assert_eq!(heard, expected, "{role}");
    }
}

#[test]
fn where_there_is_nothing_to_tell_nobody_is_told() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    assert_eq!(heard(&server, &mut raw), ["moved"]);
    server.tell_elsewhere(told([at(SocketAddr::from(([10, 0, 0, 1], 8080)))]));
    assert_eq!(raw.receive_event("elsewhere").unwrap(), json!({"servers": [{"url": "http://10.0.0.1:8080"}]}));
    server.tell_elsewhere(Elsewhere::default());
    assert_eq!(raw.receive_event("elsewhere").unwrap(), json!({"servers": []}), "all of it is taken back");
}
