//! A source and an output beside each other, by both ways.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use framewire_ends::{Class, Hub, OpenOptions, Output, OutputOptions, ReceiveOptions, Source, Taken};
use framewire_testing::PATIENCE;
use framewire_transport::share::{Endpoint, ShareConfig};
use framewire_transport::{Delivery, FrameFormat, Key, PixelFormat, Protection, Receiver, ReceiverConfig};

fn gray() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()
}

/// A source, an output to it, and the folder that its hub is in.
fn pair(shared: bool, delivery: Delivery) -> (Source, Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = OutputOptions::new().delivery(delivery);
    if !shared {
        let source = Source::bind("127.0.0.1:0", &ReceiveOptions::default()).unwrap();
        let output = Output::connect(&source.local_addr().unwrap().to_string(), options).unwrap();
        output.begin(gray()).unwrap();
        return (source, output, folder);
    }
    let hub: Hub = folder.path().join("front.sock").to_str().unwrap().parse().unwrap();
    let output = Output::publish("front", Some(hub.clone()), options).unwrap();
    output.begin(gray()).unwrap();
    let open = OpenOptions::new().hub(hub).queue(8);
    let source = Source::open(Some("front"), &open, &mut || true).unwrap().unwrap();
    (source, output, folder)
}

fn send(output: &Output, shade: u8) {
    let mut frame = output.frame(PATIENCE).unwrap().unwrap();
    frame.fill(shade);
    output.send(frame).unwrap();
}

fn taken(source: &Source) -> Taken {
    source.recv(PATIENCE).unwrap().expect("a frame comes")
}

#[test]
fn what_is_sent_is_taken_and_counted_at_both_ends() {
    for shared in [false, true] {
        let (source, output, _folder) = pair(shared, Delivery::Every);
        for shade in 0..5 {
            send(&output, shade);
            let taken = taken(&source);
            assert!(taken.frame.iter().all(|gray| *gray == shade));
            assert_eq!(taken.stream.format, gray());
        }
        assert_eq!((source.stats().taken, source.stats().bytes), (5, 5 * 64 * 48));
        assert!(output.close(PATIENCE) && output.close(PATIENCE));
        assert_eq!((output.stats().sent, output.stats().delivered), (5, 5), "shared: {shared}");
        assert_eq!(output.begin(gray()).unwrap_err().class, Class::Closed);
    }
}

#[test]
fn the_descriptor_tells_of_frames_and_of_the_end() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let readable = |source: &Source, timeout: Option<&Timespec>| {
        let descriptor = source.descriptor().unwrap();
        poll(&mut [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN)], timeout).unwrap() == 1
    };
    for shared in [false, true] {
        let (source, output, _folder) = pair(shared, Delivery::Every);
        while source.recv(Duration::ZERO).unwrap().is_some() {}
        send(&output, 7);
        // Of the stream first, perhaps, and then of its frame.
        let frame = loop {
            assert!(readable(&source, None));
            if let Some(taken) = source.recv(Duration::ZERO).unwrap() {
                break taken.frame;
            }
        };
        assert_eq!(frame[0], 7);
        // It may be so without a frame, and then is not once that has been looked for.
        let silent = (0..10).find(|_| {
            while source.recv(Duration::ZERO).unwrap().is_some() {}
            !readable(&source, Some(&Timespec::default()))
        });
        assert!(silent.is_some(), "shared: {shared}");
        source.close();
        assert!(readable(&source, None));
        assert_eq!(source.recv(PATIENCE).unwrap_err().class, Class::Closed);
        assert!(source.is_closed() && source.streams().is_empty());
    }
}

