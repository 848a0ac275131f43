//! Clients that know several servers: where they go when one is away, full, or leaves.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::Receiver;

use framewire_signal::message::{WatchRequest, reason};
use framewire_signal::{ClientConfig, ClientEvent, ServerTarget, SignalClient};

use stage::{
    Asked, PATIENCE, await_asked, await_event, await_opened, await_refused, connect, identity, join_string, listener,
    loopback, protected, request, serve, token,
};

fn at(address: SocketAddr) -> ServerTarget {
    ServerTarget::new(format!("http://{address}"))
}

/// A port that nothing listens on.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn is_at(client: &SignalClient, address: SocketAddr) -> bool {
    client.peer() == Some(address) && client.server().contains(&address.to_string())
}

#[test]
fn dead_servers_are_passed_over_and_the_one_that_lives_is_said() {
    let (server, asked) = serve(loopback());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let others = vec![at(dead()), at(mute.local_addr().unwrap()), at(dead()), at(server.local_addr())];
    let client = connect(listener(dead()).open(request(7)).others(others));
    assert_eq!(await_opened(&client).stream, 7);
    assert!(is_at(&client, server.local_addr()));
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
}

#[test]
fn a_client_whose_server_dies_goes_to_the_next_with_all_that_it_has() {
    let (first, _asked) = serve(loopback());
    let (second, asked) = serve(loopback());
    let wish = WatchRequest::new(5, "front", 9_000);
    let config =
        listener(first.local_addr()).open(request(7)).watch(wish.clone()).others(vec![at(second.local_addr())]);
    let client = connect(config);
    await_opened(&client);
    assert!(is_at(&client, first.local_addr()));
    drop(first);
    await_event(&client, |event| matches!(event, ClientEvent::Disconnected { .. }).then_some(()));
    await_opened(&client);
    assert!(is_at(&client, second.local_addr()));
    let moved = [asked.recv_timeout(PATIENCE).unwrap(), asked.recv_timeout(PATIENCE).unwrap()];
    assert!(moved.contains(&Asked::Open(request(7))), "{moved:?}");
    assert!(moved.iter().any(|asked| matches!(asked, Asked::Watch(_, request) if *request == wish)), "{moved:?}");
}

#[test]
fn a_client_stays_where_it_is_though_the_first_comes_back() {
    let (second, _asked) = serve(loopback());
    let gone = dead();
    let client = connect(listener(gone).open(request(7)).others(vec![at(second.local_addr())]));
    await_opened(&client);
    let (_first, asked) = serve(loopback().listen(gone));
    for frame in 0..3 {
        second.feedback(stage::feedback(7, frame));
        assert_eq!(stage::await_feedback(&client).frame, frame);
    }
    assert!(is_at(&client, second.local_addr()) && asked.try_recv().is_err());
}

