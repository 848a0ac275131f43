//! Streams that are received and sent on to many, over real sockets: each watcher gets what it should, whatever becomes of the others.
#![allow(missing_docs)]

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use framewire_testing::{PATIENCE, wait_for, wait_until};
use framewire_transport::frame::{FramePool, FrameRate, FrameRing};
use framewire_transport::wire::{Accept, Open};
use framewire_transport::{
    BackendKind, ConsumerPolicy, Delivery, EndReason, FrameFormat, IncomingStream, Key, MetadataKind, PixelFormat,
    Receiver, ReceiverConfig, RecvError, Relay, RelayConfig, RelayError, RelayStream, RelayStreamConfig, RelayTo,
    SendState, Sender, SenderConfig, SliceSize, Watcher,
};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap()
}

fn receiver(key: Option<&Key>) -> Receiver {
    let config = ReceiverConfig::new().keys(key.cloned().into_iter().collect::<Vec<_>>());
    // Frames wait for the test, as far as there are slots.
    let config = config.latest_policy(ConsumerPolicy::Queue(6)).slots(16);
    Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()
}

/// A camera whose frames a server receives.
struct Served {
    camera: Sender,
    incoming: IncomingStream,
    _server: Receiver,
}

fn served(format: FrameFormat) -> Served {
    let server = receiver(None);
    let camera = Sender::connect(server.local_addr(), SenderConfig::new(format)).unwrap();
    let incoming = server.accept_timeout(PATIENCE).unwrap();
    Served { camera, incoming, _server: server }
}

impl Served {
    /// The next frame, whose bytes tell its number; once it has come to the server.
    fn film(&self) -> u64 {
        let mut frame = self.camera.frame().unwrap();
        let shade = shade_of(self.camera.stats().frames);
        frame.fill(shade);
        frame.set_metadata(MetadataKind::Json, &[shade; 40]).unwrap();
        self.camera.send(frame).unwrap()
    }

    fn relayed(&self, relay: &Relay) -> RelayStream {
        let consumer = self.incoming.subscribe(ConsumerPolicy::Queue(3));
        relay.stream(consumer, RelayStreamConfig::of(self.incoming.info())).unwrap()
    }
}

fn shade_of(number: u64) -> u8 {
    (number % 251) as u8
}

/// Films until this watcher's receiver has its stream.
fn opened(served: &Served, watcher: &Receiver) -> IncomingStream {
    wait_for("its stream", || {
        served.film();
        watcher.accept_timeout(Duration::from_millis(20))
    })
}

