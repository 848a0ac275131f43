//! A server in a control group of the kernel, whose limit is what its default memory is reckoned from.
#![allow(missing_docs)]

mod running;

use std::io::Write;
use std::path::{Path, PathBuf};

use running::{Server, run};

const LIMIT_BYTES: u64 = 256 << 20;
/// A quarter of it for all streams; half of that for one.
const ALL_STREAMS_BYTES: u64 = LIMIT_BYTES / 4;
const ONE_STREAM_BYTES: u64 = ALL_STREAMS_BYTES / 2;

/// A control group with a limit of memory, and one within it that has none of its own.
struct Group(PathBuf);

impl Group {
    /// Makes it; where that cannot be done, it is said that the test is skipped.
    fn new(name: &str) -> Option<Self> {
        let hierarchies = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
        let mut failed = String::from("there is no /sys/fs/cgroup");
        for (mount, limit) in hierarchies {
            // Beside hierarchies of version 1 there is an ordinary directory.
            if !Path::new(mount).join("cgroup.procs").exists() {
                continue;
            }
            let group = Self(Path::new(mount).join(format!("framewire-{name}-{}", std::process::id())));
            match group.make(limit) {
                Ok(()) => return Some(group),
                Err(error) => failed = format!("{}: {error}", group.0.join(limit).display()),
            }
        }
        framewire_testing::skip(format_args!("no control group with a limit of memory can be made here ({failed})"));
        None
    }

    fn make(&self, limit: &str) -> std::io::Result<()> {
        std::fs::create_dir(&self.0)?;
        // The kernel makes the file with the group, or does not.
        let mut file = std::fs::OpenOptions::new().write(true).open(self.0.join(limit))?;
        file.write_all(LIMIT_BYTES.to_string().as_bytes())?;
        std::fs::create_dir(self.within())
    }

    fn within(&self) -> PathBuf {
        self.0.join("within")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(self.within());
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A server that has been in this group from its first instruction on.
fn server_in(group: &Path, arguments: &[&str]) -> Server {
    let mut shell = running::program("sh");
    shell.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(group.join("cgroup.procs"));
    shell.arg(running::program("framewire-server").get_program());
    Server::start_by(shell.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]).args(arguments))
}

/// Sends two frames of a pattern; returns the exit code and what was said.
fn client(server: &Server, pattern: &str) -> (Option<i32>, String) {
    let arguments = ["--server", &server.url(), pattern, "--delivery", "every", "--frames", "2", "--fps", "max"];
    let output = run("framewire-client", &arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_refuses(server: &Server, pattern: &str, flag: &str, bytes: u64) {
    let (code, said) = client(server, pattern);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(flag) && said.contains(&bytes.to_string()), "{said}");
    assert_eq!(client(server, "pattern:320x240:gray8").0, Some(0));
}

#[test]
fn a_server_in_a_control_group_takes_its_limit_for_the_memory_of_the_machine() {
    let Some(group) = Group::new("own") else { return };
    let server = server_in(&group.0, &[]);
    assert_refuses(&server, "pattern:1920x1080:bgr24", "--stream-memory", ONE_STREAM_BYTES);
    server.stop();
}

#[test]
fn a_server_counts_the_limit_of_a_group_around_its_own() {
    let Some(group) = Group::new("around") else { return };
    let server = server_in(&group.within(), &["--stream-memory", "1GiB"]);
    assert_refuses(&server, "pattern:3840x2160:bgr24", "--memory", ALL_STREAMS_BYTES);
    server.stop();
}
