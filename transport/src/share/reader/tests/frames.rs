//! Frames taken, held and given back; hubs that end, are gone and come back; child processes.

use super::*;

#[test]
fn frames_are_taken_in_their_order_and_accounted_for_exactly() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(4));
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    for _ in 0..6 {
        granted.offer();
    }
    let taken: Vec<_> = (0..4).map(|_| number(&subscription.recv().unwrap())).collect();
    assert_eq!(taken, [2, 3, 4, 5]);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    let stats = subscription.stats();
    assert_eq!((stats.offered, stats.taken, stats.dropped, stats.held), (6, 4, 2, 0));
    granted.end(End::Closed);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::Ended);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::Ended);
}

#[test]
fn frames_that_waited_at_the_end_are_taken_before_it() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(3)));
    granted.offer();
    granted.offer();
    granted.end(End::Closed);
    let taken: Vec<_> = subscription.frames().map(|frame| number(&frame.unwrap())).collect();
    assert_eq!(taken, [0, 1]);
}

#[test]
fn a_thread_that_sleeps_is_woken_by_each_frame() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    std::thread::scope(|scope| {
        let (told, taken) = std::sync::mpsc::channel();
        let reading = scope.spawn(|| {
            for frame in subscription.frames() {
                told.send(number(&frame.unwrap())).unwrap();
            }
            drop(told);
        });
        for expected in 0..1_000 {
            granted.offer();
            assert_eq!(taken.recv_timeout(PATIENCE), Ok(expected));
        }
        granted.end(End::Closed);
        reading.join().unwrap();
    });
}

#[test]
fn several_threads_share_a_subscription_and_each_frame_goes_to_one() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Block).hold(3);
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| subscription.frames().map(|frame| number(&frame.unwrap())).collect::<Vec<_>>()))
            .collect();
        for _ in 0..2_000 {
            while granted.pool.free_count() == 0 {
                if granted.lender.starve(&granted.control[0]) {
                    granted.wake();
                }
                std::thread::yield_now();
            }
            granted.offer();
        }
        while granted.lender.has_waiting() {
            if granted.lender.collect(&granted.control[0]) {
                granted.wake();
            }
            std::thread::yield_now();
        }
        granted.end(End::Closed);
        let mut taken: Vec<_> = reading.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..2_000).collect::<Vec<_>>());
    });
}

#[test]
fn who_holds_every_slot_that_it_may_is_told_and_who_gives_one_back_reads_on() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new().busy_poll(PATIENCE));
    let mut held = Vec::new();
    for _ in 0..3 {
        granted.offer();
        held.push(subscription.recv().unwrap());
    }
    granted.offer();
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::HoldsAllSlots { slots: 3 });
    assert_eq!(subscription.recv().unwrap_err(), RecvError::HoldsAllSlots { slots: 3 });
    assert_eq!(subscription.slots_held(), 3);
    held.remove(0);
    granted.offer();
    assert_eq!(number(&subscription.recv().unwrap()), 4);
    assert_eq!(held.iter().map(number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_hub_that_waits_for_a_slot_is_told_when_one_is_given_back() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    assert!(!granted.is_told());
    granted.lender.starve(&granted.control[0]);
    let twin = frame.clone();
    drop(frame);
    assert!(!granted.is_told(), "its twin is still held");
    drop(twin);
    assert!(granted.is_told());
    assert!(!is_readable(&granted.socket, Duration::ZERO), "the hub was told something, or hung up on");
    granted.lender.collect(&granted.control[0]);
    assert_eq!((granted.lender.held(), granted.pool.free_count()), (0, SLOTS));
}

#[test]
fn a_hub_that_is_gone_is_told_of_once_and_read_on_from_when_it_is_back() {
    let folder = Folder::new();
    let (hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)));
    granted.offer();
    granted.offer();
    let held = subscription.recv().unwrap();
    drop((granted, hub));
    // What was on offer is still to be had: nobody writes to it any more.
    assert_eq!(number(&subscription.recv().unwrap()), 1);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::HubGone);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    assert!(!subscription.is_connected());
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| {
            // The first one that it asks again is a hub that has no such stream yet.
            let (socket, _) = accept_subscription(&hub);
            let refused =
                FromHub::Refused { refusal: crate::share::messages::Refusal::NoSuchStream, number: 0, limit: 0 };
            packet::send(&socket, Packet::from(&refused).bytes(), &[]).unwrap();
            drop(socket);
            let mut granted = Granted::accept(&hub);
            granted.number = 7;
            granted.offer();
            granted
        });
        assert_eq!(number(&subscription.frames().next().unwrap().unwrap()), 7);
        drop(granting.join().unwrap());
    });
    assert_eq!(number(&held), 0, "what is held stays as it is");
    let stats = subscription.stats();
    assert_eq!((stats.offered, stats.taken, stats.dropped, stats.reconnects), (3, 3, 0, 1));
}

