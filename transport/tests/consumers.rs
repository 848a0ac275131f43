//! What a program's consumers can see of frames, and are told: slots, planes, and that they hold all there are.

use std::sync::mpsc;
use std::time::Duration;

use framewire_testing::PATIENCE;
use framewire_transport::frame::{ConsumerPolicy, FramePool, FrameRing, RecvError};
use framewire_transport::{Delivery, Frame, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

fn gray(width: u32, height: u32) -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, width, height).unwrap()
}

fn frame(pool: &FramePool) -> Frame {
    pool.try_acquire().unwrap().freeze()
}

#[test]
fn a_consumer_whose_frames_are_in_every_slot_is_told_by_each_way_of_asking_and_goes_on_when_one_is_dropped() {
    let pool = FramePool::new(3, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    let mut held = Vec::new();
    for slots in 1..=3 {
        assert_eq!(consumer.try_recv().unwrap_err(), RecvError::Timeout);
        ring.publish(&frame(&pool));
        held.push(consumer.try_recv().unwrap());
        assert_eq!(consumer.slots_held(), slots);
    }
    let holds_all = RecvError::HoldsAllSlots { slots: 3 };
    assert_eq!(consumer.try_recv().unwrap_err(), holds_all);
    assert_eq!(consumer.recv_timeout(Duration::ZERO).unwrap_err(), holds_all);
    assert_eq!(consumer.recv_timeout(PATIENCE).unwrap_err(), holds_all);
    assert_eq!(consumer.recv().unwrap_err(), holds_all);
    assert_eq!(consumer.frames().next().unwrap().unwrap_err(), holds_all);
    assert_eq!(
        holds_all.to_string(),
        "all 3 slots are held by frames that this consumer has taken, so that no other can come; drop some, copy what is to be kept, \
         or ask for more slots"
    );
    held.pop();
    assert_eq!((consumer.slots_held(), consumer.try_recv().unwrap_err()), (2, RecvError::Timeout));
    ring.publish(&frame(&pool));
    assert!(consumer.recv().is_ok());
    ring.end();
    assert!(consumer.frames().next().is_none());
}

#[test]
fn the_end_of_a_stream_is_told_to_a_consumer_that_holds_every_slot() {
    let pool = FramePool::new(1, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Latest);
    ring.publish(&frame(&pool));
    let _held = consumer.recv().unwrap();
    ring.end();
    assert_eq!(consumer.recv().unwrap_err(), RecvError::Ended);
}

#[test]
fn clones_and_bytes_of_a_frame_hold_its_slot_once_and_until_the_last() {
    let pool = FramePool::new(2, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    ring.publish(&frame(&pool));
    let first = consumer.recv().unwrap();
    let (twin, bytes) = (first.clone(), first.clone().into_bytes());
    assert_eq!(consumer.slots_held(), 1);
    drop((first, twin));
    assert_eq!(consumer.slots_held(), 1);
    drop(bytes);
    assert_eq!((consumer.slots_held(), pool.free_count()), (0, 2));
}

#[test]
fn what_waits_is_another_consumers_or_has_been_published_again_is_not_held() {
    let pool = FramePool::new(1, 16).unwrap();
    let (ring, onward) = (FrameRing::new(), FrameRing::new());
    let (first, second) = (ring.subscribe(ConsumerPolicy::Block), ring.subscribe(ConsumerPolicy::Block));
    let third = onward.subscribe(ConsumerPolicy::Block);
    ring.publish(&frame(&pool));
    assert_eq!((first.slots_held(), second.slots_held()), (0, 0));
    onward.publish(&first.recv().unwrap());
    assert_eq!((first.slots_held(), third.slots_held()), (0, 0));
    assert_eq!(first.try_recv().unwrap_err(), RecvError::Timeout);
    let held = third.recv().unwrap();
    assert_eq!((third.slots_held(), third.try_recv().unwrap_err()), (1, RecvError::HoldsAllSlots { slots: 1 }));
    // As far as the other one knows, its frame is still to be taken, and gives its slot back then.
    drop((second, held));
    assert_eq!((third.slots_held(), pool.free_count()), (0, 1));
}

#[test]
fn a_consumer_that_waits_is_told_when_another_of_its_threads_takes_the_last_slot() {
    let pool = FramePool::new(1, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    std::thread::scope(|scope| {
        // Whichever of the two gets the frame, the other is told.
        let readers = [(); 2].map(|()| {
            let (send, receive) = mpsc::channel();
            let consumer = &consumer;
            (scope.spawn(move || send.send(consumer.recv()).unwrap()), receive)
        });
        ring.publish(&frame(&pool));
        let mut results = readers.map(|(_, results)| results.recv().unwrap());
        results.sort_by_key(Result::is_err);
        assert!(results[0].is_ok());
        assert_eq!(*results[1].as_ref().unwrap_err(), RecvError::HoldsAllSlots { slots: 1 });
    });
}

#[test]
fn a_thread_that_gives_frames_back_in_time_keeps_the_one_that_takes_them_waiting_without_an_error() {
    let pool = FramePool::new(2, 16).unwrap();
    let ring = FrameRing::new();
    let consumer = ring.subscribe(ConsumerPolicy::Block);
    let (done, frames) = mpsc::channel::<Frame>();
    std::thread::scope(|scope| {
        scope.spawn(move || frames.into_iter().for_each(drop));
        scope.spawn(|| {
            for _ in 0..1_000 {
                ring.publish(&pool.acquire_timeout(PATIENCE).unwrap().freeze());
            }
            ring.end();
        });
        let taken = consumer.frames().map(|frame| done.send(frame.unwrap()).unwrap()).count();
        assert_eq!(taken, 1_000);
        drop(done);
    });
}

#[test]
fn a_receiver_that_keeps_every_frame_of_a_stream_is_told_so_and_gets_the_rest_once_it_lets_go() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new().slots(4)).unwrap();
    let config = SenderConfig::new(gray(64, 48)).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for shade in 0..20 {
                let mut frame = sender.frame().unwrap();
                frame.fill(shade);
                sender.send(frame).unwrap();
            }
            assert_eq!(sender.finish(PATIENCE).unwrap().delivered, 20);
        });
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let mut kept: Vec<Frame> = Vec::new();
        let error = loop {
            match stream.recv() {
                Ok(frame) => kept.push(frame),
                Err(error) => break error,
            }
        };
        assert_eq!((error, kept.len(), stream.slots_held()), (RecvError::HoldsAllSlots { slots: 4 }, 4, 4));
        let mut slots: Vec<_> = kept.iter().map(Frame::slot).collect();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2, 3]);
        let shades: Vec<u8> = kept.drain(..).map(Ok).chain(stream.frames()).map(|frame| frame.unwrap()[0]).collect();
        assert!(shades.into_iter().eq(0..20));
    });
}