#[test]
fn whoever_holds_every_slot_is_told_and_goes_on_once_one_is_given_back() {
    for shared in [false, true] {
        let (source, output, _folder) = pair(shared, Delivery::Latest);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(Some(frame)) = output.frame(Duration::from_millis(5)) {
                        let _ = output.send(frame);
                    }
                }
            });
            let mut held = Vec::new();
            let error = loop {
                match source.recv(PATIENCE) {
                    Ok(Some(taken)) => held.push(taken),
                    Ok(None) => panic!("a frame comes, or it is told that none can"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.class, Class::SlotsHeld);
            assert!(source.stats().held >= 2);
            held.pop();
            assert!(source.recv(PATIENCE).unwrap().is_some());
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_sender_that_is_back_is_read_on_and_one_without_reconnect_ends() {
    let source = Source::bind("127.0.0.1:0", &ReceiveOptions::new()).unwrap();
    let once = Source::bind("127.0.0.1:0", &ReceiveOptions::new().reconnect(false)).unwrap();
    for shade in 0..2 {
        for source in [&source, &once] {
            let options = OutputOptions::new().delivery(Delivery::Every);
            let output = Output::connect(&source.local_addr().unwrap().to_string(), options).unwrap();
            output.begin(gray()).unwrap();
            send(&output, shade);
            if shade == 1 && std::ptr::eq(source, &once) {
                continue;
            }
            assert_eq!(taken(source).frame[0], shade);
            assert!(output.close(PATIENCE));
            if std::ptr::eq(source, &once) {
                assert_eq!(source.recv(PATIENCE).unwrap_err().class, Class::Ended);
            }
        }
    }
    assert_eq!(source.stats().streams, 2);
}

#[test]
fn what_is_left_of_a_stream_comes_before_the_one_that_follows_it() {
    let (source, first, _folder) = pair(false, Delivery::Every);
    for shade in 0..3 {
        send(&first, shade);
    }
    assert!(first.close(PATIENCE));
    let address = source.local_addr().unwrap().to_string();
    let second = Output::connect(&address, OutputOptions::new().delivery(Delivery::Every)).unwrap();
    second.begin(gray()).unwrap();
    for shade in 3..6 {
        send(&second, shade);
    }
    assert!(second.wait_until_settled(PATIENCE).unwrap());
    let shades: Vec<_> = (0..6).map(|_| taken(&source).frame[0]).collect();
    assert_eq!(shades, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_stream_that_nobody_shares_is_told_and_waited_for_as_long_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let hub: Hub = folder.path().join("x.sock").to_str().unwrap().parse().unwrap();
    let options = OpenOptions::new().hub(hub);
    let error = Source::open(Some("front"), &options, &mut || true).err().unwrap();
    assert_eq!(error.code, "no-hub");
    let hub: Hub = folder.path().join("x.sock").to_str().unwrap().parse().unwrap();
    let listed = framewire_ends::shared_streams(Some(&hub), &mut || true).unwrap().all();
    assert_eq!(listed.unwrap_err().code, "no-hub", "a hub that was named is not silently one without streams");
    let options = options.wait(PATIENCE);
    let mut asked = 0;
    let opened = Source::open(Some("front"), &options, &mut || {
        asked += 1;
        asked < 3
    });
    assert!(opened.unwrap().is_none());
}

#[test]
fn off_loopback_nobody_listens_by_mistake() {
    let error = Source::bind("0.0.0.0:0", &ReceiveOptions::default()).err().unwrap();
    assert_eq!((error.class, error.code), (Class::Argument, "receiver-unprotected"));
    let key = Key::random().unwrap();
    for meant in [ReceiveOptions::new().protection(Protection::Off), ReceiveOptions::new().keys([key.clone()])] {
        assert!(Source::bind("0.0.0.0:0", &meant).is_ok());
    }
    let both = ReceiveOptions::new().protection(Protection::Off).keys([key]);
    let error = Source::bind("127.0.0.1:0", &both).err().unwrap();
    assert_eq!((error.class, error.code), (Class::Argument, "receiver-keys-unused"));
}

#[test]
fn off_loopback_nobody_sends_by_mistake() {
    // Of those that are there for documentation: nobody has it.
    let unprotected = Output::connect("192.0.2.1:9", OutputOptions::new()).unwrap();
    let error = unprotected.begin(gray()).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Argument, "unprotected"));
    let on = OutputOptions::new().protection(Protection::On);
    let error = Output::connect("127.0.0.1:9", on).unwrap().begin(gray()).unwrap_err();
    assert_eq!((error.class, error.code), (Class::Argument, "no-key"));
}

#[test]
fn with_a_key_frames_are_protected_and_both_ends_say_by_what() {
    let (key, another) = (Key::random().unwrap(), Key::random().unwrap());
    let source = Source::bind("127.0.0.1:0", &ReceiveOptions::new().keys([another, key.clone()])).unwrap();
    let to = source.local_addr().unwrap().to_string();
    let every = OutputOptions::new().delivery(Delivery::Every);
    let output = Output::connect(&to, every.clone().key(key)).unwrap();
    output.begin(gray()).unwrap();
    send(&output, 7);
    let taken = taken(&source);
    assert!(taken.frame.iter().all(|gray| *gray == 7));
    let cipher = taken.stream.protection.expect("it is protected");
    assert_eq!(output.stats().protection, Some(cipher));
    assert!(output.close(PATIENCE));

    // Whoever has no key of it, or none at all, is told how to have one.
    for (options, code) in
        [(every.clone(), "refused-needs-key"), (every.key(Key::random().unwrap()), "refused-wrong-key")]
    {
        let stranger = Output::connect(&to, options).unwrap();
        stranger.begin(gray()).unwrap();
        let error = stranger.wait_until_open(PATIENCE).unwrap_err();
        assert_eq!((error.class, error.code), (Class::Refused, code));
        assert_eq!(stranger.trouble(), Some(error.text), "it is told to whoever does not wait, too");
    }
}

#[test]
fn errors_are_said_in_the_words_of_a_language() {
    let error = Source::bind("0.0.0.0:0", &ReceiveOptions::default()).err().unwrap();
    let words = [("ReceiverConfig::keys, SenderConfig::key", "key="), ("Protection::Off", "off")];
    let text = error.in_words(&words);
    assert!(text.contains("(key=)") && text.contains("say off"), "{text}");
}

#[test]
fn frames_of_another_format_are_refused_with_both() {
    let (_source, output, _folder) = pair(true, Delivery::Latest);
    let other = FrameFormat::new(PixelFormat::Bgr24, 64, 48).unwrap();
    let error = output.begin(other).unwrap_err();
    assert!(error.text.contains("64x48 gray8") && error.text.contains("64x48 bgr24"), "{error}");
}

#[test]
fn all_streams_of_a_hub_are_read_as_they_come_and_its_end_is_told() {
    for reconnect in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        let hub: Hub = path.to_str().unwrap().parse().unwrap();
        let options = OpenOptions::new().reconnect(reconnect).queue(8);
        assert_eq!(Source::open_all(&hub, &options).err().unwrap().code, "no-hub");
        let share = || ReceiverConfig::new().share(ShareConfig::new(Endpoint::path(&path).unwrap()));
        let server = Receiver::bind("127.0.0.1:0".parse().unwrap(), share()).unwrap();
        let source = Source::open_all(&hub, &options).unwrap();
        assert!(source.recv(Duration::ZERO).unwrap().is_none() && source.streams().is_empty());
        let mut outputs = Vec::new();
        for (shade, name) in ["front", "rear"].into_iter().enumerate() {
            let output = Output::connect(&server.local_addr().to_string(), OutputOptions::new()).unwrap();
            output.begin(gray()).unwrap();
            let incoming = server.accept().unwrap();
            incoming.share_as(name).unwrap();
            send(&output, shade as u8);
            let taken = taken(&source);
            assert_eq!((taken.stream.name.as_str(), taken.frame[0]), (name, shade as u8));
            outputs.push((output, incoming));
        }
        let names: Vec<_> = source.streams().into_iter().map(|stream| stream.name).collect();
        assert_eq!((names, source.stats().taken, source.stats().streams), (vec!["front".into(), "rear".into()], 2, 2));
        assert!(outputs.remove(0).0.close(PATIENCE));
        let is_gone = (0..400).any(|_| {
            assert!(source.recv(Duration::from_millis(50)).unwrap().is_none());
            source.streams().len() == 1
        });
        assert!(is_gone);
        let served = Source::open_served(&hub, &ReceiveOptions::new().reconnect(false)).unwrap();
        assert!(outputs.remove(0).0.close(PATIENCE));
        let error = (0..400).find_map(|_| served.recv(Duration::from_millis(50)).err());
        assert_eq!(error.map(|error| error.class), Some(Class::Ended));
        drop((outputs, server));
        if !reconnect {
            let error = (0..400).find_map(|_| source.recv(Duration::from_millis(50)).err());
            assert_eq!(error.map(|error| error.class), Some(Class::Interrupted));
            continue;
        }
        let server = Receiver::bind("127.0.0.1:0".parse().unwrap(), share()).unwrap();
        let output = Output::connect(&server.local_addr().to_string(), OutputOptions::new()).unwrap();
        output.begin(gray()).unwrap();
        let incoming = server.accept().unwrap();
        incoming.share_as("front").unwrap();
        send(&output, 9);
        assert_eq!((taken(&source).frame[0], source.stats().streams), (9, 3));
        source.close();
        assert_eq!(source.recv(PATIENCE).unwrap_err().class, Class::Closed);
    }
}

