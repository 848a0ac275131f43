//! A Redis of the test's own: Debian's, at a free port, in a directory that goes with it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use framewire_testing::{Guard, Signal, has_programs, send};
use tempfile::TempDir;

/// For a server that is slow to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Redis {
    port: u16,
    args: Vec<String>,
    directory: TempDir,
    process: Option<Guard>,
}

impl Redis {
    /// `None`, said aloud, where there is no redis-server.
    pub(crate) fn new(args: &[&str]) -> Option<Self> {
        let redis = Self::missing(args)?;
        Some(redis.started())
    }

    /// One that is not running yet.
    pub(crate) fn missing(args: &[&str]) -> Option<Self> {
        if !has_programs(&["redis-server"], "apt-get install redis-server") {
            return None;
        }
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Some(Self { port, args, directory: tempfile::tempdir().unwrap(), process: None })
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        if !self.args.iter().any(|arg| arg == "--tls-port") {
            command.args(["--port", &port]);
        }
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        command.args(self.args.iter().map(|arg| arg.replace("{port}", &port)));
        let process: Child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        self.process = Some(Guard(process));
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen at port {port}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn send(&self, signal: Signal) {
        send(signal, self.process.as_ref().unwrap().0.id());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection for who looks into it.
    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }
}
