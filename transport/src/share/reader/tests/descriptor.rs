//! The descriptor that a subscription is.

use super::*;

#[test]
fn the_descriptor_is_readable_while_there_is_something_to_take_and_not_else() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)));
    granted.offer();
    let is_readable = || is_readable(&subscription, Duration::ZERO);
    assert!(is_readable(), "a frame that was there before it was asked for");
    assert_eq!(number(&subscription.try_recv().unwrap()), 0);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    assert!(!is_readable());
    for _ in 0..3 {
        granted.offer();
        granted.offer();
        assert!(is_readable());
        subscription.try_recv().unwrap();
        assert!(is_readable(), "one still waits");
        subscription.try_recv().unwrap();
        assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
        assert!(!is_readable());
    }
    granted.end(End::Closed);
    assert!(is_readable());
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Ended);
    assert!(is_readable(), "for good");
}

#[test]
fn the_descriptor_tells_of_a_hub_that_is_gone_and_of_one_that_is_back() {
    let folder = Folder::new();
    let (hub, granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    let before = std::os::fd::AsRawFd::as_raw_fd(&subscription);
    assert!(!is_readable(&subscription, Duration::ZERO));
    drop((granted, hub));
    wait_until_readable(&subscription);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::HubGone);
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| {
            let mut granted = Granted::accept(&hub);
            granted.offer();
            granted
        });
        let frame = loop {
            wait_until_readable(&subscription);
            match subscription.try_recv() {
                Err(RecvError::Timeout) => {}
                taken => break taken.unwrap(),
            }
        };
        assert_eq!(number(&frame), 0);
        drop(granting.join().unwrap());
    });
    assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&subscription), before, "the same descriptor for good");
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn whatever_is_done_in_whatever_order_the_descriptor_is_readable_while_a_frame_waits() {
    for seed in 0..20 {
        let folder = Folder::new();
        let policy = if seed % 2 == 0 { ConsumerPolicy::Latest } else { ConsumerPolicy::Queue(3) };
        let (_hub, mut granted, subscription) =
            subscribed(&folder, SubscriptionConfig::new().policy(policy).busy_poll(Duration::from_nanos(seed % 3)));
        let (mut dice, mut held) = (Dice(seed), Vec::new());
        for _ in 0..500 {
            match dice.roll(5) {
                0 | 1 => granted.offer(),
                2 => held.extend(subscription.try_recv()),
                3 => held.extend(subscription.recv_timeout(Duration::ZERO)),
                _ => drop(held.pop()),
            }
            granted.lender.collect(&granted.control[0]);
            let waits = granted.lender.counts().waiting > 0;
            assert!(!waits || is_readable(&subscription, Duration::ZERO), "seed {seed}");
            let (counts, stats) = (granted.lender.counts(), subscription.stats());
            assert_eq!((stats.taken, stats.held), (counts.taken, held.len()));
            assert_eq!(stats.offered, stats.taken + stats.dropped + counts.waiting);
        }
        assert_eq!(granted.lender.misconduct(), None);
    }
}

#[test]
fn whoever_waits_for_the_descriptor_misses_no_frame_however_the_two_processes_interleave() {
    const FRAMES: u64 = 20_000;
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Block).hold(1));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut next = 0;
            while next < FRAMES {
                wait_until_readable(&subscription);
                // One a wait: it must stay readable for the others.
                match subscription.try_recv() {
                    Ok(frame) => {
                        assert_eq!(number(&frame), next);
                        next += 1;
                    }
                    Err(error) => assert_eq!(error, RecvError::Timeout),
                }
            }
        });
        let mut dice = Dice(1);
        for _ in 0..FRAMES {
            while granted.pool.free_count() == 0 || granted.lender.has_waiting() {
                if granted.lender.starve(&granted.control[0]) {
                    granted.wake();
                }
                std::thread::yield_now();
            }
            granted.offer();
            (0..dice.roll(200)).for_each(|_| std::hint::spin_loop());
        }
        while granted.lender.has_waiting() {
            if granted.lender.collect(&granted.control[0]) {
                granted.wake();
            }
            std::thread::yield_now();
        }
        reading.join().unwrap();
    });
}