#[test]
fn patience_with_held_slots_goes_over_calls_and_begins_anew_with_each_that_is_given_back() {
    const STEP: Duration = Duration::from_millis(2);
    for shared in [false, true] {
        let (source, output, _folder) = pair(shared, Delivery::Latest);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(Some(frame)) = output.frame(Duration::from_millis(5)) {
                        let _ = output.send(frame);
                    }
                }
            });
            let mut held = Vec::new();
            // Whoever has no time is told at once.
            let error = loop {
                match source.recv(Duration::ZERO) {
                    Ok(taken) => held.extend(taken),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.class, Class::SlotsHeld);
            assert_eq!(source.waiting().unwrap_err().class, Class::SlotsHeld);
            let told = (0..10_000).find_map(|_| source.recv(STEP).err());
            assert_eq!(told.map(|error| error.class), Some(Class::SlotsHeld), "shared: {shared}");
            let began = std::time::Instant::now();
            held.pop();
            held.push(source.recv(PATIENCE).unwrap().expect("a frame comes"));
            // Where the machine did not keep this thread from it, that is too short a time for being told again.
            let short = source.recv(STEP);
            assert!(began.elapsed() >= Duration::from_millis(80) || short.unwrap().is_none());
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn what_comes_after_the_newest_is_told_by_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let hub: Hub = folder.path().join("front.sock").to_str().unwrap().parse().unwrap();
    let output = Output::publish("front", Some(hub.clone()), OutputOptions::new()).unwrap();
    output.begin(gray()).unwrap();
    let open = OpenOptions::new().hub(hub).queue(8).reconnect(false);
    let source = Source::open(Some("front"), &open, &mut || true).unwrap().unwrap();
    send(&output, 1);
    send(&output, 2);
    assert!(output.close(PATIENCE));
    drop(output);
    let frame = source.latest(PATIENCE).unwrap().expect("frames wait").frame;
    assert_eq!(frame[0], 2);
    let error = (0..400).find_map(|_| source.latest(Duration::from_millis(50)).err());
    assert_eq!(error.map(|error| error.class), Some(Class::Ended));
}

