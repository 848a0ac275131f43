//! Servers of a network that are found without their addresses, on two hosts (namespaces joined by a cable). Needs root and `ip`; where they
//! are missing the tests say so and pass.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod http;
mod running;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use framewire_testing::{Hosts, wait_for, wait_until};
use running::{Running, Server, figure, in_dir, path_text, program_on, write_private};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

const NEAR: &str = "10.79.0.1";
const FAR: &str = "10.79.0.2";

fn hosts() -> Option<Hosts> {
    let hosts = Hosts::new(&[])?;
    hosts.give_addresses(&format!("{NEAR}/24"), &format!("{FAR}/24"))?;
    // Multicast has a way of its own where there is no way to everywhere.
    hosts.on(hosts.near(), &["ip", "route", "add", "224.0.0.0/4", "dev", "lan"])?;
    hosts.on(hosts.far(), &["ip", "route", "add", "224.0.0.0/4", "dev", "lan"])?;
    Some(hosts)
}

/// What a list says on the near host: standard output and standard error.
fn ls(hosts: &Hosts) -> (String, String) {
    let output = program_on(hosts, hosts.near(), "framewire").args(["ls", "-v"]).output().unwrap();
    let [said, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(output.status.code(), Some(0), "{told}");
    (said, told)
}

#[test]
fn a_server_of_the_network_is_listed_streamed_to_and_watched_without_its_address() {
    let Some(hosts) = hosts() else { return };
    let mut command = program_on(&hosts, hosts.far(), "framewire-server");
    let (listen, udp) = (format!("{FAR}:8080"), format!("{FAR}:12345"));
    let server = Server::start_by(command.args(["--listen", &listen, "--udp", &udp, "--insecure", "--share", "off"]));
    wait_for(format_args!("http://{listen} in the list"), || {
        let (said, told) = ls(&hosts);
        if said.contains(&format!("http://{listen}")) { Ok(()) } else { Err(said + &told) }
    });
    let auto = ["--server", "auto", "--insecure"];
    let mut client = program_on(&hosts, hosts.near(), "framewire-client");
    client.args(auto).args(["pattern:64x48", "--fps", "50", "--name", "front", "--delivery", "latest"]);
    let client = Running::start(&mut client);
    let mut watch = program_on(&hosts, hosts.near(), "framewire");
    watch.arg("watch").args(auto).args(["front", "--frames", "10", "--json"]);
    let (code, said, json) = Running::start(&mut watch).wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&json, &["frames_delivered"]), 10.0);
    client.interrupt();
    let (code, said, _) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    let said = server.stop();
    assert!(
        said.contains("other servers of this network are not shown") && said.contains("--cluster-key-file"),
        "{said}"
    );
}

/// What all of them are joined by.
fn token(directory: &TempDir) -> PathBuf {
    let token = in_dir(directory, "token");
    write_private(&token, "0123456789abcdef0123456789abcdef");
    token
}

/// A server of a cluster that nothing carries but mDNS, protected as by default; and the file to join it by.
fn clustered(hosts: &Hosts, (host, address, name): (&str, &str, &str), directory: &TempDir) -> (Server, PathBuf) {
    let key = in_dir(directory, "cluster-key");
    write_private(&key, "00112233445566778899aabbccddeeff");
    let (state, token) = (in_dir(directory, name), token(directory));
    let mut command = program_on(hosts, host, "framewire-server");
    command.args(["--listen", &format!("{address}:8080"), "--udp", &format!("{address}:12345"), "--share", "off"]);
    command.args(["--cluster-key-file", path_text(&key), "--node-name", name, "--state-directory", path_text(&state)]);
    command.args(["--token-file", path_text(&token)]);
    (Server::start_by(&mut command), state.join("join"))
}

