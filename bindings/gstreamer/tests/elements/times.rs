//! Times of pictures, and how old they are said to be.

use std::time::Duration;

use framewire_ends::{Output, OutputOptions};
use framewire_testing::wait_until;
use framewire_transport::{Delivery, FrameFormat, PathChoice, PixelFormat, Time};
use gst::prelude::*;

use crate::stage::{PATIENCE, Pipeline, Place, Sending, Taking, caps, picture};

fn publish(hub: &str) -> Output {
    let output = Output::publish("cam", Some(hub.parse().unwrap()), OutputOptions::new()).unwrap();
    output.begin(FrameFormat::new(PixelFormat::Gray8, 16, 8).unwrap()).unwrap();
    output
}

/// Sends a frame that was taken so long before.
fn send(output: &Output, ago: Duration) -> Time {
    send_of(output, Time::now() - ago)
}

fn send_of(output: &Output, captured: Time) -> Time {
    let mut slot = output.frame(PATIENCE).unwrap().unwrap();
    slot.info.captured = captured;
    output.send(slot).unwrap();
    captured
}

#[test]
fn a_buffers_time_is_when_its_picture_was_taken() {
    let place = Place::new();
    let hub = place.hub("taken");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    wait_until("a reader", || output.stats().readers == 1);
    let base = taking.source.base_time().unwrap();
    for _ in 0..20 {
        let captured = send(&output, Duration::from_millis(3));
        let pts = taking.next().buffer.pts().unwrap();
        let expected = captured.as_nanos().saturating_sub(base.nseconds());
        let off = pts.nseconds().abs_diff(expected);
        assert!(off <= 1_000_000, "{off} ns off");
    }
}

#[test]
fn on_another_clock_it_is_the_same_moment() {
    let place = Place::new();
    let hub = place.hub("clock");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    taking.pipeline.0.set_state(gst::State::Null).unwrap();
    let clock: gst::SystemClock = gst::glib::Object::builder().property("clock-type", gst::ClockType::Realtime).build();
    taking.pipeline.0.use_clock(Some(&clock));
    taking.pipeline.0.set_state(gst::State::Playing).unwrap();
    wait_until("a reader", || output.stats().readers == 1);
    let captured = send(&output, Duration::ZERO);
    let pts = taking.next().buffer.pts().unwrap();
    let base = taking.source.base_time().unwrap();
    let ahead = i128::from(clock.time().nseconds()) - i128::from(Time::now().as_nanos());
    let expected = i128::from(captured.as_nanos()) + ahead - i128::from(base.nseconds());
    let off = (i128::from(pts.nseconds()) - expected.max(0)).abs();
    // What a thread may be kept waiting between two looks at the clock.
    assert!(off <= 1_000_000_000, "{off} ns off");
}

#[test]
fn by_wish_it_is_when_the_frame_came() {
    let place = Place::new();
    let hub = place.hub("came");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub} timestamp-mode=receive"));
    wait_until("a reader", || output.stats().readers == 1);
    let before = Time::now();
    send(&output, Duration::from_secs(1));
    let pts = taking.next().buffer.pts().unwrap();
    let base = taking.source.base_time().unwrap();
    assert!(pts.nseconds() + base.nseconds() >= before.as_nanos());
}

#[test]
fn latency_is_told_as_old_as_frames_are() {
    let place = Place::new();
    let hub = place.hub("latency");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    wait_until("a reader", || output.stats().readers == 1);
    let told = || {
        let mut query = gst::query::Latency::new();
        assert!(taking.source.query(&mut query));
        let (is_live, least, most) = query.result();
        assert!(is_live && most.is_none());
        least
    };
    let before = told();
    // What was taken before the pipeline played says nothing.
    wait_until("a frame that tells", || {
        send(&output, Duration::from_millis(70));
        taking.next();
        told() > before
    });
    taking.pipeline.until(|message| matches!(message.view(), gst::MessageView::Latency(_)).then_some(()));
    assert!(told() >= gst::ClockTime::from_mseconds(70), "{before} {}", told());
}

