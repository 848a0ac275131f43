//! The real programs on two hosts with a bad network between them: namespaces joined by a cable (veth), with losses
//! (nftables), a slow link (tbf), and no offloads, so that every slice is a packet. Needs root, `ip`, `tc`, `nft` and
//! `ethtool`; where they are missing the tests say so and pass.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::process::Command;

use framewire_testing::{CABLE, Hosts, set_up, wait_until};
use running::{Running, figure, program_on};

const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";

/// Two hosts with addresses.
struct Lab(Hosts);

impl Lab {
    /// `None` where this machine does not allow it, which is said.
    fn new(mtu: u32) -> Option<Self> {
        let hosts = Hosts::new(&["tc", "nft", "ethtool"])?;
        for host in [hosts.near(), hosts.far()] {
            set_up(&["ip", "-n", host, "link", "set", CABLE, "mtu", &mtu.to_string()])?;
        }
        hosts.give_addresses(&format!("{NEAR}/24"), &format!("{FAR}/24"))?;
        Some(Self(hosts))
    }

    /// Every slice becomes a packet of its own.
    fn without_offloads(self) -> Option<Self> {
        for host in [self.0.near(), self.0.far()] {
            let off = ["ethtool", "-K", "lan", "tx-udp-segmentation", "off", "gso", "off", "tso", "off", "gro", "off"];
            self.0.on(host, &off)?;
        }
        Some(self)
    }

    /// Of a thousand UDP packets so many vanish, either way.
    fn with_losses(self, per_mille: u32) -> Option<Self> {
        let rule = format!(
            "table inet loss {{ chain in {{ type filter hook prerouting priority 0; \
             meta l4proto udp numgen random mod 1000 < {per_mille} drop; }}; }}"
        );
        for host in [self.0.near(), self.0.far()] {
            self.0.on(host, &["nft", &rule])?;
        }
        Some(self)
    }

    /// The cable carries so much.
    fn with_rate(self, rate: &str) -> Option<Self> {
        let slow =
            ["tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms"];
        self.0.on(self.0.near(), &slow)?;
        Some(self)
    }

