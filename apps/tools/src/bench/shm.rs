//! Framewire through shared memory, as a program without a network uses it: frames are made in the slots that a reader in another process
//! has mapped.

use std::path::Path;
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::frame::{ConsumerPolicy, RecvError};
use framewire_transport::share::{Endpoint, Reader, ShareConfig, Subscription, SubscriptionConfig};
use framewire_transport::{Delivery, FrameFormat, PublishConfig, PublishedStream, Publisher, Time};

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::folder::Folder;
use super::memory::read_whole;
use super::patience::{LOOK_AROUND, PATIENCE, Wait};
use super::stamp::Stamp;
use super::work;

const STREAM: &str = "bench";

/// The sending half: the hub itself.
pub(super) struct ShmSender {
    // Dropped in this order.
    stream: PublishedStream,
    _publisher: Publisher,
    folder: Folder,
    makes: bool,
    stop: Stop,
}

impl ShmSender {
    /// Shares a stream that nobody reads yet; `makes` each frame anew, or leaves it as it was but for its stamp.
    pub(super) fn bind(format: FrameFormat, makes: bool, stop: &Stop) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let endpoint = Endpoint::path(folder.path().join("hub.sock")).map_err(Failure::runtime)?;
        // No frame may be lost here, so the hub waits for its reader, as the other contenders do.
        let share = ShareConfig::new(endpoint).block(true).reader_timeout(PATIENCE);
        let publisher = Publisher::bind(share).map_err(Failure::runtime)?;
        let config = PublishConfig::new(format).delivery(Delivery::Every);
        let stream = publisher.stream(STREAM, config).map_err(Failure::runtime)?;
        Ok(Self { stream, _publisher: publisher, folder, makes, stop: stop.clone() })
    }

    /// Where its socket is.
    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("hub.sock")
    }
}

impl SendLink for ShmSender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let mut wait = None;
        let mut frame = loop {
            if let Some(frame) = self.stream.frame_timeout(LOOK_AROUND).map_err(Failure::runtime)? {
                break frame;
            }
            let wait = wait.get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE));
            wait.check("no slot came free", "is the reader still there?")?;
        };
        if self.makes {
            work::make(&mut frame, stamp.number);
        }
        stamp.write_now(&mut frame);
        self.stream.send(frame).map(|_| ()).map_err(Failure::runtime)
    }
}

/// The receiving half: a reader.
pub(super) struct ShmReceiver {
    subscription: Subscription,
    reads: bool,
    stop: Stop,
}

impl ShmReceiver {
    /// Subscribes to the stream of the hub at `path`; `reads` every byte of a frame, or its stamp alone.
    pub(super) fn subscribe(path: &Path, reads: bool, busy_poll: bool, stop: &Stop) -> Result<Self, Failure> {
        let endpoint = Endpoint::path(path).map_err(Failure::runtime)?;
        let reader = Reader::connect(endpoint).map_err(Failure::runtime)?;
        let config = SubscriptionConfig::new().policy(ConsumerPolicy::Block).name("framewire bench");
        let config = config.busy_poll(if busy_poll { LOOK_AROUND } else { Duration::ZERO });
        let subscription = reader.subscribe_with(STREAM, config).map_err(Failure::runtime)?;
        Ok(Self { subscription, reads, stop: stop.clone() })
    }
}

impl ReceiveLink for ShmReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        let mut wait = None;
        loop {
            match self.subscription.recv_timeout(LOOK_AROUND) {
                Ok(frame) => {
                    let completed = Time::now();
                    let stamp = if self.reads { read_whole(&frame)? } else { read_stamp(&frame)? };
                    return Ok(Arrived { stamp, completed, latency: None });
                }
                Err(RecvError::Timeout) => {
                    let wait = wait.get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE));
                    wait.check("no frame came", "is the sender still there?")?;
                }
                Err(error) => return Err(Failure::runtime(error)),
            }
        }
    }
}

fn read_stamp(frame: &[u8]) -> Result<Stamp, Failure> {
    Stamp::parse(frame).ok_or_else(|| Failure::runtime("a frame came without a stamp"))
}
