//! Beside the hub as it is.

use std::sync::Arc;

use framewire_testing::wait_until;

use super::*;
use crate::frame::{FrameRing, PoolInMaking};
use crate::share::ShareConfig;
use crate::share::hub::{Hub, SharedStream, StreamToShare, slots_with_readers};

/// A hub with one stream, `front`.
pub(super) struct Host {
    /// It lives as long as its streams.
    _hub: Hub,
    stream: Arc<SharedStream>,
    pool: FramePool,
    ring: FrameRing,
    /// The next frame's number.
    pub(super) next: u64,
}

impl Host {
    pub(super) fn new(folder: &Folder, delivery: Delivery) -> Self {
        let config = ShareConfig::new(folder.endpoint()).block(true);
        let hub = Hub::bind(&config).unwrap();
        hub.begin();
        let (slots, base) = slots_with_readers(4, Some(&config));
        let bytes = format().frame_bytes() + TAIL_MAX;
        let pool = PoolInMaking::new(slots, bytes).unwrap().with_spares(base).finish().unwrap();
        let pool = pool.with_format(format(), TAIL_MAX);
        let open = open_of(&format(), delivery, &Presentation::UNKNOWN, TAIL_MAX as u16);
        let charge: crate::share::hub::Charge = Arc::new(|_| Ok(Box::new(())));
        let shared = StreamToShare { pool: pool.clone(), base, open, delivery, path: 0, charge };
        let stream = hub.share(Some("front"), shared).unwrap();
        let ring = FrameRing::new();
        ring.attach(stream.clone());
        Self { _hub: hub, stream, pool, ring, next: 0 }
    }

    pub(super) fn publish(&mut self) {
        let mut frame = self.pool.acquire_timeout(PATIENCE).unwrap();
        frame.fill(self.next as u8);
        frame.info.number = self.next;
        self.next += 1;
        self.ring.publish(&frame.freeze());
    }
}

#[test]
fn who_joins_a_latest_stream_late_has_its_newest_frame_at_once_and_of_an_every_stream_the_next() {
    for (delivery, first) in [(Delivery::Latest, 2), (Delivery::Every, 3)] {
        let folder = Folder::new();
        let mut host = Host::new(&folder, delivery);
        (0..3).for_each(|_| host.publish());
        let subscription = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap();
        if delivery == Delivery::Every {
            assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
            host.publish();
        }
        assert_eq!(number(&subscription.try_recv().unwrap()), first);
        host.stream.set_closed();
        host.ring.end();
        assert_eq!(subscription.recv().unwrap_err(), RecvError::Ended);
    }
}

#[test]
fn both_ends_account_alike_for_every_frame() {
    for policy in [ConsumerPolicy::Latest, ConsumerPolicy::Queue(3), ConsumerPolicy::Block] {
        let folder = Folder::new();
        let mut host = Host::new(&folder, Delivery::Every);
        let subscription = folder.reader().subscribe("front", policy).unwrap();
        std::thread::scope(|scope| {
            let reading =
                scope.spawn(|| subscription.frames().map(|frame| number(&frame.unwrap())).collect::<Vec<_>>());
            (0..3_000).for_each(|_| host.publish());
            wait_until("all is taken", || host.stream.readers()[0].waiting == 0);
            let figures = host.stream.readers().remove(0);
            host.ring.end();
            let taken = reading.join().unwrap();
            let stats = subscription.stats();
            assert!(taken.is_sorted_by(|before, after| before < after), "{policy:?}");
            assert_eq!((stats.offered, stats.taken, stats.dropped), (3_000, taken.len() as u64, 3_000 - stats.taken));
            assert_eq!((figures.offered, figures.taken, figures.dropped), (stats.offered, stats.taken, stats.dropped));
            if policy == ConsumerPolicy::Block {
                assert_eq!(stats.taken, 3_000);
            }
        });
    }
}

#[test]
fn who_asks_for_more_than_there_is_is_told_how_much_there_is() {
    let folder = Folder::new();
    let _host = Host::new(&folder, Delivery::Latest);
    let reader = folder.reader();
    let _first = reader.subscribe_with("front", SubscriptionConfig::new().hold(20)).unwrap();
    let refused = reader.subscribe("front", ConsumerPolicy::Queue(4)).unwrap_err().to_string();
    assert!(refused.contains("needs 6 slots, and of the 24 for readers of 'front' 3 are left"), "{refused}");
    assert!(refused.contains("--reader-slots"), "{refused}");
    let refused = reader.subscribe("rear", ConsumerPolicy::Latest).unwrap_err().to_string();
    assert!(refused.contains("has no stream 'rear'; there are front"), "{refused}");
    assert_eq!(reader.streams().unwrap()[0].readers, 1);
}

#[test]
fn a_hub_that_ends_and_comes_back_is_read_on_from() {
    let folder = Folder::new();
    let mut host = Host::new(&folder, Delivery::Latest);
    let subscription = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap();
    host.publish();
    let held = subscription.recv().unwrap();
    drop(host);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::HubGone);
    let mut host = Host::new(&folder, Delivery::Latest);
    host.next = 10;
    host.publish();
    assert_eq!(number(&subscription.recv().unwrap()), 10);
    assert_eq!((number(&held), subscription.stats().reconnects), (0, 1));
}