/// Films until the stream has given so many frames, and checks each; their numbers.
fn watch(served: &Served, stream: &IncomingStream, frames: usize) -> Vec<u64> {
    let begun = Instant::now();
    let mut numbers = Vec::new();
    while numbers.len() < frames {
        assert!(begun.elapsed() < PATIENCE, "only {numbers:?} of {frames} came");
        served.film();
        if let Ok(frame) = stream.recv_timeout(Duration::from_millis(50)) {
            let number = frame.info().number;
            assert!(frame.iter().all(|byte| *byte == shade_of(number)), "frame {number} is another");
            let metadata = frame.metadata().unwrap();
            assert_eq!((metadata.kind, metadata.bytes), (MetadataKind::Json, &[shade_of(number); 40][..]));
            numbers.push(number);
        }
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    numbers
}

#[test]
fn several_receivers_watch_one_stream_by_every_backend_plain_and_protected() {
    for backend in BackendKind::ALL.iter().copied().filter(|kind| *kind != BackendKind::Auto) {
        for key in [None, Some(Key::random().unwrap())] {
            for slice in [SliceSize::Auto, SliceSize::Bytes(1_472)] {
                let served = served(format());
                let relay = Relay::start(RelayConfig::new().backend(backend)).unwrap();
                let stream = served.relayed(&relay);
                let ends: [_; 3] = std::array::from_fn(|_| receiver(key.as_ref()));
                let watchers: Vec<Watcher> = (0..)
                    .zip(&ends)
                    .map(|(nth, end)| {
                        let to = RelayTo::new(100 + nth).key(key.clone()).slice(slice);
                        stream.add(end.local_addr(), to.delivery(Delivery::Every)).unwrap()
                    })
                    .collect();
                for (nth, end) in ends.iter().enumerate() {
                    let watched = opened(&served, end);
                    assert_eq!(watched.info().stream, 100 + nth as u32);
                    assert_eq!(watched.info().protection.is_some(), key.is_some());
                    assert_eq!(watched.info().delivery, Delivery::Latest);
                    watch(&served, &watched, 20);
                    assert_eq!(watchers[nth].state(), SendState::Open);
                    assert_eq!(watchers[nth].protection().is_some(), key.is_some());
                    if let SliceSize::Bytes(bytes) = slice {
                        assert_eq!(watchers[nth].slice_bytes(), bytes);
                    }
                }
                assert_eq!(relay.watchers(), 3);
            }
        }
    }
}

/// Waits until the relay has forgotten all but so many watchers.
fn wait_for_watchers(relay: &Relay, count: usize) {
    wait_for(format_args!("{count} watchers"), || {
        let left = relay.watchers();
        if left <= count { Ok(()) } else { Err(format!("{left} are left")) }
    });
}

#[test]
fn numbers_times_and_metadata_are_kept_over_three_hops() {
    let served = served(format());
    let relays: [_; 3] = std::array::from_fn(|_| Relay::start(RelayConfig::new()).unwrap());
    let ends: [_; 3] = std::array::from_fn(|_| receiver(None));
    // So that the numbers do not begin at 0.
    for _ in 0..20 {
        served.film();
    }
    let mut hops: Vec<(RelayStream, Watcher, IncomingStream)> = Vec::new();
    for (nth, end) in (0..).zip(&ends) {
        let from = hops.last().map_or(&served.incoming, |(_, _, stream)| stream);
        let consumer = from.subscribe(ConsumerPolicy::Queue(3));
        let stream = relays[hops.len()].stream(consumer, RelayStreamConfig::of(from.info())).unwrap();
        let watcher = stream.add(end.local_addr(), RelayTo::new(nth)).unwrap();
        let watched = opened(&served, end);
        hops.push((stream, watcher, watched));
    }
    let last = &hops.last().unwrap().2;
    assert!(watch(&served, last, 30)[0] >= 20);
    let begun = Instant::now();
    let (first, last) = loop {
        assert!(begun.elapsed() < PATIENCE);
        while last.try_recv().is_ok() {}
        let sent = served.film();
        let there = last.recv_timeout(Duration::from_secs(1));
        while let Ok(here) = served.incoming.try_recv() {
            if here.info().number == sent && there.as_ref().is_ok_and(|there| there.info().number == sent) {
                break;
            }
        }
        let mut frame = served.camera.frame().unwrap();
        frame.fill(shade_of(sent + 1));
        let captured = framewire_transport::Time::now();
        frame.info.captured = captured;
        let sent = served.camera.send(frame).unwrap();
        if let Ok(there) = last.recv_timeout(Duration::from_secs(1))
            && there.info().number == sent
        {
            break (captured, there);
        }
    };
    // All of them have one clock, which they know.
    assert_eq!(last.info().captured, first);
    assert!(last.info().latency.is_some_and(|latency| latency < PATIENCE));
    let utc = last.info().captured_utc.expect("the camera has said it");
    assert!(utc.elapsed().is_ok_and(|since| since < PATIENCE), "{utc:?}");
}

#[test]
fn watchers_come_and_go_while_frames_flow_and_those_who_go_are_told() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let (stays, comes) = (receiver(None), receiver(None));
    let _stays = stream.add(stays.local_addr(), RelayTo::new(1)).unwrap();
    let staying = opened(&served, &stays);
    for nth in 0..5 {
        let watcher = stream.add(comes.local_addr(), RelayTo::new(2)).unwrap();
        let watched = opened(&served, &comes);
        // It begins with what comes, and is not told of what was before.
        let first = watch(&served, &watched, 5)[0];
        let from = watched.stats().first_frame;
        assert!(first >= from && (nth == 0 || from > 0), "{from}");
        drop(watcher);
        let ended = loop {
            match watched.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(ended) => break ended,
            }
        };
        assert_eq!((ended, watched.end_reason()), (RecvError::Ended, Some(EndReason::Closed)));
        wait_for_watchers(&relay, 1);
    }
    watch(&served, &staying, 20);
    assert_eq!(staying.stats().frames_incomplete, 0);
    // The stream itself goes.
    drop(stream);
    while staying.recv_timeout(PATIENCE).is_ok() {}
    assert_eq!(staying.end_reason(), Some(EndReason::Closed));
}

