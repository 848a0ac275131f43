//! Two hosts in this process: network namespaces joined by a cable (veth), which threads enter. Needs root and `ip`; where they are
//! missing it says so, and the tests that need them pass.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// One of them.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
}

impl Host {
    fn new(name: String) -> Option<Self> {
        succeeds(&["ip", "netns", "add", &name]).then_some(Self { name })
    }

    /// Runs a command there; it must succeed.
    pub(crate) fn run(&self, command: &str) {
        let words: Vec<_> = ["ip", "netns", "exec", &self.name].into_iter().chain(command.split(' ')).collect();
        assert!(succeeds(&words), "{command}");
    }

    /// Has the system decide by these rules (nftables) what leaves; `None` for all of it.
    pub(crate) fn filter_output(&self, rules: Option<&str>) {
        let script = match rules {
            Some(rules) => format!("table inet t {{ chain o {{ type filter hook output priority 0; {rules} }}; }}"),
            None => "delete table inet t".into(),
        };
        assert!(succeeds(&["ip", "netns", "exec", &self.name, "nft", &script]), "{script}");
    }

    /// Runs `work` on a thread of this host, as are those that it starts.
    pub(crate) fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/var/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        succeeds(&["ip", "netns", "del", &self.name]);
    }
}

/// The near one has 10.87.0.2 and fd87::2, the far one 10.87.0.1, 10.87.0.100, fd87::1 and fd87::100. Their interface is `lan`.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) near: Host,
    pub(crate) far: Host,
}

impl Hosts {
    /// `None` where this machine does not allow it, or lacks one of the tools, which is said.
    pub(crate) fn new(tools: &[&str]) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        for tool in ["ip"].iter().chain(tools) {
            if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                framewire_testing::skip(format_args!("{tool} cannot be run; install iproute2 and nftables"));
                return None;
            }
        }
        let name = format!("fwhosts-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let made = Host::new(format!("{name}-a")).zip(Host::new(format!("{name}-b")));
        let Some((near, far)) = made else {
            framewire_testing::skip("no network namespace; run as root");
            return None;
        };
        let hosts = Self { near, far };
        for host in [&hosts.near, &hosts.far] {
            host.run("ip link set lo up");
        }
        hosts.join();
        for address in ["10.87.0.1/24", "10.87.0.100/24"] {
            hosts.far.run(&format!("ip addr add {address} dev lan"));
        }
        for address in ["fd87::1/64", "fd87::100/64"] {
            hosts.far.run(&format!("ip addr add {address} dev lan nodad"));
        }
        hosts.near.run("ip addr add 10.87.0.2/24 dev lan");
        hosts.near.run("ip addr add fd87::2/64 dev lan nodad");
        Some(hosts)
    }

    /// Lays the cable, which has no addresses yet.
    pub(crate) fn join(&self) {
        let (near, far) = (&self.near.name, &self.far.name);
        let cable = ["ip", "link", "add", "lan", "netns", near, "type", "veth", "peer", "name", "lan", "netns", far];
        assert!(succeeds(&cable), "no cable");
        for host in [&self.near, &self.far] {
            // Addresses can be used at once: nobody else has them.
            host.on(|| std::fs::write("/proc/sys/net/ipv6/conf/lan/accept_dad", "0")).unwrap();
            host.run("ip link set lan up");
        }
    }
}

fn succeeds(command: &[&str]) -> bool {
    let said = Command::new(command[0]).args(&command[1..]).output();
    let succeeds = said.as_ref().is_ok_and(|said| said.status.success());
    if !succeeds {
        eprintln!("{}: {said:?}", command.join(" "));
    }
    succeeds
}
