//! Peers in Python: python-socketio is what the other half of the users has.
//!
//! Skipped, aloud, where there is no interpreter with the packages: `pip install "python-socketio[client]" aiohttp`.
//! `FRAMEWIRE_PYTHON` names the interpreter; default `python3`.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::env;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use framewire_signal::message::PROTOCOL;
use framewire_signal::{ClientConfig, ClientEvent, Join, Pin, Token};
use serde_json::{Value, json};

use stage::{
    Asked, PATIENCE, await_asked, await_event, connect, feedback, join_string, loopback, protected, request, serve,
    watching,
};

/// A script that talks to the test in lines of JSON, and ends when its standard input does.
struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// `None`, said aloud, when the interpreter lacks one of the packages.
    fn run(packages: &str, script: &str, arguments: &[String]) -> Option<Self> {
        Self::run_with(Stdio::inherit(), packages, script, arguments)
    }

    /// The same, with what it says on standard error going there.
    fn run_with(errors: Stdio, packages: &str, script: &str, arguments: &[String]) -> Option<Self> {
        let interpreter = env::var_os("FRAMEWIRE_PYTHON").unwrap_or_else(|| "python3".into());
        let import = Command::new(&interpreter).args(["-c", &format!("import {packages}")]).output();
        if !import.is_ok_and(|import| import.status.success()) {
            framewire_testing::skip(format_args!(
                "{} cannot import {packages}; set FRAMEWIRE_PYTHON",
                interpreter.to_string_lossy()
            ));
            return None;
        }
        let mut child = Command::new(&interpreter)
            .args(["-u", "-c", script])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take();
        Some(Self { child, input, output })
    }

    fn hear(&mut self) -> Value {
        let line = self.output.next().expect("the script ended before it said what was expected").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// As many as said, by the number in this field: python-socketio calls handlers in no order.
    fn hear_sorted(&mut self, count: usize, field: &str) -> Vec<Value> {
        let mut heard: Vec<Value> = (0..count).map(|_| self.hear()).collect();
        heard.sort_by_key(|event| event[field].as_u64());
        heard
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LISTENER: &str = r#"
import hashlib, hmac, json, secrets, sys, threading
import socketio

url, transport, token, message = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
nonce = secrets.token_hex(16)
introduction = {"version": 2, "role": "stream", "nonce": nonce, "binding": "none"}
proven = threading.Event()

def proof(side, server_nonce):
    text = f"framewire-signal-2|{side}|stream|{nonce}|{server_nonce}|none".encode()
    return hmac.new(token.encode(), text, hashlib.sha256).hexdigest()

def prove(challenge):
    assert challenge["proof"] == proof("server", challenge["nonce"])
    client.emit("prove", {"proof": proof("client", challenge["nonce"])})

# Handlers run on threads of their own, and print writes in pieces.
lock = threading.Lock()

def say(data):
    with lock:
        print(json.dumps(data))

client = socketio.Client()
client.on("feedback", say)
transports = None if transport == "default" else [transport]
client.on("challenge", prove)
client.on("proven", lambda said: proven.set())
client.connect(url, auth=introduction if token else None, transports=transports)
if token:
    assert proven.wait(20)
if message:
    answer = client.call("open", message, timeout=10)
    say(answer)
say(client.transport())
sys.stdin.read()
client.disconnect()
"#;

fn opens_and_listens(transport: &str, token: Option<&str>) {
    let secret = token.map(|secret| Token::new(secret).unwrap());
    let (server, asked) = serve(loopback().token(secret));
    let message = serde_json::to_string(&request(7)).unwrap();
    let arguments = [format!("http://{}", server.local_addr()), transport.into(), token.unwrap_or("").into(), message];
    let Some(mut python) = Python::run("socketio, requests, websocket", LISTENER, &arguments) else { return };
    let mut answer = python.hear();
    let resume = answer.as_object_mut().unwrap().remove("resume");
    assert_eq!(resume.unwrap().as_str().unwrap().len(), 32);
    assert_eq!(answer, json!({"reply": "opened", "stream": 7, "udp_port": 12_345, "protocol": PROTOCOL}));
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7))));
    let expected = if transport == "polling" { "polling" } else { "websocket" };
    assert_eq!(python.hear(), expected);
    for frame in 0..10 {
        server.feedback(feedback(7, frame));
    }
    for (frame, event) in (0..).zip(python.hear_sorted(10, "frame")) {
        assert_eq!(event, serde_json::to_value(feedback(7, frame)).unwrap());
    }
}

