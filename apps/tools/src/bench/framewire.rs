//! Framewire itself, as a program uses it.

use std::net::SocketAddr;
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::frame::{MetadataKind, RecvError};
use framewire_transport::{
    Admission, Announcement, BackendKind, BindError, Delivery, FrameFormat, IncomingStream, Key, PathChoice,
    Protection, Receiver, ReceiverConfig, SendError, Sender, SenderConfig, SliceSize,
};

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::patience::{LOOK_AROUND, PATIENCE, Wait};
use super::stamp::Stamp;

/// How long an end waits for the other to confirm the close; every figure is known by then.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What is measured has nothing to hide: plain is as it was asked for, beyond this machine too.
fn protection(key: Option<&Key>) -> Protection {
    if key.is_some() { Protection::On } else { Protection::Off }
}

/// The sending half: every frame in a slot of the sender's pool, stamped, not redrawn.
pub(super) struct FramewireSender {
    sender: Sender,
    /// What each frame has beside its pixels.
    metadata: Vec<u8>,
    stop: Stop,
}

impl FramewireSender {
    /// Opens the stream that the far end has announced, under the key if there is one. Each frame is to have so many bytes of metadata.
    pub(super) fn connect(
        peer: SocketAddr,
        stream: u32,
        format: FrameFormat,
        key: Option<Key>,
        (slice, backend): (SliceSize, BackendKind),
        metadata_bytes: u16,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let config = SenderConfig::new(format).delivery(Delivery::Every).path(PathChoice::Udp);
        let config = config.slice(slice).backend(backend).stream(stream).protection(protection(key.as_ref())).key(key);
        let sender = Sender::connect(peer, config).map_err(Failure::runtime)?;
        let wait = Wait::begin(stop, PATIENCE);
        loop {
            match sender.wait_until_open(LOOK_AROUND) {
                Ok(()) => return Ok(Self { sender, metadata: vec![0x5a; metadata_bytes.into()], stop: stop.clone() }),
                Err(SendError::Unanswered { .. }) => wait.check(
                    &format!("the receiver at UDP {peer} did not answer"),
                    "does a firewall on the way drop UDP?",
                )?,
                Err(error) => return Err(Failure::runtime(error)),
            }
        }
    }
}

impl SendLink for FramewireSender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let mut wait = None;
        let mut frame = loop {
            if let Some(frame) = self.sender.frame_timeout(LOOK_AROUND).map_err(Failure::runtime)? {
                break frame;
            }
            let wait = wait.get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE));
            wait.check("no frame went out", "is the far end still there?")?;
        };
        frame.set_metadata(MetadataKind::Bytes, &self.metadata).map_err(Failure::runtime)?;
        stamp.write_now(&mut frame);
        self.sender.send(frame).map(|_| ()).map_err(Failure::runtime)
    }

    fn datagrams(&self) -> Option<(BackendKind, u16)> {
        Some((self.sender.backend(), self.sender.slice_bytes()))
    }

    fn finish(self: Box<Self>) {
        if let Err(error) = self.sender.finish(CLOSE_WAIT) {
            tracing::debug!(%error, "the stream was not closed in order");
        }
    }
}

/// The receiving half.
pub(super) struct FramewireReceiver {
    // Dropped in this order.
    stream: Option<IncomingStream>,
    receiver: Receiver,
    stop: Stop,
}

impl FramewireReceiver {
    /// Listens on a UDP address for one stream with this id and format, of anybody who has the key if there is one; if `elsewhere`,
    /// on another port where that one is taken.
    pub(super) fn bind(
        address: SocketAddr,
        elsewhere: bool,
        (stream, format): (u32, FrameFormat),
        key: Option<Key>,
        backend: BackendKind,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let config = ReceiverConfig::new().backend(backend).admission(Admission::Announced).streams_max(1);
        let config = config.protection(protection(key.as_ref()));
        let bound = match Receiver::bind(address, config.clone()) {
            Err(BindError::InUse(_)) if elsewhere => Receiver::bind(SocketAddr::new(address.ip(), 0), config),
            bound => bound,
        };
        let receiver = bound.map_err(Failure::runtime)?;
        receiver.announce(stream, Announcement::new(format).key(key)).map_err(Failure::runtime)?;
        Ok(Self { stream: None, receiver, stop: stop.clone() })
    }

    /// The port that it listens on.
    pub(super) fn port(&self) -> u16 {
        self.receiver.local_addr().port()
    }

    fn stream(&mut self) -> Result<&IncomingStream, Failure> {
        let wait = Wait::begin(&self.stop, PATIENCE);
        while self.stream.is_none() {
            self.stream = self.receiver.accept_timeout(LOOK_AROUND).ok();
            wait.check("no stream was opened", "does a firewall on the way drop UDP?")?;
        }
        self.stream.as_ref().ok_or_else(|| Failure::runtime("no stream was opened"))
    }
}

impl ReceiveLink for FramewireReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        let stop = self.stop.clone();
        let stream = self.stream()?;
        let mut wait = None;
        loop {
            match stream.recv_timeout(LOOK_AROUND) {
                Ok(frame) => {
                    let stamp = Stamp::parse(&frame).ok_or_else(|| Failure::runtime("a frame came without a stamp"))?;
                    let info = frame.info();
                    return Ok(Arrived { stamp, completed: info.completed, latency: info.latency });
                }
                Err(RecvError::Ended) => {
                    return Err(Failure::runtime("the stream ended before its last frame; is the sender still there?"));
                }
                Err(_) => {
                    let wait = wait.get_or_insert_with(|| Wait::begin(&stop, PATIENCE));
                    wait.check("no frame came", "is the sender still there?")?;
                }
            }
        }
    }

    fn finish(self: Box<Self>) {
        // Until the sender has closed it.
        let wait = Wait::begin(&self.stop, CLOSE_WAIT);
        while let Some(stream) = &self.stream
            && wait.check("", "").is_ok()
            && !matches!(stream.recv_timeout(LOOK_AROUND), Err(RecvError::Ended))
        {}
    }
}
