//! Streams that end, pause, change and come back; by shared memory and by UDP.

use gst::prelude::*;

use crate::stage::{Pipeline, Place, Sending, Taking, caps, packed, picture, stat, wait};

#[test]
fn another_format_in_mid_stream_comes_out_as_one() {
    let place = Place::new();
    let hub = place.hub("other");
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let sending = Sending::new(&gray, &format!("stream=cam share={hub}"));
    sending.push(picture(&gray, 0));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    assert!(taking.next().caps.can_intersect(&gray));
    sending.set_caps(&colour);
    sending.push(picture(&colour, 1));
    let got = taking.next();
    assert!(got.caps.can_intersect(&colour), "{}", got.caps);
    assert!(got.buffer.flags().contains(gst::BufferFlags::DISCONT));
    assert!(packed(&got.caps, &got.buffer) == packed(&colour, &picture(&colour, 1)));
    assert_eq!(stat(&sending.sink, "frames-sent"), 2);
}

#[test]
fn in_every_the_end_loses_nothing_by_shared_memory() {
    let place = Place::new();
    let hub = place.hub("end");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every reconnect=false"));
    sending.wait_for_readers(1);
    all_arrive(&sending, &taking, &caps);
}

#[test]
fn in_every_the_end_loses_nothing_by_udp() {
    let taking = Taking::new("listen=127.0.0.1:0 reconnect=false");
    let caps = caps("GRAY8", 640, 480);
    let sending = Sending::new(&caps, &format!("address={} delivery=every path=udp", address(&taking)));
    sending.push(picture(&caps, 0));
    assert_eq!(taking.next().buffer.offset(), 0);
    all_arrive(&sending, &taking, &caps);
    assert_eq!(stat(&sending.sink, "frames-delivered"), 51);
}

/// 50 more pictures at once, and the end.
fn all_arrive(sending: &Sending, taking: &Taking, caps: &gst::Caps) {
    for seed in 1..=50 {
        sending.push(picture(caps, seed));
    }
    sending.end();
    for seed in 1..=50 {
        let got = taking.next();
        assert_eq!(got.buffer.offset(), seed);
        assert!(packed(&got.caps, &got.buffer) == packed(caps, &picture(caps, seed)), "picture {seed} differs");
    }
    sending.pipeline.eos();
    sending.pipeline.0.set_state(gst::State::Null).unwrap();
    taking.pipeline.eos();
}

fn address(taking: &Taking) -> String {
    taking.source.property::<gst::Structure>("stats").get("local-address").unwrap()
}

#[test]
fn frames_go_to_a_program_by_udp_out_of_slots() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=NV12,width=640,height=480,framerate=60/1 ! framewiresink name=out sync=false path=udp address={}",
        address(&taking)
    ));
    for _ in 0..30 {
        drop(taking.next());
    }
    assert_eq!(sending.element("out").property::<u64>("frames-copied"), 0);
    assert_eq!(taking.source.property::<u64>("frames-copied"), 0);
}

#[test]
fn a_second_stream_at_one_address_is_left_out_and_told_of() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let first = Sending::new(&gray, &format!("address={} path=udp", address(&taking)));
    first.push(picture(&gray, 0));
    taking.next();
    let second = Sending::new(&colour, &format!("address={} path=udp", address(&taking)));
    second.push(picture(&colour, 1));
    assert!(taking.pipeline.warning().contains("another stream"));
    first.push(picture(&gray, 2));
    assert!(taking.next().caps.can_intersect(&gray));
}

