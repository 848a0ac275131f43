//! zenoh, publisher to subscriber: frames in memory of its shared-memory provider, over a connection on loopback.

use std::time::Duration;

use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;
use zenoh::shm::{BlockOn, GarbageCollect, PosixShmProviderBackend, ShmProvider, ShmProviderBuilder};
use zenoh::{Config, Session, Wait};

use super::Failure;

const KEY: &str = "framewire/peers/frame";
/// Frames that the provider has memory for.
const SLOTS: usize = 8;

fn open(endpoint: &str, listens: bool) -> Result<Session, Failure> {
    let mut config = Config::default();
    let (here, there) = if listens { ("listen", "connect") } else { ("connect", "listen") };
    for (key, value) in [
        ("transport/shared_memory/enabled", "true".to_owned()),
        // The ends are told of each other; they must not find other zenoh programs on this machine.
        ("scouting/multicast/enabled", "false".to_owned()),
        (&format!("{here}/endpoints"), format!("[\"{endpoint}\"]")),
        (&format!("{there}/endpoints"), "[]".to_owned()),
    ] {
        config.insert_json5(key, &value).map_err(told)?;
    }
    zenoh::open(config).wait().map_err(told)
}

fn told(error: zenoh::Error) -> Failure {
    error.to_string().into()
}

pub(crate) struct Sender {
    // Dropped in this order.
    publisher: Publisher<'static>,
    provider: ShmProvider<PosixShmProviderBackend>,
    frame_bytes: usize,
    _session: Session,
}

impl Sender {
    pub(crate) fn open(host: &str, port: u16, frame_bytes: usize) -> Result<Self, Failure> {
        let session = open(&format!("tcp/{host}:{port}"), false)?;
        // By default frames are dropped where a queue is full.
        let publisher = session.declare_publisher(KEY).congestion_control(CongestionControl::Block).wait();
        let publisher = publisher.map_err(told)?;
        let pool_bytes = SLOTS * frame_bytes.next_multiple_of(4_096);
        let backend = PosixShmProviderBackend::builder(pool_bytes).wait().map_err(|error| error.to_string())?;
        let provider = ShmProviderBuilder::backend(backend).wait();
        // What is published before the subscriber is known goes nowhere.
        while !publisher.matching_status().wait().map_err(told)?.matching() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { publisher, provider, frame_bytes, _session: session })
    }
}

impl super::Send for Sender {
    fn send(&mut self, fill: &mut dyn FnMut(&mut [u8])) -> Result<(), Failure> {
        let frame = self.provider.alloc(self.frame_bytes).with_policy::<BlockOn<GarbageCollect>>().wait();
        let mut frame = frame.map_err(|error| format!("no shared memory: {error:?}"))?;
        fill(&mut frame);
        self.publisher.put(frame).wait().map_err(told)
    }
}

pub(crate) struct Receiver {
    subscriber: Subscriber<FifoChannelHandler<Sample>>,
    frames: u64,
    through_shared_memory: u64,
    _session: Session,
}

impl Receiver {
    pub(crate) fn open(host: &str, port: u16) -> Result<Self, Failure> {
        let session = open(&format!("tcp/{host}:{port}"), true)?;
        let subscriber = session.declare_subscriber(KEY).wait().map_err(told)?;
        Ok(Self { subscriber, frames: 0, through_shared_memory: 0, _session: session })
    }
}

impl super::Receive for Receiver {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let sample = self.subscriber.recv().map_err(told)?;
        self.frames += 1;
        match sample.payload().as_shm() {
            Some(shared) => {
                self.through_shared_memory += 1;
                take(shared);
            }
            None => take(&sample.payload().to_bytes()),
        }
        Ok(())
    }

    fn shared_memory_share(&self) -> Option<f64> {
        Some(self.through_shared_memory as f64 / self.frames as f64)
    }
}