#[test]
fn frames_outlive_their_subscription_and_its_connection_with_them() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    drop(subscription);
    let mut bytes = [0; PACKET_MAX];
    let said = packet::receive(&granted.socket, &mut bytes).unwrap();
    assert_eq!(ToHub::parse(&bytes[..said.len]), Ok(ToHub::Leave), "the hub would offer it more, which nobody takes");
    assert!(!is_readable(&granted.socket, Duration::ZERO), "the hub would take the slot for free");
    assert_eq!(number(&frame), 0);
    drop(frame);
    wait_until_readable(&granted.socket);
    assert!(matches!(packet::receive(&granted.socket, &mut [0; 8]), Err(packet::PacketError::Closed)));
}

#[test]
fn what_is_no_frame_is_not_taken_for_one() {
    let folder = Folder::new();
    let long = |granted: &mut Granted| {
        granted.offer();
        let mut parts = granted.pool.try_acquire().unwrap().freeze().parts();
        parts.len = granted.pool.slot_bytes() + 1;
        granted.records.iter().for_each(|record| record.write(&parts));
    };
    let nowhere = |granted: &mut Granted| {
        let word = crate::share::layout::Offer { sequence: 1, slot: SLOTS as u32 }.to_word();
        granted.control[0].offers[0].store(word, Ordering::Release);
    };
    let wrongs: [&dyn Fn(&mut Granted); 2] = [&long, &nowhere];
    for wrong in wrongs {
        let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
        wrong(&mut granted);
        assert_eq!(subscription.recv().unwrap_err(), RecvError::HubGone);
        assert!(!subscription.is_connected());
    }
}

#[test]
fn a_reader_that_is_cut_off_is_told_why_and_keeps_what_it_has() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    granted.end(End::TooSlow);
    let error = subscription.recv().unwrap_err();
    assert!(matches!(error, RecvError::CutOff { why } if why.contains("too long")), "{error}");
    assert_eq!(number(&frame), 0);
}

#[test]
fn busy_polling_finds_frames_and_the_end_without_being_woken() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)).busy_poll(PATIENCE);
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    std::thread::scope(|scope| {
        let (told, taken) = std::sync::mpsc::channel();
        let subscription = &subscription;
        scope.spawn(move || {
            for frame in subscription.frames() {
                told.send(number(&frame.unwrap())).unwrap();
            }
        });
        for expected in 0..100 {
            granted.offer();
            assert_eq!(taken.recv_timeout(PATIENCE), Ok(expected));
        }
        granted.control[0].told.ended.store(End::Closed as u32, Ordering::Release);
        assert!(taken.recv_timeout(PATIENCE).is_err());
    });
}

#[test]
fn a_child_process_that_uses_a_reader_is_refused_and_gives_nothing_back() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    granted.offer();
    let reader = folder.reader();
    // SAFETY: the child calls what is tested, which takes no lock and allocates little, and ends without running anything else.
    match unsafe { libc::fork() } {
        0 => {
            let refused = [
                matches!(subscription.try_recv(), Err(RecvError::Forked)),
                matches!(subscription.recv(), Err(RecvError::Forked)),
                matches!(reader.streams(), Err(ShareError::Forked { .. })),
                matches!(reader.subscribe("front", ConsumerPolicy::Latest), Err(ShareError::Forked { .. })),
                matches!(reader.wait_for("front", PATIENCE), Err(ShareError::Forked { .. })),
            ];
            let _looked =
                (subscription.stats(), subscription.info(), subscription.is_connected(), subscription.slots_held());
            let _descriptor = subscription.as_fd();
            let is_over = matches!(subscription.frames().next(), Some(Err(RecvError::Forked)));
            // With a frame that lives on, and without.
            let (clone, bytes) = (frame.clone(), frame.clone().into_bytes());
            drop(subscription);
            drop((frame, clone));
            drop(bytes);
            let refused = [refused.as_slice(), &[is_over]].concat();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(refused.contains(&false))) };
        }
        child => {
            let mut status = 0;
            // SAFETY: the pointer is to an int.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    }
    granted.lender.collect(&granted.control[0]);
    assert_eq!((granted.lender.held(), granted.lender.misconduct()), (1, None));
    assert_eq!((number(&frame), number(&subscription.recv().unwrap())), (0, 1));
}
