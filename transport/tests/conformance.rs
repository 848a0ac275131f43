//! What every backend must do, run over each of them.
#![allow(missing_docs)]

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use framewire_transport::BackendKind;
use framewire_transport::backend::{Backend, BackendConfig, ConnectedSocket, ReceiveBatch, SendBatch, Waker, wait};
use framewire_transport::frame::{Arrival, Frame, FrameInfo, FramePool, Tail};
use framewire_transport::wire::DATAGRAM_MAX;

const HEAD: usize = 52;

/// Bytes of a slice where trains can go.
const SLICE: usize = 1_000;

/// One end of a pair.
#[derive(Clone, Copy)]
struct End {
    kind: BackendKind,
    trains: bool,
    sqpoll: bool,
}

/// Two connected sockets with a backend each.
fn pair(sender: End, receiver: End) -> (Box<dyn Backend>, Box<dyn Backend>) {
    // A port of the system's choice, then both ends towards each other.
    let probe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut left = ConnectedSocket::connect(probe.local_addr().unwrap()).unwrap();
    let right = ConnectedSocket::connect(left.local().unwrap()).unwrap();
    left.redirect(right.local().unwrap()).unwrap();
    right.set_receive_buffer(4 << 20).unwrap();
    let open = |End { kind, trains, sqpoll }: End, socket| {
        let config = BackendConfig::new(64, SLICE);
        let config = BackendConfig { send_trains: trains, receive_trains: trains, sqpoll, ..config };
        let backend = kind.open(socket, &config);
        assert_eq!(backend.kind(), kind, "nothing here refuses it");
        backend
    };
    (open(sender, left), open(receiver, right))
}

/// Whether the system lets a backend be used; io_uring is often barred in containers.
fn is_allowed(kind: BackendKind) -> bool {
    let probe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = ConnectedSocket::connect(probe.local_addr().unwrap()).unwrap();
    let is_allowed = kind.open(socket, &BackendConfig::new(64, SLICE)).kind() == kind;
    if !is_allowed {
        framewire_testing::skip(format_args!("{kind} is refused here"));
    }
    is_allowed
}

fn every_pair() -> impl Iterator<Item = (Box<dyn Backend>, Box<dyn Backend>)> {
    let kinds = BackendKind::ALL.iter().filter(|kind| **kind != BackendKind::Auto && is_allowed(**kind));
    let kinds: Vec<_> = kinds.collect();
    let ends: Vec<_> = kinds
        .into_iter()
        .flat_map(|kind| {
            let polled: &[bool] = if *kind == BackendKind::Uring { &[false, true] } else { &[false] };
            let ends = polled.iter().flat_map(|sqpoll| [false, true].map(|trains| (*sqpoll, trains)));
            ends.map(|(sqpoll, trains)| End { kind: *kind, trains, sqpoll })
        })
        .collect();
    let pairs: Vec<_> = ends.iter().flat_map(|from| ends.iter().map(|to| (*from, *to))).collect();
    pairs.into_iter().map(|(from, to)| pair(from, to))
}

fn frame(pool: &FramePool, bytes: &[u8]) -> Frame {
    let mut frame = pool.try_acquire().unwrap();
    frame.set_len(bytes.len()).unwrap();
    frame.copy_from_slice(bytes);
    frame.freeze()
}

