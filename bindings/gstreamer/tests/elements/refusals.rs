//! What cannot be, and what is said of it.

use gst::prelude::*;
use gst_video::{VideoInfo, VideoMeta};

use crate::stage::{Pipeline, Place, Sending, Taking, caps, nobody, noise, packed, picture, stat};

#[test]
fn caps_that_cannot_be_sent_are_refused_and_those_that_can_are_named() {
    let place = Place::new();
    let hub = place.hub("caps");
    let sending = Sending::new(&caps("ARGB64", 64, 48), &format!("stream=cam share={hub}"));
    sending.push(gst::Buffer::from_mut_slice(noise(64 * 48 * 8, 1)));
    let warning = sending.pipeline.warning();
    assert!(warning.contains("ARGB64") && warning.contains("NV12") && warning.contains("videoconvert"), "{warning}");
    sending.pipeline.error();
}

#[test]
fn interlaced_pictures_are_refused_with_the_remedy() {
    let place = Place::new();
    let hub = place.hub("interlaced");
    let mut caps = caps("I420", 64, 48);
    caps.make_mut().set("interlace-mode", "interleaved");
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 1));
    let error = sending.pipeline.error();
    assert!(error.contains("interlaced") && error.contains("deinterlace"), "{error}");
}

#[test]
fn sizes_that_a_format_cannot_have_are_refused_with_the_next_that_it_can() {
    let place = Place::new();
    let hub = place.hub("odd");
    let caps = caps("YUY2", 63, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 1));
    let error = sending.pipeline.error();
    assert!(error.contains("use 64"), "{error}");
}

#[test]
fn a_buffer_that_is_too_short_is_told_of_and_the_next_is_sent() {
    let place = Place::new();
    let hub = place.hub("short");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.next();
    sending.push(gst::Buffer::from_mut_slice(noise(100, 1)));
    let warning = sending.pipeline.warning();
    assert!(warning.contains("100 bytes") && warning.contains("3072"), "{warning}");
    sending.push(picture(&caps, 2));
    let got = taking.next();
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 2)));
    assert_eq!(stat(&sending.sink, "frames-refused"), 1);
}

#[test]
fn a_buffer_that_says_that_its_planes_lie_beyond_it_is_told_of_and_the_next_is_sent() {
    let place = Place::new();
    let hub = place.hub("beyond");
    let caps = caps("I420", 64, 48);
    let info = VideoInfo::from_caps(&caps).unwrap();
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.next();
    let usual = [info.offset()[0], info.offset()[1], info.offset()[2]];
    let said = [
        // By a whole plane, by one byte, by rows that are too long, and by more than there are addresses.
        (info.format(), 64, 48, [usual[0], usual[1], info.size()], [64, 32, 32]),
        (info.format(), 64, 48, [usual[0], usual[1], usual[2] + 1], [64, 32, 32]),
        (info.format(), 64, 48, usual, [64, 32, 33]),
        (info.format(), 64, 48, [usize::MAX - 1, usual[1], usual[2]], [64, 32, 32]),
        (info.format(), 64, 48, usual, [i32::MAX, 32, 32]),
        (info.format(), 64, 48, usual, [-64, 32, 32]),
        (info.format(), 64, 48, usual, [63, 32, 32]),
        // Another picture than the caps'.
        (info.format(), 64, 4800, usual, [64, 32, 32]),
        (info.format(), 32, 24, usual, [64, 32, 32]),
        (gst_video::VideoFormat::Y42b, 64, 48, usual, [64, 32, 32]),
    ];
    for (at, (format, width, height, offsets, strides)) in said.into_iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(noise(info.size(), 1));
        let flags = gst_video::VideoFrameFlags::empty();
        VideoMeta::add_full(buffer.make_mut(), flags, format, width, height, &offsets, &strides).unwrap();
        sending.push(buffer);
        let warning = sending.pipeline.warning();
        let says = ["within", "GstVideoMeta", "bottom up"].iter().any(|said| warning.contains(said));
        assert!(says && warning.contains("not sent"), "{offsets:?} {strides:?}: {warning}");
        let seed = at as u64 + 2;
        sending.push(picture(&caps, seed));
        let got = taking.next();
        assert!(
            packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, seed)),
            "after {offsets:?} {strides:?}"
        );
        assert_eq!(stat(&sending.sink, "frames-refused"), at as u64 + 1);
    }
}

#[test]
fn two_sinks_of_one_name_cannot_be() {
    let place = Place::new();
    let hub = place.hub("twice");
    let caps = caps("GRAY8", 64, 48);
    let first = Sending::new(&caps, &format!("stream=cam share={hub}"));
    first.push(picture(&caps, 0));
    let second = Pipeline::new(&format!("videotestsrc ! framewiresink stream=cam share={hub}"));
    assert!(second.0.set_state(gst::State::Playing).is_err());
    let error = second.error();
    assert!(error.contains(&hub), "{error}");
    // The first goes on.
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.next();
}