#[test]
fn a_source_that_ends_ends_its_watchers_and_one_of_another_format_comes_in_its_place() {
    let server = receiver(None);
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let end = receiver(None);
    for format in [format(), FrameFormat::new(PixelFormat::Rgb24, 64, 48).unwrap()] {
        let camera = Sender::connect(server.local_addr(), SenderConfig::new(format)).unwrap();
        let incoming = server.accept_timeout(PATIENCE).unwrap();
        let served = Served { camera, incoming, _server: receiver(None) };
        let stream = served.relayed(&relay);
        let _watcher = stream.add(end.local_addr(), RelayTo::new(5)).unwrap();
        let watched = opened(&served, &end);
        assert_eq!(watched.info().format, format);
        watch(&served, &watched, 5);
        served.camera.close(PATIENCE).unwrap();
        while watched.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(watched.end_reason(), Some(EndReason::Closed));
        assert!(stream.has_ended());
        let error = stream.add(end.local_addr(), RelayTo::new(6)).err().unwrap();
        assert!(matches!(error, RelayError::Ended), "{error}");
        let stats = watched.stats();
        assert_eq!(
            stats.frames_passed,
            stats.frames_delivered + stats.frames_incomplete + stats.frames_no_slot + stats.frames_unseen()
        );
    }
}

#[test]
fn frames_that_wait_when_their_source_ends_still_come_to_whoever_has_the_stream() {
    let relay = Relay::start(RelayConfig::new().linger(PATIENCE)).unwrap();
    let (ring, pool) = (FrameRing::new(), FramePool::new(16, format().frame_bytes()).unwrap());
    let consumer = ring.subscribe(ConsumerPolicy::Queue(3));
    let stream = relay.stream(consumer, RelayStreamConfig::new(format())).unwrap();
    let end = receiver(None);
    let watcher = stream.add(end.local_addr(), RelayTo::new(5).delivery(Delivery::Every)).unwrap();
    let mut number = 0;
    let mut publish = || {
        let mut frame = pool.try_acquire().expect("a relay holds five at most");
        frame.info.number = number;
        frame.fill(shade_of(number));
        ring.publish(&frame.freeze());
        number += 1;
        number - 1
    };
    publish();
    let watched = end.accept_timeout(PATIENCE).unwrap();
    watched.recv_timeout(PATIENCE).unwrap();
    wait_for("a frame that is delivered", || {
        let stats = watcher.stats();
        if stats.frames_delivered > 0 { Ok(()) } else { Err(format!("{stats:?}")) }
    });
    // All at once, and nothing after them.
    let last = [(); 3].map(|()| publish());
    ring.end();
    let numbers: Vec<u64> = std::iter::from_fn(|| watched.recv_timeout(PATIENCE).ok())
        .inspect(|frame| assert!(frame.iter().all(|byte| *byte == shade_of(frame.info().number))))
        .map(|frame| frame.info().number)
        .collect();
    assert_eq!((numbers, watched.end_reason()), (last.to_vec(), Some(EndReason::Closed)));
    wait_for_watchers(&relay, 0);
    assert!(watcher.has_ended() && stream.has_ended());
    assert_eq!((watcher.stats().frames_delivered, watcher.stats().frames_skipped), (4, 0));
    assert_eq!(pool.held_count(), 0);
}

#[test]
fn a_watcher_whose_receiver_begins_anew_is_sent_the_stream_again() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let end = receiver(None);
    let address = end.local_addr();
    let watcher = stream.add(address, RelayTo::new(5)).unwrap();
    let watched = opened(&served, &end);
    let before = *watch(&served, &watched, 5).last().unwrap();
    drop((watched, end));
    let again = Receiver::bind(address, ReceiverConfig::new().latest_policy(ConsumerPolicy::Queue(6))).unwrap();
    let watched = opened(&served, &again);
    assert!(watch(&served, &watched, 5)[0] > before);
    assert_eq!((watcher.state(), watcher.stats().restarts), (SendState::Open, 1));
    assert_eq!(relay.watchers(), 1);
}