/// Receives once there is something, into landings that `post` posts.
fn receive_some(backend: &mut dyn Backend, batch: &mut ReceiveBatch, post: impl Fn(&mut ReceiveBatch)) {
    let waker = Waker::new().unwrap();
    loop {
        batch.clear();
        post(batch);
        match backend.receive(batch) {
            Ok(received) => return assert_eq!(received, batch.datagrams().count()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(backend.socket().as_fd(), false, &waker, Duration::from_secs(10), Duration::ZERO).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The next `count` datagrams, which are all head.
fn receive_heads(backend: &mut dyn Backend, head_bytes: usize, count: usize) -> Vec<Vec<u8>> {
    let mut batch = ReceiveBatch::new(count, head_bytes);
    let mut heads = Vec::new();
    while heads.len() < count {
        receive_some(backend, &mut batch, ReceiveBatch::post_heads);
        heads.extend(batch.datagrams().map(|datagram| {
            assert_eq!(datagram.head.len(), datagram.len);
            datagram.head.to_vec()
        }));
    }
    heads
}

fn bytes_of(arrival: Arrival, len: usize) -> Vec<u8> {
    arrival.complete(len, Tail::NONE, FrameInfo::default()).expect("no landing is outstanding").to_vec()
}

#[test]
fn heads_and_payloads_land_where_they_were_posted_in_order() {
    for (mut sender, mut receiver) in every_pair() {
        let pool = FramePool::new(3, 3 * DATAGRAM_MAX).unwrap();
        let bytes: Vec<u8> = (0..3 * DATAGRAM_MAX).map(|index| (index * 7 % 251) as u8).collect();
        let source = frame(&pool, &bytes);
        let lens = [DATAGRAM_MAX - HEAD, 0, 1, 1_420, 40_000];
        let mut out = SendBatch::new(8, HEAD);
        let (first, second) = (pool.try_arrival().unwrap(), pool.try_arrival().unwrap());
        let mut batch = ReceiveBatch::new(8, HEAD);
        let mut at = 0;
        let mut landings = Vec::new();
        for (index, len) in lens.into_iter().enumerate() {
            out.push(&source, at..at + len, |head| head.fill(index as u8)).unwrap();
            landings.push((if index % 2 == 0 { &first } else { &second }, at..at + len));
            at += len;
        }
        assert_eq!(sender.send(&mut out).unwrap(), 5);
        assert!(out.is_sent());
        let mut seen = 0;
        while seen < 5 {
            receive_some(receiver.as_mut(), &mut batch, |batch| {
                landings[seen..].iter().for_each(|(arrival, range)| batch.post(arrival, range.clone()).unwrap());
            });
            for datagram in batch.datagrams() {
                assert_eq!(datagram.index + landings.len() - landings[seen..].len(), datagram.head[0] as usize);
                assert_eq!(datagram.head, [datagram.head[0]; HEAD]);
                assert_eq!(datagram.len, HEAD + lens[datagram.head[0] as usize]);
            }
            seen += batch.datagrams().count();
        }
        batch.release();
        let (first, second) = (bytes_of(first, at), bytes_of(second, at));
        let mut at = 0;
        for (index, len) in lens.into_iter().enumerate() {
            let landed = if index % 2 == 0 { &first } else { &second };
            assert_eq!(landed[at..at + len], bytes[at..at + len], "{} to {}", sender.kind(), receiver.kind());
            at += len;
        }
    }
}

#[test]
fn a_batch_larger_than_one_call_takes_is_sent_whole() {
    for (mut sender, mut receiver) in every_pair() {
        let pool = FramePool::new(2, 200).unwrap();
        let source = frame(&pool, &[9; 200]);
        let mut out = SendBatch::new(200, 0);
        for index in 0..200 {
            out.push(&source, 0..index, |_| {}).unwrap();
        }
        assert_eq!(sender.send(&mut out).unwrap(), 200);
        let lens: Vec<_> = receive_heads(receiver.as_mut(), 256, 200).iter().map(Vec::len).collect();
        assert_eq!(lens, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_datagram_longer_than_its_landing_is_cut_and_spills_nowhere() {
    for (mut sender, mut receiver) in every_pair() {
        let pool = FramePool::new(2, 1000).unwrap();
        let source = frame(&pool, &[7; 1000]);
        let mut out = SendBatch::new(1, HEAD);
        out.push(&source, 0..900, |head| head.fill(1)).unwrap();
        sender.send(&mut out).unwrap();
        let arrival = pool.try_arrival().unwrap();
        let mut batch = ReceiveBatch::new(1, HEAD);
        receive_some(receiver.as_mut(), &mut batch, |batch| batch.post(&arrival, 100..200).unwrap());
        assert_eq!(batch.datagrams().next().unwrap().len, HEAD + 100 + 1, "one more than there was room for");
        batch.release();
        let landed = bytes_of(arrival, 1000);
        assert_eq!(landed[100..200], [7; 100]);
        assert!(landed[..100].iter().chain(&landed[200..]).all(|byte| *byte == 0));
    }
}

#[test]
fn a_short_datagram_ends_inside_its_head() {
    for (mut sender, mut receiver) in every_pair() {
        sender.send_one(b"abc").unwrap();
        sender.send_one(b"").unwrap();
        assert_eq!(receive_heads(receiver.as_mut(), HEAD, 2), [b"abc".to_vec(), Vec::new()]);
    }
}

/// A frame in slices of `SLICE`, the last one shorter, received in landings of `landing` bytes from the frame's start on: once from
/// where it is, and once from a scratch that it was sealed into.
fn send_frame(sender: &mut dyn Backend, receiver: &mut dyn Backend, slices: usize, landing: usize) {
    for sealed in [false, true] {
        send_frame_as(sealed, sender, receiver, slices, landing);
    }
}

fn send_frame_as(sealed: bool, sender: &mut dyn Backend, receiver: &mut dyn Backend, slices: usize, landing: usize) {
    let payload = SLICE - HEAD;
    let pool = FramePool::new(2, slices * (landing - HEAD)).unwrap();
    let len = slices * payload - 100;
    let bytes: Vec<u8> = (0..len).map(|index| (index * 7 % 251) as u8).collect();
    let source = frame(&pool, &bytes);
    let mut out = if sealed {
        let mut out = SendBatch::with_scratch(slices, HEAD, payload);
        let mut times = 0;
        out.push_sealed(len, payload, |nth, head, into| {
            head.fill(nth as u8);
            into.copy_from_slice(&source[nth as usize * payload..][..into.len()]);
            times += 1;
        })
        .unwrap();
        assert_eq!(times, slices, "each is sealed once");
        out
    } else {
        let mut out = SendBatch::new(slices, HEAD);
        for index in 0..slices {
            let range = index * payload..len.min((index + 1) * payload);
            out.push(&source, range, |head| head.fill(index as u8)).unwrap();
        }
        out
    };
    assert_eq!(sender.send(&mut out).unwrap(), slices);
    let cell = landing - HEAD;
    let mut batch = ReceiveBatch::new(slices, HEAD);
    let mut seen = Vec::new();
    while seen.len() < slices {
        let arrival = pool.try_arrival().unwrap();
        receive_some(receiver, &mut batch, |batch| {
            (0..slices - seen.len()).for_each(|index| batch.post(&arrival, index * cell..(index + 1) * cell).unwrap());
        });
        batch.release();
        let landed = bytes_of(arrival, slices * cell);
        for datagram in batch.datagrams() {
            let index = datagram.head[0] as usize;
            let sent = &bytes[index * payload..len.min((index + 1) * payload)];
            assert_eq!(datagram.len, HEAD + sent.len());
            assert!(landed[datagram.index * cell..].starts_with(sent), "slice {index} at landing {}", datagram.index);
            seen.push(index);
        }
    }
    assert_eq!(seen, (0..slices).collect::<Vec<_>>(), "every slice came once, in order");
}

#[test]
fn trains_are_cut_and_joined_without_anyone_noticing() {
    for (mut sender, mut receiver) in every_pair() {
        // A frame of several trains, of less than one, of one slice; and again, now that both ends know what comes.
        for slices in [150, 10, 1, 150] {
            send_frame(sender.as_mut(), receiver.as_mut(), slices, SLICE);
        }
    }
}

#[test]
fn a_train_that_does_not_fit_its_landings_is_laid_out_again() {
    for (mut sender, mut receiver) in every_pair() {
        for slices in [150, 10, 150] {
            send_frame(sender.as_mut(), receiver.as_mut(), slices, SLICE + 300);
        }
    }
}

#[test]
fn nothing_overtakes_a_train_that_comes_when_none_is_reckoned_with() {
    for (mut sender, mut receiver) in every_pair() {
        // So many single datagrams that no more trains are expected.
        for _ in 0..40 {
            sender.send_one(b"single").unwrap();
        }
        receive_heads(receiver.as_mut(), HEAD, 40);
        let pool = FramePool::new(1, 4 * SLICE).unwrap();
        let source = frame(&pool, &[3; 4 * SLICE]);
        let mut out = SendBatch::new(4, HEAD);
        let cell = SLICE - HEAD;
        out.push_slices(&source, 0..4 * cell, cell, |nth, head| head.fill(nth as u8)).unwrap();
        sender.send(&mut out).unwrap();
        sender.send_one(b"").unwrap();
        sender.send_one(&[4; HEAD]).unwrap();
        let mut firsts = Vec::new();
        let mut batch = ReceiveBatch::new(3, HEAD);
        while firsts.len() < 6 {
            // Fewer landings than slices, so that what waits takes several calls.
            let spare = FramePool::new(1, 2 * cell).unwrap().try_arrival().unwrap();
            receive_some(receiver.as_mut(), &mut batch, |batch| batch.post_cells(&spare, 0, cell, 2).unwrap());
            firsts.extend(batch.datagrams().map(|datagram| datagram.head.first().copied()));
        }
        assert_eq!(firsts, [Some(0), Some(1), Some(2), Some(3), None, Some(4)], "{}", receiver.kind());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_trains_are_refused_slices_go_out_one_by_one() {
    for (mut sender, mut receiver) in every_pair() {
        // A socket without checksums is one of the cases in which the kernel refuses to segment.
        let off: libc::c_int = 1;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        let socket = sender.socket().as_fd().as_raw_fd();
        // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
        let set =
            unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const off).cast(), size) };
        assert_eq!(set, 0);
        for slices in [150, 10] {
            send_frame(sender.as_mut(), receiver.as_mut(), slices, SLICE);
        }
    }
}

#[test]
fn nothing_to_receive_says_so_at_once() {
    for (_sender, mut receiver) in every_pair() {
        let mut batch = ReceiveBatch::new(2, HEAD);
        batch.post_heads();
        assert_eq!(receiver.receive(&mut batch).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(batch.datagrams().count(), 0);
    }
}

#[test]
fn a_far_end_that_is_gone_is_reported_and_the_socket_goes_on() {
    for (mut sender, receiver) in every_pair() {
        drop(receiver);
        let pool = FramePool::new(1, 10).unwrap();
        let source = frame(&pool, &[1; 10]);
        let refused = (0..100).any(|_| {
            let mut out = SendBatch::new(1, 0);
            out.push(&source, 0..10, |_| {}).unwrap();
            sender.send(&mut out).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        assert!(refused, "{} was never told", sender.kind());
    }
}

#[test]
fn a_datagram_larger_than_udp_carries_is_an_error_and_not_a_loss() {
    for (mut sender, _receiver) in every_pair() {
        let pool = FramePool::new(1, 70_000).unwrap();
        let source = frame(&pool, &[1; 70_000]);
        let mut out = SendBatch::new(2, 0);
        out.push(&source, 0..70_000, |_| {}).unwrap();
        let error = sender.send(&mut out).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{}", sender.kind());
        assert!(!out.is_sent());
    }
}

#[test]
fn what_goes_out_around_a_sealed_datagram_that_cannot_is_noted_exactly_and_nothing_is_sealed_again() {
    for (mut sender, mut receiver) in every_pair() {
        let mut out = SendBatch::with_scratch(4, HEAD, DATAGRAM_MAX);
        let mut times = 0;
        for (nth, len) in [200, 300, DATAGRAM_MAX, 100].into_iter().enumerate() {
            out.push_sealed(len, len, |_, head, payload| {
                head.fill(nth as u8);
                payload.fill(nth as u8);
                times += 1;
            })
            .unwrap();
        }
        let mut sent = 0;
        for _ in 0..10 {
            sent += sender.send(&mut out).unwrap_or(0);
        }
        assert!(!out.is_sent());
        let came = receive_heads(receiver.as_mut(), 512, sent);
        let expected = [(0, 200), (1, 300), (3, 100)].map(|(nth, len)| vec![nth; HEAD + len]);
        assert_eq!(came, expected[..sent], "{}", sender.kind());
        assert!(sent >= 2 && times == 4, "{sent} {times}");
    }
}

#[test]
fn what_goes_out_around_a_datagram_that_cannot_is_noted_exactly() {
    for (mut sender, mut receiver) in every_pair() {
        let pool = FramePool::new(1, 70_000).unwrap();
        let source = frame(&pool, &[1; 70_000]);
        let mut out = SendBatch::new(4, 1);
        for round in 0..2 {
            for (nth, len) in [200, 300, 70_000, 100].into_iter().enumerate() {
                out.push(&source, 0..len, |head| head[0] = 10 * round + nth as u8).unwrap();
            }
            let mut sent = 0;
            let error = loop {
                match sender.send(&mut out) {
                    Ok(count) => sent += count,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{}", sender.kind());
            assert!(!out.is_sent());
            // The last one may have gone out before the failure was known; then it counts.
            let heads: Vec<_> = receive_heads(receiver.as_mut(), 512, sent).iter().map(|head| head[0]).collect();
            let expected = [0, 1, 3].map(|nth| 10 * round + nth);
            assert!(sent == 2 || sent == 3, "{sent} by {}", sender.kind());
            assert_eq!(heads, expected[..sent], "{}", sender.kind());
            let mut batch = ReceiveBatch::new(1, HEAD);
            batch.post_heads();
            assert_eq!(receiver.receive(&mut batch).unwrap_err().kind(), ErrorKind::WouldBlock);
            out.clear();
        }
    }
}

#[test]
fn a_batch_holds_its_frames_and_slots_until_it_is_cleared() {
    let pool = FramePool::new(3, 100).unwrap();
    let mut out = SendBatch::new(4, 0);
    let source = frame(&pool, &[1; 100]);
    out.push(&source, 0..50, |_| {}).unwrap();
    out.push(&source, 50..100, |_| {}).unwrap();
    drop(source);
    let mut batch = ReceiveBatch::new(4, HEAD);
    let arrival = pool.try_arrival().unwrap();
    batch.post(&arrival, 0..10).unwrap();
    drop(arrival);
    assert_eq!(pool.free_count(), 1);
    out.clear();
    batch.clear();
    assert_eq!(pool.free_count(), 3);
}

#[test]
fn a_waker_ends_a_sleep_that_has_begun_and_one_that_has_not() {
    let (sender, _receiver) = every_pair().next().unwrap();
    let waker = Waker::new().unwrap();
    // Without an end of its own: a sleep that nobody ends hangs here.
    waker.wake();
    wait(sender.socket().as_fd(), false, &waker, Duration::MAX, Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let socket = sender.socket().as_fd();
        let waker = &waker;
        let sleeper = scope.spawn(move || wait(socket, false, waker, Duration::MAX, Duration::ZERO));
        waker.wake();
        sleeper.join().unwrap().unwrap();
    });
}
