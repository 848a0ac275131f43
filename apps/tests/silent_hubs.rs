//! `framewire ls` and `framewire watch` beside hubs that do not answer, and sockets that are no hub's.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use running::{Running, Server, in_dir, path_text, program};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, accept, bind, connect, listen, recv, send, socket,
};
use serde_json::Value;

/// A hub that takes connections and says nothing, as one that is stopped.
struct Mute(OwnedFd);

impl Mute {
    fn at(path: &Path) -> Self {
        let hub = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        bind(&hub, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&hub, 64).unwrap();
        Self(hub)
    }

    /// Waits until somebody asks it something. Whoever asked waits for as long as what is returned is there.
    fn is_asked(&self) -> OwnedFd {
        let asking = accept(&self.0).unwrap();
        assert!(recv(&asking, &mut [0; 1_024], RecvFlags::empty()).unwrap().0 > 0);
        asking
    }
}

fn socket_in(runtime: &Path, name: &str) -> PathBuf {
    std::fs::create_dir_all(runtime.join("framewire")).unwrap();
    runtime.join("framewire").join(name)
}

fn framewire(runtime: &Path, arguments: &[&str]) -> Command {
    let mut command = program("framewire");
    command.args(arguments).env("XDG_RUNTIME_DIR", runtime);
    command
}

#[test]
fn who_waits_for_a_hub_that_does_not_answer_ends_when_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = in_dir(&directory, "mute.sock");
    let mute = Mute::at(&path);
    for (asks, code_at_end) in [("watch", Some(0)), ("ls", Some(1))] {
        let running = Running::start(&mut framewire(directory.path(), &[asks, "--share", path_text(&path)]));
        let _asking = mute.is_asked();
        running.interrupt();
        let (code, said, _) = running.wait();
        // Once it had waited for as long as it does, it would say so.
        assert!(code == code_at_end && !said.contains("did not answer"), "{asks}: {said}");
        assert!(asks == "watch" || said.contains("stopped before all hubs had answered"), "{said}");
    }
}

#[test]
fn a_hub_that_nobody_named_and_that_does_not_answer_is_told_of_and_passed_over() {
    let runtime = tempfile::tempdir().unwrap();
    let path = socket_in(runtime.path(), "1.sock");
    let _mute = Mute::at(&path);
    let mut server = program("framewire-server");
    server.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]).env("XDG_RUNTIME_DIR", runtime.path());
    let server = Server::start_by(&mut server);
    // A name that no other test's server has: all of this machine are asked.
    let name = format!("front-{}", std::process::id());
    let client = ["pattern:64x48:gray8", "--name", &name, "--fps", "30", "--delivery", "latest"];
    let _client = Running::start(&mut server.client(&client));
    let mut watch = Running::start(&mut framewire(runtime.path(), &["watch", &name]));
    // Either it had to be waited for, which is said with the cause, or it was there at once.
    let silent = format!("the hub on {} did not answer within 300 ms", path_text(&path));
    watch.wait_for(&silent);
    watch.wait_for(&format!("reading stream {name:?}"));
    watch.interrupt();
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    let listed = framewire(runtime.path(), &["ls", "--json"]).output().unwrap();
    let hubs: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |socket: &str| hubs.iter().find(|hub| hub["socket"] == socket).unwrap();
    let mute = of(path_text(&path));
    assert_eq!((&mute["state"], &mute["pid"]), (&"unknown".into(), &std::process::id().into()));
    assert!(mute["reason"].as_str().unwrap().contains("did not answer within 300 ms"), "{mute}");
    // It is listed whether or not it is fast enough on this machine for what nobody named.
    let live = hubs.iter().find(|hub| hub["pid"] == server.running.id()).unwrap();
    // The one that is named has more time, and is listed alone.
    let one = ["ls", "--share", live["socket"].as_str().unwrap()];
    let listed = framewire(runtime.path(), &one).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&name) && !listed.contains(path_text(&path)), "{listed}");
}

/// Hands on to a hub what it is asked, and back what that answers; but whoever subscribes is taken in and told nothing.
fn relay_lists_alone(at: &Path, hub: &Path) {
    const KIND_AT: usize = 3;
    const SUBSCRIBE: u8 = 2;
    const LISTED: u8 = 130;
    let (relay, hub) = (Mute::at(at), SocketAddrUnix::new(hub).unwrap());
    std::thread::spawn(move || {
        let (mut kept, mut packet) = (Vec::new(), [0; 4_096]);
        while let Ok(asking) = accept(&relay.0) {
            let asked = recv(&asking, &mut packet, RecvFlags::empty()).map_or(0, |received| received.0);
            if packet[KIND_AT] == SUBSCRIBE {
                kept.push(asking);
                continue;
            }
            let answering = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
            connect(&answering, &hub).unwrap();
            send(&answering, &packet[..asked], SendFlags::NOSIGNAL).unwrap();
            loop {
                let answer = recv(&answering, &mut packet, RecvFlags::empty()).map_or(0, |received| received.0);
                let sent = send(&asking, &packet[..answer], SendFlags::NOSIGNAL);
                if answer == 0 || sent.is_err() || packet[KIND_AT] == LISTED {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_hub_that_is_late_with_a_subscription_is_waited_for_and_without_waiting_it_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (hub, late) = (in_dir(&directory, "hub.sock"), in_dir(&directory, "late.sock"));
    let server = Server::start(&["--share", path_text(&hub)]);
    let _client = Running::start(&mut server.client(&["pattern:64x48:gray8", "--name", "front", "--fps", "30"]));
    relay_lists_alone(&late, &hub);
    let watch = |flags: &[&str]| {
        let mut watch = framewire(directory.path(), &["watch", "front", "--share", path_text(&late)]);
        Running::start(watch.args(flags))
    };
    let mut waits = watch(&[]);
    let said = waits.wait_for("did not answer within");
    assert!(said.ends_with("; it is waited for"), "{said}");
    let (code, said, _) = watch(&["--no-wait"]).wait();
    assert!(code == Some(1) && said.contains("did not answer within"), "{said}");
    waits.interrupt();
    let (code, said, _) = waits.wait();
    assert!(code == Some(0) && said.matches("it is waited for").count() == 1, "{said}");
}

#[test]
fn what_is_no_socket_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "file");
    std::fs::write(&file, "").unwrap();
    for (path, what) in
        [(path_text(&file), "no socket, but a file"), (path_text(directory.path()), "no socket, but a folder")]
    {
        for asks in ["watch", "ls"] {
            let (code, said, out) = Running::start(&mut framewire(directory.path(), &[asks, "--share", path])).wait();
            assert!(code == Some(1) && said.contains(&format!("{path} is {what}; name the socket of a hub")), "{said}");
            assert!(out.is_empty());
        }
    }
    let listed = framewire(directory.path(), &["ls", "--json", "--share", path_text(&file)]).output().unwrap();
    let hubs: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((listed.status.code(), &hubs[0]["state"]), (Some(1), &"unknown".into()));
}

#[test]
fn a_folder_that_cannot_be_listed_is_told_of() {
    let runtime = tempfile::tempdir().unwrap();
    let folder = runtime.path().join("framewire");
    // Nobody can list a file; root could list every folder.
    std::fs::write(&folder, "").unwrap();
    let listed = framewire(runtime.path(), &["ls"]).output().unwrap();
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(said.contains(&format!("the folder {} cannot be listed (Not a directory", path_text(&folder))), "{said}");
    assert_eq!(listed.status.code(), Some(0), "{said}");
}
