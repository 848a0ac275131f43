//! A wall clock that is set by an hour while a stream is recorded, and while the recording is sent again: neither end notices. Nor do a
//! protected server and its client whose clocks are an hour apart.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod protected;
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use framewire_testing::wait_for;
use protected::{JOIN, Protected, client};
use running::{Running, Server, figure, in_dir, path_text, program, recorded_frames, write_private};
use serde_json::Value;

/// Stands in front of the system's clock, and adds to it the seconds that a file has.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t which, struct timespec *time) {
    static int (*really)(clockid_t, struct timespec *);
    if (!really) really = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = really(which, time);
    const char *path = getenv("SET_CLOCK_BY");
    FILE *file = which == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    if (file) {
        long seconds = 0;
        if (fscanf(file, "%ld", &seconds) == 1) time->tv_sec += seconds;
        fclose(file);
    }
    return answer;
}
"#;

/// A machine whose wall clock can be set.
struct Clock {
    shim: PathBuf,
    set_by: PathBuf,
}

impl Clock {
    /// `None`, said aloud, where there is no compiler.
    fn new(directory: &tempfile::TempDir) -> Option<Self> {
        let (source, shim) = (in_dir(directory, "clock.c"), in_dir(directory, "clock.so"));
        std::fs::write(&source, SHIM).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).arg("-ldl").output();
        if !built.is_ok_and(|built| built.status.success()) {
            framewire_testing::skip("no C compiler `cc`: apt-get install gcc libc6-dev");
            return None;
        }
        let clock = Self { shim, set_by: in_dir(directory, "set-by") };
        clock.set(0);
        Some(clock)
    }

    /// That of another machine.
    fn of_another(&self) -> Self {
        let clock = Self { shim: self.shim.clone(), set_by: self.set_by.with_extension("another") };
        clock.set(0);
        clock
    }

    /// Sets it, so many seconds from what is right.
    fn set(&self, seconds: i64) {
        let new = self.set_by.with_extension("new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, &self.set_by).unwrap();
    }

    fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.shim).env("SET_CLOCK_BY", &self.set_by)
    }
}

/// The lines of an index behind its head.
fn entries(recording: &Path) -> Vec<Value> {
    let index = recording.with_extension("raw.index");
    let text = std::fs::read_to_string(index).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Frames of a stream whose clock is set meanwhile.
const FRAMES: usize = 150;

/// Sends `source` into a recording on a machine whose clock is off by the first so many seconds, and by the second once `half` of the frames
/// are there.
fn record(clock: &Clock, source: &[&str], recording: &Path, half: usize, set_by: [i64; 2]) -> Vec<u8> {
    clock.set(set_by[0]);
    let server = Server::start_by(
        clock
            .on(program("framewire-server").args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]))
            .args(["--sink", path_text(recording)]),
    );
    let mut client = server.client(source);
    let client = Running::start(clock.on(client.args(["--delivery", "every", "--json"])));
    wait_for(format_args!("{half} recorded frames"), || {
        let recorded = entries(recording).len();
        if recorded >= half { Ok(()) } else { Err(format!("{recorded} are there")) }
    });
    clock.set(set_by[1]);
    let before = entries(recording).len();
    assert!(half == 0 || before < FRAMES, "all frames were there before the clock was set");
    let (code, said, summary) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    server.stop();
    summary
}

/// Sees that programs take the clock for what it is set to.
fn shows_another_time(clock: &Clock, recording: &Path) {
    let earliest = SystemTime::now();
    record(clock, &["pattern:64x48", "--frames", "1"], recording, 0, [3_600, 3_600]);
    let utc_ns = entries(recording)[0]["utc_ns"].as_u64().unwrap();
    let ahead = (SystemTime::UNIX_EPOCH + Duration::from_nanos(utc_ns)).duration_since(earliest).unwrap();
    // As exactly as clocks are known to each other.
    assert!(ahead > Duration::from_secs(3_500), "{ahead:?}");
}

