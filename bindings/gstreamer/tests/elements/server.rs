//! Beside a real server.

use framewire_testing::{wait_for, wait_until};
use gst::prelude::*;

use crate::program::Server;
use crate::stage::{Got, Place, Sending, Taking, caps, packed, picture, stat};

/// A port that is free.
pub(crate) const ANY: &str = "127.0.0.1:0";

/// Pushes pictures until one comes.
pub(crate) fn until_frame(sending: &Sending, caps: &gst::Caps, taking: &Taking) -> Got {
    until_frame_of(1, sending, caps, taking)
}

/// The same with pictures of a seed.
fn until_frame_of(seed: u64, sending: &Sending, caps: &gst::Caps, taking: &Taking) -> Got {
    wait_for("a frame", || {
        sending.push(picture(caps, seed));
        taking.soon().ok_or("none comes")
    })
}

#[test]
fn through_a_server_frames_come_out_as_they_went_in_by_every_way() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("BGR", 322, 240);
    for path in ["auto", "udp", "shm"] {
        let name = format!("cam-{path}");
        let sending = Sending::new(&caps, &format!("stream={name} server={} path={path}", server.url));
        let by_memory = Taking::new(&format!("stream={name} share={}", place.hub("server")));
        let by_network = Taking::new(&format!("stream={name} server={}", server.url));
        let sent = packed(&caps, &picture(&caps, 7));
        let pushing = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while pushing.load(std::sync::atomic::Ordering::Acquire) {
                    sending.push(picture(&caps, 7));
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            });
            for taking in [&by_memory, &by_network] {
                for _ in 0..5 {
                    let got = taking.next();
                    assert!(packed(&got.caps, &got.buffer) == sent, "{path}");
                }
            }
            pushing.store(false, std::sync::atomic::Ordering::Release);
        });
        assert!(stat(&sending.sink, "frames-sent") > 0);
    }
}

#[test]
fn in_every_a_server_has_all_frames_when_the_end_is_told() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 320, 240);
    for path in ["udp", "shm"] {
        let sending = Sending::new(&caps, &format!("stream=all server={} delivery=every path={path}", server.url));
        for seed in 0..40 {
            sending.push(picture(&caps, seed));
        }
        sending.end();
        sending.pipeline.eos();
        assert_eq!((stat(&sending.sink, "frames-sent"), stat(&sending.sink, "frames-delivered")), (40, 40), "{path}");
    }
}

#[test]
fn a_server_that_goes_and_comes_back_is_sent_to_again() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let listen = server.url.trim_start_matches("http://").to_owned();
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam server={}", server.url));
    let taking = Taking::new(&format!("stream=cam server={}", server.url));
    until_frame(&sending, &caps, &taking);
    drop(server);
    // It is looked how the server is with each picture.
    let bus = sending.pipeline.0.bus().unwrap();
    wait_until("a warning", || {
        sending.push(picture(&caps, 1));
        bus.pop_filtered(&[gst::MessageType::Warning]).is_some()
    });
    taking.pipeline.until(|message| match message.view() {
        gst::MessageView::Warning(warning) => warning.error().to_string().contains(&listen).then_some(()),
        _ => None,
    });
    let Some(_again) = Server::start(place.folder(), &listen, &[]) else { return };
    // Those that came before the end may wait still.
    while taking.soon().is_some() {}
    until_frame(&sending, &caps, &taking);
    taking.pipeline.over();
    wait_until("the stream is open", || {
        sending.push(picture(&caps, 2));
        sending.sink.property::<gst::Structure>("stats").get::<bool>("is-open").unwrap()
    });
}

#[test]
fn a_protected_server_is_joined_by_its_file_at_both_ends() {
    let place = Place::new();
    let file = place.file("join");
    let Some(_server) = Server::start(place.folder(), ANY, &["--protect", "--join-file", file.to_str().unwrap()])
    else {
        return;
    };
    wait_until("the file", || file.exists());
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam join={}", file.display()));
    let taking = Taking::new(&format!("stream=cam join={}", file.display()));
    let got = until_frame(&sending, &caps, &taking);
    assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 1)));
    // The line itself does, too, and is shown to nobody.
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("framewire:")).unwrap().trim();
    let sending = Sending::new(&caps, &format!("stream=line join=\"{line}\""));
    let taking = Taking::new(&format!("stream=line join=\"{line}\""));
    until_frame(&sending, &caps, &taking);
    for element in [&sending.sink, &taking.source] {
        assert_eq!(element.property::<Option<String>>("join"), None);
    }
}

