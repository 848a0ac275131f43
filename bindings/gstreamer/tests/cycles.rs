//! Either element begun and ended again and again, by shared memory and by UDP: nothing is left of it, as GStreamer's tracer of leaks knows objects and the
//! system descriptors. `FRAMEWIRE_CYCLES` says how often, 200 times by default.

use std::time::Duration;

use gst::prelude::*;

/// More than anything takes on a busy machine.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

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
    scene("a sink by shared memory", cycles, |cycles| {
        repeat(cycles, &format!("videotestsrc ! {gray} ! {}", sink_of("a")), true);
    });
    scene("a sink by UDP that nobody hears", cycles, |cycles| {
        repeat(cycles, &format!("videotestsrc ! {gray} ! framewiresink path=udp address={nobody}"), true);
    });
    scene("a source by shared memory", cycles, |cycles| {
        let publisher = begun(&format!("videotestsrc is-live=true ! {gray} ! {}", sink_of("b")));
        repeat(cycles, &format!("framewiresrc stream=cam share={} ! fakesink", hub("b")), false);
        publisher.set_state(gst::State::Null).unwrap();
    });
    scene("a source of what is not there", cycles, |cycles| {
        repeat(cycles, &format!("framewiresrc stream=none share={} ! fakesink", hub("c")), false);
    });
    scene("a sink by UDP that is heard", cycles, |cycles| {
        let receiver = begun("framewiresrc name=src listen=127.0.0.1:0 ! fakesink sync=false");
        let stats: gst::Structure = receiver.by_name("src").unwrap().property("stats");
        let address: String = stats.get("local-address").unwrap();
        repeat(cycles, &format!("videotestsrc ! {gray} ! framewiresink path=udp address={address}"), true);
        receiver.set_state(gst::State::Null).unwrap();
    });
    scene("a source by UDP", cycles, |cycles| {
        repeat(cycles, "framewiresrc listen=127.0.0.1:0 ! fakesink", false);
    });
    // SAFETY: nothing of GStreamer's is used from here on, and what used it has ended.
    unsafe { gst::deinit() };
    let told = std::fs::read_to_string(&log).unwrap();
    let left: Vec<_> = told.lines().filter(|line| line.contains("object-alive")).collect();
    assert!(told.contains("GST_TRACER"), "the tracer said nothing");
    assert!(left.is_empty(), "{} objects are left: {:#?}", left.len(), &left[..left.len().min(20)]);
    println!("test cycles ... ok ({cycles} of each)");
}

fn begun(description: &str) -> gst::Pipeline {
    let pipeline: gst::Pipeline = gst::parse::launch(description).unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// `flows`: its sink has had a buffer each time.
fn repeat(cycles: usize, description: &str, flows: bool) {
    for _ in 0..cycles {
        let pipeline = begun(description);
        let (done, _, _) = pipeline.state(if flows { PATIENCE } else { gst::ClockTime::ZERO });
        assert!(done.is_ok(), "{description}: {done:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// What is there after so many cycles is what was there after one.
fn scene(what: &str, cycles: usize, play: impl Fn(usize)) {
    play(1);
    let before = descriptors();
    play(cycles);
    let mut after = descriptors();
    // A thread that ends closes what it has a moment later.
    for _ in 0..1000 {
        if after <= before {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        after = descriptors();
    }
    assert!(after <= before, "{what}: {before} descriptors before, {after} after {cycles} cycles");
    println!("{what}: {cycles} cycles, {after} descriptors");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