#[test]
fn a_source_that_begins_anew_goes_on_to_its_watchers_under_numbers_that_only_rise() {
    // Its receiver is known under two addresses; from one to the other a new epoch begins.
    let config = ReceiverConfig::new().protection(framewire_transport::Protection::Off);
    let server = Receiver::bind("0.0.0.0:0".parse().unwrap(), config).unwrap();
    let at = |last| std::net::SocketAddr::from(([127, 0, 0, last], server.local_addr().port()));
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let end = receiver(None);
    let camera = Sender::connect(at(1), SenderConfig::new(format())).unwrap();
    let incoming = server.accept_timeout(PATIENCE).unwrap();
    let served = Served { camera, incoming, _server: receiver(None) };
    let stream = served.relayed(&relay);
    let _watcher = stream.add(end.local_addr(), RelayTo::new(5)).unwrap();
    let watched = opened(&served, &end);
    let before = *watch(&served, &watched, 5).last().unwrap();
    served.camera.redirect(at(2));
    wait_until("the camera begins anew", || {
        served.film();
        served.incoming.stats().restarts > 0
    });
    assert!(watch(&served, &watched, 5)[0] > before);
    assert_eq!(watched.stats().restarts, 0);
}

#[test]
fn one_that_wants_fewer_frames_gets_so_many_and_the_others_are_counted_as_skipped() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let (all, few) = (receiver(None), receiver(None));
    let _all = stream.add(all.local_addr(), RelayTo::new(1)).unwrap();
    // One in an hour: the first.
    let most = FrameRate::new(1, 3_600).unwrap();
    let thinned = stream.add(few.local_addr(), RelayTo::new(2).frames_per_second_max(most)).unwrap();
    let all = opened(&served, &all);
    let few = opened(&served, &few);
    assert_eq!(few.info().presentation.rate, Some(most));
    watch(&served, &all, 30);
    wait_for("30 frames that are skipped", || {
        served.film();
        let stats = thinned.stats();
        if stats.frames_skipped >= 30 { Ok(()) } else { Err(format!("{stats:?}")) }
    });
    // None where newer ones came before its stream was open.
    assert!(few.stats().frames_delivered <= 1);
    let stats = thinned.stats();
    assert!(stats.frames_sent <= 1 && stats.frames_skipped >= 30, "{stats:?}");
}

#[test]
fn who_is_not_there_costs_the_others_nothing_and_there_are_no_more_watchers_than_may_be() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new().watchers_max(3)).unwrap();
    let stream = served.relayed(&relay);
    let there = receiver(None);
    // Nobody listens; and somebody who never answers.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let absent = [nobody, silent.local_addr().unwrap()].map(|peer| stream.add(peer, RelayTo::new(7)).unwrap());
    let _there = stream.add(there.local_addr(), RelayTo::new(8)).unwrap();
    let error = stream.add(there.local_addr(), RelayTo::new(9)).err().unwrap();
    assert!(matches!(error, RelayError::TooMany { max: 3 }), "{error}");
    let watched = opened(&served, &there);
    watch(&served, &watched, 100);
    assert_eq!(watched.stats().frames_incomplete, 0);
    for watcher in &absent {
        assert!(matches!(watcher.state(), SendState::Opening { attempts: 1.. }), "{:?}", watcher.state());
    }
    drop(absent);
    wait_for_watchers(&relay, 1);
}

#[test]
fn nothing_is_sent_on_in_plain_text_unless_that_was_said_and_nonsense_is_refused() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let away = "192.0.2.1:9".parse().unwrap();
    let error = stream.add(away, RelayTo::new(1)).err().unwrap();
    assert_eq!(error.code(), "unprotected", "{error}");
    let error = stream.add("127.0.0.1:9".parse().unwrap(), RelayTo::new(1).slice(SliceSize::Bytes(5))).err().unwrap();
    assert_eq!(error.code(), "slice-size-out-of-range", "{error}");
    for config in [RelayConfig::new().workers(0), RelayConfig::new().watchers_max(0), RelayConfig::new().workers(65)] {
        let error = Relay::start(config).err().unwrap();
        assert_eq!(error.code(), "relay-out-of-range", "{error}");
    }
}

