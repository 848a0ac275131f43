//! The README's two commands as a person types them, on two hosts (namespaces joined by a cable), and what somebody sees who listens on the
//! cable. Needs root and `ip`; where they are missing the tests say so and pass.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use framewire_testing::{Hosts, Signal};
use running::{PATIENCE, Running, in_dir, path_text, program_on};
use rustix::net::{AddressFamily, Protocol, SocketType};
use rustix::pty::OpenptFlags;

const NEAR: &str = "10.78.0.1";
const FAR: &str = "10.78.0.2";
/// As many bytes in a row as chance never repeats.
const RUN: usize = 16;

fn hosts() -> Option<Hosts> {
    let hosts = Hosts::new(&[])?;
    hosts.give_addresses(&format!("{NEAR}/24"), &format!("{FAR}/24"))?;
    Some(hosts)
}

/// A program before a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    said: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line = File::options().read(true).write(true).open(name).unwrap();
        let stdio = || Stdio::from(line.try_clone().unwrap());
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (send, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, said, seen: String::new() }
    }

    /// Waits until this was said, and what follows it up to the end of its line.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, behind)) = self.seen.split_once(text)
                && let Some((line, _)) = behind.split_once(['\r', '\n'])
            {
                return line.to_owned();
            }
            let bytes = self.said.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let Ok(bytes) = bytes else { panic!("'{text}' was never said, but {}", self.seen) };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn end(mut self) {
        framewire_testing::send(Signal::TERM, self.child.id());
        let _ = self.child.wait();
    }
}

/// No test leaves a program behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_person_types_one_line_at_each_machine_and_pastes_what_the_first_prints() {
    let Some(hosts) = hosts() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = program_on(&hosts, hosts.far(), "framewire-server");
    server.args(["--listen", ":8080", "--sink", "{stream}-{time}.nut"]).current_dir(directory.path());
    server.env("XDG_STATE_HOME", directory.path());
    let mut server = Terminal::start(&mut server);
    let line = server.wait_for("and this line: ");
    assert!(line.starts_with(&format!("framewire://{FAR}:8080#")), "the address that others reach: {line}");
    assert!(server.wait_for("the page is ").starts_with(&format!("https://{FAR}:8080/")));
    let mut client = program_on(&hosts, hosts.near(), "framewire-client");
    client.args(["--join", "-", "pattern:64x48", "--frames", "20", "--delivery", "every"]);
    let mut client = Terminal::start(&mut client);
    client.wait_for("paste the line");
    client.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    assert!(client.wait_for("20 frames sent, ").starts_with("20 delivered"));
    assert!(client.wait_for("  path").contains("encrypted"));
    client.end();
    server.end();
    let recorded = std::fs::read_dir(directory.path()).unwrap().flatten();
    assert!(recorded.into_iter().any(|entry| entry.path().extension().is_some_and(|kind| kind == "nut")));
}

/// Hears all that goes over the cable, at the near host, until it has heard so much UDP payload and is asked for it.
struct Listener {
    stop: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<Vec<Vec<u8>>>,
}

impl Listener {
    fn start(host: &str) -> Option<Self> {
        let namespace = File::open(Path::new("/run/netns").join(host)).ok()?;
        let (stop, stopped) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // The thread's own: no other of this process moves.
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .unwrap();
            // Every protocol, in the order of the network's bytes.
            let all = Protocol::from_raw(NonZeroU32::new(u32::from(0x0003_u16.to_be())).unwrap());
            let socket = rustix::net::socket(AddressFamily::PACKET, SocketType::RAW, Some(all)).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 32 << 20).unwrap();
            let patience = Some(Duration::from_millis(100));
            rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, patience).unwrap();
            ready.send(()).unwrap();
            let (mut heard, mut packet) = (Vec::new(), vec![0; 70_000]);
            // Until nothing is left of what came before it was told.
            let mut is_told = false;
            loop {
                match rustix::net::recv(&socket, packet.as_mut_slice(), rustix::net::RecvFlags::empty()) {
                    Ok((len, _)) => heard.push(packet[..len].to_vec()),
                    Err(_) if is_told => break,
                    Err(_) => is_told = stopped.try_recv() != Err(mpsc::TryRecvError::Empty),
                }
            }
            heard
        });
        is_ready.recv().ok()?;
        Some(Self { stop, thread })
    }

    fn heard(self) -> Vec<Vec<u8>> {
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }
}

