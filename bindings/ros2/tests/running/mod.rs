//! The program and its peers, run as they are run: what they say is waited for, and nothing outlives a test.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each file of tests uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use framewire_ends::{Hub, Output, OutputOptions};
use framewire_testing::{Guard, Signal, send};
use framewire_transport::FrameFormat;
use serde_json::Value;
use tempfile::TempDir;

pub use framewire_testing::PATIENCE;

/// A test's own domain, so that none hears another.
pub struct Domain {
    number: u16,
    python: String,
    pub directory: TempDir,
}

impl Domain {
    /// One, where there is a peer; else it is said that the test is skipped.
    pub fn new() -> Option<Self> {
        let python =
            framewire_testing::python("import cyclonedds", "set FRAMEWIRE_PYTHON and pip install cyclonedds==11.0.1")?;
        Some(Self::with(python))
    }

    /// One for the program alone.
    pub fn without_peers() -> Self {
        Self::with("python3".to_owned())
    }

    fn with(python: String) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Beside other runs of these tests too, most often.
        let first = (std::process::id() % 9) as u16 * 20;
        let number = 30 + first + NEXT.fetch_add(1, Ordering::Relaxed) % 20;
        Self { number, python, directory: tempfile::tempdir().unwrap() }
    }

    /// The path of a hub's socket.
    pub fn socket(&self, name: &str) -> String {
        self.directory.path().join(format!("{name}.sock")).to_str().unwrap().to_owned()
    }

    /// A stream of this process, at a hub of its own.
    pub fn output(&self, name: &str, format: FrameFormat, options: OutputOptions) -> (Output, String) {
        let socket = self.socket(name);
        let output = Output::publish(name, Some(socket.parse::<Hub>().unwrap()), options).unwrap();
        output.begin(format).unwrap();
        (output, socket)
    }

    /// The program, told to say in which domain and on which interface it is.
    pub fn program(&self, what: &str, args: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_framewire-ros2"));
        command
            .args([what, "--json", "-v", "--interface", "127.0.0.1", "--domain", &self.number.to_string()])
            .args(args);
        command.env("XDG_RUNTIME_DIR", self.directory.path()).env("XDG_STATE_HOME", self.directory.path());
        command.env_remove("ROS_DISTRO").env_remove("RUST_LOG").env_remove("FRAMEWIRE_SHARE");
        Program(Running::start(command))
    }

    /// A peer, once it is in the domain.
    pub fn peer(&self, what: &str, args: &[&str]) -> Peer {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
        let mut command = Command::new(&self.python);
        command.arg(format!("{here}/peer.py")).arg(what).args(args).args(["--domain", &self.number.to_string()]);
        command.env("CYCLONEDDS_URI", format!("file://{here}/loopback.xml"));
        let peer = Peer(Running::start(command));
        peer.said("ready");
        peer
    }
}

/// Whether sockets may hold so many bytes, in which an image is that comes in one burst; else it is said that the test is skipped.
pub fn sockets_hold(bytes: usize) -> bool {
    let max = std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|max| max.trim().parse().ok());
    let hold = max.is_some_and(|max: usize| max >= bytes);
    if !hold {
        framewire_testing::skip(format_args!(
            "sockets hold too little for large images: sysctl -w net.core.rmem_max={bytes}"
        ));
    }
    hold
}

/// A process, and each line that it says, on either output.
struct Running {
    guard: Guard,
    input: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { input: child.stdin.take(), guard: Guard(child), out, err }
    }

    fn child(&mut self) -> &mut Child {
        &mut self.guard.0
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // For who looks at a test that failed.
            eprintln!("| {line}");
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    told
}

/// The first line that is as wanted.
fn until<T>(told: &Receiver<String>, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(line) => match wanted(&line) {
                Some(found) => return found,
                None => all.push(line),
            },
            Err(error) => panic!("{error}: nothing of {what} in {all:#?}"),
        }
    }
}

