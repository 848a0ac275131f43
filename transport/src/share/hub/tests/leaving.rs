//! Readers that want no more frames, and still have some.

use super::*;
use crate::share::{Reader, SubscriptionConfig};

fn subscribe(host: &Host, policy: ConsumerPolicy, hold: usize) -> crate::share::Subscription {
    let reader = Reader::connect(host.hub.as_ref().unwrap().config().endpoint.clone()).unwrap();
    reader.subscribe_with("front", SubscriptionConfig::new().policy(policy).hold(hold)).unwrap()
}

#[test]
fn a_dropped_subscription_whose_frames_live_on_is_offered_nothing_more_and_keeps_only_what_it_holds() {
    for policy in [ConsumerPolicy::Latest, ConsumerPolicy::Queue(4), ConsumerPolicy::Block] {
        let mut host = Host::new(Delivery::Every, |config| config.reader_slots(12).block(true));
        let subscription = subscribe(&host, policy, 2);
        assert!(host.publish());
        let held = subscription.recv().unwrap();
        // Several wait for it, or one.
        (0..4).for_each(|_| assert!(host.publish()));
        drop(subscription);
        host.until("its leave", |host| host.pool.held_count() == 1);
        let left = host.figures();
        assert_eq!((left.offered, left.taken, left.dropped, left.held, left.waiting), (5, 1, 4, 1, 0), "{policy:?}");
        assert!(!left.quarantined);
        for _ in 0..100 {
            assert!(host.publish(), "frames that nobody takes keep slots: {policy:?}");
        }
        assert_eq!(host.figures(), left);
        assert!(held.iter().all(|byte| *byte == 0), "the slot of a frame that is held was written to");
        // What it does not hold is another's: of twelve slots, eleven.
        let others: Vec<_> = [QUEUE, LATEST].map(|wanted| host.read(wanted)).into();
        assert_eq!(TestReader::subscribe(host.socket(), "front", LATEST).err(), Some((Refusal::Slots, 2, 12)));
        drop(others);
        drop(held);
        host.until_gone();
        assert_eq!(host.pool.held_count(), 0);
    }
}

#[test]
fn what_is_held_after_leaving_comes_back_one_by_one() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(QUEUE);
    (0..2).for_each(|_| assert!(host.publish()));
    let (first, second) = (reader.take().unwrap(), reader.take().unwrap());
    say(&reader.socket, &ToHub::Leave);
    // Whatever it says, once more is not otherwise.
    say(&reader.socket, &ToHub::Leave);
    assert!(host.publish());
    host.until("its leave", |host| host.figures().waiting == 0);
    drop(first);
    host.until("the first slot", |host| host.figures().held == 1);
    assert_eq!((host.pool.held_count(), reader.end()), (1, None));
    assert!(reader.take().is_none());
    drop(second);
    host.until("the second slot", |host| host.figures().held == 0);
    assert_eq!(host.pool.held_count(), 0);
    drop(reader);
    host.until_gone();
    // All the slots for readers are there again.
    let all: Vec<_> = (0..4).map(|_| host.read(QUEUE)).collect();
    assert_eq!(host.stream.readers().len(), all.len());
}
