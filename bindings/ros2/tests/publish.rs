//! Streams as topics, as an independent middleware sees them.

mod running;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use framewire_ends::{Hub, OpenOptions, Output, OutputOptions, Slot, Source};
use framewire_testing::{Signal, wait_for};
use framewire_transport::frame::MetadataKind;
use framewire_transport::share::{Endpoint, ShareConfig};
use framewire_transport::{FrameFormat, PixelFormat, PublishConfig, Publisher};
use running::{Domain, PATIENCE, crc32};

const UTC: u64 = 1_795_000_000_123_456_789;

fn send(output: &Output, fill: impl FnOnce(&mut Slot)) -> u64 {
    let mut slot = output.frame_to_fill(PATIENCE).unwrap().unwrap();
    fill(&mut slot);
    output.send(slot).unwrap()
}

fn fives(slot: &mut Slot) {
    slot.fill(5);
}

/// Sends again and again while something is done.
fn while_sending<T>(output: &Output, fill: impl Fn(&mut Slot) + Sync, every: Duration, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                send(output, &fill);
                std::thread::sleep(every);
            }
        });
        // The sender is to end whatever becomes of the work.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn every_format_that_ros_has_arrives_byte_for_byte_with_its_rows_and_what_it_has_not_is_told_by_name() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("all");
    let publisher = Publisher::bind(ShareConfig::new(Endpoint::path(&socket).unwrap())).unwrap();
    let (named, unnamed): (Vec<PixelFormat>, Vec<PixelFormat>) =
        PixelFormat::ALL.into_iter().partition(|pixel| pixel.ros().is_some());
    let format = |pixel: PixelFormat| {
        let (width, height) = if pixel == PixelFormat::Bytes { (288, 1) } else { (48, 6) };
        let dense = FrameFormat::new(pixel, width, height).unwrap();
        FrameFormat::with_stride(pixel, 48, 6, dense.stride() + 8).unwrap_or(dense)
    };
    let stream = |pixel: PixelFormat| publisher.stream(pixel.name(), PublishConfig::new(format(pixel))).unwrap();
    let streams: Vec<_> = named.iter().chain(&unnamed).map(|pixel| (*pixel, stream(*pixel))).collect();
    let pixels = |pixel: PixelFormat| -> Vec<u8> {
        (0..format(pixel).frame_bytes()).map(|at| (at * 31 + usize::from(pixel.code())) as u8).collect()
    };
    let send_all = || {
        for (pixel, stream) in &streams {
            let bytes = pixels(*pixel);
            let mut frame = stream.frame_timeout(PATIENCE).unwrap().unwrap();
            frame.set_len(bytes.len()).unwrap();
            frame.copy_from_slice(&bytes);
            stream.send(frame).unwrap();
        }
    };
    let program = domain.program("publish", &["--share", &socket]);
    // A topic is there from its stream's first frame on; a stream is found a moment after its hub.
    let deadline = Instant::now() + PATIENCE;
    let (mut topics, mut told) = (0, 0);
    while topics < named.len() || told < unnamed.len() {
        assert!(Instant::now() < deadline, "{topics} topics, {told} told");
        send_all();
        while let Some(line) = program.heard(Duration::from_millis(50)) {
            topics += usize::from(line.contains("' is /"));
            told += usize::from(line.contains("which ROS has no encoding for"));
        }
    }
    assert_eq!((topics, told), (named.len(), unnamed.len()));
    let names: Vec<String> = named.iter().map(|pixel| format!("/{pixel}/image_raw")).collect();
    let peer = domain.peer("subscribe", &[&names.join(","), "--count", "1000000"]);
    let mut seen = BTreeSet::new();
    while seen.len() < named.len() {
        assert!(Instant::now() < deadline, "{seen:?} of {named:?}");
        send_all();
        while let Some(image) = peer.heard(Duration::from_millis(100)) {
            let Some(topic) = image["topic"].as_str() else { continue };
            let pixel = *named.iter().find(|pixel| topic == format!("/{pixel}/image_raw")).unwrap();
            let format = format(pixel);
            let size = (image["width"].as_u64(), image["height"].as_u64(), image["step"].as_u64());
            assert_eq!(size, (Some(48), Some(6), Some(format.stride().into())), "{pixel}");
            assert_eq!(image["encoding"], pixel.ros().unwrap(), "{pixel}");
            assert_eq!((&image["is_bigendian"], &image["whole"]), (&0.into(), &true.into()), "{pixel}");
            assert_eq!(image["frame_id"], pixel.name());
            assert_eq!(image["sum"], crc32(&pixels(pixel)), "{pixel}");
            seen.insert(pixel);
        }
    }
    let summary = program.end();
    assert!(summary["frames_unpublished"]["refused"].as_u64() >= Some(unnamed.len() as u64), "{summary}");
}

