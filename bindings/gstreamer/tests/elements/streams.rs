//! Streams that change, end and come back; by shared memory and by UDP.

use framewire_testing::wait_until;
use gst::prelude::*;

use crate::stage::{PATIENCE, Pipeline, Place, Sending, Taking, caps, packed, picture, stat};

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
    let sending = Sending::new(&caps, &format!("address={} delivery=every path=udp", taking.address()));
    sending.push(picture(&caps, 0));
    assert_eq!(taking.next().buffer.offset(), 0);
    all_arrive(&sending, &taking, &caps);
    assert_eq!(stat(&sending.sink, "frames-delivered"), 51);
}

#[test]
fn in_every_a_change_of_format_loses_nothing_by_udp() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let sending = Sending::new(&gray, &format!("address={} delivery=every path=udp", taking.address()));
    sending.push(picture(&gray, 0));
    assert!(taking.next().caps.can_intersect(&gray));
    // What comes meanwhile lies there beside each other.
    taking.pipeline.turn_to(gst::State::Paused);
    for seed in 1..4 {
        sending.push(picture(&gray, seed));
    }
    sending.set_caps(&colour);
    for seed in 4..7 {
        sending.push(picture(&colour, seed));
    }
    wait_until("all have arrived", || stat(&sending.sink, "frames-delivered") == 7);
    taking.pipeline.turn_to(gst::State::Playing);
    for seed in 1..7 {
        let caps = if seed < 4 { &gray } else { &colour };
        let got = taking.next();
        assert!(got.caps.can_intersect(caps), "picture {seed} is {}", got.caps);
        assert!(packed(&got.caps, &got.buffer) == packed(caps, &picture(caps, seed)), "picture {seed} differs");
    }
}

#[test]
fn a_stream_that_goes_is_told_of_while_it_is_away() {
    let place = Place::new();
    let hub = place.hub("goes");
    let caps = caps("GRAY8", 64, 48);
    let begun = || {
        let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
        sending.begin(picture(&caps, 0));
        sending
    };
    let sending = begun();
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.next();
    taking.pipeline.forget();
    drop(sending);
    taking.pipeline.warning();
    let _sending = begun();
    taking.next();
    taking.pipeline.over();
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

#[test]
fn frames_go_to_a_program_by_udp_out_of_slots() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=NV12,width=640,height=480,framerate=60/1 ! framewiresink name=out sync=false path=udp address={}",
        taking.address()
    ));
    for _ in 0..30 {
        drop(taking.next());
    }
    // Where a thread is kept waiting, slots run short, and one or another is copied.
    for (element, frames) in [(sending.element("out"), "frames-sent"), (taking.source.clone(), "frames-taken")] {
        let (copied, frames) = (element.property::<u64>("frames-copied"), stat(&element, frames));
        assert!(copied < frames, "{copied} of {frames} were copied");
    }
}

#[test]
fn a_second_stream_at_one_address_is_left_out_and_told_of() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let first = Sending::new(&gray, &format!("address={} path=udp", taking.address()));
    first.push(picture(&gray, 0));
    taking.next();
    let second = Sending::new(&colour, &format!("address={} path=udp", taking.address()));
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
    let send = || output.send(output.frame(PATIENCE).unwrap().unwrap()).unwrap();
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
fn in_latest_a_picture_that_no_slot_is_free_for_is_left_out_and_told_of() {
    let place = Place::new();
    let hub = place.hub("kept");
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=12 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=50/1 ! framewiresink name=out sync=false stream=cam share={hub} slots=4"
    ));
    let sink = pipeline.element("out");
    // Whoever keeps its buffers has their slots.
    let (keep, _kept) = std::sync::mpsc::channel();
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_pad, info| {
        keep.send(info.buffer().unwrap().clone()).unwrap();
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let mut told = Vec::new();
    pipeline.until(|message| match message.view() {
        gst::MessageView::Qos(qos) => {
            told.push((qos.get().3.unwrap(), qos.stats()));
            None
        }
        gst::MessageView::Eos(_) => Some(()),
        gst::MessageView::Error(error) => panic!("{}", error.error()),
        _ => None,
    });
    let sent = stat(&sink, "frames-sent");
    assert_eq!(told.len() as u64, stat(&sink, "frames-skipped"));
    assert_eq!(told.len() as u64 + sent, 12);
    assert!(!told.is_empty());
    let buffers = |count| gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(count));
    for (at, (time, stats)) in told.into_iter().enumerate() {
        let at = at as u64;
        assert_eq!(time, gst::ClockTime::from_mseconds(20 * (sent + at)));
        assert_eq!(stats, (buffers(sent), buffers(at + 1)));
    }
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
    let stranger = Sending::new(&caps, &format!("path=udp address={} key-file={other}", taking.address()));
    stranger.push(picture(&caps, 1));
    let sending = Sending::new(&caps, &format!("path=udp address={} key-file={key}", taking.address()));
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
fn upstream_goes_on_though_it_knows_only_of_the_stream_before() {
    let place = Place::new();
    let hub = place.hub("before");
    let pipeline = Pipeline::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! identity name=pass ! framewiresink name=out sync=false stream=cam share={hub}"
    ));
    let buffers = std::sync::atomic::AtomicU32::new(0);
    pipeline.element("pass").static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |pad, _info| {
        if buffers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 5 {
            let mut caps = pad.current_caps().unwrap();
            caps.make_mut().set("framewire-metadata", "{\"camera\":\"left\"}");
            assert!(pad.push_event(gst::event::Caps::new(&caps)));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let sink = pipeline.element("out");
    wait_until("frames after the change", || stat(&sink, "frames-sent") > 20);
    assert!(sink.property::<u64>("frames-copied") > 0);
}

#[test]
fn another_size_in_mid_stream_is_painted_into_slots_too() {
    let place = Place::new();
    let hub = place.hub("size");
    let size = |width: i32| format!("video/x-raw,format=GRAY8,width={width},height=48,framerate=60/1");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! capsfilter name=size caps=\"{}\" ! framewiresink name=out sync=false stream=cam share={hub}",
        size(64)
    ));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    assert_eq!(taking.next().caps.structure(0).unwrap().get("width"), Ok(64));
    let other: gst::Caps = size(96).parse().unwrap();
    sending.element("size").set_property("caps", &other);
    wait_until("the other size", || taking.next().caps.structure(0).unwrap().get("width") == Ok(96));
    assert_eq!(sending.element("out").property::<u64>("frames-copied"), 0);
}
