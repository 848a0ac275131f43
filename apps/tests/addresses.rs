//! HOST:PORT as users write it: names, all addresses, both families, link-local ones, ports that are published under other
//! numbers. What takes two hosts is skipped, aloud, without root, `ip` and `nft`.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::net::TcpListener;

use framewire_testing::Hosts;
use running::{Running, Server, figure, program_on, run};

const STREAM: [&str; 8] = ["pattern:64x64", "--delivery", "every", "--frames", "5", "--fps", "100", "--json"];

/// A server on the far host.
fn serve(hosts: &Hosts, arguments: &[&str]) -> Running {
    let mut server =
        Running::start(program_on(hosts, hosts.far(), "framewire-server").arg("--insecure").args(arguments));
    server.wait_for("listening on http://");
    server
}

/// Streams five frames from the near host, which all arrive; what the client says.
fn stream(hosts: &Hosts, arguments: &[&str]) -> String {
    let mut client = program_on(hosts, hosts.near(), "framewire-client");
    let output = client.args(["--connect-timeout", "30s"]).args(arguments).args(STREAM).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert_eq!(figure(&output.stdout, &["frames_delivered"]), 5.0, "{arguments:?}: {said}");
    said
}

#[test]
fn localhost_is_listened_on_in_both_families_and_reached_in_either() {
    let server = Server::start_at("localhost:0", "localhost:0", &[]);
    let port = server.signal.rsplit_once(':').unwrap().1.to_owned();
    let mut hosts = vec!["127.0.0.1", "localhost"];
    if TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    }
    for host in hosts {
        let output = run("framewire-client", &[&["--server", &format!("http://{host}:{port}")], &STREAM[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{host}: {}", String::from_utf8_lossy(&output.stderr));
    }
    server.stop();
}

#[test]
fn no_host_is_all_addresses_of_both_families() {
    let server = Server::start_at(":0", ":0", &["--insecure"]);
    let port = server.signal.rsplit_once(':').unwrap().1.to_owned();
    let mut hosts = vec!["127.0.0.1"];
    if TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    }
    for host in hosts {
        let output = run("framewire-client", &[&["--server", &format!("http://{host}:{port}")], &STREAM[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{host}: {}", String::from_utf8_lossy(&output.stderr));
    }
    server.stop();
}

#[test]
fn what_is_no_address_is_a_usage_error_that_says_how_one_is_written_in_every_program() {
    for (program, arguments) in [
        ("framewire-server", &["--listen", "nowhere"][..]),
        ("framewire-server", &["--udp", "::1:80"]),
        ("framewire-server", &["--announce-udp", "0"]),
        ("framewire-client", &["--udp", "http://host:80"]),
        ("framewire", &["bench", "--to", "[fe80::1]:80"]),
        ("framewire", &["bench", "--receive", "host:port"]),
        ("framewire", &["doctor", "--host", "fe80::1"]),
    ] {
        let output = run(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}: {said}");
        assert!(said.contains("HOST:PORT, such as") && said.contains("[fe80::1%eth0]:8080"), "{arguments:?}: {said}");
    }
}

#[test]
fn two_hosts_with_nothing_but_link_local_addresses_stream_and_look() {
    let Some(hosts) = Hosts::new(&[]) else { return };
    let there = hosts.link_local(hosts.far());
    // All addresses, and that one by its interface.
    let zoned = (format!("[{there}%lan]:8090"), format!("[{there}%lan]:12350"));
    let _all = serve(&hosts, &["--listen", ":8080", "--udp", ":12345"]);
    let _one = serve(&hosts, &["--listen", &zoned.0, "--udp", &zoned.1]);
    for port in [8080, 8090] {
        for zone in ["%lan", "%25lan"] {
            stream(&hosts, &["--server", &format!("http://[{there}{zone}]:{port}")]);
        }
        let mut top = program_on(&hosts, hosts.near(), "framewire");
        let output = top.args(["top", "--once", "--server", &format!("http://[{there}%lan]:{port}")]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut doctor = program_on(&hosts, hosts.near(), "framewire");
    let output = doctor.args(["doctor", "--json", "--host", &format!("{there}%lan")]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["interface"], "lan", "{report}");
}

#[test]
fn frames_go_to_the_address_where_socket_io_got_through() {
    let Some(hosts) = Hosts::new(&[]) else { return };
    let given = hosts
        .give_addresses("10.77.0.1/24", "10.77.0.2/24")
        .and_then(|()| hosts.give_addresses("fd77::1/64", "fd77::2/64"))
        // Nobody has the first address.
        .and_then(|()| hosts.give_names(hosts.near(), "10.77.0.99 cams\nfd77::2 cams\n"));
    let Some(()) = given else { return };
    let _server = serve(&hosts, &["--listen", "[::]:8080", "--udp", "[::]:12345"]);
    stream(&hosts, &["--server", "http://cams:8080"]);
    stream(&hosts, &["--server", "http://cams:8080", "--udp", "cams:12345"]);
}

#[test]
fn ports_that_are_published_under_other_numbers_can_be_said_at_either_end() {
    let Some(hosts) = Hosts::new(&["nft"]) else { return };
    let rules = "table ip n {
        chain raw { type filter hook prerouting priority -300; iifname lan udp dport { 12345, 12346 } drop; }
        chain nat { type nat hook prerouting priority -100; iifname lan tcp dport 18300 redirect to :8080;
            iifname lan udp dport 18301 redirect to :12345; iifname lan tcp dport 18302 redirect to :8081;
            iifname lan udp dport 18303 redirect to :12346; }
    }";
    let given =
        hosts.give_addresses("10.77.0.1/24", "10.77.0.2/24").and_then(|()| hosts.on(hosts.far(), &["nft", rules]));
    let Some(()) = given else { return };
    let _plain = serve(&hosts, &["--listen", "0.0.0.0:8080", "--udp", "0.0.0.0:12345"]);
    for udp in ["10.77.0.2:18301", ":18301"] {
        stream(&hosts, &["--server", "http://10.77.0.2:18300", "--udp", udp]);
    }
    let announced = ["--listen", "0.0.0.0:8081", "--udp", "0.0.0.0:12346", "--announce-udp", "18303"];
    let _announced = serve(&hosts, &announced);
    stream(&hosts, &["--server", "http://10.77.0.2:18302"]);
}
