//! What a node is to others: its name, and which readers and writers of the domain are its own. `ros2 node info` shows it.

use rustdds::bytes::Bytes;
use rustdds::policy::{Durability, History, Reliability};
use rustdds::{DomainParticipant, Duration, GUID, Publisher, QosPolicyBuilder, RTPSEntity, TopicKind};

use framewire_capture::ros::CdrWriter;

use super::names::{Namespace, NodeName};
use super::serialized::{Serialized, Writer};

/// How long ids are: 16 bytes, and 24 with zeros behind them up to Humble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdBytes {
    /// Iron and what came after it.
    Sixteen,
    /// Galactic and Humble.
    TwentyFour,
}

impl IdBytes {
    /// Those of a distribution, by its name in lower case.
    pub(crate) fn of(distribution: &str) -> Self {
        match distribution {
            "galactic" | "humble" => Self::TwentyFour,
            _ => Self::Sixteen,
        }
    }

    fn count(self) -> usize {
        match self {
            Self::Sixteen => 16,
            Self::TwentyFour => 24,
        }
    }
}

/// One node, as the domain is told of it.
pub(crate) struct Node {
    namespace: Namespace,
    name: NodeName,
    participant: GUID,
    ids: IdBytes,
    readers: Vec<GUID>,
    writers: Vec<GUID>,
    told: Writer,
}

impl Node {
    /// A node without readers and writers.
    ///
    /// # Errors
    /// Where the middleware refuses.
    pub(crate) fn new(
        participant: &DomainParticipant,
        publisher: &Publisher,
        name: (Namespace, NodeName),
        ids: IdBytes,
    ) -> Result<Self, String> {
        // Whoever comes later is told too.
        let quality = QosPolicyBuilder::new()
            .durability(Durability::TransientLocal)
            .reliability(Reliability::Reliable { max_blocking_time: Duration::ZERO })
            .history(History::KeepLast { depth: 1 })
            .build();
        let topic = participant
            .create_topic(
                "ros_discovery_info".to_owned(),
                "rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_".to_owned(),
                &quality,
                TopicKind::NoKey,
            )
            .map_err(|error| error.to_string())?;
        let told = publisher.create_datawriter_no_key::<Bytes, Serialized>(&topic, None);
        let told = told.map_err(|error| error.to_string())?;
        let ((namespace, name), participant) = (name, participant.guid());
        let node = Self { namespace, name, participant, ids, readers: Vec::new(), writers: Vec::new(), told };
        node.tell();
        Ok(node)
    }

    /// A reader of its own more.
    pub(crate) fn add_reader(&mut self, reader: GUID) {
        self.readers.push(reader);
        self.tell();
    }

    /// A writer of its own more.
    pub(crate) fn add_writer(&mut self, writer: GUID) {
        self.writers.push(writer);
        self.tell();
    }

    /// One of its writers less.
    pub(crate) fn remove_writer(&mut self, writer: GUID) {
        self.writers.retain(|own| *own != writer);
        self.tell();
    }

    fn tell(&self) {
        if let Err(error) = self.told.write(self.message().into(), None) {
            tracing::debug!("the domain is not told of the node: {error:?}");
        }
    }

    /// `rmw_dds_common/msg/ParticipantEntitiesInfo`.
    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        let mut cdr = CdrWriter::new(&mut message);
        let id = |cdr: &mut CdrWriter<'_>, guid: &GUID| {
            let mut bytes = [0; 24];
            bytes[..16].copy_from_slice(&guid.to_bytes());
            cdr.bytes(&bytes[..self.ids.count()]);
        };
        id(&mut cdr, &self.participant);
        // One node.
        cdr.word(1);
        let namespace = self.namespace.as_str();
        cdr.text(if namespace.is_empty() { "/" } else { namespace });
        cdr.text(self.name.as_str());
        for ids in [&self.readers, &self.writers] {
            cdr.word(ids.len() as u32);
            ids.iter().for_each(|guid| id(&mut cdr, guid));
        }
        message
    }
}
