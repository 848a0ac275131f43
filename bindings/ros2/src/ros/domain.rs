//! This program in a DDS domain.

use std::net::{IpAddr, Ipv4Addr};

use framewire_process::exit::Failure;
use rustdds::bytes::Bytes;
use rustdds::no_key::{DeserializerAdapter, SimpleDataReader};
use rustdds::{
    DomainParticipant, DomainParticipantBuilder, DomainParticipantStatusListener, Publisher, QosPolicies, RTPSEntity,
    Subscriber, TopicKind,
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
    node: Node,
    publisher: Publisher,
    subscriber: Subscriber,
    pub(crate) matches: Matches,
    told: DomainParticipantStatusListener,
    // The last to go: what is above says goodbye by it.
    participant: DomainParticipant,
}

impl Domain {
    /// Comes into the domain.
    ///
    /// # Errors
    /// The system or the middleware refuses.
    pub(crate) fn join(place: Place) -> Result<Self, Failure> {
        let Place { domain, interfaces, namespace, node, ids } = place;
        warn_of_small_buffers();
        let refused = |error: &dyn std::fmt::Display| {
            Failure::runtime(format!(
                "domain {domain} of ROS cannot be joined: {error}; see that UDP is allowed here, and that no {} programs are in it on this machine already",
                PARTICIPANTS_MAX
            ))
        };
        let builder = DomainParticipantBuilder::new(domain)
            .socket_receive_buffer_size(BUFFER_BYTES)
            .socket_send_buffer_size(BUFFER_BYTES);
        let builder = match interfaces.is_empty() {
            true => builder,
            false => builder.with_only_networks(interfaces.into_iter().map(IpAddr::V4)),
        };
        let participant = builder.build().map_err(|error| refused(&error))?;
        let nothing = QosPolicies::default();
        let publisher = participant.create_publisher(&nothing).map_err(|error| refused(&error))?;
        let subscriber = participant.create_subscriber(&nothing).map_err(|error| refused(&error))?;
        let node = Node::new(&participant, &publisher, (namespace, node), ids).map_err(|error| refused(&error))?;
        let told = participant.status_listener();
        Ok(Self { node, publisher, subscriber, matches: Matches::default(), told, participant })
    }

    /// A writer of serialized messages.
    ///
    /// # Errors
    /// The middleware refuses.
    pub(crate) fn writer(&mut self, topic: &TopicName, type_name: &str, quality: Quality) -> Result<Writer, String> {
        let topic = self.topic(topic, type_name, quality)?;
        let writer = self.publisher.create_datawriter_no_key::<Bytes, Serialized>(&topic, None);
        let writer = writer.map_err(|error| error.to_string())?;
        self.matches.add(writer.guid(), type_name);
        self.node.add_writer(writer.guid());
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
        let topic = self.topic(topic, type_name, quality)?;
        let reader = self.subscriber.create_simple_datareader_no_key::<T, A>(&topic, None);
        let reader = reader.map_err(|error| error.to_string())?;
        self.matches.add(reader.guid(), type_name);
        self.node.add_reader(reader.guid());
        Ok(reader)
    }

    /// Takes what the domain has told since.
    pub(crate) fn follow(&mut self) -> Vec<News> {
        self.matches.follow(&self.told)
    }

    fn topic(&self, topic: &TopicName, type_name: &str, quality: Quality) -> Result<rustdds::Topic, String> {
        let policies = quality.policies();
        let topic = self.participant.create_topic(topic.in_dds(), type_name.to_owned(), &policies, TopicKind::NoKey);
        topic.map_err(|error| error.to_string())
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
