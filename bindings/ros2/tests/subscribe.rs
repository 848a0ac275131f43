//! Topics as streams, written by an independent middleware, as they should be and as they should not.

mod running;

use std::time::{Duration, Instant, SystemTime};

use framewire_ends::{Hub, OpenOptions, Source, Taken};
use framewire_testing::{Signal, wait_until};
use framewire_transport::frame::MetadataKind;
use framewire_transport::{Delivery, FrameFormat, PixelFormat};
use running::{Domain, PATIENCE, Peer};
use serde_json::{Value, json};

const UTC: u64 = 1_795_000_000_123_456_789;

fn image(encoding: &str, width: u32, height: u32, step: u32, fill: u8) -> Value {
    json!({
        "encoding": encoding, "width": width, "height": height, "step": step, "fill": fill, "bytes": step * height, "stamp": UTC, "frame_id": "left",
    })
}

/// Publishes an image until the program has it as a stream.
fn begin(peer: &mut Peer, image: &Value, program: &running::Program) -> String {
    program.hears(&[peer]);
    peer.publish(image);
    program.says("framewire-ros2: stream '")
}

fn open(socket: &str, name: &str) -> Source {
    let options = OpenOptions::new().hub(socket.parse::<Hub>().unwrap()).queue(Some(8)).wait(PATIENCE);
    Source::open(Some(name), &options, &mut || true).unwrap().unwrap()
}

fn next(source: &Source) -> Taken {
    source.recv(PATIENCE).unwrap().unwrap()
}

/// The frame of this number: those before it may wait still.
fn numbered(source: &Source, number: u64) -> Taken {
    loop {
        let taken = next(source);
        assert!(taken.frame.info().number <= number, "{} for {number}", taken.frame.info().number);
        if taken.frame.info().number == number {
            return taken;
        }
    }
}

#[test]
fn images_are_frames_with_their_rows_their_time_and_their_frame_whatever_the_byte_order_of_either() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("camera");
    let program = domain.program("subscribe", &["/camera/image_raw", "--share", &socket]);
    let mut peer = domain.peer("publish", &["/camera/image_raw"]);
    let mut sixteen = image("mono16", 4, 2, 12, 0);
    sixteen["pixels"] = "000102030405060708090a0b0c0d0e0f1011121314151617".into();
    let said = begin(&mut peer, &sixteen, &program);
    assert!(said.contains("stream 'camera' is"), "{said}");
    let source = open(&socket, "camera");
    let format = FrameFormat::with_stride(PixelFormat::Gray16, 4, 2, 12).unwrap();
    let mut sent = 0;
    let pixels: Vec<u8> = (0..24).collect();
    let swapped: Vec<u8> = pixels.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    for (is_bigendian, is_big_message, expected) in
        [(0, false, &pixels), (0, true, &pixels), (1, false, &swapped), (1, true, &swapped)]
    {
        let mut image = sixteen.clone();
        (image["is_bigendian"], image["big_endian_message"]) = (is_bigendian.into(), is_big_message.into());
        peer.publish(&image);
        sent += 1;
        let Taken { frame, stream } = numbered(&source, sent);
        assert_eq!((stream.format, &frame[..]), (format, &expected[..]), "{is_bigendian} {is_big_message}");
        assert_eq!(frame.captured_utc(), Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(UTC)));
        let metadata = frame.metadata().unwrap();
        assert_eq!((metadata.kind, metadata.bytes), (MetadataKind::Json, &br#"{"frame_id":"left"}"#[..]));
    }
    let summary = program.end();
    assert_eq!(
        (&summary["images"], &summary["frames_sent"], &summary["publishers"]),
        (&5.into(), &5.into(), &1.into())
    );
}

