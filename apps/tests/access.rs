//! Who may do what: look, stream, guess, and who is kept out.
#![allow(missing_docs)]

mod http;
mod proxy;
mod running;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use framewire_signal::message::{Delivery, OpenRequest};
use framewire_signal::{ClientConfig, ClientEvent, SignalClient, Token};
use framewire_testing::{wait_for, wait_until};
use framewire_transport::{FrameFormat, PixelFormat, Sender, SenderConfig};
use http::{connect, connect_from, get, get_over, post, web_socket};
use running::{PATIENCE, Running, Server, in_dir, path_text, program, run, write_private};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "look here";
/// "me:look here"
const LOGIN: &str = "Authorization: Basic bWU6bG9vayBoZXJl";
/// "me:let me in"
const GUESS: &str = "Authorization: Basic bWU6bGV0IG1lIGlu";

/// A server that asks for both, and speaks plainly so that the tests hear it, and the directory with the files.
fn locked() -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (token, password) = (in_dir(&directory, "token"), in_dir(&directory, "password"));
    write_private(&token, TOKEN);
    write_private(&password, PASSWORD);
    let arguments = ["--insecure", "--token-file", path_text(&token), "--view-password-file", path_text(&password)];
    (Server::start(&arguments), directory)
}

fn refused(name: &str, arguments: &[&str], code: i32, says: &str) {
    let output = run(name, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?} should say '{says}': {said}");
}

#[test]
fn nothing_that_a_viewer_is_shown_lets_them_stream() {
    const STREAM: u32 = 3_141_592_653;
    let (server, _directory) = locked();
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let open = OpenRequest::new(STREAM, &format, Delivery::Latest);
    let config = ClientConfig::new(server.url()).token(Token::new(TOKEN).unwrap()).insecure(true).open(open);
    let client = SignalClient::start(config).unwrap();
    while !matches!(client.next_event(PATIENCE).expect("the stream opens"), ClientEvent::Opened(_)) {}
    let peer: std::net::SocketAddr = server.udp.parse().unwrap();
    let sender = |stream| Sender::connect(peer, SenderConfig::new(format).stream(stream));
    let owner = sender(STREAM).unwrap();
    let shown = wait_for("a frame that is delivered", || {
        if let Ok(Some(frame)) = owner.frame_timeout(Duration::from_millis(50)) {
            owner.send(frame).unwrap();
        }
        let streams = get(&server.signal, "/api/streams", &[LOGIN]).body;
        let json: serde_json::Value = serde_json::from_str(&streams).unwrap();
        if json["streams"][0]["frames_delivered"].as_u64() > Some(0) { Ok(streams) } else { Err(streams) }
    });
    let metrics = get(&server.signal, "/metrics", &[LOGIN]).body;
    for text in [&shown, &metrics] {
        // Also in the name of a stream that has none of its own.
        assert!(!text.contains(&STREAM.to_string()) && !text.contains(&format!("{STREAM:08x}")), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["streams"][0]["source"], "127.0.0.1", "without the port that its datagrams come from");
    let thief = sender(u32::try_from(json["streams"][0]["id"].as_u64().unwrap()).unwrap()).unwrap();
    let error = thief.wait_until_open(PATIENCE).expect_err("what is shown opens a stream").to_string();
    assert!(error.contains("announced"), "{error}");
}

#[test]
fn the_plain_wire_leaves_loopback_only_when_told_that_nothing_guards_it() {
    let directory = tempfile::tempdir().unwrap();
    let token = in_dir(&directory, "token");
    write_private(&token, TOKEN);
    let plain = ["--wire", "plain", "--listen", "127.0.0.1:0", "--udp", "0.0.0.0:0", "--token-file", path_text(&token)];
    refused("framewire-server", &plain, 2, "--insecure");
    refused("framewire-client", &["--wire", "plain", "--udp", "192.0.2.1:9"], 2, "--insecure");
    Server::start_at("127.0.0.1:0", "0.0.0.0:0", &["--wire", "plain", "--insecure"]).stop();
    // On loopback it is as it was.
    Server::start(&["--wire", "plain"]).stop();
}

#[test]
fn a_token_that_can_be_guessed_is_refused_at_the_start_by_either_end() {
    let directory = tempfile::tempdir().unwrap();
    let weak = in_dir(&directory, "weak");
    write_private(&weak, "hunter2\n");
    for name in ["framewire-server", "framewire-client"] {
        refused(name, &["--token-file", path_text(&weak)], 2, "framewire token");
        let output = program(name).env("FRAMEWIRE_TOKEN", "hunter2").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("framewire token") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn framewire_token_makes_one_that_both_ends_take_and_overwrites_none() {
    let printed = run("framewire", &["token"]);
    let token = String::from_utf8(printed.stdout).unwrap();
    assert!(Token::new(&token).is_ok() && token.trim_end().len() == 22, "{token}");
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "token");
    assert!(run("framewire", &["token", "--file", path_text(&file)]).status.success());
    let made = std::fs::read_to_string(&file).unwrap();
    assert_ne!(made, token);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    refused("framewire", &["token", "--file", path_text(&file)], 1, "left as it is");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), made);
    let server = Server::start(&["--token-file", path_text(&file)]);
    let stream = ["pattern:64x48", "--frames", "3", "--fps", "max", "--token-file", path_text(&file)];
    let sent = server.client(&stream).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    server.stop();
}

