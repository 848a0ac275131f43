//! What befalls a relay's thread.

use std::net::UdpSocket;
use std::time::Duration;

use framewire_testing::wait_until;

use super::leg::Shared;
use super::poller::Poller;
use super::sent_on::{SentOn, Source};
use super::*;
use crate::frame::{ConsumerPolicy, Frame, FrameFormat, FramePool, FrameRing, PixelFormat};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 1).unwrap()
}

fn pool() -> FramePool {
    FramePool::new(16, format().frame_bytes()).unwrap()
}

fn frame(pool: &FramePool, number: u64) -> Frame {
    let mut frame = pool.try_acquire().unwrap();
    frame.info.number = number;
    frame.freeze()
}

fn anybody() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_thread_that_panics_gives_all_back_and_whoever_asks_is_told() {
    let relay = Relay::start(RelayConfig::new()).unwrap();
    let (ring, pool, there) = (FrameRing::new(), pool(), anybody());
    let to = || RelayTo::new(1);
    let stream = relay.stream(ring.subscribe(ConsumerPolicy::Queue(3)), RelayStreamConfig::new(format())).unwrap();
    let watcher = stream.add(there.local_addr().unwrap(), to()).unwrap();
    ring.publish(&frame(&pool, 7));
    wait_until("it is sent on", || matches!(watcher.state(), crate::SendState::Opening { attempts: 1.. }));
    assert!(!stream.has_ended() && !watcher.has_ended());
    assert!(relay.workers[0].post.put(Task::Panic));
    wait_until("it has ended", || stream.has_ended() && watcher.has_ended());
    wait_until("all is given back", || (relay.watchers(), pool.held_count(), ring.consumer_count()) == (0, 0, 0));
    wait_until("nothing is done any more", || !relay.workers[0].post.put(Task::EndStream { id: u64::MAX }));
    let error = stream.add(there.local_addr().unwrap(), to()).err().unwrap();
    assert_eq!(error.code(), "relay-stopped", "{error}");
    let again = relay.stream(ring.subscribe(ConsumerPolicy::Latest), RelayStreamConfig::new(format()));
    assert_eq!(again.err().unwrap().code(), "relay-stopped");
    assert_eq!((relay.watchers(), ring.consumer_count()), (0, 0));
}

#[test]
fn a_relay_with_nobody_to_close_a_stream_to_does_not_wait_for_anybody() {
    // Longer than any test may take.
    let relay = Relay::start(RelayConfig::new().linger(Duration::from_secs(86_400))).unwrap();
    let (ring, pool, there) = (FrameRing::new(), pool(), anybody());
    let add = || relay.stream(ring.subscribe(ConsumerPolicy::Queue(3)), RelayStreamConfig::new(format())).unwrap();
    let (quiet, stream) = (add(), add());
    // One that is not there is told nothing.
    let watcher = stream.add(there.local_addr().unwrap(), RelayTo::new(1)).unwrap();
    ring.publish(&frame(&pool, 0));
    wait_until("it is sent on", || matches!(watcher.state(), crate::SendState::Opening { attempts: 1.. }));
    // And this one the thread may have no word of yet.
    let last = add();
    drop(relay);
    for stream in [quiet, stream, last] {
        assert!(stream.has_ended());
        assert!(matches!(stream.add(there.local_addr().unwrap(), RelayTo::new(1)), Err(RelayError::Ended)));
    }
    assert!(watcher.has_ended());
    assert_eq!((pool.held_count(), ring.consumer_count()), (0, 0));
}

/// Whose sockets can be read.
fn readable(with: &mut Shared) -> Vec<u64> {
    let mut ready = Vec::new();
    with.poller.wait(Duration::ZERO, Duration::ZERO, &mut ready).unwrap();
    ready.iter().filter(|ready| ready.readable).map(|ready| ready.token).collect()
}

#[test]
fn every_task_wakes_the_thread_also_one_that_comes_while_it_is_awake() {
    let post = Post::new().unwrap();
    let mut with = Shared::new(Poller::new().unwrap());
    with.poller.add(post.waker(), 3).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        assert_eq!(readable(&mut with), [0; 0]);
        assert!(post.put(Task::EndStream { id: 1 }));
        assert_eq!(readable(&mut with), [3]);
        // Taken before the thread was told of it, as it is where the thread was awake.
        post.take(&mut tasks);
        post.waker().clear();
    }
    assert_eq!(tasks.len(), 3);
    post.stop();
    assert_eq!(readable(&mut with), [3]);
}

#[test]
fn frames_that_a_relay_has_not_taken_yet_are_told_of_again() {
    let (ring, pool) = (FrameRing::new(), pool());
    let consumer = ring.subscribe(ConsumerPolicy::Queue(10));
    let readiness = consumer.readiness().unwrap();
    let post = Arc::new(Post::new().unwrap());
    let places = Arc::new(Places { max: 1, taken: AtomicUsize::new(0), next_id: AtomicU64::new(0) });
    let (stream, feed) = RelayStream::new(post, places, RelayConfig::new(), RelayStreamConfig::new(format()));
    let mut with = Shared::new(Poller::new().unwrap());
    with.poller.add(&readiness, 9).unwrap();
    let mut sent_on = SentOn::new(Some(Source { consumer, readiness }), feed);
    for number in 0..10 {
        ring.publish(&frame(&pool, number));
    }
    for handed_on in 1..=10 {
        assert_eq!(readable(&mut with), [9]);
        sent_on.note_readable();
        assert!(sent_on.take_frame(&mut with));
        sent_on.hand_on(&RelayConfig::new(), &mut with);
        assert_eq!(stream.stats().frames, handed_on);
    }
    assert!(!sent_on.take_frame(&mut with));
    assert_eq!(readable(&mut with), [0; 0]);
}
