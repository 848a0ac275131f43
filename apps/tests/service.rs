//! A server as a service: what its manager and its log are told.
#![allow(missing_docs)]

mod running;

use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use framewire_transport::wire::{Challenge, Open, Refuse, TIME_UNKNOWN};
use framewire_transport::{Delivery, PixelFormat};
use running::{PATIENCE, Running, Server, in_dir, path_text, program, run};
use serde_json::Value;

/// A service manager, which hears what a service says.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn hear(&self) -> io::Result<String> {
        let mut bytes = [0; 4096];
        let len = self.0.recv(&mut bytes)?;
        Ok(String::from_utf8(bytes[..len].to_vec()).unwrap())
    }

    fn wait_for(&self, state: &str) {
        while !self.hear().unwrap().lines().any(|line| line == state) {}
    }
}

#[test]
fn a_service_manager_hears_when_a_server_listens_works_and_stops() {
    for wire in ["framed", "plain"] {
        let directory = tempfile::tempdir().unwrap();
        let path = in_dir(&directory, "notify");
        let manager = Manager::at(&path);
        let mut server = program("framewire-server");
        server.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--wire", wire]);
        server.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000").env_remove("WATCHDOG_PID");
        let mut server = Running::start(&mut server);
        let ready = manager.hear().unwrap();
        let line = server.wait_for("listening on");
        let (address, _) = line.split_once("http://").unwrap().1.split_once(' ').unwrap();
        assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");
        assert!(ready.contains(&format!("STATUS=listening on http://{address}")), "{ready}");
        manager.wait_for("WATCHDOG=1");
        server.interrupt();
        manager.wait_for("STOPPING=1");
        let (code, said, _) = server.wait();
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_server_that_cannot_listen_never_says_that_it_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = in_dir(&directory, "notify");
    let manager = Manager::at(&path);
    let first = Server::start(&[]);
    for (listen, udp) in [(first.signal.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", first.udp.as_str())] {
        let mut second = program("framewire-server");
        let output = second.args(["--listen", listen, "--udp", udp]).env("NOTIFY_SOCKET", &path).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
    }
    manager.0.set_nonblocking(true).unwrap();
    assert_eq!(manager.hear().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    first.stop();
}

#[test]
fn a_manager_that_is_gone_holds_no_server_up() {
    let mut server = program("framewire-server");
    server.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--seconds", "0.1"]);
    let output = server.env("NOTIFY_SOCKET", "/nowhere/notify").env("WATCHDOG_USEC", "1000").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_log_for_programs_is_an_object_a_line_to_the_last() {
    let server = Server::start_json();
    let arguments = ["pattern:64x48", "--frames", "3", "--log-format", "json", "-v"];
    let output = server.client(&arguments).env("FRAMEWIRE_FRAMS", "3").output().unwrap();
    let client = String::from_utf8(output.stderr).unwrap();
    assert!(client.contains("did you mean FRAMEWIRE_FRAMES?"), "{client}");
    server.running.interrupt();
    let (_, said, _) = server.running.wait();
    for said in [&client, &said] {
        let objects: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert!(objects.iter().all(|object| object["level"].is_string() && object["timestamp"].is_string()));
        assert!(objects.iter().any(|object| object["fields"]["message"].as_str().unwrap().contains("delivered")));
    }
    assert!(said.contains("\"stream opened\"") && said.contains("\"target\":\"framewire_transport::"), "{said}");
    let failed = run("framewire-client", &["nowhere.y4m", "--log-format", "json"]);
    let first = String::from_utf8(failed.stderr).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["level"], "ERROR", "{first}");
}

impl Server {
    fn start_json() -> Self {
        let mut command = program("framewire-server");
        command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "-v", "--log-format", "json"]);
        let mut running = Running::start(&mut command);
        let line: Value = serde_json::from_str(&running.wait_for("listening on http://")).unwrap();
        let line = line["fields"]["message"].as_str().unwrap().to_owned();
        let (_, addresses) = line.split_once("http://").unwrap();
        let (signal, udp) = addresses.split_once(" (Socket.IO) and UDP ").unwrap();
        Self { running, scheme: "http".to_owned(), signal: signal.to_owned(), udp: udp.to_owned() }
    }
}

/// Opens a stream that nobody has announced.
fn opening(cookie: u64) -> Open {
    let frame_bytes = 64;
    Open {
        stream: 7,
        epoch: 1,
        flags: 0,
        slice_bytes: 1472,
        cookie,
        first_frame: 0,
        width: frame_bytes,
        height: 1,
        stride: frame_bytes,
        frame_bytes,
        rate_num: 0,
        rate_den: 0,
        aspect_num: 0,
        aspect_den: 0,
        scan: 0,
        chroma: 0,
        range: 0,
        paced: 0,
        deadline_us: 0,
        pixel: PixelFormat::Gray8.code(),
        tail_max: 0,
        parity_max: 0,
        delivery: Delivery::Every as u8,
        reserved: 0,
        clock_id: 0,
        sender_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    }
}

#[test]
fn a_peer_that_is_refused_a_thousand_times_is_a_few_lines_and_a_count() {
    const TIMES: u64 = 1000;
    let server = Server::start(&["-v"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(&server.udp).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 2048];
    let mut ask = |cookie| {
        socket.send(&opening(cookie).emit()).unwrap();
        let len = socket.recv(&mut answer).unwrap();
        answer[..len].to_vec()
    };
    let cookie = Challenge::parse(&ask(0)).unwrap().cookie;
    for _ in 0..TIMES {
        Refuse::parse(&ask(cookie)).unwrap();
    }
    let said = server.stop();
    let lines = said.lines().filter(|line| line.contains("refused a stream")).count() as u64;
    let counted = said.lines().filter(|line| line.contains("more lines like those from framewire_transport::"));
    let left_out: u64 = counted.map(left_out).sum();
    assert_eq!(lines + left_out, TIMES, "{said}");
    assert!((1..TIMES / 2).contains(&lines), "{lines} lines");
}

/// The count in a line such as `<time> INFO 990 more lines like those …`.
fn left_out(line: &str) -> u64 {
    let before = line.split(" more lines").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_server_takes_its_example_configuration_as_it_is() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/framewire.toml");
    for name in ["framewire-server", "framewire-client"] {
        let output = run(name, &["--config", path_text(&example), "--print-config"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_calls_well_protected() {
    let analyze = |arguments: &[&str]| std::process::Command::new("systemd-analyze").args(arguments).output();
    if analyze(&["--version"]).is_err() {
        framewire_testing::skip("systemd-analyze is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let unit = in_dir(&directory, "framewire-server.service");
    let text = include_str!("../packaging/framewire-server.service");
    // It wants the program to be there.
    std::fs::write(&unit, text.replace("/usr/bin/framewire-server", env!("CARGO_BIN_EXE_framewire-server"))).unwrap();
    for check in [&["verify", "--man=no"][..], &["security", "--offline=true", "--threshold=20"]] {
        let output = analyze(&[check, &[path_text(&unit)]].concat()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let complains = said.contains("framewire-server.service");
        assert!(output.status.success() && !complains, "{said}{}", String::from_utf8_lossy(&output.stdout));
    }
}