#[test]
fn over_a_network_a_buffers_time_is_when_its_picture_was_taken() {
    let taking = Taking::new("listen=127.0.0.1:0");
    let options = OutputOptions::new().delivery(Delivery::Every).path(PathChoice::Udp);
    let output = Output::connect(&taking.address(), options).unwrap();
    output.begin(FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()).unwrap();
    let base = taking.source.base_time().unwrap();
    for _ in 0..20 {
        let captured = send(&output, Duration::ZERO);
        let pts = taking.next().buffer.pts().unwrap();
        // Both ends read one clock, and know it.
        assert_eq!(pts.nseconds(), captured.as_nanos() - base.nseconds());
    }
}

#[test]
fn no_picture_was_taken_later_than_now() {
    let place = Place::new();
    let hub = place.hub("future");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    wait_until("a reader", || output.stats().readers == 1);
    let base = taking.source.base_time().unwrap();
    send_of(&output, Time::now() + Duration::from_secs(3600));
    let pts = taking.next().buffer.pts().unwrap();
    assert!(pts.nseconds() + base.nseconds() <= Time::now().as_nanos(), "{pts}");
    // And it is in nobody's way.
    let captured = send(&output, Duration::ZERO);
    let pts = taking.next().buffer.pts().unwrap();
    assert_eq!(pts.nseconds(), captured.as_nanos() - base.nseconds());
}

#[test]
fn a_flush_begins_the_running_time_anew() {
    let place = Place::new();
    let hub = place.hub("flushed");
    let output = publish(&hub);
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    wait_until("a reader", || output.stats().readers == 1);
    let long = gst::ClockTime::from_mseconds(500);
    wait_until("some time", || {
        send(&output, Duration::ZERO);
        taking.next().buffer.pts().unwrap() > long
    });
    let pipeline = &taking.pipeline;
    pipeline.turn_to(gst::State::Paused);
    assert!(pipeline.0.send_event(gst::event::FlushStart::new()));
    assert!(pipeline.0.send_event(gst::event::FlushStop::new(true)));
    pipeline.turn_to(gst::State::Playing);
    let base = taking.source.base_time().unwrap();
    let captured = send(&output, Duration::ZERO);
    let pts = taking.next().buffer.pts().unwrap();
    assert_eq!(pts.nseconds(), captured.as_nanos() - base.nseconds());
}

#[test]
fn what_a_live_source_stamps_is_the_capture_time() {
    let place = Place::new();
    let hub = place.hub("live");
    let sending = Pipeline::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! framewiresink name=out sync=false stream=cam share={hub}"
    ));
    let (tell, told) = std::sync::mpsc::channel();
    sending.element("out").static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_pad, info| {
        let _ = tell.send(info.buffer().and_then(|buffer| buffer.pts()).unwrap());
        gst::PadProbeReturn::Ok
    });
    sending.0.set_state(gst::State::Playing).unwrap();
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    let base = |pipeline: &gst::Pipeline| pipeline.base_time().unwrap().nseconds();
    let (there, here) = (base(&sending.0), base(&taking.pipeline.0));
    let mut stamped = Vec::new();
    let mut seen = 0;
    while seen < 20 {
        let got = taking.next();
        let Some(pts) = got.buffer.pts().filter(|pts| !pts.is_zero()) else { continue };
        // It was stamped before it went.
        stamped.extend(told.try_iter().map(|pts| pts.nseconds()));
        let moment = pts.nseconds() + here - there;
        assert!(stamped.contains(&moment), "no picture was stamped {moment} ns: {stamped:?}");
        seen += 1;
    }
}

#[test]
fn what_is_not_live_was_taken_when_it_is_sent() {
    let place = Place::new();
    let hub = place.hub("file");
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
    sending.wait_for_readers(1);
    let before = Time::now();
    // An hour into the film.
    sending.push(picture(&caps, 109_090));
    let pts = taking.next().buffer.pts().unwrap();
    let base = taking.source.base_time().unwrap();
    let moment = pts.nseconds() + base.nseconds();
    assert!((before.as_nanos()..=Time::now().as_nanos()).contains(&moment));
}