/// A hub that is stopped: it lets in whoever comes, and answers nobody.
fn stopped_hub(path: &std::path::Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&socket, 16).unwrap();
    socket
}

#[test]
fn whoever_takes_what_waits_asks_no_hub() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let hub: Hub = path.to_str().unwrap().parse().unwrap();
    let share = ReceiverConfig::new().share(ShareConfig::new(Endpoint::path(&path).unwrap()));
    let server = Receiver::bind("127.0.0.1:0".parse().unwrap(), share).unwrap();
    let source = Source::open_all(&hub, &OpenOptions::new()).unwrap();
    drop(server);
    let _ = std::fs::remove_file(&path);
    let stopped = stopped_hub(&path);
    // It is asked by whoever has time, and goes on waiting for it.
    assert!(source.recv(Duration::from_millis(200)).unwrap().is_none());
    rustix::net::acceptfrom(&stopped).map(drop).unwrap();
    while source.waiting().unwrap().is_some() {}
    let asked = || {
        rustix::io::ioctl_fionbio(&stopped, true).unwrap();
        std::iter::from_fn(|| rustix::net::acceptfrom(&stopped).ok()).count()
    };
    asked();
    for _ in 0..60 {
        assert!(source.waiting().unwrap().is_none() && source.latest_waiting().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(asked(), 0);
    source.close();
    assert_eq!(source.waiting().unwrap_err().class, Class::Closed);
}

#[test]
fn opening_a_stream_of_a_stopped_hub_is_given_up_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("front.sock");
    let _stopped = stopped_hub(&path);
    let hub: Hub = path.to_str().unwrap().parse().unwrap();
    let mut asked = 0;
    let opened = Source::open(Some("front"), &OpenOptions::new().hub(hub), &mut || {
        asked += 1;
        asked < 3
    });
    assert!(opened.unwrap().is_none());
}

