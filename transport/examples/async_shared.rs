//! Frames of another process in an async program: a subscription is itself a descriptor, and tokio waits for it beside whatever else it
//! waits for. No thread is blocked, also while the process that shares the stream is away.

use std::error::Error;
use std::io;
use std::time::Duration;

use framewire_transport::share::ShareConfig;
use framewire_transport::{
    ConsumerPolicy, Delivery, Endpoint, Frame, FrameFormat, PixelFormat, PublishConfig, Publisher, Reader, RecvError,
    Subscription,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A stream whose frames can be awaited.
struct AsyncSubscription {
    subscription: AsyncFd<Subscription>,
}

impl AsyncSubscription {
    /// To be called in tokio's context.
    fn new(subscription: Subscription) -> io::Result<Self> {
        #[allow(
            deprecated,
            reason = "what follows it is unsafe, for types that close their descriptor early; this one does not"
        )]
        let subscription = AsyncFd::with_interest(subscription, Interest::READABLE)?;
        Ok(Self { subscription })
    }

    /// The next frame; `None` after the last.
    async fn next(&self) -> Result<Option<Frame>, Box<dyn Error>> {
        loop {
            let mut ready = self.subscription.readable().await?;
            match self.subscription.get_ref().try_recv() {
                Ok(frame) => return Ok(Some(frame)),
                Err(RecvError::Ended) => return Ok(None),
                // Nothing there: what comes from now on makes it ready again.
                Err(RecvError::Timeout) => ready.clear_ready(),
                Err(RecvError::HubGone) => eprintln!("{}", RecvError::HubGone),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("async-shared-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let endpoint = Endpoint::path(folder.join("hub.sock"))?;
    let publisher = Publisher::bind(ShareConfig::new(endpoint.clone()))?;
    let camera = camera(&publisher)?;

    // Both ask the other process something, and wait for its answer: a moment.
    let subscription = Reader::connect(endpoint)?.subscribe("front", ConsumerPolicy::Latest)?;
    let stream = AsyncSubscription::new(subscription)?;
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
    drop(publisher);
    std::fs::remove_dir_all(folder)?;
    assert!(frames > 0);
    Ok(())
}

/// Most often another process.
fn camera(publisher: &Publisher) -> Result<std::thread::JoinHandle<()>, Box<dyn Error>> {
    let format = FrameFormat::new(PixelFormat::Gray8, 320, 240)?;
    let stream = publisher.stream("front", PublishConfig::new(format).delivery(Delivery::Latest))?;
    Ok(std::thread::spawn(move || {
        while stream.readers().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for shade in 0..50 {
            let mut frame = stream.frame().expect("the stream goes on");
            frame.fill(shade);
            stream.send(frame).expect("the stream goes on");
            // Stands for the camera's interval.
            std::thread::sleep(Duration::from_millis(2));
        }
        stream.close();
    }))
}