#[test]
fn a_gap_in_the_numbers_is_a_discontinuity() {
    let place = Place::new();
    let hub = place.hub("gap");
    let output =
        framewire_ends::Output::publish("cam", Some(hub.parse().unwrap()), framewire_ends::OutputOptions::new())
            .unwrap();
    let format = framewire_transport::FrameFormat::new(framewire_transport::PixelFormat::Gray8, 16, 8).unwrap();
    output.begin(format).unwrap();
    let send = || output.send(output.frame(crate::stage::PATIENCE).unwrap().unwrap()).unwrap();
    send();
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    let first = taking.next();
    assert!(first.buffer.flags().contains(gst::BufferFlags::DISCONT));
    send();
    assert!(!taking.next().buffer.flags().contains(gst::BufferFlags::DISCONT));
    output.skip();
    send();
    let apart = taking.next();
    assert!(apart.buffer.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(apart.buffer.offset(), 3);
}

#[test]
fn pausing_and_playing_again_goes_on_at_either_end() {
    let place = Place::new();
    let hub = place.hub("pause");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out stream=cam share={hub} delivery=every"
    ));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    for pipeline in [&sending.0, &taking.pipeline.0, &sending.0] {
        drop(taking.next());
        pipeline.set_state(gst::State::Paused).unwrap();
        let (done, state, _) = pipeline.state(gst::ClockTime::from_seconds(60));
        assert!(done.is_ok() && state == gst::State::Paused, "{done:?} {state:?}");
        pipeline.set_state(gst::State::Playing).unwrap();
        while taking.soon().is_some_and(|_| stat(&sending.element("out"), "frames-sent") < 20) {}
        drop(taking.next());
    }
}

#[test]
fn a_sink_that_is_taken_back_to_ready_ends_its_stream_and_begins_it_anew() {
    let place = Place::new();
    let hub = place.hub("ready");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out sync=false stream=cam share={hub}"
    ));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    drop(taking.next());
    // It is there now, and need not be waited for.
    let ending = Taking::new(&format!("stream=cam share={hub} reconnect=false"));
    drop(ending.next());
    sending.0.set_state(gst::State::Ready).unwrap();
    ending.pipeline.eos();
    sending.0.set_state(gst::State::Playing).unwrap();
    wait("the stream begins anew", || {
        drop(taking.next());
        stat(&taking.source, "reconnects") == 1
    });
}

#[test]
fn a_flush_lets_go_of_whoever_waits_and_frames_go_on() {
    let place = Place::new();
    let hub = place.hub("flush");
    let sending = Pipeline::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out sync=false stream=cam share={hub} delivery=every"
    ));
    let sink = sending.element("out");
    // A reader that takes none: whoever sends waits for it.
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
    wait("a reader", || stat(&sink, "readers") == 1);
    let stop = std::sync::Arc::new(std::sync::Mutex::new(()));
    let stopped = stop.lock().unwrap();
    let gate = stop.clone();
    let pad = taking.pipeline.element("end").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_pad, _info| {
        drop(gate.lock().unwrap());
        gst::PadProbeReturn::Ok
    });
    let mut before = 0;
    wait("the sink waits", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::mem::replace(&mut before, stat(&sink, "frames-sent")) == before && before > 0
    });
    for second in 1..=3 {
        sending.0.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(second)).unwrap();
    }
    drop(stopped);
    wait("frames after the flush", || stat(&sink, "frames-sent") > before + 20);
}

#[test]
fn a_seek_in_a_pipeline_that_sends_goes_on_from_there() {
    let place = Place::new();
    let hub = place.hub("seek");
    let sending = Pipeline::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out stream=cam share={hub}"
    ));
    let sink = sending.element("out");
    wait("frames", || stat(&sink, "frames-sent") > 3);
    for second in 1..=5 {
        let before = stat(&sink, "frames-sent");
        sending.0.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(second)).unwrap();
        wait("frames after a seek", || stat(&sink, "frames-sent") > before + 3);
    }
    assert_eq!(sink.property::<u64>("frames-copied"), 0);
}

