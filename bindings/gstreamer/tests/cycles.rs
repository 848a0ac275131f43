//! Either element begun and ended again and again, by shared memory, by UDP and at a server, a new one each time and one and the same: nothing is left of it, as
//! GStreamer's tracer of leaks knows objects, and the system descriptors, mappings of slots and threads. `FRAMEWIRE_CYCLES` says how often, 200 times by default.

mod program;

use std::path::Path;

use framewire_testing::{wait_for, wait_until};
use gst::prelude::*;

use program::Server;

/// Threads without work that GLib keeps at most.
const KEPT: usize = 8;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("cycles: test");
        return;
    }
    let place = tempfile::Builder::new().prefix("fw").tempdir_in("/tmp").unwrap();
    let log = place.path().join("log");
    for (name, value) in
        [("GST_TRACERS", "leaks"), ("GST_DEBUG", "GST_TRACER:7"), ("GST_DEBUG_FILE", log.to_str().unwrap())]
    {
        // SAFETY: no other thread has been started.
        unsafe { std::env::set_var(name, value) };
    }
    gst::init().unwrap();
    gstframewire::plugin_register_static().unwrap();
    let cycles: usize = std::env::var("FRAMEWIRE_CYCLES").ok().map_or(200, |cycles| cycles.parse().unwrap());
    let hub = |name: &str| place.path().join(name).display().to_string();
    let gray = "video/x-raw,format=GRAY8,width=640,height=480,framerate=200/1";
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = peer.local_addr().unwrap();

    let sink_of = |name: &str| format!("framewiresink name=out sync=false stream=cam share={}", hub(name));
    let (sent, taken) = (Some(("out", "frames-sent")), Some(("src", "frames-taken")));
    scene("a sink by shared memory", cycles, |cycles| {
        repeat(cycles, &format!("videotestsrc ! {gray} ! {}", sink_of("a")), sent);
    });
    scene("a sink by UDP that nobody hears", cycles, |cycles| {
        repeat(cycles, &format!("videotestsrc ! {gray} ! framewiresink name=out path=udp address={nobody}"), sent);
    });
    scene("a source by shared memory", cycles, |cycles| {
        let publisher = begun(&format!("videotestsrc is-live=true ! {gray} ! {}", sink_of("b")));
        repeat(cycles, &format!("framewiresrc name=src stream=cam share={} ! fakesink", hub("b")), taken);
        publisher.set_state(gst::State::Null).unwrap();
    });
    scene("a source of what is not there", cycles, |cycles| {
        repeat(cycles, &format!("framewiresrc stream=none share={} ! fakesink", hub("c")), None);
    });
    scene("a sink by UDP that is heard", cycles, |cycles| {
        let receiver = begun("framewiresrc name=src listen=127.0.0.1:0 ! fakesink sync=false");
        let stats: gst::Structure = receiver.by_name("src").unwrap().property("stats");
        let address: String = stats.get("local-address").unwrap();
        repeat(cycles, &format!("videotestsrc ! {gray} ! framewiresink name=out path=udp address={address}"), sent);
        receiver.set_state(gst::State::Null).unwrap();
    });
    scene("a source by UDP", cycles, |cycles| {
        let listening = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sender = begun(&format!(
            "videotestsrc is-live=true ! {gray} ! framewiresink sync=false path=udp address={listening}"
        ));
        repeat(cycles, &format!("framewiresrc name=src listen={listening} ! fakesink"), taken);
        sender.set_state(gst::State::Null).unwrap();
    });
    at_a_server(place.path(), gray, cycles);
    // SAFETY: nothing of GStreamer's is used from here on, and what used it has ended.
    unsafe { gst::deinit() };
    let told = std::fs::read_to_string(&log).unwrap();
    let left: Vec<_> =
        told.lines().filter(|line| line.contains("object-alive, ") && !line.contains("new format")).collect();
    assert!(told.contains("GST_TRACER"), "the tracer said nothing");
    assert!(left.is_empty(), "{} objects are left: {:#?}", left.len(), &left[..left.len().min(20)]);
    println!("test cycles ... ok ({cycles} of each, and a tenth of that at a server)");
}

