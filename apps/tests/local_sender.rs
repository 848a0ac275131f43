//! The programs on one machine: a client whose frames are written where the server has them.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use framewire_testing::wait_for;
use running::{Running, Server, in_dir, make_y4m, path_text};

use framewire_transport::PixelFormat;
use serde_json::Value;

const SIZE: (u32, u32) = (64, 48);

fn summary(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap()
}

#[test]
fn a_client_of_a_server_that_shares_sends_by_shared_memory_and_both_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let source = in_dir(&directory, "in.y4m");
    let pictures = make_y4m(&source, PixelFormat::Gray8, SIZE, 30);
    let socket = in_dir(&directory, "hub.sock");
    for path in ["auto", "shm"] {
        // Where the server has no processor for a while, `auto` does not wait for its word, and goes by UDP.
        let (server, sink, sent, said) = wait_for("a server that answers at once", || {
            let sink = in_dir(&directory, &format!("{path}.raw"));
            // What there is already is written beside.
            let _ = std::fs::remove_file(&sink);
            let server = Server::start(&["--share", path_text(&socket), "--sink", path_text(&sink), "--json"]);
            let mut client = server.client(&[path_text(&source), "--delivery", "every", "--fps", "max", "--json"]);
            let (code, said, out) = Running::start(client.env("FRAMEWIRE_PATH", path)).wait();
            assert_eq!(code, Some(0), "{said}");
            let sent = summary(&out);
            let is_late = sent["path_trouble"].as_str().is_some_and(|trouble| trouble.contains("has not answered"));
            if is_late { Err(said) } else { Ok((server, sink, sent, said)) }
        });
        assert_eq!((&sent["path"], &sent["frames_delivered"]), (&"shm".into(), &30.into()), "{sent} {said}");
        assert!(sent.get("path_trouble").is_none() && sent.get("backend").is_none(), "{sent}");
        server.running.interrupt();
        let (code, said, out) = server.running.wait();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(summary(&out)["path"], "shm");
        assert!(std::fs::read(&sink).unwrap() == pictures, "{path}: the frames differ");
    }
}

#[test]
fn a_client_goes_by_udp_where_nothing_is_shared_or_it_asks_for_what_datagrams_have() {
    let directory = tempfile::tempdir().unwrap();
    let source = in_dir(&directory, "in.y4m");
    make_y4m(&source, PixelFormat::Gray8, SIZE, 5);
    let socket = in_dir(&directory, "hub.sock");
    for (share, more) in [
        ("off", &[][..]),
        (path_text(&socket), &["--backend", "std"]),
        (path_text(&socket), &["--slice", "1472"]),
        // That it is to be as it is by default is said of datagrams, too.
        (path_text(&socket), &["--slice", "auto"]),
        (path_text(&socket), &["--fec", "auto"]),
        (path_text(&socket), &["--backend", "auto"]),
    ] {
        let server = Server::start(&["--share", share, "--sink", "null"]);
        let mut client = server.client(&[path_text(&source), "--fps", "max", "--json"]);
        let (code, said, out) = Running::start(client.args(more).env("FRAMEWIRE_PATH", "auto")).wait();
        assert_eq!(code, Some(0), "{said}");
        let sent = summary(&out);
        assert_eq!((&sent["path"], &sent["frames_delivered"]), (&"udp".into(), &5.into()), "{sent} {said}");
        assert!(sent.get("path_trouble").is_none() && sent["backend"].is_string(), "{sent}");
        server.stop();
    }
}

#[test]
fn a_client_that_is_to_send_by_shared_memory_alone_says_what_stands_in_the_way() {
    let server = Server::start(&["--share", "off", "--sink", "null"]);
    let mut client = server.client(&["pattern:64x48:gray8", "--frames", "1", "--delivery", "every"]);
    let mut client = Running::start(client.env("FRAMEWIRE_PATH", "shm"));
    let said = client.wait_for("does not go by shared memory");
    assert!(said.contains("no program shares streams at"), "{said}");
    client.interrupt();
    client.wait();
    server.stop();
}
