//! What frames that processes of this machine share rest on: seals, descriptors of processes, a folder for sockets, open files.

use std::io;
use std::path::{Path, PathBuf};

use framewire_transport::share::Endpoint;

use super::finding::Finding;
use super::machine::Machine;

/// What is lost where memory cannot be shared.
const NOT_SHARED: &str = "Frames are not shared between the processes of this machine: framewire watch reads none, and clients here \
                          send over UDP. Nothing else needs it.";

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    vec![
        judge_seals(tried_seals()),
        judge_exec(machine.number("/proc/sys/vm/memfd_noexec").ok()),
        judge_process(tried_process()),
        judge_folder(&Folder::of_this_process()),
        judge_files(open_files()),
    ]
}

/// Seals a file in memory as the slots of frames are: no size but this one, and no writing but by whoever has it mapped already.
#[cfg(target_os = "linux")]
fn tried_seals() -> io::Result<()> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know that it is not to be executed.
    let file = memfd_create("framewire-doctor", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("framewire-doctor", flags))?;
    ftruncate(&file, 4096)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fcntl_add_seals(&file, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?)
}

#[cfg(not(target_os = "linux"))]
fn tried_seals() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn judge_seals(tried: io::Result<()>) -> Finding {
    const ID: &str = "shared-memory-seals";
    match tried {
        Ok(()) => Finding::fine(
            ID,
            "Memory can be sealed so that readers of frames can neither change nor resize it (F_SEAL_FUTURE_WRITE).",
        ),
        Err(error) => {
            let finding =
                Finding::advice(ID, format!("Memory cannot be sealed against its readers: {error}."), NOT_SHARED);
            match error.kind() {
                io::ErrorKind::PermissionDenied => finding.mend(
                    "docker run --security-opt seccomp=PROFILE.json …   # one that allows memfd_create and fcntl",
                ),
                // What it wants is a kernel: FUTURE_WRITE is in Linux since 5.1.
                _ => finding,
            }
        }
    }
}

/// Whether files in memory may be executable; Framewire's say that they are not.
fn judge_exec(switch: Option<u32>) -> Finding {
    const ID: &str = "shared-memory-exec";
    Finding::fine(
        ID,
        match switch {
            None => "This kernel does not ask whether files in memory are to be executed (before 6.3).".to_owned(),
            Some(switch @ (0 | 1)) => {
                format!("Files in memory may be executable (vm.memfd_noexec = {switch}); those of frames are not.")
            }
            Some(switch) => format!(
                "Files in memory must not be executable (vm.memfd_noexec = {switch}), and those of frames are not."
            ),
        },
    )
}

/// How a hub learns that a process at its socket has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By a descriptor that the socket gives (SO_PEERPIDFD, Linux 6.5).
    BySocket,
    /// By a descriptor that its number gives (Linux 5.3).
    ByNumber,
    /// By the socket's end alone.
    NotAtAll,
}

#[cfg(target_os = "linux")]
fn tried_process() -> io::Result<Told> {
    use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    Ok(match (getsockopt(&ours, PeerPidfd), pidfd_open(getpid(), PidfdFlags::empty())) {
        (Ok(_), _) => Told::BySocket,
        (Err(_), Ok(_)) => Told::ByNumber,
        (Err(_), Err(_)) => Told::NotAtAll,
    })
}

#[cfg(not(target_os = "linux"))]
fn tried_process() -> io::Result<Told> {
    Err(io::ErrorKind::Unsupported.into())
}

fn judge_process(tried: io::Result<Told>) -> Finding {
    const ID: &str = "peer-process";
    match tried {
        Ok(Told::BySocket) => {
            Finding::fine(ID, "A socket gives a descriptor of the process at its other end (SO_PEERPIDFD).")
        }
        Ok(Told::ByNumber) => Finding::fine(
            ID,
            "This kernel has no SO_PEERPIDFD (before 6.5); a process at a socket is known by its number (pidfd_open).",
        ),
        Ok(Told::NotAtAll) => Finding::advice(
            ID,
            "This kernel, or the sandbox of this process, gives no descriptors of processes (pidfd_open).",
            "The slots of a reader that was killed come back when its socket is closed: a child that it left behind may keep it open.",
        ),
        Err(error) => Finding::unknown(ID, format!("No pair of sockets can be made: {error}.")),
    }
}

/// Where a server's socket is when nobody says where.
#[derive(Debug)]
struct Folder {
    /// The folder, or why there can be none.
    folder: Result<PathBuf, String>,
    /// It is this user's in the temporary directory.
    is_temporary: bool,
    /// It is there, or can be made.
    usable: io::Result<()>,
    uid: u32,
}

impl Folder {
    fn of_this_process() -> Self {
        // Any port's socket is in the same folder.
        let endpoint = Endpoint::of_port(1).map_err(|error| error.to_string());
        let is_temporary = endpoint.as_ref().is_ok_and(Endpoint::is_stopgap);
        let folder = endpoint.map(|endpoint| endpoint.as_path().parent().unwrap_or(Path::new("/")).to_owned());
        let usable = folder.as_deref().map_or(Ok(()), may_be_written);
        let uid = rustix::process::geteuid().as_raw();
        Self { folder, is_temporary, usable, uid }
    }
}

