//! Who had not what lets them in, and what was forged or shown again, as a server counts it: in its metrics, on its page and in its summary.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod http;
mod protected;
mod running;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use framewire_testing::wait_for;
use framewire_transport::wire::{Kind, Prelude, SealedOpen};
use protected::{JOIN, Protected, client};
use running::{Running, Server, in_dir, path_text, write_private};
use serde_json::{Value, json};

/// A man in the middle of a stream's way. He cannot read what he passes on, and adds to it: before the first opening one that he has made
/// himself out of it, before the first slice that slice with a bit of it changed, and the second slice twice.
struct Middle {
    front: UdpSocket,
    back: UdpSocket,
    opening: Mutex<Option<Vec<u8>>>,
    slices: AtomicU8,
}

impl Middle {
    fn new() -> Arc<Self> {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        Arc::new(Self { front: socket(), back: socket(), opening: Mutex::default(), slices: AtomicU8::new(0) })
    }

    /// Where clients are to send.
    fn announced(&self) -> String {
        self.front.local_addr().unwrap().to_string()
    }

    /// Begins, until the test ends.
    fn stand_before(self: &Arc<Self>, server: &str) {
        self.back.connect(server).unwrap();
        for pass in [Self::pass_forth, Self::pass_back] {
            let middle = self.clone();
            std::thread::spawn(move || pass(&middle));
        }
    }

    fn pass_forth(&self) {
        let (mut bytes, mut client) = (vec![0; 65_536], None);
        loop {
            // What the far end's absence is reported by is no datagram.
            let Ok((len, from)) = self.front.recv_from(&mut bytes) else { continue };
            if client.replace(from) != Some(from) {
                self.front.connect(from).unwrap();
            }
            for datagram in self.made_of(&bytes[..len]) {
                let _ = self.back.send(&datagram);
            }
        }
    }

    fn made_of(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let genuine = bytes.to_vec();
        let mut opening = self.opening.lock().unwrap();
        if let Ok(open) = SealedOpen::parse(bytes) {
            // The first ones have no cookie, and nobody reads them further.
            if open.cookie == 0 || opening.is_some() {
                return vec![genuine];
            }
            *opening = Some(genuine.clone());
            let mut forged = open;
            forged.message[0] ^= 1;
            return vec![forged.emit().to_vec(), genuine];
        }
        if !Prelude::parse(bytes).is_ok_and(|prelude| prelude.kind == Kind::Slice) {
            return vec![genuine];
        }
        match self.slices.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |nth| Some(nth.saturating_add(1))) {
            Ok(0) => {
                let mut changed = genuine.clone();
                *changed.last_mut().unwrap() ^= 1;
                vec![changed, genuine]
            }
            Ok(1) => vec![genuine.clone(), genuine],
            _ => vec![genuine],
        }
    }

    fn pass_back(&self) {
        let mut bytes = vec![0; 65_536];
        loop {
            let Ok(len) = self.back.recv(&mut bytes) else { continue };
            // The answer to what he made up is his own.
            if !is_refusal(&bytes[..len]) {
                let _ = self.front.send(&bytes[..len]);
            }
        }
    }

    /// Shows what opened the stream once more.
    fn replay_opening(&self) {
        let opening = self.opening.lock().unwrap();
        let _ = self.back.send(opening.as_ref().expect("the stream was opened"));
    }
}

fn is_refusal(bytes: &[u8]) -> bool {
    Prelude::parse(bytes).is_ok_and(|prelude| prelude.kind == Kind::Refuse)
}

