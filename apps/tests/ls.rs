//! `framewire ls` as a user runs it.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::path::Path;

use framewire_testing::wait_for;
use running::{Running, Server, in_dir, path_text, program};
use serde_json::Value;

/// A server that is found by where it is, and nothing else.
fn server(runtime: &Path) -> Server {
    let mut command = program("framewire-server");
    command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]).env("XDG_RUNTIME_DIR", runtime);
    Server::start_by(&mut command)
}

fn ls(runtime: &Path, arguments: &[&str]) -> String {
    let output = program("framewire").arg("ls").args(arguments).env("XDG_RUNTIME_DIR", runtime).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn where_a_server_is_told_to_share_narrows_no_list_and_refuses_none() {
    let runtime = tempfile::tempdir().unwrap();
    let server = server(runtime.path());
    let is_there = |hub: &Value| hub["pid"] == server.running.id();
    for share in ["off", path_text(&in_dir(&runtime, "gone.sock"))] {
        let mut ls = program("framewire");
        ls.args(["ls", "--json"]).env("XDG_RUNTIME_DIR", runtime.path()).env("FRAMEWIRE_SHARE", share);
        let output = ls.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{share}: {}", String::from_utf8_lossy(&output.stderr));
        let hubs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(hubs.iter().any(is_there), "{share}: {hubs:?}");
    }
}

/// What it says of the sockets below a folder: others may have theirs elsewhere on this machine.
fn listed(runtime: &Path) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(&ls(runtime, &["--json"])).unwrap();
    // A server that is found on the network has none.
    let is_ours = |hub: &Value| hub["socket"].as_str().is_some_and(|socket| Path::new(socket).starts_with(runtime));
    all.into_iter().filter(is_ours).collect()
}

/// The same once all of them have answered, which on a busy machine takes longer than one that nobody named is waited for.
fn listed_live(runtime: &Path) -> Vec<Value> {
    wait_for("a live hub", || {
        let hubs = listed(runtime);
        let are_live = !hubs.is_empty() && hubs.iter().all(|hub| hub["state"] == "live");
        if are_live { Ok(hubs) } else { Err(format!("{hubs:?}")) }
    })
}

#[test]
fn servers_are_listed_with_their_streams_and_readers_and_one_that_was_killed_is_said_to_be_stale() {
    let runtime = tempfile::tempdir().unwrap();
    assert!(listed(runtime.path()).is_empty());
    let server = server(runtime.path());
    let hubs = listed_live(runtime.path());
    assert_eq!((hubs.len(), &hubs[0]["pid"]), (1, &server.running.id().into()));
    assert_eq!(hubs[0]["streams"], Value::Array(Vec::new()));
    let client = ["pattern:64x48:gray8", "--name", "front", "--fps", "30", "--delivery", "latest"];
    let _client = Running::start(&mut server.client(&client));
    let mut watch = program("framewire");
    let mut watch = Running::start(watch.arg("watch").args(["--share", hubs[0]["socket"].as_str().unwrap()]));
    watch.wait_for("reading stream \"front\"");
    let hubs = listed_live(runtime.path());
    let stream = &hubs[0]["streams"][0];
    assert_eq!((&stream["name"], &stream["pixel"], &stream["readers"]), (&"front".into(), &"gray8".into(), &1.into()));
    assert_eq!((&stream["width"], &stream["height"], &stream["delivery"]), (&64.into(), &48.into(), &"latest".into()));
    wait_for("a table of its streams", || {
        let table = ls(runtime.path(), &[]);
        let has_all = ["  STREAM", "front", "64x48 gray8"].iter().all(|text| table.contains(text));
        if has_all { Ok(()) } else { Err(table) }
    });
    watch.interrupt();
    assert_eq!(watch.wait().0, Some(0));
    server.running.kill();
    let hubs = listed(runtime.path());
    assert_eq!((&hubs[0]["state"], hubs[0].get("pid")), (&"stale".into(), None));
    assert!(ls(runtime.path(), &[]).contains("stale: nobody listens there any more"));
}

#[test]
fn the_streams_of_a_server_are_listed_by_its_address_and_of_one_that_does_not_answer_why() {
    let runtime = tempfile::tempdir().unwrap();
    let server = server(runtime.path());
    let mut client = Running::start(&mut server.client(&["pattern:64x48", "--name", "front", "--fps", "30", "-v"]));
    client.wait_for("feedback: frame ");
    let servers: Vec<Value> =
        serde_json::from_str(&ls(runtime.path(), &["--json", "--server", &server.url()])).unwrap();
    let stream = &servers[0]["streams"][0];
    assert_eq!((&stream["name"], &stream["pixel"], &stream["width"]), (&"front".into(), &"gray8".into(), &64.into()));
    let table = ls(runtime.path(), &["--server", &server.url()]);
    assert!(table.starts_with(&server.url()) && table.contains("front") && table.contains("64x48 gray8"), "{table}");
    let failed = |arguments: &[&str]| {
        let output = program("framewire").arg("ls").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = failed(&["--server", "http://127.0.0.1:9"]);
    assert!(code == Some(1) && said.contains("http://127.0.0.1:9 cannot be reached"), "{said}");
    let (code, said) = failed(&["--server", "http://127.0.0.1:9", "--share", "/x.sock"]);
    assert!(code == Some(2) && said.contains("leave one of them out"), "{said}");
}
