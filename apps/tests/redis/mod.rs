//! A Redis of the test's own: Debian's, at a free port, which keeps nothing.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use framewire_testing::{Guard, Signal, has_programs, send};
use tempfile::TempDir;

use crate::running::PATIENCE;

pub(crate) struct Redis {
    port: u16,
    directory: TempDir,
    process: Option<Guard>,
}

impl Redis {
    /// `None`, said aloud, where there is no redis-server.
    pub(crate) fn start() -> Option<Self> {
        if !has_programs(&["redis-server"], "install redis-server") {
            return None;
        }
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Self { port, directory: tempfile::tempdir().unwrap(), process: None };
        redis.restart();
        Some(redis)
    }

    /// Runs anew, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        command.arg(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(Guard(command.spawn().unwrap()));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(signal, self.process.as_ref().expect("it runs").0.id());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
