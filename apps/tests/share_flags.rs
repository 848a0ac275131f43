//! Where a server shares its streams: what can be asked for, and what becomes of it.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use running::{Running, Server, in_dir, path_text, program};

const LISTEN: [&str; 4] = ["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let (code, said, _) = Running::start(program("framewire-server").args(LISTEN).args(arguments)).wait();
    (code, said)
}

/// What `framewire watch --no-wait` says of a socket.
fn seen(socket: &Path) -> String {
    let mut watch = program("framewire");
    let (code, said, _) = Running::start(watch.args(["watch", "--no-wait", "--share", path_text(socket)])).wait();
    assert_eq!(code, Some(1), "{said}");
    said
}

#[test]
fn a_place_that_cannot_be_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = in_dir(&directory, "no/such/folder/s.sock");
    let (code, said) = refused(&["--share", path_text(&nowhere)]);
    assert!(code == Some(1) && said.contains(path_text(&nowhere)), "{code:?}: {said}");
    let first = in_dir(&directory, "no");
    assert!(said.contains(&format!("there is no folder {}", path_text(&first))), "{said}");
    let (code, said) = refused(&["--share", "/dev/null"]);
    assert!(code == Some(1) && said.contains("is no socket") && !said.contains("remove"), "{code:?}: {said}");
    let (code, said) = refused(&["--share", &format!("/tmp/{}.sock", "x".repeat(200))]);
    assert!(code == Some(2) && said.contains("at most 107"), "{code:?}: {said}");
    let file = in_dir(&directory, "file.sock");
    std::fs::write(&file, "somebody's").unwrap();
    let (code, said) = refused(&["--share", path_text(&file)]);
    assert!(code == Some(1) && said.contains(path_text(&file)), "{code:?}: {said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"somebody's");
}

#[test]
fn the_socket_of_a_server_that_lives_is_not_taken_and_that_of_one_that_was_killed_is() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let first = Server::start(&["--share", path_text(&socket)]);
    let (code, said) = refused(&["--share", path_text(&socket)]);
    assert!(code == Some(1) && said.contains(path_text(&socket)), "{code:?}: {said}");
    assert!(seen(&socket).contains("no stream is shared"));
    first.running.kill();
    assert!(seen(&socket).contains("no hub listens on"));
    let second = Server::start(&["--share", path_text(&socket)]);
    assert!(seen(&socket).contains("no stream is shared"));
    second.stop();
    assert!(!socket.exists(), "who ends in order leaves nothing behind");
}

#[test]
fn only_this_user_may_or_a_group_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let (own, shared) = (in_dir(&directory, "own.sock"), in_dir(&directory, "group.sock"));
    let _own = Server::start(&["--share", path_text(&own)]);
    assert_eq!(std::fs::metadata(&own).unwrap().mode() & 0o777, 0o600);
    let group = rustix::process::getegid().as_raw();
    let _shared = Server::start(&["--share", path_text(&shared), "--share-group", &group.to_string()]);
    let socket = std::fs::metadata(&shared).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.gid()), (0o660, group));
}

#[test]
fn by_default_it_is_in_the_runtime_folder_by_the_port_and_off_is_nowhere() {
    let runtime = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = program("framewire-server");
        command.args(LISTEN).args(arguments).env("XDG_RUNTIME_DIR", runtime.path());
        Server::start_by(&mut command)
    };
    let off = start(&["--share", "off"]);
    assert!(!in_dir(&runtime, "framewire").exists());
    off.stop();
    let server = start(&[]);
    let port = server.udp.rsplit_once(':').unwrap().1;
    let socket = in_dir(&runtime, &format!("framewire/{port}.sock"));
    assert!(std::fs::metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(std::fs::metadata(socket.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    server.stop();
    assert!(!socket.exists());
}

#[test]
fn a_default_place_that_cannot_be_made_is_said_and_the_server_serves_all_the_same() {
    let runtime = tempfile::tempdir().unwrap();
    std::fs::write(in_dir(&runtime, "framewire"), "in the way").unwrap();
    let mut command = program("framewire-server");
    let server = Server::start_by(command.args(LISTEN).env("XDG_RUNTIME_DIR", runtime.path()));
    let said = server.stop();
    assert!(said.contains("not shared") && said.contains("framewire"), "{said}");
}

#[test]
fn whatever_the_users_mask_what_is_made_has_exactly_its_mode() {
    for mask in ["0777", "0077", "0000"] {
        let runtime = tempfile::tempdir().unwrap();
        let mut command = program("sh");
        command.args(["-c", &format!("umask {mask}; exec \"$0\" \"$@\"")]);
        command.arg(program("framewire-server").get_program()).args(LISTEN).env("XDG_RUNTIME_DIR", runtime.path());
        let server = Server::start_by(&mut command);
        let port = server.udp.rsplit_once(':').unwrap().1.to_owned();
        let mode = |name: &str| std::fs::metadata(in_dir(&runtime, name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("framewire"), 0o700, "the folder, {mask}");
        assert_eq!(mode(&format!("framewire/{port}.sock")), 0o600, "the socket, {mask}");
        assert_eq!(mode(&format!("framewire/{port}.sock.lock")), 0o600, "the lock file, {mask}");
        server.stop();
    }
}

#[test]
fn flags_of_sharing_that_come_to_nothing_are_said() {
    let server = Server::start(&["--share", "off", "--share-block", "--reader-slots", "9"]);
    let said = server.stop();
    assert!(said.contains("--reader-slots, --share-block do nothing here: --share is off"), "{said}");
}
