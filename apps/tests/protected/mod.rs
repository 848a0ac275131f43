//! A protected server, and those who join it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use framewire_testing::wait_for;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::running::{PATIENCE, Running, program, run};

/// The file with the line that clients join by.
pub(crate) const JOIN: &str = "join";

/// A server that listens on loopback and is protected all the same.
pub(crate) struct Protected {
    pub(crate) running: Running,
    pub(crate) signal: String,
    pub(crate) udp: String,
    state: PathBuf,
}

/// Where a server listens: Socket.IO and frames.
pub(crate) type At = (String, String);

impl Protected {
    pub(crate) fn start(directory: &TempDir, arguments: &[&str]) -> Self {
        Self::start_by(&mut program("framewire-server"), "127.0.0.1:0", directory, arguments)
    }

    pub(crate) fn start_at((signal, udp): &At, directory: &TempDir, arguments: &[&str]) -> Self {
        let arguments = [&["--udp", udp], arguments].concat();
        Self::start_by(&mut program("framewire-server"), signal, directory, &arguments)
    }

    pub(crate) fn start_by(command: &mut Command, listen: &str, directory: &TempDir, arguments: &[&str]) -> Self {
        let state = directory.path().join("state");
        command.args(["--protect", "--share", "off", "--listen", listen]).arg("--state-directory").arg(&state);
        if !arguments.contains(&"--udp") {
            command.args(["--udp", "127.0.0.1:0"]);
        }
        let mut running = Running::start(command.args(arguments));
        let line = running.wait_for("listening on https://");
        let (_, addresses) = line.split_once("https://").unwrap();
        let (signal, udp) = addresses.split_once(" (Socket.IO) and UDP ").unwrap();
        let (signal, udp) = (signal.to_owned(), udp.trim_end_matches(['"', '}']).to_owned());
        Self { running, signal, udp, state }
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// The line that clients join by.
    pub(crate) fn join(&self) -> String {
        std::fs::read_to_string(self.state(JOIN)).unwrap().trim_end().to_owned()
    }

    /// The same with a token that is not the server's.
    pub(crate) fn join_with_another_token(&self) -> String {
        let join = self.join();
        let (authority, secrets) = join.split_once('#').unwrap();
        let first = if secrets.starts_with('A') { "B" } else { "A" };
        format!("{authority}#{first}{}", &secrets[1..])
    }

    /// What it answers who has the token for looking, and knows its certificate.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(self.state("identity.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(&self.signal).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        let token = std::fs::read_to_string(self.state("view-token")).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
            self.signal,
            token.trim_end()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }

    /// Its streams, and what it says of itself.
    pub(crate) fn snapshot(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/api/streams")).unwrap()
    }

    /// Until a stream of the server's has frames, as who looks is told.
    pub(crate) fn wait_until_live(&self) {
        let join = self.state(JOIN);
        wait_for("a stream that is live", || {
            let output = run("framewire", &["top", "--once", "--join", join.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let is_live = said.contains("live");
            is_live.then_some(()).ok_or_else(|| said + &String::from_utf8_lossy(&output.stderr))
        });
    }

    /// Ends it in order; returns where it was, and its summary.
    pub(crate) fn stop(self) -> (At, Vec<u8>) {
        self.running.interrupt();
        let (code, said, summary) = self.running.wait();
        assert_eq!(code, Some(0), "{said}");
        ((self.signal, self.udp), summary)
    }

    /// Ends it as `kill -9` does; returns where it was.
    pub(crate) fn kill(self) -> At {
        self.running.kill();
        (self.signal, self.udp)
    }
}

/// A client that finds its server by these.
pub(crate) fn client(arguments: &[&str]) -> Command {
    let mut client = program("framewire-client");
    client.args(arguments);
    client
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
