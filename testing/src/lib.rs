//! What tests ask of the machine that they run on, and how they wait for what comes by itself. A test that cannot do
//! without something that is not here says so aloud and passes; `.ci/test` counts those lines.
//!
//! Nothing else is needed of a machine than what builds Framewire: signals are sent by a system call, for a Debian that
//! has a C compiler has no program `kill`.
#![forbid(unsafe_code)]

mod codes;
mod hosts;
mod redis;
mod waiting;

use std::fmt::Display;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

pub use codes::{assert_coded, assert_documented};
pub use hosts::{CABLE, Hosts, set_up, try_run};
pub use redis::Redis;
pub use rustix::process::Signal;
pub use waiting::{PATIENCE, wait_for, wait_until};

/// Begins every line that says that a test was skipped.
pub const SKIPPED: &str = "SKIPPED";

/// Says aloud that the test of this thread is not done here, and why: past the harness, which keeps to itself what a test
/// that passes prints. The test is then to return.
pub fn skip(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("{SKIPPED} {}: {why}\n", thread.name().unwrap_or("a test"));
    // In one piece, for tests run beside each other. Who closed standard error does not want to hear it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether these programs can be run; else it is said that the test is skipped, and `install` what brings them.
pub fn has_programs(programs: &[&str], install: &str) -> bool {
    let missing = programs.iter().find(|program| {
        // What it makes of the option does not matter, and not all know it.
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_err()
    });
    if let Some(program) = missing {
        skip(format_args!("there is no {program} here; {install}"));
    }
    missing.is_none()
}

/// The Python that tests use (`FRAMEWIRE_PYTHON`, else `python3`), where it can run `imports`; else it is said that the test is skipped,
/// and `install` what brings them.
pub fn python(imports: &str, install: &str) -> Option<String> {
    let interpreter = std::env::var("FRAMEWIRE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&interpreter).args(["-c", imports]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        return Some(interpreter);
    }
    skip(format_args!("{interpreter} cannot run '{imports}'; {install}"));
    None
}

/// Sends a signal to a process, by a system call. One that is to stop, a child of this one, has stopped by then, with each of its threads: else they go on for a while
/// where the machine is busy.
///
/// # Panics
/// There is no such process, or it may not be sent to.
pub fn send(signal: Signal, process: u32) {
    kill_process(pid(process), signal).unwrap_or_else(|error| panic!("process {process} takes no signal: {error}"));
    if signal == Signal::STOP {
        // It may have ended, too, which whoever waits for it is still to be told.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid(process)), stopped)
            .unwrap_or_else(|error| panic!("process {process} is not waited for: {error}"));
    }
}

/// Whether this process, and so each that it starts, ignores a signal.
pub fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> (signal.as_raw() - 1) & 1 == 1)
}

/// Ends a process and all of its group, which it leads. It may be gone already: made for guards, which run on any path.
pub fn end_group(leader: u32) {
    let _ = kill_process_group(pid(leader), Signal::KILL);
}

/// A process that is killed with the value: no test leaves one behind, whatever becomes of it.
#[derive(Debug)]
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pid(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process has a number above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    /// A program that every machine has.
    fn waiting() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[test]
    fn what_is_stopped_stands_and_goes_on_when_told() {
        let mut child = Guard(waiting().spawn().unwrap());
        let state = |process: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next()
        };
        for _ in 0..100 {
            send(Signal::STOP, child.0.id());
            assert_eq!(state(child.0.id()), Some('T'));
            send(Signal::CONT, child.0.id());
            assert_ne!(state(child.0.id()), Some('T'));
        }
        child.0.kill().unwrap();
        // One that has ended is no reason to wait.
        wait_until("it has ended", || state(child.0.id()) == Some('Z'));
        send(Signal::STOP, child.0.id());
        assert_eq!(child.0.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    }

    #[test]
    fn a_signal_reaches_its_process() {
        let mut child = waiting().spawn().unwrap();
        send(Signal::TERM, child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn a_group_ends_with_its_leader_and_one_that_is_gone_is_no_failure() {
        let mut child = waiting().process_group(0).spawn().unwrap();
        end_group(child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        end_group(child.id());
    }

    #[test]
    fn programs_that_every_machine_has_are_found() {
        assert!(has_programs(&["sh", "sleep"], "install coreutils"));
    }
}
