//! What a server's streams may take: those that need more are refused with the flag and the number, and those that are there
//! go on.
#![allow(missing_docs)]

mod running;

use running::{Server, run};

/// Sends a few frames of a pattern; returns the exit code and what was said.
fn client(server: &Server, pattern: &str) -> (Option<i32>, String) {
    let address = format!("http://{}", server.signal);
    let arguments = ["--server", &address, pattern, "--delivery", "every", "--frames", "2", "--fps", "max"];
    let output = run("framewire-client", &arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_stream_that_needs_more_than_one_may_have_is_refused_over_socket_io_with_flag_and_number() {
    let server = Server::start(&["--memory", "64MiB", "--stream-memory", "16MiB"]);
    assert_eq!(client(&server, "pattern:320x240:gray8").0, Some(0));
    let (code, said) = client(&server, "pattern:7680x4320:bgr24");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--stream-memory") && said.contains("16777216"), "{said}");
    assert_eq!(client(&server, "pattern:320x240:gray8").0, Some(0));
    server.stop();
}

#[test]
fn a_stream_that_fits_no_memory_of_all_is_refused_with_flag_and_number() {
    let server = Server::start(&["--memory", "8MiB", "--stream-memory", "1GiB"]);
    let (code, said) = client(&server, "pattern:1920x1080:bgr24");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--memory") && said.contains("8388608"), "{said}");
    assert_eq!(client(&server, "pattern:320x240:gray8").0, Some(0));
    server.stop();
}

#[test]
fn a_frame_of_132_megapixels_passes_where_that_is_allowed() {
    // Eight of its frames at the server, three at the client.
    const NEEDED_KIB: u64 = 3 << 20;
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|lines| {
        let line = lines.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix(" kB")?;
        line.parse::<u64>().ok()
    });
    if available.is_none_or(|available| available < NEEDED_KIB) {
        framewire_testing::skip("this machine has less than 3 GiB of memory to spare");
        return;
    }
    let server = Server::start(&["--memory", "2GiB", "--stream-memory", "2GiB"]);
    let (code, said) = client(&server, "pattern:15360x8640:gray8");
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}