#[test]
fn what_is_no_image_is_in_no_stream_is_counted_and_told_once() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("camera");
    let program = domain
        .program("subscribe", &["/camera/image_raw", "--share", &socket, "--reliability", "reliable", "--depth", "20"]);
    let mut peer = domain.peer("publish", &["/camera/image_raw"]);
    let good = image("bgr8", 4, 2, 12, 7);
    begin(&mut peer, &good, &program);
    let source = open(&socket, "camera");
    let with = |image: Value, key: &str, value: Value| {
        let mut image = image;
        image[key] = value;
        image
    };
    let odd = image("32FC3", 4, 2, 48, 1);
    let wrong = [
        (
            odd.clone(),
            "are encoded as '32FC3', which is no pixel format here",
            "one that `framewire formats` has a ROS name for, such as bgr8",
        ),
        (image("bgr8", 4, 2, 11, 1), "rows of 11 bytes", "mend what writes it"),
        (with(image("bgr8", 4, 2, 12, 1), "bytes", 20.into()), "", ""),
        (with(image("bgr8", 4, 2, 12, 1), "width", 0.into()), "", ""),
        (odd, "", ""),
    ];
    for (image, why, remedy) in &wrong {
        peer.publish(image);
        if !why.is_empty() {
            let said = program.says("not sent");
            assert!(said.contains(why) && said.contains(remedy), "{said}");
        }
    }
    // Another, whose messages are what they like.
    let mut blob = domain.peer("publish", &["/camera/image_raw", "--type", "blob"]);
    blob.is_matched(1);
    blob.publish(&with(good.clone(), "cut", 8.into()));
    program.says("says that it has 24 bytes of pixels, and has 16");
    blob.publish(&with(good.clone(), "cut", 40.into()));
    // One with a name longer than any, and one that is serialized otherwise.
    peer.publish(&with(good.clone(), "frame_id", "a".repeat(5_000).into()));
    peer.publish(&with(good.clone(), "encapsulation", "00070000".into()));
    peer.publish(&with(good, "fill", 8.into()));
    let frame = numbered(&source, 1).frame;
    assert!(frame.iter().all(|byte| *byte == 8), "nothing came between");
    let summary = program.end();
    let unsent = &summary["images_unsent"];
    assert_eq!((&unsent["encoding"], &unsent["size"], &unsent["lost"]), (&2.into(), &3.into(), &0.into()), "{summary}");
    assert_eq!((&unsent["unreadable"], &summary["frames_sent"]), (&4.into(), &2.into()), "{summary}");
}

#[test]
fn images_of_which_none_can_be_sent_and_images_of_which_none_arrives_are_a_failure() {
    let Some(domain) = Domain::new() else { return };
    // Whoever had the address is gone.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (good, odd) = (image("bgr8", 4, 2, 12, 7), image("32FC3", 4, 2, 48, 1));
    for (image, said, why) in [
        (&good, "framewire-ros2: stream '", "none was delivered; is it there"),
        (&odd, "no pixel format here", "none of the 1 images of /camera/image_raw is one that can be sent"),
    ] {
        let program = domain.program("subscribe", &["/camera/image_raw", "--to", &gone]);
        let mut peer = domain.peer("publish", &["/camera/image_raw"]);
        program.hears(&[&peer]);
        peer.publish(image);
        program.says(said);
        program.send(Signal::TERM);
        let (code, said) = program.failure();
        assert!(code == 1 && said.contains(why), "{code}: {said}");
    }
}

#[test]
fn images_of_another_size_are_the_same_stream_begun_again() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("camera");
    let program = domain.program("subscribe", &["/camera/image_raw", "--share", &socket, "--name", "front"]);
    let mut peer = domain.peer("publish", &["/camera/image_raw"]);
    begin(&mut peer, &image("mono8", 8, 4, 8, 1), &program);
    drop(open(&socket, "front"));
    peer.publish(&image("rgb8", 4, 4, 12, 2));
    program.says("and is 4x4 rgb24 from now on");
    let source = open(&socket, "front");
    peer.publish(&image("rgb8", 4, 4, 12, 3));
    let taken = numbered(&source, 1);
    assert_eq!((taken.stream.format, taken.frame[0]), (FrameFormat::new(PixelFormat::Rgb24, 4, 4).unwrap(), 3));
    assert_eq!(program.end()["frames_sent"], 3);
}

