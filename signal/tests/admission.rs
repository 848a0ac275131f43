//! Who gets in: tokens, origins, numbers, sizes.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use framewire_signal::message::reason;
use framewire_signal::{ClientConfig, ClientEvent, Role, ServerConfig, SignalCounters, Token};
use framewire_testing::wait_for;
use serde_json::json;

use stage::raw::{Raw, http, introduction, proof, upgrade};
use stage::{
    Asked, PATIENCE, await_event, await_feedback, await_opened, await_refused, connect, feedback, listener, loopback,
    request, serve,
};

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const VIEW_TOKEN: &str = "kCpVUAk0lZlcKPXqdcE7gQ";

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

/// A server with a token that speaks plainly, as behind a proxy.
fn guarded() -> ServerConfig {
    loopback().token(token(TOKEN))
}

fn holder(address: std::net::SocketAddr, text: &str) -> ClientConfig {
    listener(address).token(token(text)).insecure(true)
}

#[test]
fn a_client_with_the_token_gets_in_and_opens() {
    let (server, _asked) = serve(guarded());
    let client = connect(holder(server.local_addr(), TOKEN).open(request(7)));
    assert_eq!(await_opened(&client).stream, 7);
    assert_eq!((server.counters().clients, server.counters().proofs_failed), (1, 0));
    assert_eq!((client.server_pin(), server.pin()), (None, None), "it was said plainly");
}

