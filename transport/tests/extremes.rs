//! No public call panics, whatever it is given: what cannot be is refused with the value, or taken as the nearest that can.

use std::net::SocketAddr;
use std::time::Duration;

use framewire_testing::PATIENCE;
use framewire_transport::driver::{
    Cpus, PlainReceiver, PlainReceiverConfig, PlainSender, PlainSenderConfig, SendError, SliceSize, SliceSizeError,
    ThreadConfig,
};
use framewire_transport::frame::{ConsumerPolicy, FrameInfo, FramePool, FrameRing, RecvError, Tail};
use framewire_transport::send::{Bitrate, Fec, LinkBudget, Publication, SendConfig};
use framewire_transport::wire::{slice_count, train_slices};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Protection, Receiver, ReceiverConfig, Sender, SenderConfig, Time,
};

const DURATIONS: [Duration; 5] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1), Duration::from_secs(u64::MAX), Duration::MAX];
const SIZES: [usize; 9] = [0, 1, 51, 52, 4_096, 65_536, u32::MAX as usize, isize::MAX as usize, usize::MAX];

fn gray(width: u32, height: u32) -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, width, height).unwrap()
}

fn receiver() -> Receiver {
    Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap()
}

#[test]
fn a_program_may_write_into_every_slot_of_its_sender_at_once() {
    let receiver = receiver();
    for delivery in [Delivery::Every, Delivery::Latest] {
        let config = SenderConfig::new(gray(1_920, 1_080)).delivery(delivery);
        let slots = config.slots;
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        let frame = || sender.frame_timeout(Duration::ZERO).unwrap();
        let held: Vec<_> =
            (0..slots).map(|nth| frame().unwrap_or_else(|| panic!("no slot beside {nth} held"))).collect();
        assert!(frame().is_none());
        drop(held);
        assert!(frame().is_some());
    }
}

#[test]
fn waiting_for_ever_is_waiting_until_it_happens() {
    let receiver = receiver();
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(gray(64, 48))).unwrap();
    sender.wait_until_open(Duration::MAX).unwrap();
    let stream = receiver.accept_timeout(Duration::MAX).unwrap();
    sender.send(sender.frame_timeout(Duration::MAX).unwrap().unwrap()).unwrap();
    let frame = stream.recv_timeout(Duration::MAX).unwrap();
    drop(frame);
    sender.wait_until_settled(Duration::MAX).unwrap();
    assert_eq!(sender.close(Duration::MAX).unwrap().delivered, 1);
    assert_eq!(stream.recv_timeout(Duration::MAX).unwrap_err(), RecvError::Ended);
    assert!(FramePool::new(1, 1).unwrap().acquire_timeout(Duration::MAX).is_some());
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(gray(64, 48))).unwrap();
    assert_eq!(sender.finish(Duration::MAX).unwrap().delivered, 0);
}

#[test]
fn a_frame_that_cannot_be_sent_comes_back_with_the_reason_and_the_stream_goes_on() {
    let receiver = receiver();
    let connect = || Sender::connect(receiver.local_addr(), SenderConfig::new(gray(64, 48))).unwrap();
    let (sender, other) = (connect(), connect());
    let mut frame = sender.frame().unwrap();
    frame.fill(7);
    frame.set_len(5).unwrap();
    let not_sent = sender.send(frame).unwrap_err();
    assert!(matches!(not_sent.error, SendError::Length { bytes: 5, .. }), "{not_sent}");
    assert!(not_sent.to_string().contains("5 bytes") && not_sent.to_string().contains("3072"), "{not_sent}");
    let mut frame = *not_sent.frame.unwrap();
    frame.set_len(64 * 48).unwrap();
    assert!(frame.iter().all(|byte| *byte == 7));
    let not_sent = other.send(frame).unwrap_err();
    assert!(matches!(not_sent.error, SendError::Foreign), "{not_sent}");
    let frame = *not_sent.frame.unwrap();
    assert_eq!(sender.send(frame).unwrap(), 0);
    let held = sender.frame().unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    sender.close(PATIENCE).unwrap();
    let not_sent = sender.send(held).unwrap_err();
    assert!(matches!(not_sent.error, SendError::Closed) && not_sent.frame.is_some());

    let plain = PlainSenderConfig::new(gray(64, 48)).slots(2).backend(BackendKind::Auto);
    let plain = PlainSender::connect(receiver.local_addr(), &plain).unwrap();
    let mut frame = plain.frame_timeout(PATIENCE).unwrap();
    frame.set_len(0).unwrap();
    assert!(matches!(plain.send(frame).unwrap_err().error, SendError::Length { bytes: 0, .. }));
    let foreign = other.frame().unwrap();
    assert!(matches!(plain.send(foreign).unwrap_err().error, SendError::Foreign));
}