#[test]
fn an_hour_more_or_less_moves_neither_the_order_nor_the_times_nor_the_latency_nor_the_replay() {
    let directory = tempfile::tempdir().unwrap();
    let Some(clock) = Clock::new(&directory) else { return };
    shows_another_time(&clock, &in_dir(&directory, "one.raw"));
    for set_by in [3_600, -3_600] {
        let (first, again) = (in_dir(&directory, "first.raw"), in_dir(&directory, "again.raw"));
        let camera = ["pattern:64x48", "--fps", "60", "--frames", "150"];
        let summary = record(&clock, &camera, &first, 30, [0, set_by]);
        assert_eq!(figure(&summary, &["frames_delivered"]), 150.0);
        let latency = figure(&summary, &["latency_ms", "max"]);
        assert!(latency < 3_000_000.0, "{latency}");
        let replay = record(&clock, &[path_text(&first), "--fps", "source"], &again, 30, [0, -set_by]);
        assert_eq!(figure(&replay, &["frames_delivered"]), 150.0);
        let (recorded, sent_again) = (recorded_frames(&first), recorded_frames(&again));
        for frames in [&recorded, &sent_again] {
            assert!(frames.iter().map(|(number, _)| *number).eq(0..150), "{frames:?}");
            assert!(frames.windows(2).all(|pair| pair[0].1 < pair[1].1), "{frames:?}");
            let whole = frames[149].1.duration_since(frames[0].1).unwrap();
            assert!(whole < Duration::from_secs(3_000), "{whole:?}");
        }
        // What is sent again has the times of its places in the recording.
        assert_eq!(recorded, sent_again);
        for recording in [first, again] {
            std::fs::remove_file(recording.with_extension("raw.index")).unwrap();
            std::fs::remove_file(recording).unwrap();
        }
    }
}

/// A certificate for `localhost` and its key, good for so long before and after now.
fn certificate(directory: &tempfile::TempDir, around: Duration) -> [PathBuf; 2] {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| in_dir(directory, name));
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - around).into(), (now + around).into());
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    write_private(&key, &pair.serialize_pem());
    [certificate, key]
}

#[test]
fn clocks_an_hour_apart_keep_nobody_out_who_has_the_pin_or_a_certificate_for_the_day() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
    let directory = tempfile::tempdir().unwrap();
    let Some(clock) = Clock::new(&directory) else { return };
    let of_client = clock.of_another();
    // By how much the clocks of server and client are off, and what is said to who goes by a certificate that is good for less than that.
    for (server_by, client_by, around, says) in [
        (0, 3_600, DAY, None),
        (0, -3_600, DAY, None),
        (3_600, 0, DAY, None),
        (-3_600, 0, DAY, None),
        (0, 3_600, HALF_AN_HOUR, Some("have it renewed, or set this machine's clock")),
        (0, -3_600, HALF_AN_HOUR, Some("set this machine's clock, or the one of who made it")),
        // The server's own clock is of no matter to who looks at the certificate.
        (3_600, 0, HALF_AN_HOUR, None),
    ] {
        clock.set(server_by);
        of_client.set(client_by);
        let [certificate, key] = certificate(&directory, around);
        let server = Protected::start_by(
            clock.on(&mut program("framewire-server")),
            "127.0.0.1:0",
            &directory,
            &["--tls-cert", path_text(&certificate), "--tls-key", path_text(&key)],
        );
        let (url, token, join) = (format!("https://{}", server.signal), server.state("token"), server.state(JOIN));
        let by_authority = ["--server", &url, "--ca", path_text(&certificate), "--token-file", path_text(&token)];
        let by_pin = ["--join", path_text(&join)];
        let start = |by: &[&str]| {
            let mut client = client(by);
            client.args(["pattern:64x48", "--frames", "5", "--delivery", "every", "--json"]);
            Running::start(of_client.on(&mut client))
        };
        let streams = |by: &[&str]| {
            let (code, said, summary) = start(by).wait();
            assert_eq!(code, Some(0), "server {server_by} s, client {client_by} s off: {said}");
            assert_eq!(figure(&summary, &["frames_delivered"]), 5.0);
            assert_eq!(serde_json::from_slice::<Value>(&summary).unwrap()["protected"], true);
        };
        streams(&by_pin);
        match says {
            None => streams(&by_authority),
            // It tries on until it is ended.
            Some(says) => {
                let mut refused = start(&by_authority);
                refused.wait_for(says);
                refused.kill();
            }
        }
        server.stop();
    }
}
