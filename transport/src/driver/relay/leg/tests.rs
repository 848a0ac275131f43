//! What a watcher's socket makes of errors.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use framewire_testing::{PATIENCE, wait_until};

use super::*;
use crate::backend::ConnectedSocket;
use crate::driver::relay::{Place, Places};
use crate::frame::{FrameFormat, PixelFormat};
use crate::send::SendConfig;
use crate::wire::Delivery;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 1).unwrap()
}

fn anybody() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// A watcher at this address, as the thread has it.
fn leg(there: &UdpSocket, distribution: &Distribution, config: &RelayConfig) -> Leg {
    let places = Arc::new(Places { max: 1, taken: AtomicUsize::new(0), next_id: AtomicU64::new(0) });
    let new = NewWatcher {
        stream: 0,
        id: 5,
        socket: ConnectedSocket::connect(there.local_addr().unwrap()).unwrap(),
        config: SendConfig::new(1, 1, format(), Delivery::Latest, 1_472),
        key: None,
        frames_per_second_max: None,
        link: None,
        shared: WatcherShared::new(1_472),
        place: Place::take(&places).unwrap(),
    };
    Leg::new(new, distribution, config, Time::now())
}

/// Whose sockets can be read.
fn readable(with: &mut Shared) -> Vec<u64> {
    let mut ready = Vec::new();
    with.poller.wait(Duration::ZERO, Duration::ZERO, &mut ready).unwrap();
    ready.iter().filter(|ready| ready.readable).map(|ready| ready.token).collect()
}

#[test]
fn a_socket_that_is_left_alone_wakes_nobody_whatever_comes_and_is_told_of_again_after_that() {
    let (there, config) = (anybody(), RelayConfig::new());
    let mut with = Shared::new(Poller::new().unwrap());
    let mut distribution = Distribution::new(format(), 0, 0);
    let mut leg = leg(&there, &distribution, &config);
    let mut run = |leg: &mut Leg, with: &mut Shared, readable| {
        leg.run(distribution.publication(), with, (readable, false), config.linger, Time::now())
    };
    run(&mut leg, &mut with, false);
    there.send_to(b"a word", leg.wire.socket().local().unwrap()).unwrap();
    wait_until("something has come", || readable(&mut with) == [5]);
    leg.pause(PATIENCE, &with, Time::now());
    assert_eq!(readable(&mut with), [0; 0]);
    let left = run(&mut leg, &mut with, true);
    assert!(left.until > Time::now() && !left.is_over);
    assert_eq!(readable(&mut with), [0; 0]);
    leg.paused = Some(Time::ZERO);
    run(&mut leg, &mut with, false);
    assert_eq!(readable(&mut with), [5]);
    run(&mut leg, &mut with, true);
    assert_eq!((readable(&mut with), leg.subscriber.stats().rejected), (Vec::new(), 1));
}