#[test]
fn stamps_frame_ids_and_calibrations_are_those_of_the_frames() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain
        .program("publish", &["front", "--share", &socket, "--frame-id", "left_optical", "--namespace", "robot1"]);
    let topic = "/robot1/front/image_raw";
    let images = domain.peer("subscribe", &[topic, "--count", "100000"]);
    let infos = domain.peer("subscribe", &["/robot1/front/camera_info", "--count", "1", "--type", "info"]);
    let matrix = [600.5, 0.0, 32.0, 0.0, 601.0, 24.0, 0.0, 0.0, 1.0];
    let metadata =
        serde_json::json!({"frame_id": "own", "intrinsics": matrix, "distortion": [0.5, -0.25, 0, 0, 0.125]});
    let image = while_sending(&output, fives, Duration::from_millis(20), || images.said("encoding"));
    assert_eq!(image["frame_id"], "left_optical");
    // One that lives is stamped by this machine's clock.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(now.abs_diff(image["stamp"].as_u64().unwrap()) < PATIENCE.as_nanos() as u64 * 2, "{image}");
    let shot = |slot: &mut Slot| {
        slot.set_metadata(MetadataKind::Json, metadata.to_string().as_bytes()).unwrap();
        slot.info.captured_utc = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(UTC));
        slot.fill(9);
    };
    send(&output, shot);
    let image = loop {
        let image = images.said("encoding");
        if image["frame_id"] == "own" {
            break image;
        }
    };
    assert_eq!((&image["stamp"], &image["sum"]), (&UTC.into(), &crc32(&[9; 64 * 48]).into()));
    // The first calibration has a topic that nobody can have subscribed to before.
    let info = while_sending(&output, shot, Duration::from_millis(20), || infos.said("model"));
    assert_eq!((&info["frame_id"], &info["stamp"], &info["model"]), (&"own".into(), &UTC.into(), &"plumb_bob".into()));
    assert_eq!((&info["width"], &info["height"]), (&64.into(), &48.into()));
    assert_eq!(
        (&info["k"], &info["d"]),
        (&serde_json::json!(matrix), &serde_json::json!([0.5, -0.25, 0.0, 0.0, 0.125]))
    );
    assert_eq!(info["p"], serde_json::json!([600.5, 0.0, 32.0, 0.0, 0.0, 601.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    assert!(program.end()["camera_infos"].as_u64() > Some(0));
}

#[test]
fn images_of_1080p_arrive_whole_and_in_order_and_at_length_none_is_lost() {
    let Some(domain) = Domain::new() else { return };
    if !running::sockets_hold(4 << 20) {
        return;
    }
    let at_length: Option<u64> = std::env::var("FRAMEWIRE_ROS_IMAGES").ok().map(|images| images.parse().unwrap());
    let images = at_length.unwrap_or(100);
    let format = FrameFormat::new(PixelFormat::Bgr24, 1920, 1080).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket]);
    let args = ["/front/image_raw", "--summary", "--count", &images.to_string()];
    let peer = domain.peer("subscribe", &args);
    let number = AtomicU64::new(0);
    // From the first on: one may come before it is told that it can.
    let numbered = |slot: &mut Slot| {
        let (number, last) = (number.fetch_add(1, Ordering::Relaxed).to_le_bytes(), slot.len() - 8);
        slot[..8].copy_from_slice(&number);
        slot[last..].copy_from_slice(&number);
    };
    while_sending(&output, numbered, Duration::from_millis(20), || program.says("/front/image_raw has 1 subscribers"));
    let (mut at, began_with) = (Instant::now(), number.load(Ordering::Relaxed));
    let seen = loop {
        send(&output, numbered);
        at += Duration::from_nanos(33_333_333);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if let Some(seen) = peer.heard(Duration::ZERO).filter(|said| said.get("images").is_some()) {
            break seen;
        }
        assert!(number.load(Ordering::Relaxed) - began_with < images * 20 + 3_000, "so many are lost");
    };
    let summary = program.end();
    eprintln!("{seen}\n{summary}");
    assert_eq!((&seen["images"], &seen["wrong"], &seen["in_order"]), (&images.into(), &0.into(), &true.into()));
    // A machine that is busy with something else loses images, which it then counts.
    if at_length.is_some() {
        assert_eq!((&seen["missing"], &summary["frames_unpublished"]["slow_subscribers"]), (&0.into(), &0.into()));
    }
}

