//! Pipelines that pause, flush, seek and end, whatever they wait for.

use framewire_testing::wait_until;
use gst::prelude::*;

use crate::stage::{PATIENCE, Pipeline, Place, Sending, Taking, caps, nobody, packed, picture, stat};

/// Tells of the next event of a kind that comes to a sink.
fn told_of(sink: &gst::Element, kind: gst::EventType) -> std::sync::mpsc::Receiver<()> {
    let (tell, told) = std::sync::mpsc::channel();
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_pad, info| {
        if info.event().is_some_and(|event| event.type_() == kind) {
            let _ = tell.send(());
        }
        gst::PadProbeReturn::Ok
    });
    told
}

#[test]
fn in_every_the_end_is_waited_for_after_a_pause_too() {
    // Nobody answers there before the end.
    let nobody = nobody();
    let there = nobody.local_addr().unwrap();
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("address={there} delivery=every path=udp"));
    let ends = told_of(&sending.sink, gst::EventType::Eos);
    sending.begin(picture(&caps, 1));
    sending.end();
    ends.recv_timeout(PATIENCE).unwrap();
    sending.pipeline.turn_to(gst::State::Paused);
    sending.pipeline.turn_to(gst::State::Playing);
    let bus = sending.pipeline.0.bus().unwrap();
    let early = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(300), &[gst::MessageType::Eos]);
    assert!(early.is_none(), "the end is told before anything has arrived");
    drop(nobody);
    let taking = Taking::new(&format!("listen={there}"));
    let got = taking.next();
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 1)));
    sending.pipeline.eos();
    assert_eq!(stat(&sending.sink, "frames-delivered"), 1);
}

#[test]
fn a_sink_that_is_ended_while_it_waits_to_change_the_format_counts_each_frame_once() {
    let nobody = nobody();
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let there = nobody.local_addr().unwrap();
    let sending = Sending::new(&gray, &format!("address={there} delivery=every path=udp"));
    sending.begin(picture(&gray, 0));
    let changes = told_of(&sending.sink, gst::EventType::Caps);
    sending.set_caps(&colour);
    sending.push(picture(&colour, 1));
    changes.recv_timeout(PATIENCE).unwrap();
    sending.pipeline.0.set_state(gst::State::Ready).unwrap();
    assert_eq!(stat(&sending.sink, "frames-sent"), 1);
}

#[test]
fn what_is_said_while_a_sink_is_ready_holds() {
    let place = Place::new();
    let pipeline = Pipeline::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out sync=false stream=cam share={}",
        place.hub("before")
    ));
    pipeline.turn_to(gst::State::Ready);
    pipeline.element("out").set_property("share", place.hub("after"));
    pipeline.0.set_state(gst::State::Playing).unwrap();
    drop(Taking::new(&format!("stream=cam share={}", place.hub("after"))).next());
}

#[test]
fn pausing_and_playing_again_goes_on_at_either_end() {
    let place = Place::new();
    let hub = place.hub("pause");
    let sending = Pipeline::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out stream=cam share={hub} delivery=every"
    ));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    for pipeline in [&sending, &taking.pipeline, &sending] {
        drop(taking.next());
        pipeline.turn_to(gst::State::Paused);
        pipeline.0.set_state(gst::State::Playing).unwrap();
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
    wait_until("the stream begins anew", || {
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
    wait_until("a reader", || stat(&sink, "readers") == 1);
    let stop = std::sync::Arc::new(std::sync::Mutex::new(()));
    let stopped = stop.lock().unwrap();
    let gate = stop.clone();
    let pad = taking.pipeline.element("end").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_pad, _info| {
        drop(gate.lock().unwrap());
        gst::PadProbeReturn::Ok
    });
    let mut before = 0;
    wait_until("the sink waits", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::mem::replace(&mut before, stat(&sink, "frames-sent")) == before && before > 0
    });
    for second in 1..=3 {
        sending.0.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(second)).unwrap();
    }
    drop(stopped);
    wait_until("frames after the flush", || stat(&sink, "frames-sent") > before + 20);
}

