//! What `framewire watch` says of a stream whose sender or server goes and comes back.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use running::{Running, Server, in_dir, path_text, program};

#[test]
fn going_and_coming_back_are_one_line_each_and_another_format_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let server = Server::start(&["--share", path_text(&socket)]);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let client = |pattern: &str| {
        let arguments = [pattern, "--fps", "100", "--delivery", "latest", "--name", "front"];
        Running::start(&mut server.client(&arguments))
    };
    let first = client("pattern:64x48:gray8");
    let mut watch =
        Running::start(program("framewire").args(["watch", "front", "--share", path_text(&socket), "--json"]));
    watch.wait_for("reading stream \"front\", 64x48 gray8");
    first.kill();
    watch.wait_for("the sender of stream \"front\" is gone");
    let _second = client("pattern:32x16:gray8");
    watch.wait_for("the sender of stream \"front\" is back; its format is 32x16 gray8 now");
    server.running.kill();
    watch.wait_for("the hub of stream \"front\" is gone");
    let _server = Server::start_at(&signal, &udp, &["--share", path_text(&socket)]);
    let back = watch.wait_for("of stream \"front\" is back");
    assert!(back.ends_with("the hub of stream \"front\" is back"), "{back}");
    watch.interrupt();
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    let count = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    assert_eq!((count(" is gone"), count("\"front\" is back"), count("32x16")), (2, 2, 1), "{said}");
}
