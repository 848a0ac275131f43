//! `framewire top` as a user runs it: into a pipe, in a terminal, against servers that are not there or say odd things.
#![allow(missing_docs)]

mod running;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use running::{PATIENCE, program};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A server that gives every question the same answer.
struct Page {
    address: SocketAddr,
    /// The heads of the questions.
    asked: mpsc::Receiver<String>,
}

impl Page {
    fn start(status: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), status, body)
    }

    fn start_at(address: SocketAddr, status: &str, body: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let body = body.into();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let (send, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let question: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                // A test that has seen enough hears no more.
                let _ = send.send(question.join("\n"));
                let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(name: &str) -> String {
    let stream = serde_json::json!({
        "id": 1, "name": name, "source": "10.0.0.3:4444", "pixel": "gray8", "width": 1920, "height": 1080,
        "frame_bytes": 2_073_600, "delivery": "latest", "backend": "mmsg", "slice_bytes": 65_507, "uptime_seconds": 9.5,
        "age_seconds": 0.016, "frames_per_second": 59.9, "gigabytes_per_second": 0.124, "latency_ms": {"p50": 0.7, "p99": 1.1},
        "frames_delivered": 570, "bytes": 1_181_952_000, "frames_dropped": {"lost": 3},
        "frames_repaired": {"by_nack": 0, "by_fec": 0}, "socket_drops": 0,
    });
    serde_json::json!({"server": {"version": "0.1.0", "uptime_seconds": 12.3}, "streams": [stream]}).to_string()
}

fn top(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program("framewire").arg("top").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_pipe_gets_the_table_once() {
    let page = Page::start("200 OK", answer("cam-1"));
    let (code, table, said) = top(&["--server", &page.url()]);
    assert_eq!(code, Some(0), "{said}");
    let [header, line] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
    assert!(header.starts_with("stream  source") && header.ends_with("age"), "{header}");
    assert!(line.starts_with("cam-1   10.0.0.3:4444  gray8 1920x1080  live") && line.contains("59.9"), "{line}");
    let question = page.asked.recv_timeout(PATIENCE).unwrap();
    assert!(question.starts_with("GET /api/streams HTTP/1.1") && !question.contains("uthorization"), "{question}");
}

#[test]
fn a_name_that_commands_a_terminal_reaches_none() {
    let page = Page::start("200 OK", answer("cam\u{1b}]0;title\u{7}\u{1b}[2J\r\n\u{9b}31m"));
    let (code, table, said) = top(&["--once", "--server", &page.url()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!table.contains(|character: char| character.is_control() && character != '\n'), "{table:?}");
    assert_eq!(table.lines().count(), 2, "{table:?}");
}

#[test]
fn a_server_that_is_not_there_is_said_with_what_to_do() {
    // Nobody has the port any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, table, said) = top(&["--server", &format!("http://{gone}")]);
    assert_eq!((code, table.as_str()), (Some(1), ""));
    assert!(said.contains(&gone.to_string()) && said.contains("is framewire-server running"), "{said}");
}

#[test]
fn answers_that_are_none_are_said_with_what_to_do() {
    for (status, body, says) in [
        ("200 OK", "<html>".as_bytes(), "check the address"),
        ("200 OK", b"\xff\x1b[2J", "check the address"),
        ("404 Not Found", b"", "has no /api/streams"),
        ("503 Service Unavailable", b"", "status 503"),
        ("302 Found", b"", "status 302"),
        ("401 Unauthorized", b"", "--view-password-file"),
    ] {
        let page = Page::start(status, body);
        let (code, table, said) = top(&["--server", &page.url()]);
        assert_eq!((code, table.as_str()), (Some(1), ""), "{status}: {said}");
        assert!(said.contains(says) && !said.contains('\u{1b}'), "{status}: {said}");
    }
}

#[test]
fn an_answer_without_end_is_refused() {
    let page = Page::start("200 OK", vec![b' '; 9 << 20]);
    let (code, _, said) = top(&["--server", &page.url()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("more than 8388608 bytes"), "{said}");
}

#[test]
fn a_password_goes_to_the_server_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "open sesame\n").unwrap();
    let page = Page::start("200 OK", answer("cam-1"));
    let (code, _, said) = top(&["--server", &page.url(), "--view-password-file", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let question = page.asked.recv_timeout(PATIENCE).unwrap().to_lowercase();
    // framewire:open sesame
    assert!(question.contains(&"authorization: Basic ZnJhbWV3aXJlOm9wZW4gc2VzYW1l".to_lowercase()), "{question}");
    let refusing = Page::start("401 Unauthorized", "");
    let mut command = program("framewire");
    command.args(["top", "--server", &refusing.url()]).env("FRAMEWIRE_VIEW_PASSWORD_FILE", &file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("refuses the token or password"), "{said}");
    assert!(!said.contains("sesame"));
}

#[test]
fn what_cannot_be_asked_for_is_wrong_usage() {
    for (arguments, says) in [
        (["--join", "framewire://cams:1#x"], "lists the processes"),
        (["--server", "cams:8080"], "http://HOST:PORT"),
        (["--interval", "0"], "0.1 to 3600"),
        (["--view-password-file", "/no/such/file"], "cannot be read"),
    ] {
        let (code, _, said) = top(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

/// A terminal with the program in it.
struct Terminal {
    child: Child,
    keys: File,
    drawn: mpsc::Receiver<Vec<u8>>,
    seen: String,
    /// Kept open, so that its modes can be looked at after the program.
    line: File,
}

impl Terminal {
    fn start(server: &str) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line = File::options().read(true).write(true).open(name).unwrap();
        let stdio = || Stdio::from(line.try_clone().unwrap());
        let mut command = program("framewire");
        command.args(["top", "--interval", "0.1", "--server", server]);
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (send, drawn) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, drawn, seen: String::new(), line }
    }

    /// Waits until something is drawn that was not before.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.drawn.recv_timeout(left) else {
                let tail = self.seen.char_indices().rev().nth(2_000).map_or(0, |(at, _)| at);
                panic!("'{text}' never came; the last was {:?}", &self.seen[tail..])
            };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.seen.clear();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits for the end, and for the terminal to be as it was.
    fn end(mut self) {
        // The program leaves the screen that it has taken.
        self.wait_for("\x1b[?1049l");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(!self.is_raw());
    }
}

/// No test leaves a program behind, whatever becomes of it.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_terminal_is_given_back_whichever_way_the_program_ends() {
    let page = Page::start("200 OK", answer("cam-1"));
    for keys in ["q", "\x1b", "\x03", ""] {
        let mut terminal = Terminal::start(&page.url());
        terminal.wait_for("cam-1");
        assert!(terminal.is_raw());
        if keys.is_empty() {
            framewire_testing::send(framewire_testing::Signal::TERM, terminal.child.id());
        } else {
            terminal.keys.write_all(keys.as_bytes()).unwrap();
        }
        terminal.end();
    }
}

#[test]
fn a_server_that_comes_later_is_shown_without_asking() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut terminal = Terminal::start(&format!("http://{address}"));
    terminal.wait_for("LOST");
    let _page = Page::start_at(address, "200 OK", answer("cam-1"));
    terminal.wait_for("59.9");
    terminal.keys.write_all(b"?").unwrap();
    // A word of the help that stands nowhere else.
    terminal.wait_for("PgUp");
    terminal.keys.write_all(b"q").unwrap();
    terminal.end();
}

#[test]
fn a_real_server_is_understood_on_both_wires() {
    for wire in ["framed", "plain"] {
        let server = running::Server::start(&["--wire", wire, "--plain-frame", "64x48:gray8"]);
        let stream = ["pattern:64x48", "--wire", wire, "--fps", "20"];
        let _client = running::Running::start(&mut server.client(&stream));
        framewire_testing::wait_for(format_args!("the stream on the {wire} wire"), || {
            let output = running::run("framewire", &["top", "--once", "--server", &server.url()]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{wire}: {}", String::from_utf8_lossy(&output.stderr));
            if said.contains("gray8 64x48") && said.contains("live") { Ok(()) } else { Err(said) }
        });
    }
}
