//! The server's HTTP: what programs read, and what it says to those who mean no good.
#![allow(missing_docs)]

mod http;
mod running;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use framewire_testing::wait_for;
use http::{connect, connect_from, get, receive, send_text, web_socket};
use running::{Running, Server, run, write_private};

fn stream(server: &Server, more: &[&str]) -> Running {
    let arguments: Vec<&str> = ["pattern:64x48", "--fps", "100"].iter().chain(more).copied().collect();
    Running::start(&mut server.client(&arguments))
}

/// The streams, once there are so many and each has delivered a frame.
fn streams(server: &Server, count: usize) -> serde_json::Value {
    wait_for(format_args!("{count} streams with frames"), || {
        let answer = get(&server.signal, "/api/streams", &[]);
        assert_eq!(answer.status, 200, "{}", answer.head);
        let all: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let streams = all["streams"].as_array().unwrap();
        let has_all =
            streams.len() == count && streams.iter().all(|stream| stream["frames_delivered"].as_u64() > Some(0));
        if has_all { Ok(all) } else { Err(all) }
    })
}

#[test]
fn streams_are_there_as_json_as_long_as_they_last() {
    let server = Server::start(&[]);
    assert_eq!(get(&server.signal, "/healthz", &[]).body, "ok\n");
    let client = stream(&server, &[]);
    let all = streams(&server, 1);
    let stream = &all["streams"][0];
    assert_eq!((&stream["pixel"], &stream["width"], &stream["height"]), (&"gray8".into(), &64.into(), &48.into()));
    assert!(stream["age_seconds"].is_number() && stream["latency_ms"]["p99"].is_number(), "{stream}");
    client.interrupt();
    client.wait();
    streams(&server, 0);
    server.stop();
}