#[test]
fn senders_and_receivers_are_made_of_any_numbers_or_refuse_them() {
    let receiver = receiver();
    let address = receiver.local_addr();
    let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for slots in SIZES {
        let _ = Receiver::bind(anywhere, ReceiverConfig::new().slots(slots));
        let _ = Receiver::bind(anywhere, ReceiverConfig::new().streams_max(slots));
        let _ = Receiver::bind(anywhere, ReceiverConfig::new().memory_bytes_max(slots));
        let _ = Receiver::bind(anywhere, ReceiverConfig::new().stream_bytes_max(slots));
        let latest_policy = ConsumerPolicy::Queue(slots);
        let _ = Receiver::bind(anywhere, ReceiverConfig::new().latest_policy(latest_policy));
        let _ = FrameRing::new().subscribe(latest_policy);
        let _ = Sender::connect(address, SenderConfig::new(gray(64, 48)).slots(slots));
        let (format, backend) = (gray(64, 48), BackendKind::Auto);
        let _ = PlainSender::connect(address, &PlainSenderConfig::new(format).slots(slots).backend(backend));
        let config = PlainReceiverConfig::new(format).slots(slots).backend(backend).policy(latest_policy);
        let _ = PlainReceiver::bind(anywhere, &config, |_| {});
        let _ = Cpus::new([slots]);
    }
    for bytes in [0, 1, 51, 52, 547, 548, 65_507, 65_508, u16::MAX] {
        let config = SenderConfig::new(gray(64, 48)).slice(SliceSize::Bytes(bytes));
        match Sender::connect(address, config) {
            Ok(sender) => assert!((548..=65_507).contains(&bytes) && sender.slice_bytes() >= 548),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains(&format!("slices of {bytes} bytes")) && error.contains("548 to 65507"),
                    "{error}"
                );
            }
        }
        let config = SendConfig::new(1, 1, gray(64, 48), Delivery::Latest, bytes);
        let core = Publication::new(config.format, config.delivery).subscribe(config, Time::now());
        assert!((548..=65_507).contains(&core.slice_bytes()));
    }
    for percent in [0, 1, 100, 101, u8::MAX] {
        let config = SenderConfig::new(gray(64, 48)).fec(Fec::Percent(percent));
        stream_one_frame(config);
    }
    for time in DURATIONS {
        stream_one_frame(SenderConfig::new(gray(64, 48)).deadline(time));
        stream_one_frame(SenderConfig::new(gray(64, 48)).linger(time));
    }
    for rate in [Bitrate::MIN, Bitrate::MAX] {
        let link = Some(LinkBudget::new(rate));
        stream_one_frame(SenderConfig::new(gray(8, 4)).link(link));
    }
    let busy_poll = Duration::from_micros(1);
    let threads = ThreadConfig::new().busy_poll(busy_poll);
    stream_one_frame(SenderConfig::new(gray(64, 48)).threads(threads));
    for stream in [0, 1, u32::MAX] {
        receiver.announce(stream, gray(1, 1)).unwrap();
        receiver.retract(stream);
        receiver.withdraw(stream);
    }
    let largest = FrameFormat::new(PixelFormat::Gray8, u32::MAX, 1).unwrap();
    assert!(receiver.announce(1, largest).is_err());
    for peer in ["0.0.0.0:0", "[::]:0", "255.255.255.255:1", "127.0.0.1:0", "[ff02::1]:9"] {
        let config = SenderConfig::new(gray(64, 48)).protection(Protection::Off);
        let sender = Sender::connect(peer.parse().unwrap(), config);
        if let Ok(sender) = sender {
            sender.redirect(anywhere);
            sender.skip();
        }
    }
}