#[test]
fn without_reconnect_the_end_of_a_hub_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let hub: Hub = path.to_str().unwrap().parse().unwrap();
    let share = ReceiverConfig::new().share(ShareConfig::new(Endpoint::path(&path).unwrap()));
    let server = Receiver::bind("127.0.0.1:0".parse().unwrap(), share).unwrap();
    let output = Output::connect(&server.local_addr().to_string(), OutputOptions::new()).unwrap();
    output.begin(gray()).unwrap();
    let incoming = server.accept().unwrap();
    incoming.share_as("front").unwrap();
    let open = OpenOptions::new().hub(hub).reconnect(false);
    let source = Source::open(Some("front"), &open, &mut || true).unwrap().unwrap();
    drop((server, incoming, output));
    let error = source.recv(PATIENCE).unwrap_err();
    // Its stream may be over before the hub is.
    assert!(matches!(error.class, Class::Interrupted | Class::Ended), "{error:?}");
    assert_eq!(source.recv(PATIENCE).unwrap_err(), error);
    assert_eq!(source.waiting().unwrap_err(), error);
}

#[test]
fn whoever_waits_for_a_slot_learns_that_the_output_was_closed_and_the_name_is_free() {
    for shared in [false, true] {
        let (source, output, folder) = pair(shared, Delivery::Every);
        if !shared {
            assert!(output.wait_until_open(PATIENCE).unwrap());
        }
        // All but one that the waiting thread is after are held, uncounted, so that nobody is told that the program has them all.
        let mut held = Vec::new();
        while let Some(slot) = output.frame_to_fill(Duration::ZERO).unwrap() {
            held.push(slot);
        }
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| output.frame(Duration::MAX).map(|slot| slot.is_some()));
            std::thread::sleep(Duration::from_millis(120));
            output.close(Duration::from_millis(1));
            assert_eq!(waits.join().unwrap().unwrap_err().class, Class::Closed, "shared: {shared}");
        });
        if shared {
            let hub: Hub = folder.path().join("front.sock").to_str().unwrap().parse().unwrap();
            assert!(Output::publish("front", Some(hub), OutputOptions::new()).is_ok());
        }
        drop((held, source));
    }
}

#[test]
fn whoever_has_every_slot_of_an_output_is_told_and_has_one_again_once_one_is_given_back() {
    for shared in [false, true] {
        let (source, output, _folder) = pair(shared, Delivery::Every);
        if !shared {
            assert!(output.wait_until_open(PATIENCE).unwrap());
        }
        let mut held = Vec::new();
        let error = loop {
            match output.frame(PATIENCE) {
                Ok(Some(slot)) => held.push(slot),
                Ok(None) => panic!("a slot, or that there can be none"),
                Err(error) => break error,
            }
        };
        // Nothing was published yet that is kept for those who come.
        let slots = output.slots() + usize::from(shared);
        assert_eq!((error.class, held.len()), (Class::SlotsHeld, slots), "shared: {shared}");
        assert!(error.text.contains(&held.len().to_string()));
        let kept = held.pop().map(|slot| slot.hold());
        assert_eq!(output.frame(PATIENCE).err().unwrap().class, Class::SlotsHeld);
        drop(kept);
        let slot = output.frame(PATIENCE).unwrap().unwrap();
        output.send(slot).unwrap();
        // It stays for those who come, where nothing is newer, or comes back.
        let next = output.frame(PATIENCE);
        assert!(if shared {
            next.is_err_and(|error| error.class == Class::SlotsHeld)
        } else {
            next.unwrap().is_some()
        });
        drop(source);
    }
}

#[test]
fn what_is_known_of_an_output_stays_while_it_is_closed_and_after_it() {
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = Output::connect(&listener.local_addr().unwrap().to_string(), OutputOptions::new()).unwrap();
    output.begin(gray()).unwrap();
    send(&output, 7);
    let look = || (output.stats().sent, output.format(), output.slots() > 0);
    // Nobody answers: it is asked for as long as it waits.
    let mut asked = 0;
    let has_arrived = output.close_while(PATIENCE, &mut || {
        assert_eq!(look(), (1, Some(gray()), true));
        asked += 1;
        asked < 3
    });
    assert!(!has_arrived && !output.close(PATIENCE), "the second says what the first did");
    assert_eq!((asked, look()), (3, (1, Some(gray()), true)));
}