#[test]
fn images_for_best_effort_subscribers_are_not_kept_once_they_left() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 1280, 720).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket, "--depth", "2", "--frames", "400"]);
    // Whether images arrive is not asked here: that is for sockets to say.
    let peer = ["/front/image_raw", "--count", "1000000", "--best-effort", "--patience", "1000000"];
    let _peer = domain.peer("subscribe", &peer);
    let deadline = Instant::now() + PATIENCE * 2;
    let mut most_mb = 0;
    while let Some(memory_mb) = program.memory_mb() {
        assert!(Instant::now() < deadline, "it does not end");
        most_mb = memory_mb;
        send(&output, fives);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(program.summary()["frames_published"], 400);
    // 370 MB of pixels, of which a few are in its hands at any time.
    assert!(most_mb < 120, "{most_mb} MB after 400 images");
}

#[test]
fn a_reliable_subscriber_that_stands_still_costs_the_stream_nothing_and_is_served_again_when_it_goes_on() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new().slots(16));
    let beside = Source::open(
        Some("front"),
        &OpenOptions::new().hub(socket.parse::<Hub>().unwrap()).queue(Some(8)).wait(PATIENCE),
        &mut || true,
    );
    let beside = beside.unwrap().unwrap();
    let program = domain.program("publish", &["front", "--share", &socket, "--depth", "4"]);
    let peer = domain.peer("subscribe", &["/front/image_raw", "--count", "1000000"]);
    while_sending(&output, fives, Duration::from_millis(10), || {
        program.says("/front/image_raw has 1 subscribers");
        peer.said("encoding");
        peer.send(Signal::STOP);
        program.says("a subscriber is slow or stands still");
    });
    while beside.waiting().unwrap().is_some() {}
    // Whoever reads beside it has each frame, while nothing is published.
    let mut last = None;
    for _ in 0..200 {
        let number = send(&output, |slot| slot.fill(7));
        let taken = beside.recv(PATIENCE).unwrap().unwrap();
        assert_eq!(taken.frame.info().number, number);
        assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
        last = Some(number);
        std::thread::sleep(Duration::from_millis(5));
    }
    peer.send(Signal::CONT);
    while_sending(&output, fives, Duration::from_millis(10), || {
        // What was on its way, and then what is new.
        (0..50).for_each(|_| drop(peer.said("encoding")));
    });
    let summary = program.end();
    let [frames, published, unpublished] =
        ["frames", "frames_published", "frames_unpublished"].map(|key| &summary[key]);
    let causes: u64 = unpublished.as_object().unwrap().values().map(|frames| frames.as_u64().unwrap()).sum();
    assert_eq!(frames.as_u64().unwrap(), published.as_u64().unwrap() + causes, "{summary}");
    assert!(unpublished["slow_subscribers"].as_u64() > Some(0), "{summary}");
}

#[test]
fn a_program_that_was_stopped_publishes_again_when_it_goes_on() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket]);
    let peer = domain.peer("subscribe", &["/front/image_raw", "--count", "1000000"]);
    let infos = domain.peer("subscribe", &["/front/camera_info", "--count", "1000000", "--type", "info"]);
    let is_back = AtomicBool::new(false);
    let calibrated = |slot: &mut Slot| {
        let frame_id = if is_back.load(Ordering::Relaxed) { "after" } else { "before" };
        let metadata = serde_json::json!({"frame_id": frame_id, "intrinsics": [600, 0, 32, 0, 600, 24, 0, 0, 1]});
        slot.set_metadata(MetadataKind::Json, metadata.to_string().as_bytes()).unwrap();
    };
    while_sending(&output, calibrated, Duration::from_millis(20), || {
        peer.said("encoding");
        infos.said("model");
        program.stop_and_go_on();
        program.says("it is there again");
        is_back.store(true, Ordering::Relaxed);
        for other in [&peer, &infos] {
            while other.said("frame_id")["frame_id"] != "after" {}
        }
    });
    program.end();
}

