//! A capture source of one's own: pictures are drawn, or read from a device, straight into the memory that they are sent from, with the
//! moment they were taken and the rate they are to be shown at.
//!
//! `own_source RECEIVER`, such as `own_source 192.168.1.5:9000`; without arguments it has a receiver of its own.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use framewire_transport::frame::FrameRate;
use framewire_transport::{FrameFormat, FrameMut, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig, Time};

const PICTURES: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(receiver) => capture(receiver.parse()?),
        None => by_itself(),
    }
}

fn capture(receiver: SocketAddr) -> Result<(), Box<dyn Error>> {
    let format = FrameFormat::new(PixelFormat::Yuv420p, 320, 240)?;
    let rate = FrameRate::per_second(100)?;
    // `latest` by default: a picture that cannot leave in time gives way to the next.
    let sender = Sender::connect(receiver, SenderConfig::new(format).presentation(rate))?;
    sender.wait_until_open(Duration::from_secs(5))?;
    for picture in 0..PICTURES {
        // Stands for waiting for the device.
        std::thread::sleep(rate.interval());
        let taken = Time::now();
        // No slot within the interval: the picture cannot be kept, and the receiver is told so.
        match sender.frame_timeout(rate.interval())? {
            Some(mut frame) => {
                draw(&mut frame, picture);
                frame.info.captured = taken;
                sender.send(frame)?;
            }
            None => sender.skip(),
        }
    }
    let report = sender.close(Duration::from_secs(5))?;
    let skipped = sender.stats().frames_skipped;
    println!("{} of {PICTURES} pictures arrived, {skipped} were skipped", report.delivered);
    Ok(())
}

/// A slope that moves to the left, in gray.
fn draw(frame: &mut FrameMut, picture: u32) {
    for (plane, nth) in frame.planes_mut().zip(0..) {
        // Rows are `stride` bytes apart, of which the first `width` are pixels.
        for row in plane.bytes.chunks_exact_mut(plane.stride as usize) {
            for (pixel, column) in row[..plane.width as usize].iter_mut().zip(0..) {
                *pixel = if nth == 0 { (picture + column) as u8 } else { 128 };
            }
        }
    }
}

fn by_itself() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let address = receiver.local_addr();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let Ok(stream) = receiver.accept() else { return };
            for frame in stream.frames().flatten() {
                // What was drawn, plane by plane.
                let luma = frame.planes().next().expect("frames of a stream know their format");
                assert_eq!(luma.bytes[1], luma.bytes[0].wrapping_add(1));
            }
        });
        let sent = capture(address).map_err(|error| error.to_string());
        receiver.stop();
        Ok(sent?)
    })
}
