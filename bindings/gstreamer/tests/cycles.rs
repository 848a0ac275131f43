//! Either element begun and ended again and again, by shared memory and by UDP: nothing is left of it, as GStreamer's tracer of leaks knows objects and the
//! system descriptors. `FRAMEWIRE_CYCLES` says how often, 200 times by default.

use std::time::{Duration, Instant};

use gst::prelude::*;

/// More than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

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
    // SAFETY: nothing of GStreamer's is used from here on, and what used it has ended.
    unsafe { gst::deinit() };
    let told = std::fs::read_to_string(&log).unwrap();
    let left: Vec<_> =
        told.lines().filter(|line| line.contains("object-alive, ") && !line.contains("new format")).collect();
    assert!(told.contains("GST_TRACER"), "the tracer said nothing");
    assert!(left.is_empty(), "{} objects are left: {:#?}", left.len(), &left[..left.len().min(20)]);
    println!("test cycles ... ok ({cycles} of each)");
}

fn begun(description: &str) -> gst::Pipeline {
    let pipeline: gst::Pipeline = gst::parse::launch(description).unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// Each time until the element of this name has counted a frame by this one of its statistics.
fn repeat(cycles: usize, description: &str, counted: Option<(&str, &str)>) {
    for _ in 0..cycles {
        let pipeline = begun(description);
        if let Some((name, count)) = counted {
            let element = pipeline.by_name(name).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while element.property::<gst::Structure>("stats").get::<u64>(count).unwrap() == 0 {
                assert!(Instant::now() < deadline, "{description}: no frame in time");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
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