#[test]
fn a_secret_that_everyone_can_read_is_refused_with_what_to_type() {
    let directory = tempfile::tempdir().unwrap();
    let password = in_dir(&directory, "password");
    write_private(&password, PASSWORD);
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let says = format!("chmod 600 {}", password.display());
    refused(
        "framewire-server",
        &["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--view-password-file", path_text(&password)],
        2,
        &says,
    );
}

#[test]
fn the_form_the_token_and_the_password_each_let_a_viewer_in() {
    let (server, _directory) = locked();
    let page = get(&server.signal, "/", &[]);
    assert!(page.status == 401 && page.body.contains("action=\"login\""), "{}", page.body);
    assert!(!page.head.contains("Basic"), "no window of the browser's own: {}", page.head);
    for path in ["/page.css", "/icon.svg"] {
        assert_eq!(get(&server.signal, path, &[]).status, 200, "the form's looks: {path}");
    }
    for given in [LOGIN.to_owned(), format!("Authorization: Bearer {TOKEN}"), "Authorization: Bearer look here".into()]
    {
        assert_eq!(get(&server.signal, "/api/streams", &[&given]).status, 200, "{given}");
    }
    let wrong = post(&server.signal, "/login", "secret=let+me+in", &[]);
    assert!(wrong.status == 401 && wrong.body.contains("role=\"alert\""), "{}", wrong.body);
    let right = post(&server.signal, "/login", "secret=look+here", &[]);
    assert!(right.status == 303 && right.head.contains("location: ./"), "{}", right.head);
    let pass = pass_of(&right.head);
    assert_eq!(get(&server.signal, "/metrics", &[&format!("Cookie: {pass}")]).status, 200);
    // Of another page, though it sends the right one.
    let strange = post(&server.signal, "/login", "secret=look+here", &["Origin: http://evil.example"]);
    assert_eq!(strange.status, 403);
    for nonsense in ["", "secret", "other=look+here", &format!("secret={}", "x".repeat(20_000))] {
        let answer = post(&server.signal, "/login", nonsense, &[]);
        assert!((400..500).contains(&answer.status), "{}", answer.head);
    }
}

#[test]
fn passwords_are_guessed_a_few_times_a_second_and_other_viewers_are_none_the_worse() {
    let (server, directory) = locked();
    wait_until("a guess that is not looked at", || get(&server.signal, "/metrics", &[GUESS]).status == 429);
    let other = get_over(connect_from([127, 0, 0, 2], &server.signal), "/metrics", &[LOGIN]);
    assert_eq!(other.status, 200);
    let short = in_dir(&directory, "short");
    write_private(&short, "look\n");
    refused(
        "framewire-server",
        &["--listen", "127.0.0.1:0", "--view-password-file", path_text(&short)],
        2,
        "at least 8",
    );
}

/// The name and the value of the pass that a login is given.
fn log_in(server: &Server) -> String {
    let answer = get(&server.signal, "/", &[LOGIN]);
    pass_of(&answer.head)
}

fn pass_of(head: &str) -> String {
    let line = head.lines().find(|line| line.starts_with("set-cookie: ")).expect(head);
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict"), "{line}");
    line["set-cookie: ".len()..].split(';').next().unwrap().to_owned()
}

#[test]
fn a_pass_is_of_one_login_one_port_and_one_run_of_the_server() {
    let (server, directory) = locked();
    let pass = log_in(&server);
    let port = server.signal.rsplit_once(':').unwrap().1;
    assert!(pass.starts_with(&format!("framewire-pass-{port}=")), "{pass}");
    assert_ne!(pass, log_in(&server));
    let cookie = format!("Cookie: {pass}");
    let answer = get(&server.signal, "/api/streams", &[&cookie]);
    assert!(answer.status == 200 && !answer.head.contains("set-cookie"), "{}", answer.head);
    assert!(web_socket(&server.signal, "/api/pictures", &[&cookie]).is_some());
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    server.stop();
    let (token, password) = (in_dir(&directory, "token"), in_dir(&directory, "password"));
    let arguments = ["--insecure", "--token-file", path_text(&token), "--view-password-file", path_text(&password)];
    let again = Server::start_at(&signal, &udp, &arguments);
    assert_eq!(get(&again.signal, "/api/streams", &[&cookie]).status, 401);
}

#[test]
fn connections_and_requests_of_strangers_keep_no_client_out() {
    let server = Server::start(&[]);
    let held: Vec<_> = (0..576).map(|_| connect(&server.signal)).collect();
    for _ in 0..576 {
        let lines = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image"];
        assert_eq!(get(&server.signal, "/socket.io/?EIO=4&transport=polling", &lines).status, 403);
    }
    let sent = server.client(&["pattern:64x48", "--frames", "3", "--fps", "max"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    drop(held);
    server.stop();
}

#[test]
fn behind_a_proxy_that_has_the_server_below_a_path_clients_and_top_find_it() {
    let server = Server::start(&[]);
    let url = proxy::below("/cams", &server.signal);
    let mut client = program("framewire-client");
    client.args(["pattern:64x48", "--fps", "50", "--name", "below", "--server", &url]);
    let _client = Running::start(&mut client);
    wait_for("the stream, live", || {
        let output = run("framewire", &["top", "--once", "--server", &url]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_live = said.contains("below") && said.contains("live");
        is_live.then_some(()).ok_or_else(|| said + &String::from_utf8_lossy(&output.stderr))
    });
}