/// The folder, or where it is not there, the one that it is made in.
fn may_be_written(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    let place = if folder.exists() { Some(folder) } else { folder.parent() };
    Ok(access(place.unwrap_or(folder), Access::WRITE_OK | Access::EXEC_OK)?)
}

fn judge_folder(found: &Folder) -> Finding {
    const ID: &str = "runtime-folder";
    const NO_DEFAULT: &str = "A server shares its streams only where --share says.";
    let folder = match &found.folder {
        Ok(folder) => folder.display().to_string().escape_debug().to_string(),
        Err(why) => {
            return Finding::advice(ID, format!("There is no place for sockets: {why}."), NO_DEFAULT)
                .mend("framewire-server --share PATH");
        }
    };
    if let Err(error) = &found.usable {
        return Finding::advice(
            ID,
            format!("Sockets would be in {folder}, which cannot be written to: {error}."),
            NO_DEFAULT,
        )
        .mend("framewire-server --share PATH");
    }
    if found.is_temporary {
        return Finding::advice(
            ID,
            format!("XDG_RUNTIME_DIR names no folder of this user's, so that sockets are in {folder}."),
            "Programs with another TMPDIR or a /tmp of their own, as services and containers have, do not find the server there.",
        )
        .mend(format!("export XDG_RUNTIME_DIR=/run/user/{}   # or framewire-server --share PATH", found.uid));
    }
    Finding::fine(ID, format!("Sockets of servers are in {folder}."))
}

/// As many as a server may open, which raises its own limit to that; `None` where there is no limit.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

fn judge_files(most: Option<u64>) -> Finding {
    const ID: &str = "open-files";
    /// Some dozens of streams and readers, with their connections.
    const ENOUGH: u64 = 1_024;
    match most {
        None => Finding::fine(ID, "A server may open as many files as it likes."),
        Some(most) if most >= ENOUGH => Finding::fine(ID, format!("A server may open {most} files.")),
        Some(most) => Finding::advice(
            ID,
            format!("A server may open {most} files."),
            "Each stream, each connection and each reader takes some: those beyond the limit are refused.",
        )
        .mend(format!("sudo prlimit --pid $$ --nofile={}   # or LimitNOFILE= in the unit", ENOUGH * 16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn this_machine_is_tried_and_each_check_has_something_to_say() {
        let empty = tempfile::tempdir().unwrap();
        for finding in findings(&Machine::at(empty.path())) {
            assert!(!finding.seen.is_empty() && finding.state != State::CostsFrames, "{finding:?}");
        }
    }

    #[test]
    fn a_kernel_without_the_seal_shares_nothing_and_a_sandbox_is_told_from_it() {
        let old = judge_seals(Err(io::ErrorKind::InvalidInput.into()));
        assert!(old.state == State::Advice && old.mend.is_none());
        assert!(old.consequence.unwrap().contains("send over UDP"));
        let denied = judge_seals(Err(io::ErrorKind::PermissionDenied.into()));
        assert!(denied.mend.unwrap().contains("memfd_create"));
        assert_eq!(judge_seals(Ok(())).state, State::Fine);
    }

    #[test]
    fn no_setting_of_executable_memory_keeps_frames_from_being_shared() {
        for switch in [None, Some(0), Some(1), Some(2)] {
            assert_eq!(judge_exec(switch).state, State::Fine);
        }
        assert!(judge_exec(Some(2)).seen.contains("must not be executable (vm.memfd_noexec = 2)"));
    }

    #[test]
    fn without_descriptors_of_processes_a_killed_reader_may_be_noticed_late() {
        assert_eq!(judge_process(Ok(Told::BySocket)).state, State::Fine);
        assert_eq!(judge_process(Ok(Told::ByNumber)).state, State::Fine);
        assert!(judge_process(Ok(Told::NotAtAll)).consequence.unwrap().contains("a reader that was killed"));
        assert_eq!(judge_process(Err(io::ErrorKind::Unsupported.into())).state, State::Unknown);
    }

    #[test]
    fn a_folder_that_others_do_not_find_or_that_cannot_be_is_told_with_the_flag() {
        let folder =
            |folder: &str, is_temporary| Folder { folder: Ok(folder.into()), is_temporary, usable: Ok(()), uid: 1_000 };
        assert_eq!(judge_folder(&folder("/run/framewire", false)).state, State::Fine);
        let temporary = judge_folder(&folder("/tmp/framewire-1000", true));
        assert!(temporary.mend.unwrap().starts_with("export XDG_RUNTIME_DIR=/run/user/1000"));
        let closed = Folder { usable: Err(io::ErrorKind::PermissionDenied.into()), ..folder("/run/framewire", false) };
        let closed = judge_folder(&closed);
        assert!(closed.seen.contains("cannot be written to") && closed.mend.unwrap().contains("--share PATH"));
        let none = Folder { folder: Err("it is somebody else's".into()), ..folder("/", false) };
        assert!(judge_folder(&none).seen.contains("somebody else's"));
    }

    #[test]
    fn a_limit_of_files_that_is_too_low_for_a_few_dozen_readers_is_raised_by_the_command() {
        assert_eq!((judge_files(None).state, judge_files(Some(1_024)).state), (State::Fine, State::Fine));
        let low = judge_files(Some(256));
        assert!(low.state == State::Advice && low.mend.unwrap().contains("--nofile=16384"));
    }
}
