//! What is copied, and what is not.

use framewire_testing::wait_until;
use gst::prelude::*;

use crate::stage::{Pipeline, Place, Sending, Taking, caps, packed, picture, stat};

#[test]
fn between_two_pipelines_of_a_machine_nothing_is_copied() {
    let place = Place::new();
    let hub = place.hub("both");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=GRAY8,width=1920,height=1080,framerate=60/1 ! framewiresink name=out stream=cam share={hub}"
    ));
    let taking =
        Pipeline::playing(&format!("framewiresrc name=src stream=cam share={hub} ! fakesink name=end sync=false"));
    let (sink, source) = (sending.element("out"), taking.element("src"));
    wait_until("60 frames", || stat(&source, "frames-taken") >= 60);
    assert_eq!(sink.property::<u64>("frames-copied"), 0);
    assert_eq!(source.property::<u64>("frames-copied"), 0);
    assert!(stat(&sink, "frames-sent") >= 60);
}

#[test]
fn every_width_of_every_kind_is_painted_into_slots() {
    for format in ["GRAY8", "RGB", "I420", "NV12", "Y42B", "v210", "GRAY16_LE"] {
        for (width, height) in [(640, 480), (322, 241)] {
            let place = Place::new();
            let hub = place.hub("widths");
            let pipeline = Pipeline::playing(&format!(
                "videotestsrc num-buffers=5 ! video/x-raw,format={format},width={width},height={height} ! framewiresink name=out sync=false stream=cam share={hub}"
            ));
            pipeline.eos();
            let sink = pipeline.element("out");
            let counts = (stat(&sink, "frames-sent"), stat(&sink, "frames-copied"));
            assert_eq!(counts, (5, 0), "{format} {width}x{height}");
        }
    }
}

#[test]
fn what_a_converter_makes_is_made_in_slots() {
    let place = Place::new();
    let hub = place.hub("converted");
    let pipeline = Pipeline::playing(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,format=ARGB,width=320,height=240 ! videoconvert ! framewiresink name=out sync=false stream=cam share={hub}"
    ));
    pipeline.eos();
    let sink = pipeline.element("out");
    assert_eq!((stat(&sink, "frames-sent"), stat(&sink, "frames-copied")), (5, 0));
}

#[test]
fn what_others_have_too_is_copied_once_and_counted() {
    let place = Place::new();
    let hub = place.hub("tee");
    let pipeline = Pipeline::playing(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=GRAY8,width=64,height=48 ! tee name=t \
         t. ! queue ! framewiresink name=out sync=false stream=cam share={hub} t. ! queue ! fakesink sync=false"
    ));
    pipeline.eos();
    let sink = pipeline.element("out");
    assert_eq!((stat(&sink, "frames-sent"), stat(&sink, "frames-copied")), (20, 20));
}

#[test]
fn a_buffer_of_the_pool_that_somebody_keeps_is_copied_and_stays_as_it_was() {
    let place = Place::new();
    let hub = place.hub("kept");
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=3 pattern=snow ! video/x-raw,format=GRAY8,width=64,height=48 ! framewiresink name=out sync=false stream=cam share={hub}"
    ));
    let sink = pipeline.element("out");
    let (keep, kept) = std::sync::mpsc::channel();
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_pad, info| {
        let buffer = info.buffer().unwrap().clone();
        let bytes = buffer.map_readable().unwrap().to_vec();
        keep.send((buffer, bytes)).unwrap();
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    pipeline.eos();
    assert_eq!((stat(&sink, "frames-sent"), stat(&sink, "frames-copied")), (3, 3));
    for (buffer, bytes) in kept.try_iter() {
        assert!(buffer.map_readable().unwrap().as_slice() == bytes);
    }
}

