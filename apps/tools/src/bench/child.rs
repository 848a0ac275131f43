//! The receiving process that a bench on one machine starts by itself, and ends always.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use super::far::LISTENING;
use super::patience::{LOOK_AROUND, PATIENCE, Wait};

/// More than an address has.
const LINE_MAX: u64 = 200;

/// A process that ends with this value. It ends with this process, too, however that does: its standard input is a pipe
/// from here.
pub(super) struct ReceivingProcess {
    child: Child,
}

impl ReceivingProcess {
    /// Starts this program again, to receive; returns where it listens.
    pub(super) fn start(stop: &Stop) -> Result<(Self, SocketAddr), Failure> {
        let refused = |error| {
            Failure::runtime(format!(
                "this program cannot be started a second time to receive: {error}; run framewire bench --receive 127.0.0.1:9000 in \
                 another terminal and framewire bench --to 127.0.0.1:9000 here"
            ))
        };
        let mut command = Command::new(std::env::current_exe().map_err(refused)?);
        command.args(["bench", "--receive", "127.0.0.1:0", "--once", "--tied"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C in a terminal is for the process that the user started; that one ends the other.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = Self { child: command.spawn().map_err(refused)? };
        let address = process.address(stop)?;
        Ok((process, address))
    }

    /// Reads where it listens, which is the first line that it says.
    fn address(&mut self, stop: &Stop) -> Result<SocketAddr, Failure> {
        let (send, said) = mpsc::channel();
        let stdout = self.child.stdout.take();
        std::thread::Builder::new()
            .name("bench-address".into())
            .spawn(move || {
                let mut line = String::new();
                if let Some(stdout) = stdout {
                    let _ = BufReader::new(stdout.take(LINE_MAX)).read_line(&mut line);
                }
                let _ = send.send(line);
            })
            .map_err(Failure::runtime)?;
        let wait = Wait::begin(stop, PATIENCE);
        let line = loop {
            match said.recv_timeout(LOOK_AROUND) {
                Ok(line) => break line,
                Err(_) => wait.check("the receiving process did not say where it listens", "try again")?,
            }
        };
        line.trim_end().strip_prefix(LISTENING).and_then(|address| address.parse().ok()).ok_or_else(|| {
            Failure::runtime("the receiving process ended before it listened; it said why on standard error")
        })
    }
}

impl Drop for ReceivingProcess {
    fn drop(&mut self) {
        // It holds nothing that would have to be put in order, and has ended by itself where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