/// Whether a run of these bytes is in what somebody heard.
fn is_heard(known: &[u8], heard: &[Vec<u8>]) -> bool {
    let runs: HashSet<&[u8]> = known.chunks_exact(RUN).collect();
    // Any long run has one of these whole, wherever it is cut.
    heard.iter().any(|packet| packet.windows(RUN).any(|window| runs.contains(window)))
}

/// What was heard while a client sent a file over the cable.
fn sent(hosts: &Hosts, server: &[&str], client: &[&str], file: &Path, state: &Path) -> Vec<Vec<u8>> {
    let listener = Listener::start(hosts.near()).expect("a namespace's packets");
    let mut serving = program_on(hosts, hosts.far(), "framewire-server");
    serving.args(["--listen", &format!("{FAR}:8080")]).args(server).env("XDG_STATE_HOME", state);
    let mut serving = Running::start(&mut serving);
    serving.wait_for("listening on");
    let mut sending = program_on(hosts, hosts.near(), "framewire-client");
    sending.args(["--raw-format", "128x128:gray8", "--delivery", "every", "--json"]).args(client).arg(file);
    let (code, said, summary) = Running::start(&mut sending).wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(running::figure(&summary, &["frames_delivered"]), 8.0);
    serving.interrupt();
    serving.wait();
    listener.heard()
}

#[test]
fn who_listens_on_the_cable_hears_no_byte_run_of_a_frame_unless_nothing_is_protected() {
    let Some(hosts) = hosts() else { return };
    let directory = tempfile::tempdir().unwrap();
    // Frames of no pattern: chance makes no such run twice.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let frames: Vec<u8> = (0..8 * 128 * 128)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) as u8
        })
        .collect();
    let file = in_dir(&directory, "frames.raw");
    std::fs::write(&file, &frames).unwrap();
    let plain = ["--server", &format!("http://{FAR}:8080")];
    let heard = sent(&hosts, &["--insecure"], &plain, &file, directory.path());
    assert!(is_heard(&frames, &heard), "what is plain is heard, so that this can fail: {} packets", heard.len());

    // The join file as somebody copies it from the one machine to the other.
    let join = in_dir(&directory, "framewire/join");
    let first = ["--seconds", "0.1"];
    let mut serving = program_on(&hosts, hosts.far(), "framewire-server");
    serving.args(["--listen", &format!("{FAR}:8080")]).args(first).env("XDG_STATE_HOME", directory.path());
    let (code, said, _) = Running::start(&mut serving).wait();
    assert_eq!(code, Some(0), "{said}");
    let heard = sent(&hosts, &[], &["--join", path_text(&join)], &file, directory.path());
    let bytes: usize = heard.iter().map(Vec::len).sum();
    assert!(bytes > frames.len(), "the frames went by: {bytes} bytes were heard");
    assert!(!is_heard(&frames, &heard));
    let secrets = std::fs::read(&join).unwrap();
    assert!(!is_heard(&secrets[secrets.len() - 67..], &heard), "nor of the line to join by");
}

#[test]
fn protected_against_plain_is_refused_both_ways_with_what_to_do() {
    let Some(hosts) = hosts() else { return };
    let directory = tempfile::tempdir().unwrap();
    let brief = ["pattern:64x48", "--frames", "3", "--connect-timeout", "20s"];
    let serve = |more: &[&str]| {
        let mut serving = program_on(&hosts, hosts.far(), "framewire-server");
        serving.args(["--listen", &format!("{FAR}:8080")]).args(more).env("XDG_STATE_HOME", directory.path());
        let mut serving = Running::start(&mut serving);
        serving.wait_for("listening on");
        serving
    };
    let client = |arguments: &[&str]| {
        let mut sending = program_on(&hosts, hosts.near(), "framewire-client");
        let (code, said, _) = Running::start(sending.args(arguments).args(brief)).wait();
        (code, said)
    };
    let plain = format!("http://{FAR}:8080");
    let serving = serve(&[]);
    let (code, said) = client(&["--server", &plain]);
    assert!(code == Some(1) && said.contains("--join"), "{said}");
    serving.interrupt();
    serving.wait();
    let mut serving = serve(&["--insecure"]);
    let join = in_dir(&directory, "framewire/join");
    let (code, said) = client(&["--join", path_text(&join)]);
    assert!(code == Some(1) && said.contains("--insecure") && said.contains("TLS"), "{said}");
    // And what is plain says so, at both ends.
    let (code, said) = client(&["--server", &plain]);
    assert!(code == Some(0) && said.contains("nothing protects this stream"), "{said}");
    serving.interrupt();
    serving.skip_said();
    let (_, said, _) = serving.wait();
    assert!(said.contains("--insecure: whoever reaches it may look and stream"), "{said}");
}