#[test]
fn where_downstream_holds_too_many_frames_are_copied_and_nothing_stalls() {
    let place = Place::new();
    let hub = place.hub("held");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every slots=4"));
    sending.wait_for_readers(1);
    let mut held = Vec::new();
    for seed in 1..=20 {
        sending.push(picture(&caps, seed));
        held.push(taking.next());
    }
    assert_eq!(taking.source.property::<u64>("frames-copied"), 17);
    for (at, got) in held.iter().enumerate() {
        assert!(
            packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, at as u64 + 1)),
            "picture {at} differs"
        );
    }
    taking.pipeline.until(|message| match message.view() {
        gst::MessageView::Info(info) => info.error().to_string().contains("slots=").then_some(()),
        _ => None,
    });
    // Those that are given back are taken again.
    held.clear();
    sending.push(picture(&caps, 21));
    drop(taking.next());
    assert_eq!(taking.source.property::<u64>("frames-copied"), 17);
}

#[test]
fn who_writes_into_a_buffer_of_the_source_writes_into_a_copy() {
    let place = Place::new();
    let hub = place.hub("written");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let [writing, reading] = [0; 2].map(|_| Taking::new(&format!("stream=cam share={hub} delivery=every")));
    // Before anybody else has the buffer, as an element does that changes pictures where they lie.
    writing.source.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, |_pad, info| {
        let buffer = info.buffer_mut().unwrap().make_mut();
        assert!(buffer.peek_memory(0).flags().contains(gst::MemoryFlags::READONLY));
        buffer.map_writable().unwrap().fill(7);
        gst::PadProbeReturn::Ok
    });
    sending.wait_for_readers(2);
    for seed in 1..=20 {
        sending.push(picture(&caps, seed));
        let (written, read) = (writing.next(), reading.next());
        assert!(packed(&written.caps, &written.buffer).iter().all(|byte| *byte == 7));
        assert!(packed(&read.caps, &read.buffer) == packed(&caps, &picture(&caps, seed)), "picture {seed} is written");
    }
    assert_eq!(reading.source.property::<u64>("frames-copied"), 0);
}

#[test]
fn frames_that_downstream_keeps_outlive_the_pipeline() {
    let place = Place::new();
    let hub = place.hub("outlive");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 5));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    let got = taking.next();
    drop(taking);
    drop(sending);
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 5)));
}

#[test]
fn where_planes_lie_otherwise_than_usual_frames_stay_for_who_reads_that_and_are_copied_for_who_does_not() {
    // Framewire has planes of 17 rows one behind the other, GStreamer makes 18 of them.
    let caps = caps("I420", 38, 17);
    for (behind, copied) in [("videoconvert ! video/x-raw,format=RGB", 0), ("identity drop-allocation=true", 4)] {
        let place = Place::new();
        let hub = place.hub("planes");
        let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
        sending.begin(picture(&caps, 0));
        let taking = Taking::new(&format!("stream=cam share={hub} delivery=every ! {behind}"));
        let (tell, told) = std::sync::mpsc::channel();
        let pad = taking.source.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_pad, info| {
            let buffer = info.buffer().unwrap();
            let info = gst_video::VideoInfo::from_caps(&crate::stage::caps("I420", 38, 17)).unwrap();
            let is_usual = buffer.meta::<gst_video::VideoMeta>().is_none_or(|meta| meta.offset() == info.offset());
            let _ = tell.send((is_usual, packed(&crate::stage::caps("I420", 38, 17), buffer)));
            gst::PadProbeReturn::Ok
        });
        sending.wait_for_readers(1);
        for seed in 1..=4 {
            sending.push(picture(&caps, seed));
            let (is_usual, came) = told.recv_timeout(crate::stage::PATIENCE).unwrap();
            assert_eq!(is_usual, copied > 0, "{behind}");
            assert!(came == packed(&caps, &picture(&caps, seed)), "{behind}: picture {seed} differs");
        }
        assert_eq!(taking.source.property::<u64>("frames-copied"), copied, "{behind}");
    }
}