#[test]
fn a_client_with_another_token_or_none_is_told_what_to_do() {
    let (server, _asked) = serve(guarded());
    let other = holder(server.local_addr(), "ffeeddccbbaa99887766554433221100");
    // The one with another finds out first: the server's proof is not of its token.
    for (config, code, what) in [
        (other, reason::SERVER_UNPROVEN, "is not connected to"),
        (listener(server.local_addr()), reason::TOKEN_REQUIRED, "refused the connection"),
    ] {
        let client = connect(config);
        let refused = await_refused(&client);
        assert_eq!(refused.reason, code);
        assert!(refused.message.contains("token file") && refused.message.contains("join string"), "{refused}");
        let retry = await_event(&client, |event| match event {
            ClientEvent::Retrying { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(retry.contains(what) && retry.contains(&server.local_addr().to_string()), "{retry}");
    }
    assert_eq!(server.counters().clients, 0);
}

#[test]
fn a_token_is_of_no_use_where_none_is_proved_and_both_ends_are_told() {
    let (server, asked) = serve(loopback());
    let refused = await_refused(&connect(holder(server.local_addr(), TOKEN).open(request(7))));
    assert_eq!(refused.reason, reason::NO_TOKEN_HERE);
    assert!(refused.message.contains("--token-file"), "{refused}");
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_proof_is_good_over_its_own_connection_alone_also_after_a_restart() {
    let (server, _asked) = serve(guarded());
    let (mut raw, _) = Raw::connect(server.local_addr(), &introduction("stream"));
    let challenge = raw.receive_event("challenge").unwrap();
    let nonce = challenge["nonce"].as_str().unwrap();
    assert_eq!(challenge["proof"], proof("server", "stream", TOKEN, nonce));
    let good = json!({"proof": proof("client", "stream", TOKEN, nonce)});
    raw.emit("prove", &good);
    assert_eq!(raw.receive_event("proven").unwrap(), json!({"role": "stream"}));
    let again = |address| {
        let (mut raw, _) = Raw::connect(address, &introduction("stream"));
        assert_ne!(raw.receive_event("challenge").unwrap()["nonce"], nonce);
        raw.emit("prove", &good);
        let refused = raw.receive_event("refused").unwrap();
        assert_eq!(refused["reason"], reason::PROOF_WRONG);
        assert_eq!(raw.receive(), Some("41".into()));
        assert_eq!(raw.receive(), None, "and the connection ends");
    };
    again(server.local_addr());
    assert_eq!(server.counters().proofs_failed, 1);
    let address = server.local_addr();
    server.shutdown();
    let (restarted, _asked) = serve(guarded().listen(address));
    again(restarted.local_addr());
}

#[test]
fn what_is_no_proof_is_refused_and_the_server_lives() {
    let (server, _asked) = serve(guarded());
    let old = json!({"nonce": "abababababababababababababababab", "time": 1_795_330_822, "proof": "00"}).to_string();
    for auth in
        [&old, "{\"token\":\"00112233445566778899aabbccddeeff\"}", "7", "[]", "\"x\"", "null", "{\"nonce\":{}}", "{"]
    {
        let mut raw = upgrade(server.local_addr(), "").unwrap();
        raw.receive().unwrap();
        raw.send(&format!("40{auth}"));
        let answer = raw.receive();
        assert!(answer.as_ref().is_none_or(|text| text.starts_with("44")), "{auth}: {answer:?}");
    }
    for said in [json!(null), json!({}), json!({"proof": 7}), json!({"proof": "x"}), json!([])] {
        let (mut raw, _) = Raw::connect(server.local_addr(), &introduction("stream"));
        raw.emit("prove", &said);
        let refused = raw.receive_event("refused").unwrap();
        assert!(
            [reason::PROOF_MALFORMED, reason::PROOF_WRONG].contains(&refused["reason"].as_str().unwrap()),
            "{refused}"
        );
    }
    let (_raw, answer) = Raw::prove(server.local_addr(), TOKEN);
    assert!(answer.starts_with("42[\"proven\""), "{answer}");
}

#[test]
fn who_leaves_without_a_proof_counts_as_one_whose_proof_failed() {
    let (server, _asked) = serve(guarded());
    let await_counters = |is_so: &dyn Fn(SignalCounters) -> bool| {
        wait_for("the counters", || {
            let counters = server.counters();
            if is_so(counters) { Ok(()) } else { Err(format!("{counters:?}")) }
        });
    };
    // Who has proved it counts as nothing when it leaves.
    let (raw, answer) = Raw::prove(server.local_addr(), TOKEN);
    assert!(answer.starts_with("42[\"proven\""), "{answer}");
    drop(raw);
    await_counters(&|counters| counters.clients == 0);
    assert_eq!(server.counters().proofs_failed, 0);
    let (mut raw, _) = Raw::connect(server.local_addr(), &introduction("stream"));
    raw.receive_event("challenge").unwrap();
    assert_eq!(server.counters().proofs_failed, 0, "it has time yet");
    drop(raw);
    await_counters(&|counters| counters.proofs_failed == 1);
    // That is what becomes of another token, each time that it is tried.
    let refused = await_refused(&connect(holder(server.local_addr(), VIEW_TOKEN)));
    assert_eq!(refused.reason, reason::SERVER_UNPROVEN);
    await_counters(&|counters| counters.proofs_failed > 1);
}

#[test]
fn one_who_is_not_let_in_can_open_nothing() {
    let (server, asked) = serve(guarded());
    let (mut raw, answer) = Raw::connect(server.local_addr(), "");
    assert!(answer.starts_with("44{\"message\":\"token-required: "), "{answer}");
    raw.emit("open", &serde_json::to_value(request(1)).unwrap());
    assert_eq!(raw.receive(), None, "the server ends the connection");
    assert!(asked.try_recv().is_err());
}

#[test]
fn before_its_proof_a_client_hears_nothing_opens_nothing_and_has_no_place_and_five_seconds() {
    let (server, asked) = serve(guarded().clients_max(1));
    let (mut raw, _) = Raw::connect(server.local_addr(), &introduction("stream"));
    raw.receive_event("challenge").unwrap();
    raw.emit("open", &serde_json::to_value(request(1)).unwrap());
    raw.emit("close", &json!({"stream": 1}));
    raw.emit("heartbeat", &json!({"beat": 1}));
    // Another takes the one place, and hears of a frame.
    let client = connect(holder(server.local_addr(), TOKEN).open(request(7)));
    await_opened(&client);
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    server.feedback(feedback(7, 1));
    await_feedback(&client);
    // The first word that it hears is the last.
    let refused = raw.receive().unwrap();
    assert!(refused.starts_with("42[\"refused\",") && refused.contains(reason::PROOF_LATE), "{refused}");
    assert_eq!((raw.receive().as_deref(), raw.receive()), (Some("41"), None));
    assert_eq!((server.counters().clients, server.counters().proofs_failed), (1, 1));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_client_that_proved_to_look_hears_of_streams_and_opens_none() {
    let (server, asked) = serve(guarded().view_token(token(VIEW_TOKEN)));
    let streamer = connect(holder(server.local_addr(), TOKEN).open(request(7)));
    await_opened(&streamer);
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    for text in [VIEW_TOKEN, TOKEN] {
        let viewer = connect(holder(server.local_addr(), text).role(Role::View).open(request(8)));
        let refused = await_refused(&viewer);
        assert!(refused.reason == reason::VIEW_ONLY && refused.message.contains("token for streaming"), "{refused}");
        let watching = connect(holder(server.local_addr(), text).role(Role::View));
        stage::await_listening(&server, &watching);
        server.feedback(feedback(7, 1));
        assert_eq!(await_feedback(&watching).stream, server.shown_id(7));
    }
    assert!(asked.try_recv().is_err(), "the host has not been asked");
    // The token for viewing is for nothing else.
    let refused = await_refused(&connect(holder(server.local_addr(), VIEW_TOKEN)));
    assert_eq!(refused.reason, reason::SERVER_UNPROVEN);
}

#[test]
fn who_guesses_is_not_looked_at_for_a_while() {
    let (server, _asked) = serve(guarded());
    let refused = wait_for("a guess that is not looked at", || {
        let (_raw, answer) = Raw::prove(server.local_addr(), VIEW_TOKEN);
        if answer.starts_with("42[\"refused\"") { Err(answer) } else { Ok(answer) }
    });
    assert!(refused.starts_with("44{\"message\":\"too-many-proofs: "), "{refused:?}");
    // More where they took longer than what is looked back at.
    assert!(server.counters().proofs_failed >= 50, "{:?}", server.counters());
    let other = stage::raw::connect_from([127, 0, 0, 2], server.local_addr());
    let (_raw, answer) = Raw::prove_over(other, TOKEN);
    assert!(answer.starts_with("42[\"proven\""), "{answer}");
}

#[test]
fn a_strangers_web_page_is_refused_before_the_upgrade() {
    let origins = vec!["https://monitor.example".to_owned()];
    let (server, _asked) = serve(loopback().allowed_origins(origins));
    let address = server.local_addr();
    let refused = upgrade(address, "Origin: https://evil.example\r\n").err().expect("no WebSocket for a stranger");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("allowed origins"), "{refused}");
    let rebound = "Host: evil.example\r\nOrigin: http://evil.example\r\n";
    assert!(upgrade(address, rebound).err().expect("nor for a name pointed here").starts_with("HTTP/1.1 403"));

    for headers in ["".into(), format!("Origin: http://{address}\r\n"), "Origin: https://monitor.example\r\n".into()] {
        upgrade(address, &headers).unwrap_or_else(|answer| panic!("{headers:?}: {answer}"));
    }
    let polling = "/socket.io/?EIO=4&transport=polling";
    assert!(http(address, polling, "Origin: https://evil.example\r\n").starts_with("HTTP/1.1 403"));
    let allowed = http(address, polling, "Origin: https://monitor.example\r\n").to_ascii_lowercase();
    assert!(allowed.contains("access-control-allow-origin: https://monitor.example"), "{allowed}");
}

#[test]
fn a_message_over_the_limit_ends_its_connection_and_the_server_lives() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    let (mut bystander, _) = Raw::connect(server.local_addr(), "");
    let within = format!("42[\"heartbeat\",{{\"beat\":1,\"x\":\"{}\"}}]", "x".repeat(60_000));
    raw.send(&within);
    assert_eq!(raw.receive_event("heartbeat").unwrap()["beat"], 1);
    let beyond = format!("42[\"heartbeat\",{{\"beat\":2,\"x\":\"{}\"}}]", "x".repeat(65_600));
    // The server may hang up before all of it is written.
    let _ = raw.send_frame(beyond.as_bytes());
    assert_eq!(raw.receive(), None);
    bystander.emit("heartbeat", &serde_json::json!({"beat": 3}));
    assert_eq!(bystander.receive_event("heartbeat").unwrap()["beat"], 3);
}

#[test]
fn attachments_beyond_the_limit_end_their_connection() {
    let (server, _asked) = serve(loopback());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    raw.send("4599-[\"open\",{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(raw.receive(), None);
}

#[test]
fn a_name_that_was_pointed_here_is_refused_on_every_path_with_the_flag_that_allows_it() {
    let (server, _asked) = serve(loopback());
    let address = server.local_addr();
    for path in ["/", "/anything", "/socket.io/?EIO=4&transport=polling"] {
        let refused = http(address, path, "Host: rebound.example:8080\r\n");
        assert!(refused.starts_with("HTTP/1.1 403"), "{path}: {refused}");
        assert!(refused.contains("--allow-origin http://rebound.example:8080"), "{refused}");
        let named = http(address, path, "Host: localhost\r\n");
        assert!(!named.starts_with("HTTP/1.1 403"), "{path}: {named}");
    }
    // A program's WebSocket, which no browser makes: it says no origin.
    upgrade(address, "Host: cam.example\r\n").unwrap_or_else(|answer| panic!("{answer}"));
}

#[test]
fn a_proxys_name_is_one_of_the_servers_where_its_origin_is_allowed() {
    let origins = vec!["https://monitor.example".to_owned()];
    let (server, _asked) = serve(loopback().allowed_origins(origins));
    assert!(http(server.local_addr(), "/", "Host: monitor.example\r\n").starts_with("HTTP/1.1 200"));
}
