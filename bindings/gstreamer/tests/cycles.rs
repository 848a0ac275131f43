//! Either element begun and ended again and again, by shared memory and by UDP: nothing is left of it, as GStreamer's tracer of leaks counts objects and the
//! system counts descriptors. `FRAMEWIRE_CYCLES` says how often, 200 times by default.

use std::time::Duration;

use gst::prelude::*;

/// More than anything takes on a busy machine.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("cycles: test");
        return;
    }
    // SAFETY: no other thread has been started.
    unsafe { std::env::set_var("GST_TRACERS", "leaks") };
    gst::init().unwrap();
    gstframewire::plugin_register_static().unwrap();
    let cycles: usize = std::env::var("FRAMEWIRE_CYCLES").ok().map_or(200, |cycles| cycles.parse().unwrap());
    let place = tempfile::Builder::new().prefix("fw").tempdir_in("/tmp").unwrap();
    let hub = |name: &str| place.path().join(name).display().to_string();
    let gray = "video/x-raw,format=GRAY8,width=640,height=480,framerate=200/1";
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = peer.local_addr().unwrap();

    cycle("a sink by shared memory", cycles, &format!("videotestsrc ! {gray} ! framewiresink stream=cam share={}", hub("a")), true);
    cycle("a sink by UDP", cycles, &format!("videotestsrc ! {gray} ! framewiresink sync=false path=udp address={nobody}"), true);
    let publisher = begun(&format!("videotestsrc is-live=true ! {gray} ! framewiresink name=out sync=false stream=cam share={}", hub("b")));
    cycle("a source by shared memory", cycles, &format!("framewiresrc stream=cam share={} ! fakesink", hub("b")), true);
    cycle("a source of what is not there", cycles, &format!("framewiresrc stream=none share={} ! fakesink", hub("c")), false);
    publisher.set_state(gst::State::Null).unwrap();
    drop(publisher);

    let receiver = begun("framewiresrc name=src listen=127.0.0.1:0 ! fakesink sync=false");
    let stats: gst::Structure = receiver.by_name("src").unwrap().property("stats");
    let address: String = stats.get("local-address").unwrap();
    drop(stats);
    cycle("a sink by UDP that is heard", cycles, &format!("videotestsrc ! {gray} ! framewiresink path=udp address={address}"), true);
    receiver.set_state(gst::State::Null).unwrap();
    drop(receiver);
    cycle("a source by UDP", cycles, "framewiresrc listen=127.0.0.1:0 ! fakesink", false);

    let left = alive();
    assert!(left.is_empty(), "left of all: {left:?}");
    println!("test cycles ... ok ({cycles} of each)");
}

fn begun(description: &str) -> gst::Pipeline {
    let pipeline: gst::Pipeline = gst::parse::launch(description).unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// `flows`: buffers come out of it, and one is waited for each time.
fn cycle(what: &str, cycles: usize, description: &str, flows: bool) {
    let once = || {
        let pipeline = begun(description);
        let (done, _, _) = pipeline.state(if flows { PATIENCE } else { gst::ClockTime::ZERO });
        assert!(done.is_ok(), "{what}: {done:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    };
    // What is made once is there now.
    once();
    let (objects, before) = (alive().len(), descriptors());
    for _ in 0..cycles {
        once();
    }
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
    let left = alive();
    assert!(left.len() <= objects, "{what}: {objects} objects before, after {cycles} cycles {left:?}");
    println!("{what}: {cycles} cycles, {after} descriptors, {} objects", left.len());
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What the tracer of leaks knows of that is alive.
fn alive() -> Vec<String> {
    let tracers = gst::active_tracers();
    let leaks = tracers.iter().find(|tracer| tracer.type_().name() == "GstLeaksTracer").expect("the tracer of leaks is there");
    let live: gst::Structure = leaks.emit_by_name("get-live-objects", &[]);
    let objects = live.get::<gst::List>("live-objects-list").unwrap();
    objects.iter().filter_map(|object| object.get::<gst::Structure>().ok()).map(|object| object.to_string()).collect()
}