#[test]
fn a_server_that_says_to_go_is_left_by_who_knows_another_and_by_nobody_else() {
    let (first, _asked) = serve(loopback());
    let (second, _also_asked) = serve(loopback());
    let client = connect(listener(first.local_addr()).open(request(7)).others(vec![at(second.local_addr())]));
    await_opened(&client);
    let alone = connect(listener(first.local_addr()).open(request(8)));
    await_opened(&alone);
    first.tell_moved("it ends in a minute");
    let reason = await_event(&client, |event| match event {
        ClientEvent::Disconnected { reason } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("it ends in a minute"), "{reason}");
    await_opened(&client);
    assert!(is_at(&client, second.local_addr()));
    first.feedback(stage::feedback(8, 0));
    assert_eq!(stage::await_feedback(&alone).stream, 8);
}

#[test]
fn a_server_that_refuses_is_left_for_the_next_without_a_word_and_all_of_them_are_told_of_in_the_end() {
    let (full, _asked) = serve(loopback().clients_max(1));
    let (closed, _closed_asked) = serve(protected());
    let (open, _open_asked) = serve(loopback());
    let holder = connect(listener(full.local_addr()));
    stage::await_connected(&holder);
    let others = vec![at(closed.local_addr()), at(open.local_addr())];
    let client = connect(listener(full.local_addr()).open(request(7)).others(others.clone()));
    let said = await_event(&client, |event| match event {
        ClientEvent::Opened(_) => Some(Ok(())),
        ClientEvent::Refused(refused) => Some(Err(refused.clone())),
        _ => None,
    });
    assert_eq!(said, Ok(()));
    assert!(is_at(&client, open.local_addr()));
    // Where nobody takes it, that is said.
    let client = connect(listener(full.local_addr()).open(request(9).name("refuse me")).others(others));
    assert_eq!(await_refused(&client).reason, "unknown-pixel", "the last of the round");
}

/// What comes until it has tried in vain so often since a connection held.
fn until_attempt(client: &SignalClient, count: u32) -> Vec<ClientEvent> {
    let mut seen = Vec::new();
    await_event(client, |event| {
        seen.push(event.clone());
        matches!(event, ClientEvent::Retrying { attempt, .. } if *attempt >= count).then_some(())
    });
    seen
}

#[test]
fn what_one_refused_before_another_took_the_stream_is_not_told_when_both_are_away() {
    let (full, _asked) = serve(loopback().clients_max(1));
    let (open, _open_asked) = serve(loopback());
    let holder = connect(listener(full.local_addr()));
    stage::await_connected(&holder);
    let client = connect(listener(full.local_addr()).open(request(7)).others(vec![at(open.local_addr())]));
    await_opened(&client);
    drop((holder, full));
    // It says to go, and so the connection was no accident; then there is nobody to go to.
    open.tell_moved("it ends");
    drop(open);
    let seen = until_attempt(&client, 4);
    assert!(!seen.iter().any(|event| matches!(event, ClientEvent::Refused(_))), "{seen:?}");
}

#[test]
fn what_one_refuses_is_said_and_not_final_while_another_may_take_the_stream() {
    let (full, _asked) = serve(loopback().clients_max(1));
    let holder = connect(listener(full.local_addr()));
    stage::await_connected(&holder);
    let away = dead();
    let client = connect(listener(full.local_addr()).open(request(7)).others(vec![at(away)]));
    let seen = until_attempt(&client, 4);
    assert!(!seen.iter().any(|event| matches!(event, ClientEvent::Refused(_))), "{seen:?}");
    let is_said = |event: &ClientEvent| matches!(event, ClientEvent::Retrying { reason, .. } if reason.contains("refused the connection"));
    assert!(seen.iter().any(is_said), "{seen:?}");
    let (_back, _back_asked) = serve(loopback().listen(away));
    await_opened(&client);
}

#[test]
fn a_stream_that_moves_is_newer_where_it_comes_to() {
    let (first, asked) = serve(loopback());
    let (second, asked_then) = serve(loopback());
    let incarnation = |asked: &Receiver<Asked>| {
        await_asked(asked, |asked| match asked {
            Asked::Open(request) => request.incarnation,
            _ => None,
        })
    };
    let config = listener(first.local_addr()).open(request(7).incarnation(10)).others(vec![at(second.local_addr())]);
    let client = connect(config);
    await_opened(&client);
    first.tell_moved("elsewhere");
    await_opened(&client);
    second.tell_moved("and back");
    await_opened(&client);
    let (begun, moved, back) = (incarnation(&asked), incarnation(&asked_then), incarnation(&asked));
    assert!(begun == 10 && moved > 10 && back > moved, "{begun} {moved} {back}");
}

#[test]
fn a_watcher_goes_to_the_server_that_has_watchers() {
    let (first, _asked) = serve(loopback());
    let (second, _also_asked) = serve(loopback());
    // Both refuse this name, so that it goes to and fro until it is told.
    let wish = WatchRequest::new(5, "refuse me", 9_000);
    let client = connect(listener(first.local_addr()).watch(wish).others(vec![at(second.local_addr())]));
    assert_eq!(await_refused(&client).reason, "no");
    // What is wished otherwise is granted where it happens to be.
    client.watch(WatchRequest::new(5, "front", 9_000)).unwrap();
    await_event(&client, |event| matches!(event, ClientEvent::Watching(_)).then_some(()));
}

#[test]
fn each_server_is_known_by_its_own_secrets_and_gets_none_of_anothers() {
    let (first, _asked) = serve(protected());
    let (second, asked) = serve(loopback().token(token()).tls(identity()));
    let config = ClientConfig::join(&join_string(&first))
        .open(request(7))
        .others(vec![ServerTarget::join(&join_string(&second))]);
    let client = connect(config);
    await_opened(&client);
    assert_eq!(client.server_pin(), first.pin());
    first.shutdown();
    await_opened(&client);
    assert_eq!(client.server_pin(), second.pin());
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    // With the first one's pin the second is a stranger.
    let mut wrong = join_string(&second);
    wrong.pin = framewire_signal::Pin::of_public_key(b"another");
    let client = connect(ClientConfig::join(&wrong).open(request(9)).others(vec![ServerTarget::join(&wrong)]));
    assert_eq!(await_refused(&client).reason, reason::WRONG_PIN);
}

#[test]
fn an_address_that_is_none_anywhere_in_the_list_is_said_at_once() {
    let config = listener(dead()).others(vec![ServerTarget::new("http://")]);
    assert_eq!(SignalClient::start(config).unwrap_err().code(), "invalid-server-address");
}
