//! Frames in an async program: a consumer's descriptor says when there is something to take, and tokio waits for it beside whatever
//! else it waits for. No thread is blocked.

use std::error::Error;
use std::io;
use std::time::Duration;

use framewire_transport::frame::Readiness;
use framewire_transport::{
    Delivery, Frame, FrameFormat, IncomingStream, PixelFormat, Receiver, ReceiverConfig, RecvError, Sender,
    SenderConfig,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A stream whose frames can be awaited.
struct AsyncStream {
    stream: IncomingStream,
    readiness: AsyncFd<Readiness>,
}

impl AsyncStream {
    /// To be called in tokio's context.
    fn new(stream: IncomingStream) -> io::Result<Self> {
        #[allow(
            deprecated,
            reason = "what follows it is unsafe, for types that close their descriptor early; this one does not"
        )]
        let readiness = AsyncFd::with_interest(stream.readiness()?, Interest::READABLE)?;
        Ok(Self { stream, readiness })
    }

    /// The next frame; `None` after the last.
    async fn next(&self) -> Result<Option<Frame>, Box<dyn Error>> {
        loop {
            let mut ready = self.readiness.readable().await?;
            match self.stream.try_recv() {
                Ok(frame) => return Ok(Some(frame)),
                Err(RecvError::Ended) => return Ok(None),
                // Nothing there: what comes from now on makes it ready again.
                Err(RecvError::Timeout) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let camera = camera(receiver.local_addr());
    // `accept` blocks, so it has a thread of its own.
    let stream = tokio::task::spawn_blocking(move || receiver.accept().map(|stream| (stream, receiver))).await?;
    let (stream, _receiver) = stream?;
    let stream = AsyncStream::new(stream)?;

    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let (mut frames, mut ticked) = (0, 0);
    loop {
        tokio::select! {
            frame = stream.next() => match frame? {
                Some(frame) => {
                    assert_eq!(u64::from(frame[0]), frame.info().number);
                    frames += 1;
                }
                None => break,
            },
            _ = ticks.tick() => ticked += 1,
        }
    }
    println!("{frames} frames, and {ticked} ticks of another clock between them");
    camera.join().expect("the camera does not panic");
    assert_eq!(frames, 50);
    Ok(())
}

fn camera(receiver: std::net::SocketAddr) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).expect("it has pixels");
        let config = SenderConfig::new(format).delivery(Delivery::Every);
        let sender = Sender::connect(receiver, config).expect("a socket");
        for shade in 0..50 {
            let mut frame = sender.frame().expect("the stream goes on");
            frame.fill(shade);
            sender.send(frame).expect("the stream goes on");
        }
        sender.finish(Duration::from_secs(10)).expect("all frames are taken");
    })
}
