//! This program in a DDS domain.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use framewire_ends::STEP;
use framewire_process::exit::Failure;
use framewire_process::reach;
use framewire_process::stop::Stop;
use rustdds::bytes::Bytes;
use rustdds::no_key::{DeserializerAdapter, SimpleDataReader};
use rustdds::{
    DomainParticipant, DomainParticipantBuilder, DomainParticipantStatusListener, GUID, Publisher, QosPolicies,
    RTPSEntity, Subscriber, TopicKind,
};
use socket2::{Domain as Family, Socket, Type};

use super::graph::{IdBytes, Node};
use super::matches::{Matches, News};
use super::names::{Namespace, NodeName, TopicName};
use super::quality::Quality;
use super::serialized::{Serialized, Writer};

/// The type of images in DDS.
pub(crate) const IMAGE: &str = "sensor_msgs::msg::dds_::Image_";

/// Bytes of a socket's buffer that hold an image of 1080p, which comes and goes in one burst.
const BUFFER_BYTES: usize = 8 << 20;

/// Where this program is in ROS.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The domain's number.
    pub(crate) domain: u16,
    /// This machine's addresses that are used; all of them where there are none.
    pub(crate) interfaces: Vec<Ipv4Addr>,
    pub(crate) namespace: Namespace,
    pub(crate) node: NodeName,
    pub(crate) ids: IdBytes,
}

/// A domain that this program is in, and its node there.
pub(crate) struct Domain {
    place: Place,
    joined: Joined,
    /// How often it has been joined: readers and writers of an earlier time are at their end.
    pub(crate) times: u64,
    pub(crate) matches: Matches,
    asked: Instant,
}

/// What is there for as long as the middleware lives.
struct Joined {
    node: Node,
    publisher: Publisher,
    subscriber: Subscriber,
    told: DomainParticipantStatusListener,
    // The last to go: what is above says goodbye by it.
    participant: DomainParticipant,
}

/// How often the middleware is asked whether it lives.
const ASKED_EVERY: Duration = Duration::from_secs(1);

impl Domain {
    /// Comes into the domain, once this machine has the addresses that are used; where somebody asks to stop, without them.
    ///
    /// # Errors
    /// The system or the middleware refuses.
    pub(crate) fn join(place: Place, stop: &Stop) -> Result<Self, Failure> {
        wait_for(&place.interfaces, reach::own_addresses, stop);
        warn_of_small_buffers();
        let joined = Joined::new(&place).map_err(|error| {
            Failure::runtime(format!(
                "domain {} of ROS cannot be joined: {error}; see that UDP is allowed here, and that no {PARTICIPANTS_MAX} programs are in it on this machine already",
                place.domain
            ))
        })?;
        Ok(Self { place, joined, times: 1, matches: Matches::default(), asked: Instant::now() })
    }

    /// Comes in again where the middleware is at its end: its threads end with the first call that a signal interrupts, and each does that stops this program and has
    /// it go on, as Ctrl-Z and a lid that is closed do.
    fn join_again_if_over(&mut self) {
        if self.asked.elapsed() < ASKED_EVERY {
            return;
        }
        self.asked = Instant::now();
        if self.joined.participant.assert_liveliness().is_ok() {
            return;
        }
        match Joined::new(&self.place) {
            Ok(joined) => {
                tracing::warn!(
                    "this program was stopped, and its end in domain {} with it: it is there again",
                    self.place.domain
                );
                (self.joined, self.matches) = (joined, Matches::default());
                self.times += 1;
            }
            Err(error) => {
                tracing::warn!("domain {} cannot be joined again: {error}; that is tried on", self.place.domain)
            }
        }
    }

    /// A writer of serialized messages.
    ///
    /// # Errors
    /// The middleware refuses.
    pub(crate) fn writer(&mut self, topic: &TopicName, type_name: &str, quality: Quality) -> Result<Writer, String> {
        let topic = self.topic(topic, type_name, &quality.of_writer())?;
        let writer = self.joined.publisher.create_datawriter_no_key::<Bytes, Serialized>(&topic, None);
        let writer = writer.map_err(|error| error.to_string())?;
        self.matches.add(writer.guid(), type_name);
        self.joined.node.add_writer(writer.guid());
        Ok(writer)
    }

    /// A reader of messages, decoded as they are taken.
    ///
    /// # Errors
    /// The middleware refuses.
    pub(crate) fn reader<T: 'static, A: DeserializerAdapter<T> + 'static>(
        &mut self,
        topic: &TopicName,
        type_name: &str,
        quality: Quality,
    ) -> Result<SimpleDataReader<T, A>, String> {
        let topic = self.topic(topic, type_name, &quality.of_reader())?;
        let reader = self.joined.subscriber.create_simple_datareader_no_key::<T, A>(&topic, None);
        let reader = reader.map_err(|error| error.to_string())?;
        self.matches.add(reader.guid(), type_name);
        self.joined.node.add_reader(reader.guid());
        Ok(reader)
    }

