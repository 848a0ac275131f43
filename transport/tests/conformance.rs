//! What every backend must do, run over each of them.
#![allow(missing_docs)]

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use framewire_transport::BackendKind;
use framewire_transport::backend::{Backend, ConnectedSocket, ReceiveBatch, SendBatch, Waker, wait};
use framewire_transport::frame::{Arrival, Frame, FrameInfo, FramePool};
use framewire_transport::wire::DATAGRAM_MAX;

const HEAD: usize = 52;

/// Two connected sockets with a backend each.
fn pair(sender: BackendKind, receiver: BackendKind) -> (Box<dyn Backend>, Box<dyn Backend>) {
    // A port of the system's choice, then both ends towards each other.
    let probe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut left = ConnectedSocket::connect(probe.local_addr().unwrap()).unwrap();
    let right = ConnectedSocket::connect(left.local().unwrap()).unwrap();
    left.redirect(right.local().unwrap()).unwrap();
    right.set_receive_buffer(4 << 20).unwrap();
    (sender.open(left, 64), receiver.open(right, 64))
}

fn every_pair() -> impl Iterator<Item = (Box<dyn Backend>, Box<dyn Backend>)> {
    let kinds = BackendKind::ALL.iter().filter(|kind| **kind != BackendKind::Auto);
    kinds.clone().flat_map(move |from| kinds.clone().map(move |to| pair(*from, *to)))
}

fn frame(pool: &FramePool, bytes: &[u8]) -> Frame {
    let mut frame = pool.try_acquire().unwrap();
    frame.set_len(bytes.len());
    frame.copy_from_slice(bytes);
    frame.freeze()
}

fn receive_all(backend: &mut dyn Backend, batch: &mut ReceiveBatch, count: usize) {
    let waker = Waker::new().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut received = 0;
    while received < count && Instant::now() < deadline {
        match backend.receive(batch) {
            Ok(more) => received += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(backend.socket().as_fd(), false, &waker, Duration::from_millis(100)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(received, count);
}

fn bytes_of(arrival: Arrival, len: usize) -> Vec<u8> {
    arrival.complete(len, FrameInfo::default()).expect("no landing is outstanding").to_vec()
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
        for (index, len) in lens.into_iter().enumerate() {
            out.push(&source, at..at + len, |head: &mut [u8; HEAD]| head.fill(index as u8));
            batch.post(if index % 2 == 0 { &first } else { &second }, at..at + len);
            at += len;
        }
        assert_eq!(sender.send(&mut out).unwrap(), 5);
        assert!(out.is_sent());
        receive_all(receiver.as_mut(), &mut batch, 5);
        for datagram in batch.datagrams() {
            assert_eq!(datagram.head, [datagram.index as u8; HEAD]);
            assert_eq!(datagram.len, HEAD + lens[datagram.index]);
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
            out.push(&source, 0..index, |_: &mut [u8; 0]| {});
        }
        assert_eq!(sender.send(&mut out).unwrap(), 200);
        let mut batch = ReceiveBatch::new(200, 256);
        batch.post_heads();
        receive_all(receiver.as_mut(), &mut batch, 200);
        let lens: Vec<_> = batch.datagrams().map(|datagram| datagram.len).collect();
        assert_eq!(lens, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_datagram_longer_than_its_landing_is_cut_and_spills_nowhere() {
    for (mut sender, mut receiver) in every_pair() {
        let pool = FramePool::new(2, 1000).unwrap();
        let source = frame(&pool, &[7; 1000]);
        let mut out = SendBatch::new(1, HEAD);
        out.push(&source, 0..900, |head: &mut [u8; HEAD]| head.fill(1));
        sender.send(&mut out).unwrap();
        let arrival = pool.try_arrival().unwrap();
        let mut batch = ReceiveBatch::new(1, HEAD);
        batch.post(&arrival, 100..200);
        receive_all(receiver.as_mut(), &mut batch, 1);
        assert_eq!(batch.datagrams().next().unwrap().len, HEAD + 100);
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
        let mut batch = ReceiveBatch::new(2, HEAD);
        batch.post_heads();
        receive_all(receiver.as_mut(), &mut batch, 2);
        let heads: Vec<_> = batch.datagrams().map(|datagram| datagram.head.to_vec()).collect();
        assert_eq!(heads, [b"abc".to_vec(), Vec::new()]);
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
            out.push(&source, 0..10, |_: &mut [u8; 0]| {});
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
        out.push(&source, 0..70_000, |_: &mut [u8; 0]| {});
        let error = sender.send(&mut out).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{}", sender.kind());
        assert!(!out.is_sent());
    }
}

#[test]
fn a_batch_holds_its_frames_and_slots_until_it_is_cleared() {
    let pool = FramePool::new(3, 100).unwrap();
    let mut out = SendBatch::new(4, 0);
    let source = frame(&pool, &[1; 100]);
    out.push(&source, 0..50, |_: &mut [u8; 0]| {});
    out.push(&source, 50..100, |_: &mut [u8; 0]| {});
    drop(source);
    let mut batch = ReceiveBatch::new(4, HEAD);
    let arrival = pool.try_arrival().unwrap();
    batch.post(&arrival, 0..10);
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
    waker.wake();
    wait(sender.socket().as_fd(), false, &waker, Duration::from_secs(60)).unwrap();
    std::thread::scope(|scope| {
        let socket = sender.socket().as_fd();
        let waker = &waker;
        let sleeper = scope.spawn(move || wait(socket, false, waker, Duration::from_secs(60)));
        waker.wake();
        sleeper.join().unwrap().unwrap();
    });
}