#[test]
fn a_server_that_goes_is_an_error_where_it_is_not_to_be_waited_for() {
    let place = Place::new();
    let Some(mut server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam server={} reconnect=false", server.url));
    until_frame(&sending, &caps, &Taking::new(&format!("stream=cam server={}", server.url)));
    // It is there now, and need not be waited for.
    let taking = Taking::new(&format!("stream=cam server={} reconnect=false", server.url));
    until_frame(&sending, &caps, &taking);
    server.child.kill().unwrap();
    let error = taking.pipeline.error();
    assert!(error.contains("reconnect=false"), "{error}");
    let bus = sending.pipeline.0.bus().unwrap();
    wait_until("an error", || {
        sending.push(picture(&caps, 1));
        bus.pop_filtered(&[gst::MessageType::Error]).is_some()
    });
}

#[test]
fn frames_of_a_server_come_in_at_the_port_that_is_said() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let free = std::net::UdpSocket::bind(ANY).unwrap().local_addr().unwrap();
    let caps = caps("GRAY8", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam server={}", server.url));
    let taking = Taking::new(&format!("stream=cam server={} udp={free}", server.url));
    assert_eq!(taking.address(), free.to_string());
    until_frame(&sending, &caps, &taking);
    assert_eq!(taking.address(), free.to_string());
}

#[test]
fn of_two_sinks_of_one_name_at_a_server_both_go_on_and_the_first_has_it() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 64, 48);
    // Until a frame more has arrived than before.
    let goes_on = |sending: &Sending, seed| {
        let before = stat(&sending.sink, "frames-delivered");
        wait_until("frames that arrive", || {
            sending.push(picture(&caps, seed));
            stat(&sending.sink, "frames-delivered") > before
        });
    };
    let begun = || Sending::new(&caps, &format!("stream=cam server={}", server.url));
    let first = begun();
    goes_on(&first, 1);
    let second = begun();
    goes_on(&second, 2);
    goes_on(&first, 1);
    // What comes by a name is the same sink's at all times.
    for (name, sending, seed) in [("cam", &first, 1), ("cam-2", &second, 2)] {
        let taking = Taking::new(&format!("stream={name} server={}", server.url));
        for _ in 0..3 {
            goes_on(&first, 1);
            goes_on(&second, 2);
            let got = until_frame_of(seed, sending, &caps, &taking);
            assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, seed)), "{name} is the other's");
        }
    }
}

#[test]
fn a_stream_that_ends_at_a_server_is_told_of_while_it_is_away() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 64, 48);
    let begun = || Sending::new(&caps, &format!("stream=cam server={}", server.url));
    let sending = begun();
    let taking = [format!("share={}", place.hub("server")), format!("server={}", server.url)]
        .map(|place| Taking::new(&format!("stream=cam {place}")));
    for taking in &taking {
        until_frame(&sending, &caps, taking);
        taking.pipeline.forget();
    }
    drop(sending);
    for taking in &taking {
        taking.pipeline.warning();
        // Those that came before the end may wait still, and are not what ends it.
        while taking.soon().is_some() {}
    }
    let sending = begun();
    for taking in &taking {
        until_frame(&sending, &caps, taking);
        taking.pipeline.over();
    }
}

/// The next so many buffers follow each other without a gap from a number on, and have the pictures of these seeds.
fn follow_each_other(taking: &Taking, caps: &gst::Caps, from: u64, seeds: impl IntoIterator<Item = u64>) {
    for (number, seed) in (from..).zip(seeds) {
        let got = taking.next();
        assert_eq!(got.buffer.offset(), number, "{}", taking.source.property::<gst::Structure>("stats"));
        assert!(!got.buffer.flags().contains(gst::BufferFlags::DISCONT), "{number}");
        assert!(packed(&got.caps, &got.buffer) == packed(caps, &picture(caps, seed)), "{number} is not of {seed}");
    }
}

#[test]
fn in_every_all_frames_of_a_server_come_with_numbers_without_gaps_to_who_keeps_up() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 320, 240);
    for path in ["udp", "shm"] {
        let to = format!("stream={path} server={} path={path} delivery=every", server.url);
        let sending = Sending::new(&caps, &to);
        let taking = Taking::new(&format!("stream={path} server={} delivery=every", server.url));
        let first = until_frame(&sending, &caps, &taking).buffer.offset();
        // Those that it took until the first one came.
        wait_until("all is sent", || stat(&sending.sink, "frames-delivered") == stat(&sending.sink, "frames-sent"));
        let before = stat(&sending.sink, "frames-sent") - 1 - first;
        follow_each_other(&taking, &caps, first + 1, (0..before).map(|_| 1));
        // As many at once as wait at the server.
        for round in 0..100 {
            let seeds = [2 * round + 2, 2 * round + 3];
            for seed in seeds {
                sending.push(picture(&caps, seed));
            }
            follow_each_other(&taking, &caps, first + before + 1 + 2 * round, seeds);
        }
        for count in ["frames-lost", "frames-dropped", "frames-skipped"] {
            assert_eq!(stat(&taking.source, count), 0, "{path}: {count}");
        }
        assert_eq!(stat(&taking.source, "frames-taken"), before + 201, "{path}");
    }
}

#[test]
fn in_every_what_comes_faster_than_a_source_of_a_server_takes_it_is_counted_and_a_gap() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let caps = caps("GRAY8", 640, 480);
    let sending = Sending::new(&caps, &format!("stream=cam server={} delivery=every", server.url));
    let taking = Taking::new(&format!("stream=cam server={} delivery=every", server.url));
    let mut expected = until_frame(&sending, &caps, &taking).buffer.offset() + 1;
    for _ in 0..200 {
        sending.push(picture(&caps, 2));
    }
    wait_until("all is sent", || stat(&sending.sink, "frames-delivered") == stat(&sending.sink, "frames-sent"));
    let sent = stat(&sending.sink, "frames-sent");
    let mut gaps = 0;
    // The last one waits at the server for as long as it takes.
    while expected < sent {
        let got = taking.next();
        let number = got.buffer.offset();
        assert_eq!(got.buffer.flags().contains(gst::BufferFlags::DISCONT), number > expected, "{number}");
        gaps += number - expected;
        expected = number + 1;
    }
    // Left out at the server, lost on the way, or here.
    let counted = || ["frames-skipped", "frames-lost", "frames-dropped"].map(|count| stat(&taking.source, count));
    wait_until("what is not there is counted", || counted().iter().sum::<u64>() == gaps);
}