fn made(description: &str) -> gst::Pipeline {
    gst::parse::launch(description).unwrap().downcast().unwrap()
}

fn begun(description: &str) -> gst::Pipeline {
    let pipeline = made(description);
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// Both ends at a server, where there is one; a tenth as often, as ends there take their time to find and to leave each other.
fn at_a_server(folder: &Path, gray: &str, cycles: usize) {
    let Some(server) = Server::start(folder, "127.0.0.1:0", &[]) else { return };
    let cycles = cycles.div_ceil(10);
    let (sent, taken) = (Some(("out", "frames-delivered")), Some(("src", "frames-taken")));
    for path in ["udp", "shm"] {
        scene(&format!("a sink at a server by {path}"), cycles, |cycles| {
            let sink = format!("framewiresink name=out sync=false stream=sink server={} path={path}", server.url);
            repeat(cycles, &format!("videotestsrc ! {gray} ! {sink}"), sent);
        });
    }
    let sender = begun(&format!(
        "videotestsrc is-live=true ! {gray} ! framewiresink sync=false stream=cam server={}",
        server.url
    ));
    for place in [format!("server={}", server.url), format!("share={}", folder.join("server.sock").display())] {
        scene(&format!("a source of a server's by {}", &place[..6]), cycles, |cycles| {
            repeat(cycles, &format!("framewiresrc name=src stream=cam {place} ! fakesink"), taken);
        });
    }
    sender.set_state(gst::State::Null).unwrap();
}

/// With a new pipeline each time, and with the same; each time until the element of this name has counted a frame by this one of its statistics.
fn repeat(cycles: usize, description: &str, counted: Option<(&str, &str)>) {
    for _ in 0..cycles {
        once(&made(description), description, counted);
    }
    let same = made(description);
    for _ in 0..cycles {
        once(&same, description, counted);
    }
}

fn once(pipeline: &gst::Pipeline, description: &str, counted: Option<(&str, &str)>) {
    pipeline.set_state(gst::State::Playing).unwrap();
    if let Some((name, count)) = counted {
        let element = pipeline.by_name(name).unwrap();
        wait_until(format_args!("a frame of {description}"), || {
            element.property::<gst::Structure>("stats").get::<u64>(count).unwrap() > 0
        });
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What is there after so many cycles is what was there after one.
fn scene(what: &str, cycles: usize, play: impl Fn(usize)) {
    play(1);
    let before = Left::now();
    play(cycles);
    // A thread that ends closes what it has a moment later.
    let after = wait_for(format_args!("{what}: after {cycles} cycles no more is left than {before:?}"), || {
        let now = Left::now();
        if now.is_within(&before) { Ok(now) } else { Err(format!("{now:?}")) }
    });
    println!("{what}: {cycles} cycles, {after:?}");
}

/// What this process has.
#[derive(Debug)]
struct Left {
    descriptors: usize,
    /// Of memory that has no file, as slots have none.
    mappings: usize,
    /// The library's own.
    threads: usize,
    /// GStreamer's, which keeps some that have ended for those to come.
    others: usize,
}

impl Left {
    fn now() -> Self {
        let mappings = std::fs::read_to_string("/proc/self/maps").unwrap();
        let (threads, others): (Vec<_>, Vec<_>) = std::fs::read_dir("/proc/self/task")
            .unwrap()
            // One that has ended meanwhile has no name.
            .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok())
            .partition(|name| name.starts_with("framewire-"));
        Self {
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            mappings: mappings.lines().filter(|line| line.contains("/memfd:")).count(),
            threads: threads.len(),
            others: others.len(),
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && self.mappings <= before.mappings
            && self.threads <= before.threads
            && self.others <= before.others + KEPT
    }
}