    fn bytes_received(&self) -> u64 {
        let said = Command::new("ip")
            .args(["netns", "exec", self.0.far(), "cat", "/sys/class/net/lan/statistics/rx_bytes"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).trim().parse().unwrap()
    }

    fn start(&self, host: &str, name: &str, arguments: &[&str]) -> Running {
        Running::start(program_on(&self.0, host, name).args(arguments))
    }

    /// Until the far host has received so many bytes more.
    fn wait_for_bytes(&self, bytes: u64) {
        let enough = self.bytes_received() + bytes;
        wait_until("frames flow", || self.bytes_received() >= enough);
    }

    /// Streams the pattern from the near host to the far one, does `meanwhile` with the client, and returns what the client and
    /// the server say in the end.
    fn stream(&self, client: &[&str], meanwhile: impl FnOnce(&Running)) -> [Vec<u8>; 2] {
        let (signal, udp) = (format!("{FAR}:8080"), format!("{FAR}:12345"));
        let server = ["--listen", &signal, "--udp", &udp, "--insecure", "--json"];
        let mut server = self.start(self.0.far(), "framewire-server", &server);
        server.wait_for("listening on");
        let url = format!("http://{signal}");
        let client =
            self.start(self.0.near(), "framewire-client", &[&["--server", &url, "--json"][..], client].concat());
        meanwhile(&client);
        let (code, said, client) = client.wait();
        assert_eq!(code, Some(0), "{said}");
        server.interrupt();
        let (code, said, server) = server.wait();
        assert_eq!(code, Some(0), "{said}");
        [client, server]
    }
}

/// Every frame that was sent is delivered, or has a cause, and both ends say the same.
fn assert_accounted_for(client: &[u8], server: &[u8]) {
    assert_eq!(figure(client, &["frames_delivered"]), figure(server, &["frames_delivered"]));
    for cause in ["skipped_at_source", "no_credit", "incomplete", "no_slot"] {
        let path = ["frames_dropped", cause];
        assert_eq!(figure(client, &path), figure(server, &path), "{cause}");
    }

    let causes = ["skipped_at_source", "no_credit", "lost", "incomplete", "no_slot"];
    let dropped: f64 = causes.iter().map(|cause| figure(client, &["frames_dropped", cause])).sum();
    let (sent, delivered) = (figure(client, &["frames_sent"]), figure(client, &["frames_delivered"]));
    assert_eq!(sent, delivered + dropped, "{}", String::from_utf8_lossy(client));
}

#[test]
fn a_link_whose_mtu_falls_while_frames_flow_costs_no_frame() {
    let Some(lab) = Lab::new(9_000) else { return };
    // Five seconds, so that many are left when it falls.
    let client = ["pattern:1280x720", "--delivery", "every", "--fps", "200", "--frames", "1000"];
    let [client, server] = lab.stream(&client, |_| {
        lab.wait_for_bytes(2_000_000);
        set_up(&["ip", "-n", lab.0.near(), "link", "set", "lan", "mtu", "1500"]).unwrap();
        lab.wait_for_bytes(20_000_000);
    });
    let sent = figure(&client, &["frames_sent"]);
    for end in [&client, &server] {
        assert_eq!(figure(end, &["frames_delivered"]), sent, "{}", String::from_utf8_lossy(end));
        assert_eq!(figure(end, &["slice_bytes"]), 1_472.0, "{}", String::from_utf8_lossy(end));
    }
    assert_accounted_for(&client, &server);
}

#[test]
fn what_the_network_loses_is_repaired_and_in_every_no_frame_is_missing() {
    let lab = Lab::new(1_500).and_then(Lab::without_offloads).and_then(|lab| lab.with_losses(50));
    let Some(lab) = lab else { return };
    let [client, server] = lab.stream(&["pattern:640x480", "--delivery", "every", "--frames", "150"], |_| ());
    assert_eq!(figure(&server, &["frames_delivered"]), 150.0, "{}", String::from_utf8_lossy(&server));
    assert!(figure(&client, &["slices_resent"]) > 0.0, "{}", String::from_utf8_lossy(&client));
    assert_accounted_for(&client, &server);
}

#[test]
fn latest_on_a_link_slower_than_the_camera_skips_frames_at_the_source_and_accounts_for_each() {
    let lab = Lab::new(1_500).and_then(Lab::without_offloads).and_then(|lab| lab.with_rate("50mbit"));
    let Some(lab) = lab else { return };
    let [client, server] = lab.stream(&["pattern:640x480", "--fps", "60", "--frames", "240"], |_| ());
    assert!(figure(&client, &["frames_delivered"]) > 0.0, "{}", String::from_utf8_lossy(&client));
    assert!(figure(&client, &["frames_dropped", "skipped_at_source"]) > 0.0, "{}", String::from_utf8_lossy(&client));
    assert_accounted_for(&client, &server);
}

#[test]
fn what_the_network_loses_is_restored_from_parity_without_being_asked_for() {
    let lab = Lab::new(1_500).and_then(Lab::without_offloads).and_then(|lab| lab.with_losses(50));
    let Some(lab) = lab else { return };
    let stream = ["pattern:640x480", "--fps", "60", "--frames", "150", "--fec", "25", "--max-rate", "400M"];
    let [client, server] = lab.stream(&stream, |_| ());
    let (sent, said) = (String::from_utf8_lossy(&client), String::from_utf8_lossy(&server));
    assert!(figure(&client, &["slices_parity"]) > 0.0, "{sent}");
    let restored = figure(&server, &["frames_repaired", "by_fec"]);
    assert!(restored > 20.0 && restored > figure(&server, &["frames_repaired", "by_nack"]), "{said}");
    assert_accounted_for(&client, &server);
}
