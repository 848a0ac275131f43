//! iceoryx2, publish and subscribe, with its event service beside it for a receiver that sleeps.

use std::time::Duration;

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};

use super::Failure;

type Service = ipc::Service;

/// Frames that wait for the receiver; its own default.
const WAITING: usize = 2;

const CONNECT: Duration = Duration::from_millis(200);

struct Services {
    // Ports keep what they need of these alive.
    frames: publish_subscribe::PortFactory<Service, [u8], ()>,
    events: event::PortFactory<Service>,
    _node: Node<Service>,
}

impl Services {
    fn open(port: u16) -> Result<Self, Failure> {
        let node = NodeBuilder::new().config(&config(port)?).create::<Service>()?;
        let name: ServiceName = format!("framewire-peers/{port}").as_str().try_into()?;
        // By default the oldest frame gives way; here all have to arrive.
        let frames = node.service_builder(&name).publish_subscribe::<[u8]>().enable_safe_overflow(false);
        let frames = frames.subscriber_max_buffer_size(WAITING).max_publishers(1).max_subscribers(1);
        let frames = frames.open_or_create()?;
        let events = node.service_builder(&name).event().open_or_create()?;
        Ok(Self { frames, events, _node: node })
    }
}

/// With files of its own, which whoever has started both ends removes: some stay when the last process has ended.
fn config(port: u16) -> Result<Config, Failure> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(format!("framewire_peers_{port}_").as_bytes())?;
    let folder = std::env::temp_dir().join(format!("framewire_peers_{port}_iceoryx2"));
    let folder = folder.to_str().ok_or("the folder for temporary files is not UTF-8")?;
    config.global.set_root_path(&Path::new(folder.as_bytes())?);
    Ok(config)
}

pub(crate) struct Sender {
    publisher: Publisher<Service, [u8], ()>,
    /// Wakes a receiver that sleeps.
    notifier: Option<Notifier<Service>>,
    frame_bytes: usize,
    _services: Services,
}

impl Sender {
    /// Waits for the receiver, who has been started.
    pub(crate) fn open(port: u16, frame_bytes: usize, wakes: bool) -> Result<Self, Failure> {
        let services = Services::open(port)?;
        let publisher = services.frames.publisher_builder().initial_max_slice_len(frame_bytes);
        let publisher = publisher.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create()?;
        let notifier = wakes.then(|| services.events.notifier_builder().create()).transpose()?;
        while services.frames.dynamic_config().number_of_subscribers() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        publisher.update_connections()?;
        // A subscriber connects when it next looks for frames; until then, those that its buffer has no room for are lost.
        if let Some(notifier) = &notifier {
            notifier.notify()?;
        }
        std::thread::sleep(CONNECT);
        Ok(Self { publisher, notifier, frame_bytes, _services: services })
    }
}

impl super::Send for Sender {
    fn send(&mut self, fill: &mut dyn FnMut(&mut [u8])) -> Result<(), Failure> {
        let sample = self.publisher.loan_slice_uninit(self.frame_bytes)?;
        // SAFETY: the bytes are those of pages that the system has provided, zeroes or an earlier frame, and any byte is a u8. To write
        // them all would be what the call without `uninit` does, and what a camera that writes in place does not.
        let mut sample = unsafe { sample.assume_init() };
        fill(sample.payload_mut());
        sample.send()?;
        if let Some(notifier) = &self.notifier {
            notifier.notify()?;
        }
        Ok(())
    }
}

pub(crate) struct Receiver {
    subscriber: Subscriber<Service, [u8], ()>,
    /// What it sleeps on; without, it spins.
    listener: Option<Listener<Service>>,
    _services: Services,
}

impl Receiver {
    pub(crate) fn open(port: u16, sleeps: bool) -> Result<Self, Failure> {
        let services = Services::open(port)?;
        let listener = sleeps.then(|| services.events.listener_builder().create()).transpose()?;
        let subscriber = services.frames.subscriber_builder().create()?;
        Ok(Self { subscriber, listener, _services: services })
    }
}

impl super::Receive for Receiver {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                take(sample.payload());
                return Ok(());
            }
            match &self.listener {
                Some(listener) => {
                    listener.blocking_wait(|_| {})?;
                }
                None => std::hint::spin_loop(),
            }
        }
    }
}
