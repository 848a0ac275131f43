//! What a client does whose place others have taken while its control connection was cut: its frames flow on, and it is back when
//! there is room.
#![allow(missing_docs)]

mod http;
mod running;

use std::io::{ErrorKind, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use framewire_signal::message::PROTOCOL;
use running::{PATIENCE, Running, Server, figure, program};

const SENT: [&str; 7] = ["pattern:64x48", "--fps", "100", "--delivery", "every", "-v", "--json"];
/// Streams that the clients of one address may have, and one client.
const STREAMS_AN_ADDRESS: usize = 64;
const STREAMS_A_CLIENT: usize = 16;

/// The way of a control connection, which can be cut.
struct Line {
    url: String,
    /// The ends of what passes; `None` while it is cut.
    ends: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Line {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ends = Arc::new(Mutex::new(Some(Vec::new())));
        let (passing, server) = (ends.clone(), server.signal.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut ends = passing.lock().unwrap();
                let Some(ends) = ends.as_mut() else { continue };
                let Ok(server) = TcpStream::connect(&server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    ends.push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        // What one end breaks off, the other learns of.
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { url, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().take().unwrap() {
            if let Err(error) = end.shutdown(Shutdown::Both) {
                assert_eq!(error.kind(), ErrorKind::NotConnected);
            }
        }
    }

    fn mend(&self) {
        *self.ends.lock().unwrap() = Some(Vec::new());
    }

    fn client(&self) -> Command {
        let mut command = program("framewire-client");
        command.args(["--server", &self.url]).args(SENT);
        command
    }
}

/// The next message of Socket.IO; pings are answered.
fn hear(socket: &mut TcpStream) -> String {
    loop {
        let message = String::from_utf8(http::receive(socket).expect("the server keeps the connection")).unwrap();
        if message != "2" {
            return message;
        }
        http::send_text(socket, "3");
    }
}

/// A client by hand; `None` where the server is full.
fn stranger(server: &Server) -> Option<TcpStream> {
    let mut socket = http::web_socket(&server.signal, "/socket.io/?EIO=4&transport=websocket", &[])?;
    assert!(hear(&mut socket).starts_with('0'));
    http::send_text(&mut socket, "40");
    let answer = hear(&mut socket);
    assert!(answer.starts_with("40") || answer.contains("server-full"), "{answer}");
    answer.starts_with("40").then_some(socket)
}

/// Opens streams over one connection.
fn open(socket: &mut TcpStream, streams: std::ops::Range<usize>) {
    for stream in streams {
        http::send_text(
            socket,
            &format!(
                r#"42["open",{{"request":1,"protocol":{PROTOCOL},"stream":{stream},"name":"","pixel":"gray8","width":64,"height":48,"stride":64,"delivery":"every"}}]"#
            ),
        );
        let answer = loop {
            let message = hear(socket);
            if message.contains("opened") || message.contains("refused") {
                break message;
            }
        };
        assert!(answer.starts_with("42[\"opened\""), "{answer}");
    }
}

/// Ends a client, all of whose frames have come through.
fn assert_whole(client: Running) {
    client.interrupt();
    let (code, said, summary) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("that is for now").count(), 1, "{said}");
    assert_eq!(figure(&summary, &["frames_sent"]), figure(&summary, &["frames_delivered"]), "{said}");
}

#[test]
fn a_server_that_is_full_at_a_reconnect_ends_no_client_whose_stream_is_open() {
    let server = Server::start(&[]);
    let line = Line::to(&server);
    let mut client = Running::start(&mut line.client());
    client.wait_for("feedback: frame");
    line.cut();
    client.wait_for("the server is gone");
    let strangers: Vec<TcpStream> = std::iter::from_fn(|| stranger(&server)).collect();
    line.mend();
    let refused = client.wait_for("the server refuses");
    assert!(refused.contains("server-full") && refused.contains("that is for now"), "{refused}");
    drop(strangers);
    let taken = client.wait_for("the server takes the stream again");
    assert!(taken.contains("it refused"), "{taken}");
    client.skip_said();
    client.wait_for("feedback: frame");
    assert_whole(client);
    server.stop();
}

#[test]
fn a_client_that_a_full_server_refuses_at_first_is_told_so_and_ends() {
    let server = Server::start(&[]);
    let strangers: Vec<TcpStream> = std::iter::from_fn(|| stranger(&server)).collect();
    let (code, said, _) = Running::start(&mut server.client(&SENT)).wait();
    assert!(code == Some(1) && said.contains("the server refuses") && said.contains("server-full"), "{said}");
    drop(strangers);
    server.stop();
}

/// The server that took the stream knows nothing of it any more, and others have its place.
fn forgotten() -> (Server, Line, Running, Vec<TcpStream>) {
    let first = Server::start(&[]);
    let line = Line::to(&first);
    let mut client = Running::start(&mut line.client());
    client.wait_for("feedback: frame");
    line.cut();
    client.wait_for("the server is gone");
    let (signal, udp) = (first.signal.clone(), first.udp.clone());
    first.running.kill();
    let server = Server::start_at(&signal, &udp, &[]);
    let mut strangers = Vec::new();
    for stream in (0..STREAMS_AN_ADDRESS).step_by(STREAMS_A_CLIENT) {
        let mut socket = stranger(&server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        open(&mut socket, stream..stream + STREAMS_A_CLIENT);
        strangers.push(socket);
    }
    line.mend();
    let refused = client.wait_for("the server refuses");
    assert!(refused.contains("too-many") && refused.contains("that is for now"), "{refused}");
    (server, line, client, strangers)
}

#[test]
fn a_client_whose_place_others_have_waits_for_it_and_then_sends_what_it_has() {
    let (server, _line, mut client, strangers) = forgotten();
    drop(strangers);
    client.wait_for("the server takes the stream again");
    client.skip_said();
    client.wait_for("feedback: frame");
    assert_whole(client);
    server.stop();
}

#[test]
fn a_client_that_is_stopped_while_others_have_its_place_says_so_and_what_is_not_confirmed() {
    let (server, _line, client, strangers) = forgotten();
    client.interrupt();
    let (code, said, summary) = client.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has not taken the stream again") && said.contains("too-many"), "{said}");
    assert!(!said.contains("not announced"), "{said}");
    let lost = figure(&summary, &["frames_dropped", "lost"]);
    assert!(lost > 0.0 && said.contains(&format!("{lost} of")) && said.contains("not confirmed"), "{said}");
    drop(strangers);
    server.stop();
}
