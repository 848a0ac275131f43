//! A link of a gigabit with as many cameras as it carries, on two hosts. Needs root, `ip` and `tc`; where they are missing the tests say
//! so and pass.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use framewire_testing::Hosts;
use running::{Running, figure, program_on};

const NEAR: &str = "10.78.0.1";
const FAR: &str = "10.78.0.2";

/// Two hosts, and a link between them that carries a gigabit towards the server.
struct FullLink {
    hosts: Hosts,
    server: Running,
}

impl FullLink {
    fn new(link: &str) -> Option<Self> {
        let hosts = Hosts::new(&["tc"])?;
        hosts.give_addresses(&format!("{NEAR}/24"), &format!("{FAR}/24"))?;
        // A switch of 512 kB.
        let gigabit =
            ["tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate", "1gbit", "burst", "64kb", "limit", "524288"];
        hosts.on(hosts.near(), &gigabit)?;
        let (signal, udp) = (format!("{FAR}:8080"), format!("{FAR}:12345"));
        let mut server = program_on(&hosts, hosts.far(), "framewire-server");
        server.args([
            "--listen",
            &signal,
            "--udp",
            &udp,
            "--insecure",
            "--discover=off",
            "--preview-fps",
            "0",
            "--json",
        ]);
        let mut server = Running::start(server.args(["--link", link]));
        server.wait_for("listening on");
        Some(Self { hosts, server })
    }

    fn camera(&self, name: &str, more: &[&str]) -> Running {
        let mut client = program_on(&self.hosts, self.hosts.near(), "framewire-client");
        client.args(["pattern:640x480", "--server", &format!("http://{FAR}:8080"), "--name", name, "--json"]);
        Running::start(client.args(more))
    }

    fn end(self) -> Vec<u8> {
        self.server.interrupt();
        let (code, said, summary) = self.server.wait();
        assert_eq!(code, Some(0), "{said}");
        summary
    }
}

#[test]
fn ten_cameras_fill_a_gigabit_evenly_and_the_eleventh_is_refused_with_the_sum() {
    let Some(lab) = FullLink::new("lan=1G:0.95") else { return };
    // A little less than 95 Mbit/s each.
    let mut cameras: Vec<Running> =
        (0..10).map(|nth| lab.camera(&format!("cam-{nth}"), &["--fps", "35", "--verbose"])).collect();
    for camera in &mut cameras {
        camera.wait_for("granted");
    }
    let (code, said, _) = lab.camera("cam-10", &["--fps", "35"]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(
            "the link lan is full: it carries 950 Mbit/s to this server (95 % of 1 Gbit/s), 10 streams have 9"
        ),
        "{said}"
    );
    for camera in &mut cameras {
        (0..100).for_each(|_| drop(camera.wait_for("feedback: frame")));
    }
    cameras.iter().for_each(Running::interrupt);
    let mut delivered = Vec::new();
    let mut of_causes = Vec::new();
    for camera in cameras {
        let (code, said, summary) = camera.wait();
        assert_eq!(code, Some(0), "{said}");
        delivered.push(figure(&summary, &["frames_delivered"]));
        of_causes.push(["lost", "incomplete", "no_slot"].map(|cause| figure(&summary, &["frames_dropped", cause])));
    }
    let summary = lab.end();
    // Where the cameras of one machine are held up, they send at once what was to go one after the other, and a switch this small drops of it: that none is lost, and
    // that all have the same, is measured on a machine that does nothing else.
    let lost: f64 = ["lost", "incomplete"].map(|cause| figure(&summary, &["frames_dropped", cause])).iter().sum();
    println!("{delivered:?}, lost {of_causes:?}");
    assert!(lost <= 0.1 * delivered.iter().sum::<f64>(), "{}", String::from_utf8_lossy(&summary));
    let (least, most) = delivered.iter().fold((f64::MAX, 0.0_f64), |(least, most), of| (least.min(*of), most.max(*of)));
    assert!(least >= 0.5 * most, "{delivered:?}");
}

#[test]
fn a_link_that_says_more_than_its_card_carries_is_taken_down_to_that_aloud() {
    let Some(mut lab) = FullLink::new("lan=100G") else { return };
    lab.server.skip_said();
    let (code, said, _) = lab.camera("cam", &["--frames", "3", "--fps", "10"]).wait();
    assert_eq!(code, Some(0), "{said}");
    lab.server.interrupt();
    let (_, said, _) = lab.server.wait();
    assert!(said.contains("--link lan says 100 Gbit/s, and its card carries 10 Gbit/s"), "{said}");
}