/// Has one frame travel, and the sender dropped.
fn stream_one_frame(config: SenderConfig) {
    let receiver = receiver();
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let mut frame = sender.frame().unwrap();
    frame.info.captured = Time::MAX;
    sender.send(frame).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert!(stream.recv_timeout(PATIENCE).is_ok());
    sender.close(PATIENCE).unwrap();
}

#[test]
fn frames_and_formats_of_any_size_are_made_or_refused() {
    let sides = [0, 1, 2, 3, 65_535, 65_536, u32::MAX - 1, u32::MAX];
    for pixel in PixelFormat::ALL {
        for (width, height) in sides.iter().flat_map(|width| sides.map(|height| (*width, height))) {
            let _ = FrameFormat::new(pixel, width, height);
            for stride in sides {
                let Ok(format) = FrameFormat::with_stride(pixel, width, height, stride) else { continue };
                for plane in [0, 1, 2, 3, usize::MAX] {
                    let _ = (format.plane_bytes(plane), format.plane_size(plane), format.plane_stride(plane));
                }
                let _ = format.frame_bytes();
            }
        }
    }
    for (slots, bytes) in SIZES.iter().flat_map(|slots| SIZES.map(|bytes| (*slots, bytes))) {
        let _ = FramePool::bytes(slots, bytes);
    }
    let pool = FramePool::new(2, 100).unwrap();
    for len in SIZES {
        let mut frame = pool.try_acquire().unwrap();
        assert_eq!(
            frame.set_len(len).map_err(|error| (error.len, error.capacity)).err(),
            (len > 100).then_some((len, 100))
        );
        let completed = pool.try_arrival().unwrap().complete(len, Tail::NONE, FrameInfo::default());
        assert_eq!(completed.is_ok(), len <= 100);
    }
    for bytes in SIZES {
        assert!(train_slices(bytes) >= 1);
        assert!(slice_count(bytes as u32, bytes as u16) <= bytes as u32);
    }
}

#[test]
fn formats_of_any_size_can_be_or_are_refused_in_words() {
    for pixel in PixelFormat::ALL {
        for (width, height, stride) in SIZES.iter().flat_map(|w| SIZES.map(|h| (*w as u32, h as u32, *w as u32 ^ 3))) {
            for format in [
                FrameFormat::new(pixel, width, height),
                FrameFormat::with_stride(pixel, width, height, stride),
                FrameFormat::with_stride(pixel, 2, 1, u32::MAX - stride),
            ] {
                match format {
                    Ok(format) => assert!(format.frame_bytes() > 0),
                    Err(refused) => assert!(!refused.to_string().contains("use 0"), "{refused}"),
                }
            }
        }
    }
}

#[test]
fn text_that_is_none_of_the_names_is_refused_with_itself() {
    let long = "9".repeat(100_000);
    for text in ["", " ", "\0", "-1", "1e999", "nan", "99999999999999", "18446744073709551616", "%", "k", "é", &long] {
        let cut: String = text.chars().take(40).collect();
        let said = [
            text.parse::<SliceSize>().unwrap_err().to_string(),
            text.parse::<Fec>().unwrap_err().to_string(),
            text.parse::<Bitrate>().unwrap_err().to_string(),
            text.parse::<PixelFormat>().unwrap_err().to_string(),
            text.parse::<BackendKind>().unwrap_err().to_string(),
            text.parse::<Cpus>().unwrap_err().to_string(),
        ];
        for said in said {
            assert!(said.contains(&format!("'{cut}'")) && said.len() < 200, "{said}");
        }
    }
    let _: SliceSizeError = "x".parse::<SliceSize>().unwrap_err();
    for bits in [0, 1, u64::MAX] {
        assert!(Bitrate::from_bits_per_second(bits).is_none());
    }
}
