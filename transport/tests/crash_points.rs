//! Each party of shared memory is killed at each of its steps: no frame is torn, no slot lost, nobody else disturbed.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod crash;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crash::children::{FORGETS, FRAMES, PASSES, POINT, POLICY, Process};
use crash::parties::{
    Folder, PATIENCE, POLICIES, SLOTS, Seen, Stops, alone, descriptors, publish_on, publisher, read_on, subscribe,
    time_until,
};
use crash::{roles, stamped};
use framewire_transport::frame::Frame;
use framewire_transport::share::points::Point;
use framewire_transport::{Delivery, Endpoint, Reader, Receiver, ReceiverConfig, ShareConfig};

/// Not a test of its own: what this program does when it is started by one.
#[test]
fn in_another_process() {
    roles::play();
}

/// After so many frames, whoever has not come to its point ends by itself.
const FRAMES_MAX: &str = "3000";

const READER_POINTS: [Point; 9] = [
    Point::Received,
    Point::Subscribed,
    Point::Taking,
    Point::Taken,
    Point::GivingBack,
    Point::GivenBack,
    Point::Telling,
    Point::Armed,
    Point::Woken,
];

#[test]
fn a_reader_that_is_killed_between_any_two_steps_leaves_nothing_behind() {
    let _alone = alone();
    let folder = Folder::new("reader");
    let before = descriptors();
    let mut slowest = Duration::ZERO;
    for policy in POLICIES {
        let (publisher, stream) = publisher(&folder.socket());
        let (stop, seen) = (AtomicBool::new(false), Seen::default());
        let bystander = subscribe(&folder.socket(), "latest");
        std::thread::scope(|scope| {
            let _stops = Stops([&stop, &seen.stop]);
            scope.spawn(|| publish_on(&stream, &stop));
            scope.spawn(|| read_on(&bystander, &seen));
            let mut reached = Vec::new();
            for point in READER_POINTS {
                // What is done once is passed once.
                let is_once = matches!(point, Point::Received | Point::Subscribed);
                for passes in if is_once { 0..1 } else { 0..4 }.step_by(3) {
                    let settings = [
                        (POLICY, policy.to_owned()),
                        (POINT, format!("{point:?}")),
                        (PASSES, passes.to_string()),
                        (FRAMES, FRAMES_MAX.to_owned()),
                    ];
                    let mut victim = Process::start("reader", &folder.socket(), &settings);
                    if victim.wait_for("done").is_none() {
                        assert!(victim.wait_killed(), "{policy} {point:?}: it ended by itself");
                        reached.push(point);
                    }
                    drop(victim);
                    let gone = || stream.readers().len() == 1;
                    slowest = slowest.max(time_until("the dead reader is gone", gone));
                    let frames = seen.frames.load(Ordering::Acquire);
                    time_until("the other reader goes on", || seen.frames.load(Ordering::Acquire) > frames + 5);
                }
            }
            // Whoever is only told on demand is not always told; one for whom frames wait is.
            let is_due = |point: &&Point| **point != Point::Telling || policy == "block";
            let missed = READER_POINTS.iter().filter(is_due).find(|point| !reached.contains(point));
            assert_eq!(missed, None, "{policy}: a point was never reached");
        });
        assert_eq!(seen.torn.load(Ordering::Acquire), 0, "{policy}");
        drop(bystander);
        time_until("the last reader is gone", || stream.readers().is_empty());
        assert!(stream.slots_in_use() <= 1, "{policy}: more than the newest frame's slot is in use");
        let free: Vec<_> = std::iter::from_fn(|| stream.frame_timeout(Duration::ZERO).unwrap()).collect();
        assert!(free.len() >= SLOTS, "{policy}: {} of {SLOTS} slots came back", free.len());
        drop(free);
        drop((stream, publisher));
    }
    assert!(!folder.socket().exists(), "a hub that ended leaves its socket");
    assert_eq!(descriptors(), before, "descriptors are left");
    println!("the slots of a killed reader were back after at most {slowest:?}");
}

