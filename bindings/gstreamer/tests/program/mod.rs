//! A real server: `framewire-server` of the folder that `PROGRAMS` names, else of this source's own build.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The server, which ends with this.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Its hub is `server.sock` in a folder, which it keeps its state in, too. `None`, and a line that says so, where there is no such program.
    pub(crate) fn start(folder: &Path, listen: &str, more: &[&str]) -> Option<Self> {
        let programs = std::env::var_os("PROGRAMS")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug")), PathBuf::from);
        let program = programs.join("framewire-server");
        if !program.exists() {
            println!("SKIPPED beside a server: there is no {}", program.display());
            if let Some(list) = std::env::var_os("FRAMEWIRE_SKIPPED") {
                let mut list = std::fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
                writeln!(list, "1").unwrap();
            }
            return None;
        }
        let mut child = Command::new(program)
            .args(["--until-input-ends", "--listen", listen, "--udp", "127.0.0.1:0", "--share"])
            .arg(folder.join("server.sock"))
            .args(more)
            .env("XDG_STATE_HOME", folder.join("state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let at = line.find("http")?;
                line[at..].split_whitespace().next().map(str::to_owned)
            })
            .expect("the server says where it listens");
        // What it says later is for nobody, and must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