#[test]
fn metadata_and_utc_go_along_with_their_pictures() {
    let place = Place::new();
    let hub = place.hub("meta");
    let mut caps = caps("GRAY8", 64, 48);
    caps.make_mut().set("framewire-metadata", "{\"camera\":\"left\"}");
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
    sending.wait_for_readers(1);
    let said = |buffer: &gst::BufferRef| {
        let meta = gst::meta::CustomMeta::from_buffer(buffer, "GstFramewireMeta").unwrap();
        let structure = meta.structure();
        let bytes = structure.get::<gst::glib::Bytes>("data").unwrap().to_vec();
        (structure.get::<String>("kind").unwrap(), bytes)
    };
    sending.push(picture(&caps, 1));
    assert_eq!(said(&taking.next().buffer), ("json".to_owned(), b"{\"camera\":\"left\"}".to_vec()));
    let mut buffer = picture(&caps, 2);
    {
        let buffer = buffer.make_mut();
        let mut meta = gst::meta::CustomMeta::add(buffer, "GstFramewireMeta").unwrap();
        meta.mut_structure().set("kind", "cbor");
        meta.mut_structure().set("data", gst::glib::Bytes::from(&[1_u8, 2, 3]));
        let utc = gst::Caps::new_empty_simple("timestamp/x-unix");
        gst::meta::ReferenceTimestampMeta::add(buffer, &utc, gst::ClockTime::from_seconds(1_700_000_000), None);
    }
    sending.push(buffer);
    let got = taking.next();
    assert_eq!(said(&got.buffer), ("cbor".to_owned(), vec![1, 2, 3]));
    let utc = got.buffer.meta::<gst::meta::ReferenceTimestampMeta>().unwrap();
    assert_eq!(utc.timestamp(), gst::ClockTime::from_seconds(1_700_000_000));
}

#[test]
fn in_latest_a_sink_without_anybody_to_take_its_frames_goes_on_and_says_what_it_left_out() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sending = Pipeline::playing(&format!(
        "videotestsrc num-buffers=10 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! framewiresink name=out sync=false server=http://{free}"
    ));
    sending.eos();
    let sink = sending.element("out");
    assert_eq!((stat(&sink, "frames-sent"), stat(&sink, "frames-skipped")), (0, 10));
}

#[test]
fn with_one_key_at_both_ends_frames_are_protected_and_without_it_nobody_is_heard() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let key_file = |name: &str| {
        let file = place.file(name);
        std::fs::write(&file, framewire_transport::Key::random().unwrap().to_text().as_bytes()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file.display().to_string()
    };
    let (key, other) = (key_file("key"), key_file("other"));
    let taking = Taking::new(&format!("listen=127.0.0.1:0 key-file={key}"));
    let caps = caps("GRAY8", 64, 48);
    let stranger = Sending::new(&caps, &format!("path=udp address={} key-file={other}", address(&taking)));
    stranger.push(picture(&caps, 1));
    let sending = Sending::new(&caps, &format!("path=udp address={} key-file={key}", address(&taking)));
    sending.push(picture(&caps, 2));
    let got = taking.next();
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 2)));
    let stats = sending.sink.property::<gst::Structure>("stats");
    assert!(
        stats.get::<&str>("protection").unwrap().contains("AES")
            || stats.get::<&str>("protection").unwrap().contains("ChaCha"),
        "{stats}"
    );
    assert_eq!(stat(&stranger.sink, "frames-delivered"), 0);
}

#[test]
fn whoever_waits_for_somebody_who_never_comes_ends_when_told() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gray = "video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1";
    for place in [format!("address={} path=udp", nobody.local_addr().unwrap()), format!("server=http://{free}")] {
        for before in [
            format!("videotestsrc ! {gray}"),
            format!("videotestsrc is-live=true ! {gray} ! queue"),
            format!("videotestsrc ! {gray} ! videoconvert ! video/x-raw,format=RGB ! queue"),
            format!("videotestsrc num-buffers=2 ! {gray}"),
        ] {
            let sending =
                Pipeline::playing(&format!("{before} ! framewiresink name=out sync=false delivery=every {place}"));
            // Long enough for all slots there are to be in use.
            std::thread::sleep(std::time::Duration::from_millis(200));
            // In a thread of its own: where it hangs, the test fails and does not.
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                drop(sending);
                tell.send(()).unwrap();
            });
            told.recv_timeout(crate::stage::PATIENCE).unwrap_or_else(|_| panic!("{before} to {place} does not end"));
        }
    }
}