const HUB_POINTS: [Point; 8] = [
    Point::Offering,
    Point::OfferPut,
    Point::Waking,
    Point::Offered,
    Point::Collecting,
    Point::Collected,
    Point::Granting,
    Point::Granted,
];

#[test]
fn a_hub_that_is_killed_between_any_two_steps_costs_its_readers_no_frame_that_they_hold_and_they_read_on() {
    let _alone = alone();
    let folder = Folder::new("hub");
    let before = descriptors();
    let mut slowest = Duration::ZERO;
    for policy in POLICIES {
        for point in HUB_POINTS {
            let passes = if matches!(point, Point::Granting | Point::Granted) { "1" } else { "20" };
            let settings =
                [(POINT, format!("{point:?}")), (PASSES, passes.to_owned()), (FRAMES, FRAMES_MAX.to_owned())];
            let mut hub = Process::start("hub", &folder.socket(), &settings);
            hub.wait_for("ready").expect("a hub");
            let (subscription, seen) = (subscribe(&folder.socket(), policy), Seen::default());
            std::thread::scope(|scope| {
                let _stops = Stops([&seen.stop]);
                scope.spawn(|| read_on(&subscription, &seen));
                // Another one comes, which is what some points wait for.
                let second = scope.spawn(|| {
                    let reader = Reader::connect(Endpoint::path(folder.socket()).unwrap());
                    reader.and_then(|reader| reader.subscribe("front", roles::policy(policy)))
                });
                assert!(hub.wait_for("done").is_none() && hub.wait_killed(), "{policy} {point:?}: it ended by itself");
                drop(second.join().unwrap());
                let frames = seen.frames.load(Ordering::Acquire);
                let mut next = Process::start("hub", &folder.socket(), &[]);
                next.wait_for("ready").expect("a hub in its place");
                let goes_on = || seen.frames.load(Ordering::Acquire) > frames + 5;
                slowest = slowest.max(time_until("the reader reads on", goes_on));
            });
            assert_eq!(seen.torn.load(Ordering::Acquire), 0, "{policy} {point:?}");
        }
    }
    assert_eq!(descriptors(), before, "descriptors are left");
    println!("a reader read on at most {slowest:?} after its hub was back");
}

#[test]
fn a_hub_that_forgets_a_lease_is_found_out() {
    let _alone = alone();
    let folder = Folder::new("forgets");
    let mut hub = Process::start("hub", &folder.socket(), &[(FORGETS, "1".to_owned())]);
    hub.wait_for("ready").expect("a hub");
    let subscription = subscribe(&folder.socket(), "latest");
    let mut kept: VecDeque<(u64, Frame)> = VecDeque::new();
    // Frames are written into slots that this holds: it cannot be long until one is seen to change.
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "frames change in a reader's hands, and nothing notices");
        let Ok(frame) = subscription.recv_timeout(Duration::from_millis(100)) else { continue };
        match stamped::read(&frame) {
            None => break,
            Some(number) => kept.push_back((number, frame)),
        }
        if kept.len() > 2
            && let Some((number, frame)) = kept.pop_front()
            && stamped::read(&frame) != Some(number)
        {
            break;
        }
    }
}

const SENDER_POINTS: [Point; 6] =
    [Point::SlotsMapped, Point::SlotTaken, Point::Recording, Point::Recorded, Point::Committed, Point::Closing];

