//! Servers of a network that are found without their addresses, on two hosts (namespaces joined by a cable). Needs root and `ip`; where they
//! are missing the tests say so and pass.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::time::Instant;

use framewire_testing::Hosts;
use running::{PATIENCE, Running, Server, figure, program_on};

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
    let deadline = Instant::now() + PATIENCE;
    while !ls(&hosts).0.contains(&format!("http://{listen}")) {
        assert!(Instant::now() < deadline, "{:?}", ls(&hosts));
    }
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
    server.stop();
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