/// A number of what `/metrics` says.
#[track_caller]
fn metric(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

/// Asks until it says so.
#[track_caller]
fn until(mut ask: impl FnMut() -> String, is_so: impl Fn(&str) -> bool) -> String {
    wait_for("it says so", || {
        let said = ask();
        if is_so(&said) { Ok(said) } else { Err(said) }
    })
}

/// As a client does that has made its proof up.
fn prove_wrongly(server: &str) {
    let mut socket = http::web_socket(server, "/socket.io/?EIO=4&transport=websocket", &[]).unwrap();
    let nonce = "ab".repeat(16);
    http::send_text(&mut socket, &format!(r#"40{{"version":2,"role":"stream","nonce":"{nonce}","binding":"none"}}"#));
    let hear = |socket: &mut TcpStream, start: &str| {
        let mut said = std::iter::from_fn(|| http::receive(socket));
        assert!(said.any(|said| said.starts_with(start.as_bytes())), "no {start} was heard");
    };
    hear(&mut socket, "42[\"challenge\"");
    http::send_text(&mut socket, &format!(r#"42["prove",{{"proof":"{}"}}]"#, "00".repeat(32)));
    hear(&mut socket, "42[\"refused\"");
}

const AWAY: [&str; 4] = ["failed_proofs", "failed_tls", "forged_openings", "replayed_openings"];

fn away(metrics: &str) -> [u64; 4] {
    AWAY.map(|name| metric(metrics, &format!("framewire_{name}_total")))
}

#[test]
fn each_wrong_proof_broken_handshake_forgery_and_replay_counts_once_where_it_belongs() {
    let directory = tempfile::tempdir().unwrap();
    let middle = Middle::new();
    let server = Protected::start(&directory, &["--announce-udp", &middle.announced(), "--json"]);
    middle.stand_before(&server.udp);
    let metrics = || server.get("/metrics");
    assert_eq!(away(&metrics()), [0; 4]);
    assert_eq!(server.snapshot()["server"]["turned_away"], Value::Null, "nobody yet");

    // What begins as TLS does and is none.
    let mut broken = http::connect(&server.signal);
    broken.write_all(b"\x16\x03\x01\x00\x04none").unwrap();
    let _ = broken.read_to_end(&mut Vec::new());
    assert_eq!(away(&until(metrics, |said| away(said)[1] > 0)), [0, 1, 0, 0]);

    // A token that is not the server's.
    let other = in_dir(&directory, "other");
    write_private(&other, &server.join_with_another_token());
    let (code, said, _) = Running::start(client(&["--join", path_text(&other)]).arg("pattern:64x48")).wait();
    assert_eq!(code, Some(1), "{said}");
    // It may have tried more than once until it ended, and ended amid a handshake, which is a broken one.
    assert_eq!(away(&until(metrics, |said| away(said)[0] > 0))[2..], [0, 0]);

    // An opening and a slice that were changed on the way, and a slice that comes twice.
    let join = path_text(&server.state(JOIN)).to_owned();
    let sending = Running::start(client(&["--join", &join, "--name", "cam"]).args(["pattern:64x48", "--fps", "50"]));
    let dropped = |cause| format!("framewire_datagrams_dropped_total{{stream=\"cam\",cause=\"{cause}\"}}");
    let all_dropped = |cause| format!("framewire_server_datagrams_dropped_total{{cause=\"{cause}\"}}");
    let said = until(metrics, |said| {
        said.contains(&dropped("replayed")) && metric(said, &dropped("replayed")) > 0 && away(said)[2] > 0
    });
    assert_eq!([dropped("forged"), dropped("replayed")].map(|name| metric(&said, &name)), [1, 1], "{said}");
    assert_eq!(away(&said)[2..], [1, 0]);

    // The opening once more, when its stream has ended without a word: who has closed one is told so again.
    sending.kill();
    until(metrics, |said| said.contains("framewire_streams 0\n"));
    middle.replay_opening();
    let said = until(metrics, |said| away(said)[3] > 0);
    assert_eq!(away(&said)[2..], [1, 1], "{said}");
    assert_eq!([all_dropped("forged"), all_dropped("replayed")].map(|name| metric(&said, &name)), [1, 1], "{said}");

    // The page and the summary say the same.
    let [proofs, tls, ..] = away(&said);
    let counts = json!({"proofs": proofs, "tls": tls, "openings_forged": 1, "openings_replayed": 1});
    assert_eq!(server.snapshot()["server"]["turned_away"], counts);
    let (_, summary) = server.stop();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["turned_away"], counts, "{summary}");
    let dropped = &summary["datagrams_dropped"];
    assert_eq!([&dropped["forged"], &dropped["replayed"]], [1, 1], "{summary}");
}

#[test]
fn a_server_on_the_plain_wire_counts_wrong_proofs_and_says_so_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let [token, other, password] = ["token", "other", "password"].map(|name| in_dir(&directory, name));
    write_private(&token, "0123456789abcdef0123456789abcdef");
    write_private(&other, "another0123456789another01234567");
    write_private(&password, "look here\n");
    let secrets = ["--token-file", path_text(&token), "--view-password-file", path_text(&password)];
    let server = Server::start(&[&["--wire", "plain", "--insecure"][..], &secrets].concat());
    let wrong = ["pattern:64x48", "--wire", "plain", "--insecure", "--token-file", path_text(&other)];
    // "me:look here"
    let login = ["Authorization: Basic bWU6bG9vayBoZXJl"];
    let metrics = || http::get(&server.signal, "/metrics", &login).body;
    prove_wrongly(&server.signal);
    assert_eq!(away(&until(metrics, |said| away(said)[0] > 0)), [1, 0, 0, 0]);
    // It goes on without acknowledgements, which nobody waits for here.
    let mut refused = Running::start(&mut server.client(&wrong));
    refused.wait_for("has another token");
    refused.kill();
    until(metrics, |said| away(said)[0] > 1);
    let said = server.stop();
    assert!(said.contains("\n  refused   ") && said.contains(" by a failed proof\n"), "{said}");
}
