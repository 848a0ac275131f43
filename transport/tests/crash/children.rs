//! Other processes: this very test program, told by its environment what it is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// What a child process is told.
pub(crate) const ROLE: &str = "FRAMEWIRE_CRASH_ROLE";
pub(crate) const SOCKET: &str = "FRAMEWIRE_CRASH_SOCKET";
pub(crate) const POLICY: &str = "FRAMEWIRE_CRASH_POLICY";
pub(crate) const FRAMES: &str = "FRAMEWIRE_CRASH_FRAMES";
#[allow(dead_code, reason = "for processes that are killed at a point")]
pub(crate) const POINT: &str = "FRAMEWIRE_CRASH_POINT";
#[allow(dead_code, reason = "for processes that are killed at a point")]
pub(crate) const PASSES: &str = "FRAMEWIRE_CRASH_PASSES";
#[allow(dead_code, reason = "for processes that are killed at a point")]
pub(crate) const FORGETS: &str = "FRAMEWIRE_CRASH_FORGETS";

impl Process {
    /// Starts this program once more, in that role.
    pub(crate) fn start(role: &str, socket: &Path, settings: &[(&str, String)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "in_another_process", "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, role).env(SOCKET, socket);
        command.envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("another process");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// Waits until it says a line that begins so, and returns what follows. `None` where it has ended before.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> Option<String> {
        for line in self.lines.by_ref().map_while(Result::ok) {
            if let Some(at) = line.find(beginning) {
                return Some(line[at + beginning.len()..].trim().to_owned());
            }
        }
        None
    }

    /// Waits until it has ended; whether it was killed.
    pub(crate) fn wait_killed(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.child.wait().expect("a child").signal() == Some(libc::SIGKILL)
    }

    /// Whether it has ended by now.
    #[allow(dead_code, reason = "for processes that are killed at any moment")]
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Sends it a signal.
    #[allow(dead_code, reason = "for processes that are killed at any moment")]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        framewire_testing::send(signal, self.child.id());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