#[test]
fn who_asks_for_more_than_is_promised_is_told_of() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket, "--reliability", "best-effort"]);
    while_sending(&output, fives, Duration::from_millis(20), || program.says("is /front/image_raw"));
    let _reliable = domain.peer("subscribe", &["/front/image_raw"]);
    program.says("somebody asks for reliable images of /front/image_raw");
    let peer = domain.peer("subscribe", &["/front/image_raw", "--best-effort"]);
    while_sending(&output, fives, Duration::from_millis(20), || peer.said("encoding"));
    program.end();
}

#[test]
fn who_subscribes_to_the_topic_as_something_else_is_told_of_and_is_no_subscriber() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket]);
    while_sending(&output, fives, Duration::from_millis(20), || program.says("is /front/image_raw"));
    let _other = domain.peer("subscribe", &["/front/image_raw", "--type", "string", "--best-effort"]);
    let said = program.says("somebody subscribes to /front/image_raw as std_msgs/msg/String");
    assert!(said.contains("and it is sensor_msgs/msg/Image"), "{said}");
    for _ in 0..5 {
        send(&output, fives);
    }
    let peer = domain.peer("subscribe", &["/front/image_raw"]);
    while_sending(&output, fives, Duration::from_millis(20), || peer.said("encoding"));
    let summary = program.end();
    assert!(summary["frames_unpublished"]["unwatched"].as_u64() >= Some(5), "{summary}");
}

#[test]
fn a_hub_that_is_not_there_is_waited_for_and_so_is_one_that_went() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let socket = domain.socket("front");
    let program = domain.program("publish", &["front", "--share", &socket]);
    let waits = program.says("waiting for stream 'front'");
    assert!(waits.contains("front.sock"), "{waits}");
    let peer = domain.peer("subscribe", &["/front/image_raw", "--count", "1000000"]);
    // It comes back with another format.
    let others = FrameFormat::with_stride(PixelFormat::Bgr24, 30, 20, 96).unwrap();
    for (time, format) in [format, others].into_iter().enumerate() {
        let (output, _) = domain.output("front", format, OutputOptions::new());
        while_sending(&output, fives, Duration::from_millis(10), || {
            if time == 0 {
                program.says("is /front/image_raw");
            }
            // What was sent before it went may come as late.
            let encoding = serde_json::Value::from(format.pixel().ros());
            let image = wait_for("an image in its format", || {
                let image = peer.said("encoding");
                if image["encoding"] == encoding { Ok(image) } else { Err(image.to_string()) }
            });
            let said = ["encoding", "width", "step", "bytes"].map(|key| image[key].clone());
            let bytes = format.frame_bytes();
            let is: [serde_json::Value; 4] = [encoding, format.width().into(), format.stride().into(), bytes.into()];
            assert_eq!((said, &image["sum"]), (is, &crc32(&vec![5; bytes]).into()));
        });
        output.close(PATIENCE);
        drop(output);
        program.says("waiting for stream 'front'");
    }
    program.end();
}

#[test]
fn names_that_ros_does_not_take_are_written_as_it_does_and_two_that_become_one_are_told_of() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("all");
    let publisher = Publisher::bind(ShareConfig::new(Endpoint::path(&socket).unwrap())).unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 4).unwrap();
    let names = ["front left/cam-2", "front_left_cam_2", "2nd", "_"];
    let streams = names.map(|name| publisher.stream(name, PublishConfig::new(format)).unwrap());
    let program = domain.program("publish", &["--share", &socket]);
    let mut lines = Vec::new();
    wait_for("word of each stream", || {
        for stream in &streams {
            let frame = stream.frame_timeout(PATIENCE).unwrap().unwrap();
            stream.send(frame).unwrap();
        }
        lines.extend(std::iter::from_fn(|| program.heard(Duration::from_millis(50))));
        let of_streams = lines.iter().filter(|line| line.contains("stream '")).count();
        if of_streams >= names.len() { Ok(()) } else { Err(format!("{lines:#?}")) }
    });
    let has = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((has("'2nd' is /stream_2nd/image_raw"), has("is /front_left_cam_2/image_raw")), (1, 1), "{lines:#?}");
    assert_eq!(has("its topic would be /front_left_cam_2/image_raw"), 1, "{lines:#?}");
    assert_eq!(has("'_' is /stream_00000000/image_raw"), 1, "{lines:#?}");
    let summary = program.end();
    assert_eq!(summary["topics"].as_object().unwrap().len(), 3);
    assert!(summary["frames_unpublished"]["no_topic"].as_u64() > Some(0), "{summary}");
}

