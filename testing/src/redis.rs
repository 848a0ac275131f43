//! A Redis of the test's own: Debian's, always at the same port, in a directory that goes with it. It keeps nothing.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Guard, Signal, has_programs, send, wait_for};

/// One that runs, or is to run, always at the same port.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    args: Vec<String>,
    directory: TempDir,
    process: Option<Guard>,
}

impl Redis {
    /// One that listens, with more arguments, in which `{port}` is its port. `None`, said aloud, where there is no redis-server.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(args: &[&str]) -> Option<Self> {
        let mut redis = Self::missing(args)?;
        redis.restart();
        Some(redis)
    }

    /// One that does not run yet.
    ///
    /// # Panics
    /// The system has no port and no directory for it.
    pub fn missing(args: &[&str]) -> Option<Self> {
        if !has_programs(&["redis-server"], "apt-get install redis-server") {
            return None;
        }
        // Free a moment ago.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let args = args.iter().map(|arg| arg.replace("{port}", &port.to_string())).collect();
        Some(Self { port, args, directory: tempfile::tempdir().unwrap(), process: None })
    }

    /// Runs it, anew and with nothing in it where it ran; returns once it listens.
    ///
    /// # Panics
    /// It does not come up.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        if !self.args.iter().any(|arg| arg == "--tls-port") {
            command.args(["--port", &self.port.to_string()]);
        }
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null());
        let process = self.process.insert(Guard(command.spawn().unwrap()));
        let port = self.port;
        wait_for(format_args!("redis-server listens at port {port}"), || {
            // Somebody else may have the port by now.
            assert_eq!(process.0.try_wait().unwrap(), None, "redis-server at port {port} has ended by itself");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        });
    }

    /// Ends it, where it runs.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// As [`send`].
    ///
    /// # Panics
    /// It does not run.
    pub fn signal(&self, signal: Signal) {
        send(signal, self.process.as_ref().expect("it runs").0.id());
    }

    /// Where it listens, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it is called to clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