#[test]
fn an_address_that_never_asked_for_a_stream_gets_openings_alone_whatever_it_answers_to_another_one() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let watcher = stream.add(stranger.local_addr().unwrap(), RelayTo::new(7)).unwrap();
    let mut bytes = vec![0; 65_536];
    for _ in 0..8 {
        served.film();
        let (len, from) = stranger.recv_from(&mut bytes).unwrap();
        let open = Open::parse(&bytes[..len]).unwrap_or_else(|error| panic!("{len} bytes are no opening: {error}"));
        // As who has seen none would have to guess it: its number, which is another each time.
        let accept = Accept {
            stream: open.stream,
            epoch: open.epoch.wrapping_add(1),
            flags: 0,
            path_bytes: 0,
            frame_limit: u64::MAX,
            sequence_limit: u64::MAX,
            receiver_ns: 1,
            echo_ns: open.sender_ns,
            delivered: 0,
            buffer_bytes: 1 << 20,
            slots: 8,
        };
        stranger.send_to(&accept.emit(), from).unwrap();
        stranger.send_to(&Accept { epoch: open.epoch, stream: open.stream + 1, ..accept }.emit(), from).unwrap();
    }
    let stats = watcher.stats();
    assert!(matches!(watcher.state(), SendState::Opening { attempts: 1.. }), "{:?}", watcher.state());
    assert_eq!((stats.slices, stats.frames_sent), (0, 0), "{stats:?}");
}

/// Set for a process that watches.
const WATCHES: &str = "FRAMEWIRE_TEST_WATCHES";

/// Not a test but a program of its own, where it is asked for.
#[test]
fn as_a_process_that_watches() {
    if std::env::var_os(WATCHES).is_none() {
        return;
    }
    let receiver = receiver(None);
    println!("watching at {}", receiver.local_addr());
    while let Ok(stream) = receiver.accept() {
        stream.frames().for_each(drop);
    }
}

/// Another process that watches.
struct Process {
    child: std::process::Child,
    address: std::net::SocketAddr,
}

impl Process {
    fn start() -> Self {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "as_a_process_that_watches", "--nocapture"])
            .env(WATCHES, "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.map_while(Result::ok).find_map(|line| Some(line.split_once("watching at ")?.1.parse().unwrap()));
        Self { child, address: address.expect("it says where it watches") }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        framewire_testing::send(signal, self.child.id());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watcher_that_is_killed_and_one_that_is_stopped_take_nothing_from_the_others() {
    let served = served(format());
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let stream = served.relayed(&relay);
    let stays = receiver(None);
    let _stays = stream.add(stays.local_addr(), RelayTo::new(1).delivery(Delivery::Every)).unwrap();
    let staying = opened(&served, &stays);
    let processes = [Process::start(), Process::start()];
    let watchers: [_; 2] =
        std::array::from_fn(|nth| stream.add(processes[nth].address, RelayTo::new(2 + nth as u32)).unwrap());
    wait_until("each of the processes sees frames", || {
        watch(&served, &staying, 1);
        watchers.iter().all(|watcher| watcher.stats().frames_delivered >= 3)
    });
    processes[0].signal(rustix::process::Signal::KILL);
    processes[1].signal(rustix::process::Signal::STOP);
    wait_until("both are known to say nothing", || {
        watch(&served, &staying, 5);
        watchers.iter().all(|watcher| watcher.state() != SendState::Open)
    });
    watch(&served, &staying, 200);
    assert_eq!(staying.stats().frames_no_slot, 0);
    // One that wakes up goes on.
    let before = watchers[1].stats().frames_delivered;
    processes[1].signal(rustix::process::Signal::CONT);
    wait_until("it goes on", || {
        watch(&served, &staying, 1);
        watchers[1].stats().frames_delivered >= before + 3
    });
    for watcher in &watchers {
        let stats = watcher.stats();
        assert!(stats.frames >= stats.frames_sent + stats.frames_skipped + stats.frames_abandoned, "{stats:?}");
    }
}