    /// Takes what the domain has told since. To be called several times a second.
    pub(crate) fn follow(&mut self) -> Vec<News> {
        self.join_again_if_over();
        self.matches.follow(&self.joined.told)
    }

    /// A writer is no more.
    pub(crate) fn forget(&mut self, writer: GUID) {
        self.matches.remove(writer);
        self.joined.node.remove_writer(writer);
    }

    fn topic(&self, topic: &TopicName, type_name: &str, policies: &QosPolicies) -> Result<rustdds::Topic, String> {
        let topic =
            self.joined.participant.create_topic(topic.in_dds(), type_name.to_owned(), policies, TopicKind::NoKey);
        topic.map_err(|error| error.to_string())
    }
}

impl Joined {
    fn new(place: &Place) -> Result<Self, String> {
        let builder = DomainParticipantBuilder::new(place.domain)
            .socket_receive_buffer_size(BUFFER_BYTES)
            .socket_send_buffer_size(BUFFER_BYTES);
        let builder = match place.interfaces.as_slice() {
            [] => builder,
            interfaces => builder.with_only_networks(interfaces.iter().copied().map(IpAddr::V4)),
        };
        let participant = builder.build().map_err(|error| error.to_string())?;
        let nothing = QosPolicies::default();
        let publisher = participant.create_publisher(&nothing).map_err(|error| error.to_string())?;
        let subscriber = participant.create_subscriber(&nothing).map_err(|error| error.to_string())?;
        let name = (place.namespace.clone(), place.node.clone());
        let node = Node::new(&participant, &publisher, name, place.ids)?;
        let told = participant.status_listener();
        Ok(Self { node, publisher, subscriber, told, participant })
    }
}

/// Waits for addresses that this machine does not have yet, as before its network is up: over such a one the middleware sees nobody, and says nothing.
fn wait_for(interfaces: &[Ipv4Addr], own: impl Fn() -> Vec<IpAddr>, stop: &Stop) {
    let mut told = None;
    loop {
        let own: Vec<IpAddr> = own().into_iter().filter(IpAddr::is_ipv4).collect();
        let missing = interfaces.iter().find(|interface| !own.contains(&IpAddr::V4(**interface)));
        // A system that does not tell has none, not even loopback.
        let Some(missing) = missing.filter(|_| !own.is_empty()) else { return };
        if told.replace(*missing) != Some(*missing) {
            let own = own.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                "waiting: --interface {missing} is no address of this machine yet, which has {own}; where it is to have none of that, name one of these, or leave it \
                 out: all are used then"
            );
        }
        if stop.sleep(STEP) {
            return;
        }
    }
}

/// As many have ports of their own in a domain.
const PARTICIPANTS_MAX: u32 = 120;

/// A buffer that the kernel has made smaller loses parts of large images without a word.
fn warn_of_small_buffers() {
    let Ok(socket) = Socket::new(Family::IPV4, Type::DGRAM, None) else { return };
    // Linux says twice what it was asked for.
    let receive =
        socket.set_recv_buffer_size(BUFFER_BYTES).and_then(|()| socket.recv_buffer_size()).map(|bytes| bytes / 2);
    let send =
        socket.set_send_buffer_size(BUFFER_BYTES).and_then(|()| socket.send_buffer_size()).map(|bytes| bytes / 2);
    if let (Ok(receive), Ok(send)) = (receive, send)
        && receive.min(send) < BUFFER_BYTES
    {
        tracing::warn!(
            "the kernel gives sockets {receive} bytes to receive and {send} to send with, and large images want {BUFFER_BYTES}: parts of them may be lost; \
             sysctl -w net.core.rmem_max={BUFFER_BYTES} net.core.wmem_max={BUFFER_BYTES} gives them that, here and where ROS is"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_address_that_this_machine_has_later_is_waited_for_unless_somebody_asks_to_stop() {
        let (loopback, wired) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 7));
        let (asked, stop) = (Cell::new(0), Stop::new());
        let later = |comes_at: u32| {
            let asked = &asked;
            asked.set(0);
            move || {
                asked.set(asked.get() + 1);
                let own = if asked.get() >= comes_at { vec![loopback, wired] } else { vec![loopback] };
                own.into_iter().map(IpAddr::V4).collect()
            }
        };
        wait_for(&[loopback, wired], later(3), &stop);
        assert_eq!(asked.get(), 3);
        wait_for(&[], later(3), &stop);
        assert_eq!(asked.get(), 1, "all that there are");
        wait_for(&[wired], Vec::new, &stop);
        stop.stop();
        wait_for(&[wired], later(3), &stop);
        assert_eq!(asked.get(), 1);
    }
}