#[test]
fn a_sender_that_is_killed_between_any_two_steps_leaves_whole_frames_and_nothing_else() {
    let _alone = alone();
    let folder = Folder::new("sender");
    let before = descriptors();
    for delivery in ["every", "latest"] {
        let endpoint = Endpoint::path(folder.socket()).unwrap();
        let config = ReceiverConfig::new().share(ShareConfig::new(endpoint));
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        for point in SENDER_POINTS {
            let is_once = matches!(point, Point::SlotsMapped | Point::Closing);
            let settings = [
                (POLICY, delivery.to_owned()),
                (POINT, format!("{point:?}")),
                (PASSES, if is_once { "0" } else { "20" }.to_owned()),
                (FRAMES, "200".to_owned()),
            ];
            let mut victim = Process::start("sender", &folder.socket(), &settings);
            let stream = (point != Point::SlotsMapped).then(|| receiver.accept_timeout(PATIENCE).unwrap());
            let mut numbers = Vec::new();
            if let Some(stream) = &stream {
                for frame in stream.frames() {
                    let frame = frame.unwrap();
                    numbers.push(stamped::read(&frame).expect("a whole frame"));
                }
                // In `latest` newer ones may have come before any was taken.
                let has_all = match delivery {
                    "latest" => numbers.is_sorted() && !numbers.is_empty(),
                    _ => numbers.len() >= 15 && numbers.iter().copied().eq(0..numbers.len() as u64),
                };
                assert!(has_all, "{delivery} {point:?}: {numbers:?}");
                let stats = stream.stats();
                let (source, unseen) = (stream.source(), stats.frames_unseen());
                assert_eq!(stats.frames_delivered + unseen, stats.frames_passed, "{delivery} {point:?}");
                assert_eq!(source.skipped, unseen, "{delivery} {point:?}: nothing is lost on this way");
            }
            assert!(
                victim.wait_for("done").is_none() && victim.wait_killed(),
                "{delivery} {point:?}: it ended by itself"
            );
            drop(stream);
            time_until("the memory of a dead sender's stream comes back", || receiver.memory_bytes() == 0);
        }
        drop(receiver);
    }
    assert_eq!(descriptors(), before, "descriptors are left");
}

const INLET_POINTS: [Point; 6] = [
    Point::Granting,
    Point::Granted,
    Point::CommitsTaken,
    Point::FrameMade,
    Point::FramePublished,
    Point::SlotsGranted,
];

#[test]
fn a_hub_that_is_killed_between_any_two_steps_costs_its_sender_no_frame_that_it_had_not_settled() {
    const FRAMES_SENT: u64 = 150;
    let _alone = alone();
    let folder = Folder::new("inlet");
    let before = descriptors();
    for point in INLET_POINTS {
        let passes = if matches!(point, Point::Granting | Point::Granted) { "0" } else { "20" };
        let mut hub =
            Process::start("receiver", &folder.socket(), &[(POINT, format!("{point:?}")), (PASSES, passes.to_owned())]);
        hub.wait_for("ready").expect("a hub");
        let sender = roles::local_sender(Endpoint::path(folder.socket()).unwrap(), Delivery::Every);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for number in 0..FRAMES_SENT {
                    let mut frame = sender.frame().unwrap();
                    stamped::write(&mut frame, number);
                    sender.send(frame).unwrap();
                }
                sender.close(PATIENCE)
            });
            let mut last = None;
            while let Some(number) = hub.wait_for("frame ") {
                last = number.parse::<u64>().ok();
            }
            assert!(hub.wait_killed(), "{point:?}: it ended by itself");
            let mut next = Process::start("receiver", &folder.socket(), &[]);
            next.wait_for("ready").expect("a hub in its place");
            let first: u64 = next.wait_for("frame ").expect("a frame").parse().unwrap();
            assert!(
                first <= last.map_or(0, |last| last + 1 + 64),
                "{point:?}: frames are missing between {last:?} and {first}"
            );
            for number in first + 1..FRAMES_SENT {
                let came = next.wait_for("frame ").map(|number| number.parse());
                assert_eq!(came, Some(Ok(number)), "{point:?}: none is lost, none comes twice");
            }
            let report = sending.join().unwrap().unwrap();
            // The frames that the first one had settled before it was killed, and all the others.
            assert_eq!(report.delivered, FRAMES_SENT, "{point:?}");
        });
        drop(sender);
    }
    assert_eq!(descriptors(), before, "descriptors are left");
}