#[test]
fn two_places_at_once_cannot_be() {
    crate::stage::init();
    for (description, told) in [
        ("videotestsrc ! framewiresink server=http://127.0.0.1:1 address=127.0.0.1:1", "server and address"),
        ("framewiresrc listen=127.0.0.1:0 share=x ! fakesink", "listen and share"),
        ("framewiresrc server=http://127.0.0.1:1 ! fakesink", "stream=NAME"),
        ("framewiresrc listen=nowhere ! fakesink", "HOST:PORT"),
        ("videotestsrc ! framewiresink address=127.0.0.1:1 key-file=/no/such/key", "/no/such/key"),
    ] {
        let pipeline = Pipeline::new(description);
        assert!(pipeline.0.set_state(gst::State::Playing).is_err(), "{description}");
        let error = pipeline.error();
        assert!(error.contains(told), "{description}: {error}");
    }
}

#[test]
fn a_stream_that_is_away_is_waited_for_and_told_of_or_else_an_error() {
    let place = Place::new();
    let hub = place.hub("away");
    let impatient = Pipeline::playing(&format!("framewiresrc stream=cam share={hub} reconnect=false ! fakesink"));
    assert!(impatient.error().contains(&hub));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    assert!(taking.pipeline.warning().contains(&hub));
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 3));
    let got = taking.next();
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 3)));
}

#[test]
fn what_was_away_is_told_of_again_by_a_source_that_begins_anew() {
    let place = Place::new();
    let hub = place.hub("again");
    let taking = Pipeline::playing(&format!("framewiresrc stream=cam share={hub} ! fakesink"));
    for _ in 0..2 {
        assert!(taking.warning().contains(&hub));
        // What was told before is forgotten with this.
        taking.0.set_state(gst::State::Null).unwrap();
        taking.0.set_state(gst::State::Playing).unwrap();
    }
}

#[test]
fn a_program_that_does_not_answer_is_waited_for_and_told_of_or_else_an_error() {
    let nobody = nobody();
    let there = nobody.local_addr().unwrap();
    let gray = "video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1";
    let sink = format!("videotestsrc is-live=true ! {gray} ! framewiresink sync=false path=udp address={there}");
    let impatient = Pipeline::playing(&format!("{sink} reconnect=false"));
    let patient = Pipeline::playing(&sink);
    let error = impatient.error();
    assert!(error.contains(&there.to_string()) && error.contains("reconnect=false"), "{error}");
    let warning = patient.warning();
    assert!(warning.contains(&there.to_string()), "{warning}");
    drop((impatient, nobody));
    let taking = Taking::new(&format!("listen={there}"));
    taking.next();
    patient.over();
}

#[test]
fn a_program_that_refuses_is_told_of_with_its_reason_or_else_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let [key, other] = ["key", "other"].map(|name| {
        let file = place.file(name);
        std::fs::write(&file, framewire_transport::Key::random().unwrap().to_text().as_bytes()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file.display().to_string()
    });
    let taking = Taking::new(&format!("listen=127.0.0.1:0 key-file={key}"));
    let gray = "video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1";
    let sink = format!("videotestsrc is-live=true ! {gray} ! framewiresink path=udp address={}", taking.address());
    for (key, why) in [(String::new(), "key-file="), (format!("key-file={other}"), "does not know this sender's key")] {
        let patient = Pipeline::playing(&format!("{sink} {key}"));
        let warning = patient.warning();
        assert!(warning.contains("refuses") && warning.contains(why), "{warning}");
        let impatient = Pipeline::playing(&format!("{sink} {key} reconnect=false"));
        let error = impatient.error();
        assert!(error.contains(why) && error.contains("reconnect=false"), "{error}");
    }
}

#[test]
fn a_stream_that_downstream_does_not_take_is_an_error_that_says_what_it_has() {
    let place = Place::new();
    let hub = place.hub("taken");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 0));
    let taking = Pipeline::playing(&format!("framewiresrc stream=cam share={hub} ! video/x-raw,format=RGB ! fakesink"));
    let error = taking.error();
    assert!(error.contains("GRAY8") && error.contains("videoconvert"), "{error}");
}

#[test]
fn a_server_that_is_away_is_waited_for_and_told_of_or_else_an_error() {
    // A port that nobody has: it was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = format!("videotestsrc is-live=true ! framewiresink server=http://{free}");
    let source = format!("framewiresrc stream=cam server=http://{free} ! fakesink");
    for description in [&sink, &source] {
        let patient = Pipeline::playing(description);
        let warning = patient.warning();
        assert!(warning.contains("127.0.0.1"), "{warning}");
    }
    for description in [format!("{sink} reconnect=false"), source.replace(" !", " reconnect=false !")] {
        let impatient = Pipeline::playing(&description);
        let error = impatient.error();
        assert!(error.contains("reconnect=false"), "{error}");
    }
}