/// Waits until the servers' own page, as a terminal shows it, has these streams, each with how its server is.
fn wait_for_streams(hosts: &Hosts, host: &str, join: &Path, streams: &[(&str, &str)]) {
    wait_for(format_args!("{streams:?} at {host}"), || {
        let mut top = program_on(hosts, host, "framewire");
        let output = top.args(["top", "--once", "--cluster", "--join", path_text(join)]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_shown = |(name, state): &(&str, &str)| {
            said.lines().any(|line| line.starts_with(name) && line.split_whitespace().any(|word| word == *state))
        };
        let is_all = streams.iter().all(is_shown);
        is_all.then_some(()).ok_or_else(|| said + &String::from_utf8_lossy(&output.stderr))
    });
}

#[test]
fn servers_with_a_key_and_no_engine_show_each_others_streams_and_one_that_is_killed_grows_stale() {
    let Some(hosts) = hosts() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (near, near_join) = clustered(&hosts, (hosts.near(), NEAR, "hall-a"), &directory);
    let (far, far_join) = clustered(&hosts, (hosts.far(), FAR, "hall-b"), &directory);
    let token = token(&directory);
    let camera = |name, to: &[&str]| {
        let mut client = program_on(&hosts, hosts.far(), "framewire-client");
        Running::start(client.args(["pattern:64x48", "--fps", "20", "--name", name]).args(to))
    };
    // One finds its server, the first by name of those that prove the token.
    let _front = camera("front", &["--server", "auto", "--token-file", path_text(&token)]);
    let _rear = camera("rear", &["--join", path_text(&far_join)]);
    for (host, join) in [(hosts.near(), &near_join), (hosts.far(), &far_join)] {
        wait_for_streams(&hosts, host, join, &[("front", "live"), ("rear", "live")]);
    }
    far.running.kill();
    wait_for_streams(&hosts, hosts.near(), &near_join, &[("front", "live"), ("rear", "stale")]);
    near.stop();
}

/// Does something as a host, on a thread that is the host's.
fn on<T: Send + 'static>(host: &str, does: impl FnOnce() -> T + Send + 'static) -> T {
    let space = std::fs::File::open(Path::new("/run/netns").join(host)).unwrap();
    let there = move || {
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        does()
    };
    std::thread::spawn(there).join().unwrap()
}

#[test]
fn a_server_without_multicast_says_so_once_and_serves() {
    let Some(hosts) = hosts() else { return };
    let Some(()) = hosts.on(hosts.near(), &["ip", "link", "set", "lan", "multicast", "off"]) else { return };
    let mut command = program_on(&hosts, hosts.near(), "framewire-server");
    let listen = format!("{NEAR}:8080");
    let server = Server::start_by(command.args(["--listen", &listen, "--insecure", "--share", "off"]));
    // It looks for multicast again and again.
    let tries = || {
        let metrics = on(hosts.near(), || http::get(&format!("{NEAR}:8080"), "/metrics", &[]).body);
        let line = metrics.lines().find_map(|line| line.strip_prefix("framewire_cluster_engine_errors_total "));
        line.and_then(|count| count.parse::<f64>().ok()).unwrap_or_default()
    };
    wait_until("it is looked for again", || tries() >= 3.0);
    let mut client = program_on(&hosts, hosts.near(), "framewire-client");
    client.args(["--server", &format!("http://{listen}"), "--insecure", "pattern:64x48", "--frames", "20"]);
    let (code, said, _) = Running::start(&mut client).wait();
    assert_eq!(code, Some(0), "{said}");
    let said = server.stop();
    let told: Vec<_> = said.lines().filter(|line| line.contains("is not found by mDNS")).collect();
    assert!(told.len() == 1 && told[0].contains("--discover=off"), "{said}");
}

#[test]
fn a_machine_without_multicast_lists_what_it_has_and_says_why_to_who_wants_to_know() {
    let Some(hosts) = hosts() else { return };
    let Some(()) = hosts.on(hosts.near(), &["ip", "link", "set", "lan", "down"]) else { return };
    let (said, told) = ls(&hosts);
    assert!(!said.contains("found by mDNS"), "{said}");
    assert!(told.contains("servers cannot be looked for"), "{told}");
    let mut client = program_on(&hosts, hosts.near(), "framewire-client");
    let (code, said, _) = Running::start(client.args(["--server", "auto", "pattern:64x48"])).wait();
    assert!(code == Some(1) && said.contains("--server"), "{said}");
}

#[test]
fn who_stops_while_no_server_was_found_has_sent_nothing_and_has_not_failed() {
    let Some(hosts) = hosts() else { return };
    let mut client = program_on(&hosts, hosts.near(), "framewire-client");
    let mut client = Running::start(client.args(["--server", "auto", "--json", "pattern:64x48"]));
    client.wait_for("no server was found on this network yet");
    client.interrupt();
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&json, &["frames_sent"]), 0.0);
}
