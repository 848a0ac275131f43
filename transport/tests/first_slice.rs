//! How soon frames go once a sender connects, protected or not.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const FRAME_BYTES: usize = 3_000;
const LATENCY: Duration = Duration::from_millis(50);
const ROUND_TRIP: Duration = Duration::from_millis(100);

#[test]
fn the_first_slice_leaves_three_round_trips_and_a_millisecond_after_connect_at_the_latest() {
    for (delivery, is_protected) in
        [Delivery::Every, Delivery::Latest].into_iter().flat_map(|delivery| [(delivery, false), (delivery, true)])
    {
        let weather = Weather { latency: LATENCY, ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, delivery, FRAME_BYTES, 548, ROUND_TRIP, weather);
        if is_protected {
            pair.set_protected();
        }
        let connected = pair.now;
        assert!(pair.offer_frame());
        let end = connected + 10 * ROUND_TRIP;
        while pair.delivered.is_empty() && pair.step(end) {}
        assert_eq!(pair.delivered, [0], "{delivery:?}, protected: {is_protected}");
        let left = pair.now.since(connected) - LATENCY;
        assert!(left <= 3 * ROUND_TRIP + Duration::from_millis(1), "{left:?}, {delivery:?}, protected: {is_protected}");
    }
}