#[test]
fn others_see_a_node_with_its_writers_and_count_what_it_says() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let args = [
        "front",
        "--share",
        &socket,
        "--node",
        "cameras",
        "--namespace",
        "/robot1",
        "--topic",
        "/left/image",
        "--frames",
        "3",
    ];
    let program = domain.program("publish", &args);
    while_sending(&output, fives, Duration::from_millis(20), || program.says("is /left/image"));
    let nodes = domain.peer("nodes", &[]);
    let node = loop {
        let node = nodes.said("name");
        if node["writers"] == 1 {
            break node;
        }
    };
    assert_eq!(
        (&node["name"], &node["namespace"], &node["readers"]),
        (&"cameras".into(), &"/robot1".into(), &0.into())
    );
    let peer = domain.peer("subscribe", &["/left/image", "--count", "3"]);
    let summary = while_sending(&output, fives, Duration::from_millis(20), || {
        (0..3).for_each(|_| drop(peer.said("encoding")));
        program.summary()
    });
    assert_eq!((&summary["frames_published"], &summary["bytes"]), (&3.into(), &(3 * 64 * 48).into()));
    assert_eq!(summary["topics"]["/left/image"]["stream"], "front");
    assert!(summary["frames_unpublished"]["unwatched"].as_u64() > Some(0));
}

#[test]
fn a_stream_that_ros_has_no_encoding_for_is_told_with_what_to_do_and_frames_of_which_none_is_published_are_a_failure() {
    let domain = Domain::without_peers();
    let format = FrameFormat::new(PixelFormat::Yuv420p, 64, 48).unwrap();
    let (output, socket) = domain.output("front", format, OutputOptions::new());
    let program = domain.program("publish", &["front", "--share", &socket]);
    let said = while_sending(&output, fives, Duration::from_millis(20), || program.says("which ROS has no encoding"));
    assert!(said.contains("stream 'front' is yuv420p") && said.contains("have its source send bgr24"), "{said}");
    program.send(Signal::TERM);
    let (code, said) = program.failure();
    assert!(code == 1 && said.contains("frames that came could be published"), "{code}: {said}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_to_do() {
    let domain = Domain::without_peers();
    for (args, why) in [
        (&["a", "a"][..], "a stream is named twice"),
        (&["a", "b", "--topic", "/x"], "--topic is the topic of one stream"),
        (&["--server", "http://127.0.0.1:9"], "which streams of the server are published?"),
        (&["a", "--topic", "x y"], "cannot be the name of a topic"),
        (&["a", "--namespace", "1st"], "no digit first"),
        (&["a", "--node", "a/b"], "cannot be the name of a node"),
        (&["a", "--depth", "0"], "0 is not in 1..=1000"),
        (&["a", "--share", "/x.sock", "--server", "http://127.0.0.1:9"], "give one of them"),
    ] {
        let (code, said) = domain.program("publish", args).failure();
        assert!(code == 2 && said.contains(why), "{args:?}: {code} {said}");
    }
}

#[test]
fn an_address_that_this_machine_does_not_have_is_waited_for_and_told_of() {
    let domain = Domain::without_peers();
    for args in [&["publish", "a"][..], &["subscribe", "/a/image_raw"]] {
        let program = domain.program(args[0], &[args[1], "--interface", "203.0.113.7"]);
        let said = program.says("203.0.113.7 is no address of this machine yet, which has 127.0.0.1");
        assert!(said.contains("name one of these"), "{said}");
        program.end();
    }
}
