//! A consumer's descriptor, waited for as programs do: readable while there is something to take, and not else.

use std::os::fd::AsFd;
use std::time::Duration;

use framewire_testing::PATIENCE;
use framewire_transport::frame::{ConsumerPolicy, FramePool, FrameRing, Readiness, RecvError};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits for it to become readable, for so long.
fn is_readable(readiness: &Readiness, timeout: Duration) -> bool {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(readiness.as_fd(), PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

fn is_readable_now(readiness: &Readiness) -> bool {
    is_readable(readiness, Duration::ZERO)
}

fn publish(ring: &FrameRing, pool: &FramePool) {
    ring.publish(&pool.acquire_timeout(PATIENCE).unwrap().freeze());
}

#[test]
fn it_is_readable_from_the_first_frame_to_the_last_and_after_the_end_for_good() {
    let pool = FramePool::new(3, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    let readiness = consumer.readiness().unwrap();
    assert!(!is_readable_now(&readiness));
    for _ in 0..3 {
        publish(&ring, &pool);
        publish(&ring, &pool);
        for left in [true, false] {
            assert!(is_readable_now(&readiness));
            drop(consumer.try_recv().unwrap());
            assert_eq!(is_readable_now(&readiness), left);
        }
        assert_eq!(consumer.try_recv().unwrap_err(), RecvError::Timeout);
        assert!(!is_readable_now(&readiness));
        publish(&ring, &pool);
        assert!(consumer.recv_timeout(PATIENCE).is_ok());
        assert!(!is_readable_now(&readiness), "a frame that was waited for was the last one, too");
    }
    ring.end();
    for _ in 0..3 {
        assert!(is_readable_now(&readiness));
        assert_eq!(consumer.try_recv().unwrap_err(), RecvError::Ended);
    }
}

#[test]
fn one_that_is_asked_for_late_tells_of_what_waits_already_and_is_the_same_each_time() {
    use std::os::fd::AsRawFd;

    let pool = FramePool::new(2, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Latest);
    publish(&ring, &pool);
    let readiness = consumer.readiness().unwrap();
    assert!(is_readable_now(&readiness));
    assert_eq!(consumer.readiness().unwrap().as_raw_fd(), readiness.as_raw_fd());
    assert!(consumer.try_recv().is_ok());
    assert!(!is_readable_now(&readiness));
    ring.end();
    let late = ring.subscribe(ConsumerPolicy::Latest);
    assert!(is_readable_now(&late.readiness().unwrap()));
}

#[test]
fn each_consumer_has_its_own() {
    let pool = FramePool::new(2, 16).unwrap();
    let ring = FrameRing::new();
    let consumers = [ConsumerPolicy::Latest, ConsumerPolicy::Queue(2)].map(|policy| ring.subscribe(policy));
    let [first, second] = consumers.each_ref().map(|consumer| consumer.readiness().unwrap());
    publish(&ring, &pool);
    assert!(consumers[0].try_recv().is_ok());
    assert_eq!((is_readable_now(&first), is_readable_now(&second)), (false, true));
}

#[test]
fn no_frame_is_waited_for_in_vain_however_publishing_and_taking_fall_together() {
    const FRAMES: u64 = 20_000;
    let pool = FramePool::new(4, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    let readiness = consumer.readiness().unwrap();
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..FRAMES).for_each(|_| publish(&ring, &pool));
            ring.end();
        });
        // Two threads take from one consumer, each as it would alone.
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut taken = 0;
                loop {
                    assert!(
                        is_readable(&readiness, PATIENCE),
                        "{taken} were taken, and then it was not told of the next"
                    );
                    match consumer.try_recv() {
                        Ok(_) => taken += 1,
                        Err(RecvError::Ended) => break taken,
                        Err(_) => {}
                    }
                }
            })
        });
        readers.map(|reader| reader.join().unwrap()).into_iter().sum::<u64>()
    });
    assert_eq!(taken, FRAMES);
}

#[test]
fn a_stream_tells_of_its_frames_and_of_its_end() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let config = SenderConfig::new(format).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let readiness = stream.readiness().unwrap();
    let sending = std::thread::spawn(move || {
        for shade in 0..5 {
            let mut frame = sender.frame().unwrap();
            frame.fill(shade);
            sender.send(frame).unwrap();
        }
        sender.finish(PATIENCE).unwrap()
    });
    let mut shades = Vec::new();
    loop {
        assert!(is_readable(&readiness, PATIENCE));
        match stream.try_recv() {
            Ok(frame) => shades.push(frame[0]),
            Err(RecvError::Timeout) => {}
            Err(error) => break assert_eq!(error, RecvError::Ended),
        }
    }
    assert_eq!(shades, [0, 1, 2, 3, 4]);
    assert_eq!(sending.join().unwrap().delivered, 5);
}

#[test]
fn that_of_a_receiver_is_readable_while_a_stream_is_to_be_accepted_and_once_it_is_stopped() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    let readiness = receiver.readiness().unwrap();
    assert!(!is_readable_now(&readiness));
    let format = FrameFormat::new(PixelFormat::Gray8, 16, 16).unwrap();
    let sender = || Sender::connect(receiver.local_addr(), SenderConfig::new(format)).unwrap();
    let senders = [sender(), sender()];
    let mut accepted = Vec::new();
    while accepted.len() < senders.len() {
        assert!(is_readable(&readiness, PATIENCE));
        accepted.extend(receiver.accept_timeout(Duration::ZERO).ok());
    }
    assert!(!is_readable_now(&readiness), "both were taken");
    receiver.stop();
    assert!(is_readable_now(&readiness) && receiver.accept_timeout(PATIENCE).is_err());
    assert!(is_readable_now(&readiness), "for good");
}
