use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::share::socket::packet;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("framewire-listening-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn at(path: &Path) -> Place<'_> {
    Place { path, is_default: false, group: None }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn whoever_connects_is_accepted_and_nothing_is_left_when_the_hub_goes() {
    let folder = Folder::new("accept");
    let path = folder.0.join("hub.sock");
    let listening = Listening::bind(at(&path)).unwrap();
    assert!(listening.accept().unwrap().is_none());
    let client = connect(&path).unwrap();
    let server = listening.accept().unwrap().unwrap();
    packet::send(&client, b"hello", &[]).unwrap();
    assert_eq!(packet::receive(&server, &mut [0; 8]).unwrap().len, 5);
    assert_eq!(mode(&path), 0o600);
    drop(listening);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn a_live_hub_is_not_disturbed_and_a_socket_left_behind_is_taken_over() {
    let folder = Folder::new("stale");
    let path = folder.0.join("hub.sock");
    let live = Listening::bind(at(&path)).unwrap();
    let error = Listening::bind(at(&path)).unwrap_err();
    assert!(matches!(&error, ListenError::InUse(at) if *at == path), "{error}");
    assert!(error.to_string().contains("hub.sock"), "{error}");
    // The lock file is gone, but a process answers.
    fs::remove_file(folder.0.join("hub.sock.lock")).unwrap();
    assert!(matches!(Listening::bind(at(&path)), Err(ListenError::InUse(_))));
    drop(live);
    // As a killed hub leaves them: a socket without a process, a lock file without a lock.
    let left = socket().unwrap();
    rustix::net::bind(&left, &address(&path).unwrap()).unwrap();
    drop(left);
    fs::write(folder.0.join("hub.sock.lock"), b"").unwrap();
    let listening = Listening::bind(at(&path)).unwrap();
    connect(&path).unwrap();
    assert!(listening.accept().unwrap().is_some());
}

#[test]
fn a_hub_that_lets_nobody_in_is_told_from_a_dead_one_and_not_taken_over() {
    let folder = Folder::new("busy");
    let path = folder.0.join("hub.sock");
    let live = Listening::bind(at(&path)).unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match connect(&path) {
            Ok(socket) => waiting.push(socket),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10_000, "a backlog without an end");
    };
    assert!(matches!(error, ListenError::Busy(_)), "{error}");
    assert!(error.to_string().contains("stopped or overloaded"), "{error}");
    // Even where nothing but the socket tells of it.
    fs::remove_file(folder.0.join("hub.sock.lock")).unwrap();
    assert!(matches!(Listening::bind(at(&path)), Err(ListenError::InUse(_))));
    assert!(live.accept().unwrap().is_some());
    assert!(connect(&path).is_ok(), "it is where it was");
}

#[test]
fn what_is_no_socket_is_not_removed_and_neither_is_what_another_put_in_its_place() {
    let folder = Folder::new("foreign");
    let path = folder.0.join("hub.sock");
    fs::write(&path, b"precious").unwrap();
    let error = Listening::bind(at(&path)).unwrap_err();
    assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(folder.names(), ["hub.sock"], "the lock is given up");
    fs::remove_file(&path).unwrap();
    let listening = Listening::bind(at(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"another's").unwrap();
    drop(listening);
    assert_eq!(fs::read(&path).unwrap(), b"another's");
}

#[test]
fn what_has_the_number_of_a_file_that_was_taken_away_already_is_left_where_it_is() {
    let folder = Folder::new("once");
    let (path, kept) = (folder.0.join("hub.sock"), folder.0.join("kept"));
    let listening = Listening::bind(at(&path)).unwrap();
    let names = listening.names();
    // As where the system gives the number of a file that is gone to a new one.
    fs::hard_link(&path, &kept).unwrap();
    drop(listening);
    assert_eq!(folder.names(), ["kept"]);
    fs::rename(&kept, &path).unwrap();
    names.take_away();
    assert_eq!(folder.names(), ["hub.sock"]);
}

#[test]
fn a_lock_that_is_another_hubs_by_now_or_nobodys_is_left_where_it_is() {
    let folder = Folder::new("lock");
    let (path, lock) = (folder.0.join("hub.sock"), folder.0.join("hub.sock.lock"));
    let first = Listening::bind(at(&path)).unwrap();
    // As by whoever cleans the folder of what is old.
    fs::remove_file(&path).unwrap();
    fs::remove_file(&lock).unwrap();
    let second = Listening::bind(at(&path)).unwrap();
    drop(first);
    assert_eq!(folder.names(), ["hub.sock", "hub.sock.lock"], "what the second one has is its own");
    assert!(matches!(Listening::bind(at(&path)), Err(ListenError::InUse(_))));
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, b"precious").unwrap();
    drop(second);
    assert_eq!(fs::read(&lock).unwrap(), b"precious");
}

#[test]
fn what_is_in_the_way_is_never_to_be_removed_and_a_folder_that_is_missing_is_named() {
    let folder = Folder::new("help");
    let said = |path: &Path| Listening::bind(at(path)).unwrap_err().to_string();
    let device = said(Path::new("/dev/null"));
    assert!(device.contains("is no socket") && device.contains("another path"), "{device}");
    assert!(!device.contains("remove"), "{device}");
    let missing = said(&folder.0.join("no/such/hub.sock"));
    let first = format!("there is no folder {}: make it", folder.0.join("no").display());
    assert!(missing.contains(&first), "{missing}");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn a_path_that_is_too_long_is_refused_with_the_limit() {
    let long = Path::new("/tmp").join("x".repeat(103));
    let error = Listening::bind(at(&long)).unwrap_err().to_string();
    assert!(error.contains("has 108 bytes") && error.contains("at most 107"), "{error}");
    assert!(address(&Path::new("/tmp").join("x".repeat(102))).is_ok());
    assert!(matches!(connect(&long), Err(ListenError::PathTooLong(_))));
}

#[test]
fn the_folder_of_a_default_place_is_made_for_this_user_alone_and_anothers_is_refused() {
    let folder = Folder::new("default");
    let path = folder.0.join("framewire").join("7001.sock");
    let place = Place { path: &path, is_default: true, group: None };
    let listening = Listening::bind(place).unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    drop(listening);
    let inside = path.parent().unwrap();
    fs::set_permissions(inside, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Listening::bind(place).unwrap_err().to_string();
    assert!(error.contains("777"), "{error}");
    fs::remove_dir(inside).unwrap();
    std::os::unix::fs::symlink("/tmp", inside).unwrap();
    assert!(matches!(Listening::bind(place), Err(ListenError::System { .. })), "a link leads elsewhere");
    let missing = folder.0.join("missing").join("hub.sock");
    let error = Listening::bind(at(&missing)).unwrap_err();
    assert!(matches!(error, ListenError::System { .. }), "a folder that was named is not made: {error}");
}

#[test]
fn members_of_the_group_get_at_a_socket_that_is_shared_with_it() {
    let folder = Folder::new("group");
    let path = folder.0.join("framewire").join("7001.sock");
    let group = rustix::process::getegid().as_raw();
    let _listening = Listening::bind(Place { path: &path, is_default: true, group: Some(group) }).unwrap();
    assert_eq!((mode(&path), fs::metadata(&path).unwrap().gid()), (0o660, group));
    let nobodys = Place { path: &folder.0.join("other.sock"), is_default: false, group: Some(u32::MAX) };
    assert!(matches!(Listening::bind(nobodys), Err(ListenError::NoGroup)));
    let inside = path.parent().unwrap();
    assert_eq!((mode(inside), fs::metadata(inside).unwrap().gid()), (0o710, group));
}
