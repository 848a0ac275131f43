//! Who gets in: tokens, origins, numbers, sizes.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::time::{SystemTime, UNIX_EPOCH};

use framewire_signal::message::reason;
use framewire_signal::{ClientEvent, Proof, ServerConfig, Token};

use stage::raw::{Raw, http, upgrade};
use stage::{await_connected, await_event, await_opened, await_refused, connect, listener, loopback, request, serve};

fn token() -> Token {
    Token::new("00112233445566778899aabbccddeeff").unwrap()
}

fn guarded() -> ServerConfig {
    loopback().token(Some(token()))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn auth(nonce: u8, time: i64) -> String {
    serde_json::to_string(&Proof::new(&token(), [nonce; 16], time)).unwrap()
}

#[test]
fn a_client_with_the_token_gets_in_and_opens() {
    let (server, _asked) = serve(guarded());
    let config = listener(server.local_addr()).token(Some(token())).open(Some(request(7)));
    assert_eq!(await_opened(&connect(config)).stream, 7);
}

#[test]
fn a_client_with_another_token_or_none_is_told_what_to_do() {
    let (server, _asked) = serve(guarded());
    let other = Token::new("ffeeddccbbaa99887766554433221100").unwrap();
    for (token, code) in [(Some(other), reason::PROOF_WRONG), (None, reason::TOKEN_REQUIRED)] {
        let client = connect(listener(server.local_addr()).token(token));
        let refused = await_refused(&client);
        assert_eq!(refused.reason, code);
        assert!(refused.message.contains("token file"), "{refused}");
        let retry = await_event(&client, |event| match event {
            ClientEvent::Retrying { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(
            retry.contains("refused the connection") && retry.contains(&server.local_addr().to_string()),
            "{retry}"
        );
    }
    assert_eq!(server.counters().clients, 0);
}

#[test]
fn a_token_given_to_a_server_that_asks_for_none_does_no_harm() {
    let (server, _asked) = serve(loopback());
    await_connected(&connect(listener(server.local_addr()).token(Some(token()))));
}

#[test]
fn a_proof_seen_on_the_wire_does_not_pass_again() {
    let (server, _asked) = serve(guarded());
    let auth = auth(1, now());
    let (_first, answer) = Raw::connect(server.local_addr(), &auth);
    assert!(answer.starts_with("40{"), "{answer}");
    let (_second, answer) = Raw::connect(server.local_addr(), &auth);
    assert!(answer.starts_with("44{\"message\":\"proof-replayed: "), "{answer}");
}

#[test]
fn a_clock_that_is_off_is_said_so() {
    let (server, _asked) = serve(guarded());
    for time in [now() - 3600, now() + 3600] {
        let (_raw, answer) = Raw::connect(server.local_addr(), &auth(1, time));
        assert!(answer.starts_with("44{\"message\":\"clock-skew: ") && answer.contains("NTP"), "{answer}");
    }
}

#[test]
fn what_is_no_proof_is_refused_and_the_server_lives() {
    let (server, _asked) = serve(guarded());
    for auth in ["{\"token\":\"00112233445566778899aabbccddeeff\"}", "7", "[]", "\"x\"", "null", "{\"nonce\":{}}", "{"]
    {
        let mut raw = upgrade(server.local_addr(), "").unwrap();
        raw.receive().unwrap();
        raw.send(&format!("40{auth}"));
        let answer = raw.receive();
        assert!(answer.as_ref().is_none_or(|text| text.starts_with("44")), "{auth}: {answer:?}");
    }
    let (_raw, answer) = Raw::connect(server.local_addr(), &auth(1, now()));
    assert!(answer.starts_with("40{"), "{answer}");
}

#[test]
fn one_who_is_not_let_in_can_open_nothing() {
    let (server, asked) = serve(guarded());
    let (mut raw, _) = Raw::connect(server.local_addr(), "");
    raw.emit("open", &serde_json::to_value(request(1)).unwrap());
    assert_eq!(raw.receive(), None, "the server ends the connection");
    assert!(asked.try_recv().is_err());
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
