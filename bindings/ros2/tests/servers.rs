//! Both ways through a real server, which is late and goes, in plain text and protected: `FRAMEWIRE_PROGRAMS` is the folder that has `framewire-server`.

mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use framewire_testing::wait_for;
use running::{Domain, Peer, Program, Server, crc32};
use serde_json::{Value, json};

/// The program, where there is one; else it is said that the test is skipped.
fn server() -> Option<PathBuf> {
    let found = std::env::var_os("FRAMEWIRE_PROGRAMS").map(|folder| Path::new(&folder).join("framewire-server"));
    let found = found.filter(|program| program.exists());
    if found.is_none() {
        framewire_testing::skip("set FRAMEWIRE_PROGRAMS to the folder of framewire-server: cargo build -p framewire");
    }
    found
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn image(fill: u8) -> Value {
    json!({"encoding": "rgb8", "width": 64, "height": 48, "step": 192, "bytes": 192 * 48, "fill": fill, "frame_id": "left"})
}

/// Publishes again and again until it comes out at the other end.
fn comes_through(peer: &mut Peer, other: &Peer, fill: u8) -> Value {
    let sum = crc32(&[fill; 192 * 48]);
    wait_for("an image that comes through", || {
        peer.publish(&image(fill));
        other.heard(Duration::from_millis(100)).filter(|came| came["sum"] == sum).ok_or("nothing does")
    })
}

fn through(domain: &Domain, server: &[&str]) -> (Program, Program) {
    let front = ["/in/image_raw", "--name", "front"];
    let subscribe = domain.program("subscribe", &[&front[..], server].concat());
    let publish = domain.program("publish", &[&["front", "--namespace", "/out"], server].concat());
    (subscribe, publish)
}

#[test]
fn images_go_through_a_server_that_is_late_and_one_that_starts_anew() {
    let Some(domain) = Domain::new() else { return };
    let Some(program) = server() else { return };
    let [port, udp] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let url = format!("http://{port}");
    let start = || {
        let mut command = Command::new(&program);
        command.args(["--listen", &port, "--udp", &udp, "--insecure", "--share", "off"]);
        Server::start(&mut command, domain.directory.path())
    };
    let (subscribe, publish) = through(&domain, &["--server", &url]);
    publish.says("waiting for stream 'front'");
    let mut peer = domain.peer("publish", &["/in/image_raw"]);
    let other = domain.peer("subscribe", &["/out/front/image_raw", "--count", "1000000"]);
    subscribe.hears(&[&peer]);
    peer.publish(&image(1));
    let waits = subscribe.says("waiting: ");
    assert!(waits.contains(&port), "{waits}");
    let server = start();
    let came = comes_through(&mut peer, &other, 2);
    assert_eq!((&came["encoding"], &came["frame_id"]), (&"rgb8".into(), &"left".into()));
    server.kill();
    publish.says("waiting for stream 'front'");
    let _server = start();
    comes_through(&mut peer, &other, 3);
    let (summary, published) = (subscribe.end(), publish.end());
    assert!(summary["images_unsent"]["no_slot"].as_u64() > Some(0), "{summary}");
    assert!(published["frames_published"].as_u64() >= Some(2), "{published}");
}

#[test]
fn images_go_through_a_protected_server_that_is_joined() {
    let Some(domain) = Domain::new() else { return };
    let Some(program) = server() else { return };
    let mut command = Command::new(&program);
    command.args(["--listen", ":0", "--udp", ":0", "--share", "off"]);
    let server = Server::start(&mut command, domain.directory.path());
    let said = server.says("with a copy of ");
    let join = said.split("with a copy of ").nth(1).unwrap().trim();
    let (subscribe, publish) = through(&domain, &["--join", join]);
    let mut peer = domain.peer("publish", &["/in/image_raw"]);
    let other = domain.peer("subscribe", &["/out/front/image_raw", "--count", "1000000"]);
    peer.is_matched(1);
    comes_through(&mut peer, &other, 2);
    subscribe.end();
    publish.end();
}
