//! What one address may take, and what that leaves to the others.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use framewire_signal::Token;
use framewire_signal::message::reason;
use framewire_testing::wait_for;

use stage::raw::{Raw, connect_from, http, http_over, upgrade_over};
use stage::{PATIENCE, await_connected, await_refused, connect, listener, loopback, serve};

/// As many as a server of the default size would have for everyone together.
const FLOOD: usize = 576;
const POLL: &str = "/socket.io/?EIO=4&transport=polling";

const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// Connections of one address on which nothing is asked.
fn idle(address: SocketAddr) -> Vec<TcpStream> {
    (0..FLOOD).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn an_address_that_holds_idle_connections_keeps_out_neither_another_nor_itself() {
    let (server, _asked) = serve(loopback().token(Token::new(TOKEN).unwrap()));
    let address = server.local_addr();
    let held = idle(address);
    let (other, answer) = Raw::prove_over(connect_from([127, 0, 0, 2], address), TOKEN);
    assert!(answer.starts_with("42[\"proven\""), "{answer}");
    // Who shares the address with them and has the token.
    let mut raw = upgrade_over(TcpStream::connect(address).unwrap(), "").unwrap();
    raw.receive().unwrap();
    drop(idle(address));
    raw.send("40");
    assert!(raw.receive().unwrap().starts_with("44"), "a WebSocket makes no room for others");
    assert!(http(address, "/", "").starts_with("HTTP/1.1 200"));
    drop((held, other));
}

#[test]
fn the_connection_that_was_idle_for_longest_ends_where_an_address_has_its_share() {
    let (server, _asked) = serve(loopback().clients_max(1));
    // 88 places, 66 of them for the unproven, three quarters of which one address may have.
    let mut held: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(server.local_addr()).unwrap()).collect();
    assert!(http(server.local_addr(), "/", "").starts_with("HTTP/1.1 200"));
    held[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(held[0].read(&mut [0]).unwrap(), 0, "the oldest has made room");
    let second = &mut held[1];
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(second, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.local_addr()).unwrap();
    let mut said = [0; 15];
    second.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200 OK");
}

#[test]
fn handshakes_of_one_address_leave_room_for_another_and_for_web_sockets() {
    let (server, _asked) = serve(loopback().clients_max(1));
    let address = server.local_addr();
    let mut admitted = 0;
    let refused = wait_for("a handshake too many", || {
        let answer = http(address, POLL, "");
        let is_admitted = answer.starts_with("HTTP/1.1 200");
        admitted += u32::from(is_admitted);
        if is_admitted { Err(answer) } else { Ok(answer) }
    });
    // More where they took longer than what is looked back at.
    assert!(admitted >= 50, "{admitted}");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("try again later"), "{refused}");
    assert!(http_over(connect_from([127, 0, 0, 2], address), POLL, "").starts_with("HTTP/1.1 200"));
    await_connected(&connect(listener(address)));
}

#[test]
fn what_a_strangers_page_makes_a_browser_ask_for_counts_for_nobody() {
    let (server, _asked) = serve(loopback());
    let address = server.local_addr();
    for _ in 0..FLOOD {
        let answer = http(address, POLL, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert!(http(address, POLL, "").starts_with("HTTP/1.1 200"));
    await_connected(&connect(listener(address)));
}

#[test]
fn clients_beyond_the_number_are_refused_until_one_leaves() {
    let (server, _asked) = serve(loopback().clients_max(2));
    let first = connect(listener(server.local_addr()));
    await_connected(&first);
    let second = connect(listener(server.local_addr()));
    await_connected(&second);
    let third = connect(listener(server.local_addr()));
    let refused = await_refused(&third);
    assert_eq!(refused.reason, reason::SERVER_FULL);
    assert!(refused.message.contains("2 clients"), "{refused}");
    first.shutdown();
    await_connected(&third);
    assert_eq!(server.counters().clients, 2);
}

#[test]
fn the_clients_of_one_address_leave_places_to_another_and_to_those_with_the_token() {
    let (server, _asked) = serve(loopback().clients_max(8));
    let address = server.local_addr();
    let answers: Vec<(Raw, String)> = (0..6).map(|_| Raw::connect(address, "")).collect();
    assert_eq!(answers.iter().filter(|(_, answer)| answer.starts_with("40{")).count(), 5);
    assert!(answers[5].1.contains("5 clients of this address"), "{}", answers[5].1);
    let (_other, answer) = Raw::connect_over(connect_from([127, 0, 0, 2], address), "");
    assert!(answer.starts_with("40{"), "{answer}");
    let (_third, answer) = Raw::connect_over(connect_from([127, 0, 0, 3], address), "");
    assert!(answer.contains("6 clients are connected"), "a quarter is kept: {answer}");
}