#[test]
fn a_python_client_that_begins_by_polling_opens_a_stream_and_hears_of_its_frames() {
    opens_and_listens("default", None);
}

#[test]
fn a_python_client_on_websocket_does_so_with_a_token() {
    opens_and_listens("websocket", Some("00112233445566778899aabbccddeeff"));
}

#[test]
fn a_python_client_that_only_polls_does_so_too() {
    opens_and_listens("polling", Some("00112233445566778899aabbccddeeff"));
}

#[test]
fn a_python_client_of_the_plain_wire_gets_what_it_always_got() {
    let (server, _asked) = serve(loopback().plain(true));
    let arguments = [format!("http://{}", server.local_addr()), "default".into(), String::new(), "null".into()];
    let Some(mut python) = Python::run("socketio, requests, websocket", LISTENER, &arguments) else { return };
    assert_eq!(python.hear(), "websocket");
    server.plain_feedback(65_507);
    server.plain_feedback(1_234);
    for (size, event) in [1_234, 65_507].into_iter().zip(python.hear_sorted(2, "frame_size")) {
        let timestamp = event["timestamp"].as_str().unwrap().to_owned();
        assert_eq!(event, json!({"timestamp": timestamp, "frame_size": size}));
    }
}

/// The program in README's chapter on other languages, as it stands there.
fn listing() -> &'static str {
    let readme = include_str!("../../README.md");
    let chapter = readme.split("### Listening to a protected server").nth(1).expect("the chapter is there");
    chapter.split("```python\n").nth(1).and_then(|program| program.split("```").next()).expect("it has a program")
}

/// A file with a join string, which nobody else reads.
fn join_file(join: &Join) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", join.to_text()).unwrap();
    file
}

#[test]
fn the_readmes_listener_hears_of_frames_from_a_protected_server_over_tls() {
    let viewing = Token::new("00112233445566778899aabbccddeeff").unwrap();
    let (server, _asked) = serve(protected().view_token(viewing.clone()));
    for token in [stage::token(), viewing] {
        let mut join = join_string(&server);
        join.token = token;
        let file = join_file(&join);
        let arguments = [file.path().to_str().unwrap().to_owned()];
        let Some(mut python) = Python::run("socketio, requests, websocket", listing(), &arguments) else { return };
        // Its first frames come before it has proved its token: until then it hears of none.
        let (heard, line) = std::sync::mpsc::channel();
        std::thread::spawn(move || heard.send((python.output.next().map(Result::unwrap), python)));
        let line = loop {
            server.feedback(feedback(7, 1));
            match line.recv_timeout(std::time::Duration::from_millis(50)) {
                Ok((line, _python)) => break line.expect("the program hears of a frame"),
                Err(error) => assert_eq!(error, std::sync::mpsc::RecvTimeoutError::Timeout),
            }
        };
        assert!(line.contains("'frame': 1,") && line.contains(&format!("'stream': {}", server.shown_id(7))), "{line}");
    }
}

#[test]
fn the_readmes_listener_believes_no_other_server_and_proves_nothing_to_it() {
    let (server, _asked) = serve(protected());
    let (mut other_key, mut other_token) = (join_string(&server), join_string(&server));
    other_key.pin = Pin::of_public_key(b"another");
    other_token.token = Token::new("00112233445566778899aabbccddeeff").unwrap();
    for (join, says) in [(other_key, "another server answers there"), (other_token, "the server has another token")] {
        let file = join_file(&join);
        let arguments = [file.path().to_str().unwrap().to_owned()];
        let python = Python::run_with(Stdio::piped(), "socketio, requests, websocket", listing(), &arguments);
        let Some(mut python) = python else { return };
        let mut said = String::new();
        let mut errors = python.child.stderr.take().unwrap();
        let _ = errors.read_to_string(&mut said);
        assert!(said.contains(says), "{said}");
        assert_eq!(server.counters().clients, 0);
    }
}