#[test]
fn figures_come_as_events_without_being_asked_for() {
    let server = Server::start(&[]);
    let mut events = connect(&server.signal);
    write!(events, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.signal).unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while said.matches("event: streams").count() < 3 {
        let read = events.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(said.contains("content-type: text/event-stream") && said.contains("data: {\"server\":"), "{said}");
}

#[test]
fn pictures_come_one_for_each_request_and_a_stream_that_is_not_there_has_none() {
    let server = Server::start(&["--preview-fps", "60"]);
    let _client = stream(&server, &[]);
    let id = streams(&server, 1)["streams"][0]["id"].clone();
    let mut socket = web_socket(&server.signal, "/api/pictures", &[]).unwrap();
    let mut seen = [0, 0];
    for size in ["tile", "full", "tile", "full"] {
        let seen = &mut seen[usize::from(size == "full")];
        send_text(&mut socket, &format!(r#"{{"stream":{id},"size":"{size}","seen":{seen}}}"#));
        let picture = receive(&mut socket).unwrap();
        assert_eq!(picture[4], u8::from(size == "full"));
        let serial = u64::from_be_bytes(picture[8..16].try_into().unwrap());
        assert!(serial > *seen, "{serial} after {seen}");
        *seen = serial;
        assert_eq!((&picture[32..34], &picture[picture.len() - 2..]), (&[0xff, 0xd8][..], &[0xff, 0xd9][..]));
    }
    send_text(&mut socket, r#"{"stream":1,"size":"tile"}"#);
    let nothing = receive(&mut socket).unwrap();
    assert_eq!((nothing.len(), &nothing[8..16]), (32, &[0; 8][..]));
    send_text(&mut socket, "no request");
    assert!(receive(&mut socket).is_none());
}

#[test]
fn messages_beyond_all_measure_are_refused_before_they_are_read() {
    let server = Server::start(&[]);
    let mut socket = web_socket(&server.signal, "/api/pictures", &[]).unwrap();
    let len = 64_u64 * 1024 * 1024;
    let head = [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    socket.write_all(&head).unwrap();
    assert!(receive(&mut socket).is_none());
    server.stop();
}

#[test]
fn pages_of_strangers_are_refused_however_they_ask() {
    let server = Server::start(&[]);
    for path in ["/", "/api/streams", "/metrics", "/api/events"] {
        let answer = get(&server.signal, path, &["Origin: http://evil.example"]);
        assert_eq!(answer.status, 403, "{path}: {}", answer.head);
        assert!(answer.body.contains("evil.example"), "{}", answer.body);
        // A name that was pointed at loopback.
        let answer = get(&server.signal, path, &["Host: evil.example:8080"]);
        assert_eq!(answer.status, 403, "{path}: {}", answer.head);
        assert!(answer.body.contains("--allow-origin http://evil.example:8080"), "{}", answer.body);
    }
    assert!(web_socket(&server.signal, "/api/pictures", &["Origin: http://evil.example"]).is_none());
    assert!(web_socket(&server.signal, "/api/pictures", &[&format!("Origin: http://{}", server.signal)]).is_some());
    let page = get(&server.signal, "/", &[]);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!page.body.contains("://"), "the page names no other place");
}

#[test]
fn with_a_token_only_who_knows_it_or_the_view_password_looks() {
    let directory = tempfile::tempdir().unwrap();
    let (token, password) = (running::in_dir(&directory, "token"), running::in_dir(&directory, "password"));
    write_private(&token, "0123456789abcdef0123456789abcdef");
    write_private(&password, "look here\n");
    let locked = Server::start(&["--insecure", "--token-file", running::path_text(&token)]);
    let answer = get(&locked.signal, "/metrics", &[]);
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("Authorization: Bearer TOKEN"), "{}", answer.body);
    assert_eq!(get(&locked.signal, "/healthz", &[]).status, 200);
    let arguments = [
        "--insecure",
        "--token-file",
        running::path_text(&token),
        "--view-password-file",
        running::path_text(&password),
    ];
    let server = Server::start(&arguments);
    assert_eq!(get(&server.signal, "/metrics", &[]).status, 401);
    // "me:look here"
    assert_eq!(get(&server.signal, "/metrics", &["Authorization: Basic bWU6bG9vayBoZXJl"]).status, 200);
}

#[test]
fn thousands_of_connections_leave_the_server_with_its_streams_and_its_memory() {
    let server = Server::start(&[]);
    let _client = stream(&server, &[]);
    streams(&server, 1);
    // One that looks goes on.
    let mut before = connect(&server.signal);
    write!(before, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.signal).unwrap();
    let mut next_event = || {
        let (mut said, mut buffer) = (String::new(), [0; 4096]);
        while !said.contains("event: streams") {
            let read = before.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    next_event();
    let memory = resident_bytes(server.running.id());
    let mut open = Vec::new();
    for nth in 0..3_000 {
        // The limit of this test's own files is no matter here.
        let Ok(mut stream) = std::net::TcpStream::connect(&server.signal) else { break };
        let path = if nth % 2 == 0 { "/" } else { "/metrics" };
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n", server.signal);
        open.push(stream);
        if open.len() > 900 {
            open.remove(0);
        }
    }
    next_event();
    let all = streams(&server, 1);
    let stream = &all["streams"][0];
    assert!(stream["frames_delivered"].as_u64() > Some(0) && stream["frames_dropped"]["no_slot"] == 0, "{all}");
    let grown = resident_bytes(server.running.id()).saturating_sub(memory);
    assert!(grown < 48_000_000, "{grown} bytes for the connections of strangers");
    drop(open);
    streams(&server, 1);
    server.stop();
}

#[test]
fn pages_leave_room_for_clients_and_other_viewers_and_one_too_many_is_told_so() {
    let server = Server::start(&[]);
    // Of 128 a quarter is for those who proved who they are, and three quarters of the others are what one address may have.
    let sockets: Vec<_> = (0..72).map(|_| web_socket(&server.signal, "/api/pictures", &[]).unwrap()).collect();
    assert!(web_socket(&server.signal, "/api/pictures", &[]).is_none());
    let refused = get(&server.signal, "/api/events", &[]);
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("36 pages are open at your address"), "{}", refused.body);
    let mut other = connect_from([127, 0, 0, 2], &server.signal);
    write!(other, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.signal).unwrap();
    let mut said = [0; 15];
    other.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200 OK");
    let _client = stream(&server, &[]);
    streams(&server, 1);
    drop(sockets);
    server.stop();
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let server = Server::start(&[]);
    let session = get(&server.signal, "/socket.io/?EIO=4&transport=polling", &[]).body;
    let id = session.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect(&session);
    let mut slow = connect(&server.signal);
    let (path, host) = (format!("/socket.io/?EIO=4&transport=polling&sid={id}"), &server.signal);
    write!(slow, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n4").unwrap();
    let mut said = Vec::new();
    slow.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_request_that_never_ends_is_given_up() {
    let server = Server::start(&[]);
    let mut slow = connect(&server.signal);
    write!(slow, "GET / HTTP/1.1\r\nHost: ").unwrap();
    // Reads until the server closes, or fails after a patience that is much longer than the server's.
    let mut said = Vec::new();
    slow.read_to_end(&mut said).unwrap();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let server = Server::start(&[]);
    let output = run("framewire-server", &["--listen", &server.signal, "--udp", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("{} is in use", server.signal)), "{said}");
}

#[test]
fn metrics_are_read_by_prometheus_own_parser() {
    let Some(python) = std::env::var_os("FRAMEWIRE_PYTHON") else {
        framewire_testing::skip("FRAMEWIRE_PYTHON does not name a Python with the package prometheus-client");
        return;
    };
    let server = Server::start(&[]);
    let _client = stream(&server, &[]);
    streams(&server, 1);
    let text = get(&server.signal, "/metrics", &[]);
    assert!(text.head.contains("application/openmetrics-text"), "{}", text.head);
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = {family.name: family for family in parse(sys.stdin.read())}\n\
        for family in families.values(): print(family.name, family.type, len(family.samples))\n";
    let mut parser = Command::new(python);
    parser.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut parser = parser.spawn().unwrap();
    parser.stdin.take().unwrap().write_all(text.body.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), text.body);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in
        ["framewire_frames_delivered counter 1", "framewire_frames_dropped counter 6", "framewire_streams gauge 1"]
    {
        assert!(said.lines().any(|said| said == line), "no '{line}' in {said}");
    }
    assert!(said.contains("framewire_frame_latency_seconds histogram"), "{said}");
}

/// What the process has in memory.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}