/// `framewire-ros2`.
pub struct Program(Running);

impl Program {
    /// Waits until it has said this; the line.
    pub fn says(&self, text: &str) -> String {
        until(&self.0.err, text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// What it says next, if that is soon.
    pub fn heard(&self, within: Duration) -> Option<String> {
        self.0.err.recv_timeout(within).ok()
    }

    /// Waits until it and those who publish its topic know of each other: who asks for nothing again does not get what was sent before.
    pub fn hears(&self, publishers: &[&Peer]) {
        publishers.iter().for_each(|peer| peer.is_matched(1));
        self.says(&format!("has {} publishers", publishers.len()));
    }

    /// Has it end; its summary.
    pub fn end(self) -> Value {
        // An interrupt is nothing to what a job in the background has begun.
        self.send(Signal::TERM);
        self.summary()
    }

    /// Its summary, once it has ended by itself.
    pub fn summary(mut self) -> Value {
        let summary = until(&self.0.out, "a summary", |line| serde_json::from_str(line).ok());
        assert!(self.0.child().wait().unwrap().success());
        summary
    }

    /// Its exit code, once it has ended by itself, and the last that it said.
    pub fn failure(mut self) -> (i32, String) {
        let code = self.0.child().wait().unwrap().code().unwrap();
        (code, self.0.err.iter().collect::<Vec<_>>().join("\n"))
    }

    /// The most memory that it has had so far, in MB, until it has ended.
    pub fn memory_mb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.guard.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024)
    }

    /// Stops it, each of its threads, and has it go on.
    pub fn stop_and_go_on(&self) {
        let process = self.0.guard.0.id();
        send(Signal::STOP, process);
        send(Signal::CONT, process);
    }

    pub fn send(&self, signal: Signal) {
        send(signal, self.0.guard.0.id());
    }
}

/// Cyclone DDS.
pub struct Peer(Running);

impl Peer {
    /// The next line that has this key.
    pub fn said(&self, key: &str) -> Value {
        until(&self.0.out, key, |line| serde_json::from_str::<Value>(line).ok().filter(|said| said.get(key).is_some()))
    }

    /// What it says next, if that is soon.
    pub fn heard(&self, within: Duration) -> Option<Value> {
        self.0.out.recv_timeout(within).ok().map(|line| serde_json::from_str(&line).unwrap())
    }

    /// Waits until it knows of so many others that go with it, who need not know of it yet.
    pub fn is_matched(&self, count: u64) {
        until(&self.0.out, "matched", |line| {
            let said: Value = serde_json::from_str(line).ok()?;
            (said.get("matched")?.as_u64()? == count).then_some(())
        });
    }

    /// Has it publish something.
    pub fn publish(&mut self, image: &Value) {
        self.ask(image);
        self.said("sent");
    }

    /// The same without waiting until it has.
    pub fn ask(&mut self, image: &Value) {
        writeln!(self.0.input.as_mut().unwrap(), "{image}").unwrap();
    }

    pub fn send(&self, signal: Signal) {
        send(signal, self.0.guard.0.id());
    }
}

/// What its crc32 is as the peer counts it.
pub fn crc32(bytes: &[u8]) -> u64 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        (0..8).for_each(|_| sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
    }
    (!sum).into()
}

/// `framewire-server`.
pub struct Server(Running);

impl Server {
    /// Starts it, with what it keeps in a folder.
    pub fn start(command: &mut Command, directory: &std::path::Path) -> Self {
        command.env("XDG_RUNTIME_DIR", directory).env("XDG_STATE_HOME", directory).env_remove("RUST_LOG");
        Self(Running::start(std::mem::replace(command, Command::new("true"))))
    }

    /// Waits until it has said this; the line.
    pub fn says(&self, text: &str) -> String {
        until(&self.0.err, text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Ends it without a word.
    pub fn kill(self) {
        drop(self);
    }
}