#[test]
fn a_seek_in_a_pipeline_that_sends_goes_on_from_there() {
    let place = Place::new();
    let hub = place.hub("seek");
    let sending = Pipeline::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out stream=cam share={hub}"
    ));
    let sink = sending.element("out");
    wait_until("frames", || stat(&sink, "frames-sent") > 3);
    for second in 1..=5 {
        let before = stat(&sink, "frames-sent");
        sending.0.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(second)).unwrap();
        wait_until("frames after a seek", || stat(&sink, "frames-sent") > before + 3);
    }
    assert_eq!(sink.property::<u64>("frames-copied"), 0);
}

#[test]
fn a_pause_is_reached_while_upstream_waits_for_a_slot() {
    let nobody = nobody();
    let there = nobody.local_addr().unwrap();
    let sending = Pipeline::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out sync=false delivery=every path=udp slots=4 address={there}"
    ));
    let sink = sending.element("out");
    // None of them comes back before somebody answers.
    wait_until("all slots are in use", || stat(&sink, "frames-sent") == 4);
    sending.turn_to(gst::State::Paused);
    sending.turn_to(gst::State::Playing);
    drop(nobody);
    // What waited goes out, in order.
    let taking = Taking::new(&format!("listen={there}"));
    for number in 0..14 {
        assert_eq!(taking.next().buffer.offset(), number);
    }
}

#[test]
fn a_pause_right_after_a_seek_is_reached_while_upstream_waits_for_a_slot() {
    let nobody = nobody();
    let there = nobody.local_addr().unwrap();
    let sending = Pipeline::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=60/1 ! framewiresink name=out sync=false delivery=every path=udp slots=4 address={there}"
    ));
    let sink = sending.element("out");
    wait_until("all slots are in use", || stat(&sink, "frames-sent") == 4);
    // With this the sink is not playing any more, without having been told to pause.
    sending.0.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(1)).unwrap();
    sending.turn_to(gst::State::Paused);
    sending.turn_to(gst::State::Playing);
    drop(nobody);
    let taking = Taking::new(&format!("listen={there}"));
    for number in 0..14 {
        assert_eq!(taking.next().buffer.offset(), number);
    }
}

#[test]
fn a_flush_while_a_stream_is_announced_leaves_its_frames_with_their_caps() {
    let place = Place::new();
    let hub = place.hub("announced");
    let (gray, colour) = (caps("GRAY8", 64, 48), caps("RGB", 32, 20));
    let sending = Sending::new(&gray, &format!("stream=cam share={hub}"));
    sending.begin(picture(&gray, 0));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.next();
    // Whether the caps of the next stream are taken is asked while all flushes, and denied.
    let (tell, told) = std::sync::mpsc::channel();
    let source = taking.source.clone();
    let once = std::sync::Once::new();
    let pad = taking.source.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_pad, info| {
        let mut passes = gst::PadProbeReturn::Ok;
        if let Some(gst::QueryViewMut::AcceptCaps(asked)) = info.query_mut().map(|query| query.view_mut()) {
            once.call_once(|| {
                passes = gst::PadProbeReturn::Handled;
                asked.set_result(false);
                assert!(source.send_event(gst::event::FlushStart::new()));
                tell.send(()).unwrap();
            });
        }
        passes
    });
    sending.set_caps(&colour);
    sending.push(picture(&colour, 1));
    told.recv_timeout(PATIENCE).unwrap();
    assert!(taking.source.send_event(gst::event::FlushStop::new(false)));
    let got = loop {
        sending.push(picture(&colour, 1));
        if let Some(got) = taking.soon() {
            break got;
        }
    };
    assert!(got.caps.can_intersect(&colour), "{}", got.caps);
    assert!(packed(&got.caps, &got.buffer) == packed(&colour, &picture(&colour, 1)));
}

#[test]
fn a_source_without_frames_ends_when_it_is_asked_to() {
    let place = Place::new();
    let hub = place.hub("idle");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 0));
    let idle = Taking::new(&format!("stream=cam share={hub}"));
    idle.next();
    let none = Taking::new(&format!("stream=none share={}", place.hub("none")));
    none.pipeline.warning();
    for taking in [idle, none] {
        assert!(taking.pipeline.0.send_event(gst::event::Eos::new()));
        taking.pipeline.eos();
    }
}

#[test]
fn whoever_waits_for_somebody_who_never_comes_ends_when_told() {
    let nobody = nobody();
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
            told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{before} to {place} does not end"));
        }
    }
}
