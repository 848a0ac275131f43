//! What a poller promises, of each that there is.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::backend::Waker;

macro_rules! promises {
    ($poller:ident) => {
        mod $poller {
            use super::super::$poller::{Poller, Ready};
            use super::*;

            /// What is ready now.
            fn ready(poller: &mut Poller) -> Vec<(u64, bool, bool)> {
                let mut ready = Vec::new();
                poller.wait(Duration::ZERO, Duration::ZERO, &mut ready).unwrap();
                let mut found: Vec<_> =
                    ready.iter().map(|Ready { token, readable, writable }| (*token, *readable, *writable)).collect();
                found.sort_unstable();
                found
            }

            #[test]
            fn what_can_be_read_is_told_until_it_has_been_and_what_can_be_written_where_that_is_asked() {
                let (one, other) = (Waker::new().unwrap(), Waker::new().unwrap());
                let poller = Poller::new().unwrap();
                poller.add(&one, 1).unwrap();
                let mut poller = Poller::of(poller.into_descriptor());
                poller.add(&other, 2).unwrap();
                assert_eq!(ready(&mut poller), []);
                one.wake();
                assert_eq!((ready(&mut poller), ready(&mut poller)), (vec![(1, true, false)], vec![(1, true, false)]));
                other.wake();
                assert_eq!(ready(&mut poller), [(1, true, false), (2, true, false)]);
                one.clear();
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                poller.add(&socket, 4).unwrap();
                poller.set_writable(&socket, 4, true).unwrap();
                assert_eq!(ready(&mut poller), [(2, true, false), (4, false, true)]);
                poller.set_writable(&socket, 4, false).unwrap();
                poller.remove(&other);
                assert_eq!(ready(&mut poller), []);
                assert!(poller.set_writable(&other, 2, true).is_err());
                // Once more, under another token.
                poller.add(&other, 3).unwrap();
                assert_eq!(ready(&mut poller), [(3, true, false)]);
            }

            #[test]
            fn an_error_that_a_socket_has_is_told() {
                let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(gone).unwrap();
                let mut poller = Poller::new().unwrap();
                poller.add(&socket, 7).unwrap();
                socket.send(b"nobody is there").unwrap();
                let mut found = Vec::new();
                while found.is_empty() {
                    poller.wait(Duration::from_secs(60), Duration::ZERO, &mut found).unwrap();
                }
                assert!(found[0].token == 7 && found[0].readable);
                assert!(socket.recv(&mut [0]).is_err());
                assert_eq!(ready(&mut poller), []);
            }

            #[test]
            fn a_wait_ends_when_something_comes_and_else_when_its_time_is_over() {
                let (waker, mut found) = (Waker::new().unwrap(), Vec::new());
                let mut poller = Poller::new().unwrap();
                poller.add(&waker, 1).unwrap();
                for busy_poll in [Duration::ZERO, Duration::from_millis(2), Duration::from_secs(1)] {
                    let begun = Instant::now();
                    poller.wait(Duration::from_millis(5), busy_poll, &mut found).unwrap();
                    assert!(found.is_empty() && begun.elapsed() >= Duration::from_millis(5), "{busy_poll:?}");
                }
                std::thread::scope(|scope| {
                    scope.spawn(|| waker.wake());
                    poller.wait(Duration::from_secs(86_400), Duration::ZERO, &mut found).unwrap();
                });
                assert_eq!(found.len(), 1);
            }
        }
    };
}

promises!(poller);
#[cfg(target_os = "linux")]
promises!(poller_by_poll);