#[test]
fn frames_that_have_travelled_know_their_format_and_their_planes() {
    let format = FrameFormat::with_stride(PixelFormat::Yuv420p, 5, 3, 8).unwrap();
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let config = SenderConfig::new(format).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let mut frame = sender.frame().unwrap();
    assert_eq!(frame.format(), Some(&format));
    for (plane, shade) in frame.planes_mut().zip(1..) {
        plane.bytes.fill(shade);
    }
    sender.send(frame).unwrap();
    let frame = receiver.accept_timeout(PATIENCE).unwrap().recv_timeout(PATIENCE).unwrap();
    assert_eq!(frame.format(), Some(&format));
    let planes: Vec<_> = frame
        .planes()
        .map(|plane| (plane.bytes[0], plane.bytes.len(), plane.width, plane.height, plane.stride, plane.rows().len()))
        .collect();
    assert_eq!(planes, [(1, 24, 5, 3, 8, 3), (2, 8, 3, 2, 4, 2), (3, 8, 3, 2, 4, 2)]);
}

#[test]
fn the_planes_of_every_format_and_size_cover_the_frame_without_a_gap() {
    for pixel in PixelFormat::ALL {
        let sizes = [(1, 1, 0), (7, 5, 0), (7, 5, 4), (8, 5, 0), (64, 48, 128)];
        let of = |(width, height, more)| {
            let packed = FrameFormat::new(pixel, width, height).ok()?;
            Some((packed, FrameFormat::with_stride(pixel, width, height, packed.stride() + more).ok()?))
        };
        // Some have no odd widths, and bytes no rows.
        assert!(sizes.into_iter().filter_map(of).count() > 1 || pixel == PixelFormat::Bytes);
        for (packed, format) in sizes.into_iter().filter_map(of) {
            let pool = FramePool::for_format(1, format).unwrap();
            let frame = frame(&pool);
            assert_eq!(frame.planes().len(), pixel.planes());
            let mut end = frame.as_ptr();
            for (plane, nth) in frame.planes().zip(0..) {
                assert_eq!(plane.bytes.as_ptr(), end);
                assert_eq!(plane.bytes.len(), plane.stride as usize * plane.height as usize);
                assert_eq!((plane.width, plane.height), format.plane_size(nth));
                assert!(plane.stride >= packed.plane_stride(nth));
                assert!(plane.rows().all(|row| row.len() == plane.stride as usize));
                end = plane.bytes.as_ptr_range().end;
            }
            assert_eq!(end, frame.as_ptr_range().end, "{format}");
        }
    }
}

#[test]
fn a_frame_of_no_known_format_or_of_another_length_has_no_planes() {
    let unknown = FramePool::new(2, 12).unwrap();
    assert_eq!((frame(&unknown).planes().count(), frame(&unknown).format()), (0, None));
    let pool = FramePool::for_format(1, gray(4, 3)).unwrap();
    let mut short = pool.try_acquire().unwrap();
    assert_eq!(short.planes_mut().len(), 1);
    short.set_len(11).unwrap();
    assert_eq!((short.planes_mut().len(), short.planes_mut().count()), (0, 0));
    assert_eq!(short.freeze().planes().count(), 0);
}
