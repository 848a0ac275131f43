//! Two hosts on one machine: network namespaces joined by a cable. Takes root and `ip`; `nft` for what stands between them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{has_programs, skip};

/// The cable's end at either host.
pub const CABLE: &str = "lan";

/// Two network namespaces and the cable between them, gone with the value. It has only the addresses that the kernel gives
/// (IPv6, link-local) until [`Hosts::give_addresses`].
#[derive(Debug)]
pub struct Hosts {
    near: String,
    far: String,
}

impl Hosts {
    /// `None` where this machine does not allow it, which is said. `tools` are the programs that the test needs besides `ip`.
    pub fn new(tools: &[&str]) -> Option<Self> {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        if !has_programs(&[&["ip"], tools].concat(), "install iproute2, nftables and ethtool") {
            return None;
        }
        let name = format!("fwlab-{}-{}", std::process::id(), HOSTS.fetch_add(1, Ordering::Relaxed));
        let hosts = Self { near: format!("{name}-a"), far: format!("{name}-b") };
        let (near, far) = (hosts.near.as_str(), hosts.far.as_str());
        for host in [near, far] {
            if let Err(said) = try_run(&["ip", "netns", "add", host]) {
                skip(format_args!("no network namespace ({said}); run as root"));
                return None;
            }
        }
        set_up(&["ip", "link", "add", CABLE, "netns", near, "type", "veth", "peer", "name", CABLE, "netns", far])?;
        for host in [near, far] {
            // An address that is still being checked for its twin cannot be bound to for two seconds.
            hosts.on(host, &["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/lan/accept_dad"])?;
            set_up(&["ip", "-n", host, "link", "set", CABLE, "up"])?;
            set_up(&["ip", "-n", host, "link", "set", "lo", "up"])?;
        }
        Some(hosts)
    }

    /// The host at hand, by the name of its namespace.
    pub fn near(&self) -> &str {
        &self.near
    }

    /// The other one.
    pub fn far(&self) -> &str {
        &self.far
    }

    /// Gives the cable's ends these addresses, such as 10.77.0.1/24; `None`, said aloud, where that fails.
    pub fn give_addresses(&self, near: &str, far: &str) -> Option<()> {
        for (host, address) in [(&self.near, near), (&self.far, far)] {
            set_up(&["ip", "-n", host, "addr", "add", address, "dev", CABLE, "nodad"])?;
        }
        Some(())
    }

    /// The link-local address at a host's end of the cable, without its zone.
    ///
    /// # Panics
    /// It has none.
    pub fn link_local(&self, host: &str) -> String {
        let said = Command::new("ip").args(["-n", host, "-6", "-o", "addr", "show", "dev", CABLE]).output();
        let said = String::from_utf8(said.expect("ip can be run").stdout).expect("ip says text");
        let found = said.split_whitespace().find(|word| word.starts_with("fe80:"));
        found.and_then(|address| address.split('/').next()).expect("a link-local address").to_owned()
    }

    /// Has programs on a host look names up in these lines of `/etc/hosts` alone; `None`, said aloud, where that fails.
    pub fn give_names(&self, host: &str, lines: &str) -> Option<()> {
        // What `ip netns exec` puts in the place of /etc/hosts.
        let directory = names_of(host);
        let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(directory.join("hosts"), lines));
        written.inspect_err(|error| skip(format_args!("{} cannot be written: {error}", directory.display()))).ok()
    }

    /// Does something on a host; `None`, said aloud as a skipped test, where it fails.
    pub fn on(&self, host: &str, command: &[&str]) -> Option<()> {
        set_up(&[&["ip", "netns", "exec", host][..], command].concat())
    }

    /// A program, to be run on a host: the process is the program's own.
    pub fn command(&self, host: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host]).arg(program);
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.near, &self.far] {
            // It may be that it was never made.
            let _ = try_run(&["ip", "netns", "del", host]);
            let _ = std::fs::remove_dir_all(names_of(host));
        }
    }
}

fn names_of(host: &str) -> PathBuf {
    Path::new("/etc/netns").join(host)
}

/// Runs a program to its end.
///
/// # Errors
/// What it said, where it failed.
pub fn try_run(command: &[&str]) -> Result<(), String> {
    let said = Command::new(command[0]).args(&command[1..]).output().map_err(|error| error.to_string())?;
    if said.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said.stderr).trim().to_owned()) }
}

/// As [`try_run`], for what a test cannot do without: `None`, said aloud as a skipped test, where this machine cannot.
pub fn set_up(command: &[&str]) -> Option<()> {
    try_run(command).inspect_err(|said| skip(format_args!("{} failed ({said})", command.join(" ")))).ok()
}