#[test]
fn what_is_sent_to_a_receiver_arrives_and_a_program_that_was_stopped_is_there_again_when_it_goes_on() {
    let Some(domain) = Domain::new() else { return };
    let receiver = Source::bind("127.0.0.1:0", &framewire_ends::ReceiveOptions::new()).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let program = domain.program("subscribe", &["/camera/image_raw", "--to", &address]);
    let mut peer = domain.peer("publish", &["/camera/image_raw"]);
    let mut image = image("bgr8", 640, 480, 1920, 5);
    begin(&mut peer, &image, &program);
    let mut arrives = |fill: u8| {
        image["fill"] = fill.into();
        let deadline = Instant::now() + PATIENCE;
        loop {
            peer.publish(&image);
            let taken = receiver.recv(Duration::from_millis(100)).unwrap();
            if let Some(Taken { frame, stream }) = taken.filter(|taken| taken.frame[0] == fill) {
                assert_eq!((stream.delivery, frame.len()), (Delivery::Latest, 640 * 480 * 3));
                assert!(frame.iter().all(|byte| *byte == fill));
                break;
            }
            assert!(Instant::now() < deadline, "nothing comes");
        }
    };
    arrives(6);
    program.stop_and_go_on();
    program.says("it is there again");
    arrives(7);
    let summary = program.end();
    let [images, sent] = ["images", "frames_sent"].map(|key| summary[key].as_u64().unwrap());
    assert!(images >= 3 && sent == images, "{summary}");
}

#[test]
fn a_topic_of_something_else_one_that_nobody_writes_and_two_that_write_one_are_told_of() {
    let Some(domain) = Domain::new() else { return };
    let socket = domain.socket("camera");
    let program = domain.program("subscribe", &["/chatter", "--share", &socket]);
    program.says("nobody publishes /chatter in this domain");
    let _other = domain.peer("publish", &["/chatter", "--type", "string"]);
    let said = program.says("and images are read as sensor_msgs/msg/Image");
    assert!(said.contains("/chatter is of std_msgs/msg/String"), "{said}");
    program.end();
    let program = domain.program("subscribe", &["/camera/image_raw", "--share", &socket]);
    let mut peers = [0, 1].map(|_| domain.peer("publish", &["/camera/image_raw"]));
    program.hears(&[&peers[0], &peers[1]]);
    wait_until("that two write it is told", || {
        // The one, the other, and the one again; each image may be lost on the way.
        peers.iter_mut().for_each(|peer| peer.publish(&image("mono8", 8, 4, 8, 1)));
        let mut heard = std::iter::from_fn(|| program.heard(Duration::from_millis(50)));
        heard.any(|line| line.contains("/camera/image_raw is written by several at once"))
    });
    assert_eq!(program.end()["publishers"], 2);
}

#[test]
fn a_best_effort_publisher_and_a_reliable_reader_do_not_come_together_and_that_is_told() {
    let Some(domain) = Domain::new() else { return };
    let _peer = domain.peer("publish", &["/camera/image_raw", "--best-effort"]);
    let program = domain
        .program("subscribe", &["/camera/image_raw", "--share", &domain.socket("x"), "--reliability", "reliable"]);
    program.says("somebody publishes /camera/image_raw as best-effort, and reliable images are asked for");
    assert_eq!(program.end()["images"], 0);
}

#[test]
fn a_name_that_another_program_shares_already_ends_it_with_why() {
    let Some(domain) = Domain::new() else { return };
    let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
    let (_output, socket) = domain.output("camera", format, framewire_ends::OutputOptions::new());
    let program = domain.program("subscribe", &["/camera/image_raw", "--share", &socket]);
    let mut peer = domain.peer("publish", &["/camera/image_raw"]);
    program.hears(&[&peer]);
    peer.publish(&image("mono8", 8, 4, 8, 1));
    let (code, said) = program.failure();
    assert!(code == 1 && said.contains("camera.sock"), "{code}: {said}");
}