/// A server that does on Socket.IO what the original system's did.
const SERVER: &str = r#"
import asyncio, json, sys, time
import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp")
app = web.Application()
server.attach(app)

@server.event
async def connect(sid, environ, auth):
    print(json.dumps("connected"))

async def main():
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]))
    await site.start()
    print(json.dumps(site._server.sockets[0].getsockname()[1]))
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if line == "stop":
            await server.shutdown()
            await runner.cleanup()
            print(json.dumps("stopped"))
        else:
            await server.emit("feedback", {"timestamp": time.ctime(), "frame_size": int(line)})

asyncio.run(main())
"#;

#[test]
fn our_client_hears_a_python_server_of_the_plain_wire_and_finds_it_again() {
    let Some(mut python) = Python::run("socketio, aiohttp", SERVER, &["0".into()]) else { return };
    let port = python.hear().as_u64().unwrap();
    let config = ClientConfig::new(format!("http://127.0.0.1:{port}")).plain(true);
    let client = connect(config);
    let hears = |python: &mut Python| {
        assert_eq!(python.hear(), "connected");
        stage::await_connected(&client);
        for size in [65_507, 65_507, 1_234] {
            python.say(&size.to_string());
            let plain = await_event(&client, |event| match event {
                ClientEvent::PlainFeedback(plain) => Some(plain.clone()),
                _ => None,
            });
            assert_eq!(plain.frame_size, size);
            assert_eq!(plain.timestamp.len(), 24, "{}", plain.timestamp);
        }
    };
    hears(&mut python);
    python.say("stop");
    assert_eq!(python.hear(), "stopped");
    await_event(&client, |event| matches!(event, ClientEvent::Disconnected { .. }).then_some(()));
    drop(python);
    let mut python = Python::run("socketio, aiohttp", SERVER, &[port.to_string()]).unwrap();
    assert_eq!(python.hear().as_u64(), Some(port));
    hears(&mut python);
}

const WATCHER: &str = r#"
import json, sys, threading
import socketio

url, message = sys.argv[1], json.loads(sys.argv[2])
lock = threading.Lock()

def say(name):
    def hear(data):
        with lock:
            print(json.dumps([name, data]))
    return hear

client = socketio.Client()
for name in ("watching", "unwatched", "feedback"):
    client.on(name, say(name))
client.connect(url, transports=["websocket"])
client.emit("quiet", {"quiet": True})
say("answer")(client.call("watch", message, timeout=10))
sys.stdin.readline()
say("answer")(client.call("unwatch", {"stream": message["stream"]}, timeout=10))
sys.stdin.read()
client.disconnect()
"#;

/// Both come, in no order: an acknowledgement and an event.
fn hear_both(python: &mut Python, event: &str) -> [Value; 2] {
    let (first, second) = (python.hear(), python.hear());
    let (answer, said) = if first[0] == "answer" { (first, second) } else { (second, first) };
    assert_eq!((&answer[0], &said[0]), (&json!("answer"), &json!(event)));
    [answer[1].clone(), said[1].clone()]
}

#[test]
fn a_python_client_watches_a_stream_and_hears_no_feedback_of_it() {
    let (server, asked) = serve(loopback());
    let wish = json!({"protocol": PROTOCOL, "stream": 5, "name": "front", "udp_port": 9_000});
    let arguments = [format!("http://{}", server.local_addr()), wish.to_string()];
    let Some(mut python) = Python::run("socketio, websocket", WATCHER, &arguments) else { return };
    let mut answer = serde_json::to_value(watching(5, "front")).unwrap();
    answer["reply"] = "watching".into();
    for said in hear_both(&mut python, "watching") {
        assert_eq!(said, answer);
    }
    server.feedback(feedback(7, 0));
    server.tell_unwatched(5, "its client has gone");
    assert_eq!(python.hear(), json!(["unwatched", {"stream": 5, "message": "its client has gone"}]));
    python.say("");
    for said in hear_both(&mut python, "unwatched") {
        assert_eq!(said["stream"], 5, "{said}");
    }
    assert_eq!(await_asked(&asked, |asked| matches!(asked, Asked::Unwatch(_)).then_some(asked)), Asked::Unwatch(5));
}
