//! Who reads what is written here, and who writes what is read: as the domain tells it.

use std::collections::{HashMap, HashSet};

use rustdds::{DomainParticipantStatusEvent as Event, DomainParticipantStatusListener, GUID, StatusEvented};

/// Others that go with readers and writers of this program, by these.
///
/// The middleware brings together what has the same topic; that it has the same type is seen to here.
#[derive(Default)]
pub(crate) struct Matches {
    /// The type of each end of this program's, and who is at its other ends.
    own: HashMap<GUID, Own>,
    /// The types of others' ends.
    types: HashMap<GUID, String>,
}

struct Own {
    type_name: String,
    others: HashSet<GUID>,
}

/// What is worth telling of an end of this program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It has one more at its other end, or one less.
    Changed(GUID),
    /// Somebody has something of another type, which this is, under the same topic.
    OtherType(GUID, String),
    /// Somebody asks for another quality than this end has: they do not come together.
    Unlike(GUID),
}

impl Matches {
    /// From here on this end is one of this program's.
    pub(crate) fn add(&mut self, own: GUID, type_name: &str) {
        self.own.insert(own, Own { type_name: type_name.to_owned(), others: HashSet::new() });
    }

    /// From here on it is none any more.
    pub(crate) fn remove(&mut self, own: GUID) {
        self.own.remove(&own);
    }

    /// How many of the same type go with it.
    pub(crate) fn of(&self, own: GUID) -> usize {
        let alike = |own: &Own| own.others.iter().filter(|other| self.is_alike(own, **other)).count();
        self.own.get(&own).map_or(0, alike)
    }

    /// The type of one that has another than this end.
    pub(crate) fn other_type(&self, own: GUID) -> Option<&str> {
        let own = self.own.get(&own)?;
        let other = own.others.iter().find(|other| !self.is_alike(own, **other))?;
        self.types.get(other).map(String::as_str)
    }

    /// Whether one that goes with an end has the same type as that.
    pub(crate) fn has_type_of(&self, own: GUID, other: GUID) -> bool {
        self.own.get(&own).is_none_or(|own| self.is_alike(own, other))
    }

    fn is_alike(&self, own: &Own, other: GUID) -> bool {
        self.types.get(&other).is_none_or(|type_name| *type_name == own.type_name)
    }

    /// Takes what the domain has told since.
    pub(crate) fn follow(&mut self, told: &DomainParticipantStatusListener) -> Vec<News> {
        std::iter::from_fn(|| told.try_recv_status()).flat_map(|event| self.take(event)).collect()
    }

    fn take(&mut self, event: Event) -> Vec<News> {
        match event {
            Event::ReaderDetected { reader: other } | Event::WriterDetected { writer: other } => {
                self.types.insert(other.guid, other.type_name);
                Vec::new()
            }
            Event::RemoteReaderMatched { local_writer: own, remote_reader: other }
            | Event::RemoteWriterMatched { local_reader: own, remote_writer: other } => self.matched(own, other),
            Event::ReaderLost { guid, .. } | Event::WriterLost { guid, .. } => {
                self.types.remove(&guid);
                let left = self.own.iter_mut().filter(|(_, own)| own.others.contains(&guid));
                left.map(|(guid_of_own, own)| {
                    own.others.remove(&guid);
                    News::Changed(*guid_of_own)
                })
                .collect()
            }
            Event::RemoteReaderQosIncompatible { local_writer: own, .. }
            | Event::RemoteWriterQosIncompatible { local_reader: own, .. }
                if self.own.contains_key(&own) =>
            {
                vec![News::Unlike(own)]
            }
            _ => Vec::new(),
        }
    }

    fn matched(&mut self, own: GUID, other: GUID) -> Vec<News> {
        let Some(Own { type_name, others }) = self.own.get_mut(&own) else { return Vec::new() };
        match (others.insert(other), self.types.get(&other)) {
            (false, _) => Vec::new(),
            (true, Some(found)) if found != type_name => vec![News::OtherType(own, in_ros(found))],
            (true, _) => vec![News::Changed(own)],
        }
    }
}

/// A type's name as ROS has it: `sensor_msgs/msg/Image` of `sensor_msgs::msg::dds_::Image_`.
pub(crate) fn in_ros(type_name: &str) -> String {
    let name = type_name.replace("::dds_::", "::").replace("::", "/");
    name.strip_suffix('_').unwrap_or(&name).chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_as_ros_calls_them() {
        assert_eq!(in_ros("sensor_msgs::msg::dds_::Image_"), "sensor_msgs/msg/Image");
        assert_eq!(in_ros("HelloWorld\u{1b}"), "HelloWorld\\u{1b}");
    }

    #[test]
    fn those_of_another_type_go_with_nobody_and_what_went_is_forgotten() {
        let (own, others) = (GUID::GUID_UNKNOWN, [1_u8, 2].map(|at| GUID::from_bytes([at; 16])));
        let mut matches = Matches::default();
        matches.add(own, "image");
        matches.types.insert(others[0], "image".to_owned());
        matches.types.insert(others[1], "text".to_owned());
        assert_eq!(matches.matched(own, others[0]), [News::Changed(own)]);
        assert_eq!(matches.matched(own, others[0]), [], "told twice");
        assert_eq!(matches.matched(own, others[1]), [News::OtherType(own, "text".to_owned())]);
        assert_eq!((matches.of(own), matches.other_type(own)), (1, Some("text")));
        assert_eq!(others.map(|other| matches.has_type_of(own, other)), [true, false]);
        assert_eq!(matches.matched(others[0], others[1]), [], "none of ours");
        let reason = || rustdds::LostReason::Disposed;
        assert_eq!(matches.take(Event::ReaderLost { guid: others[1], reason: reason() }), [News::Changed(own)]);
        assert_eq!(matches.take(Event::ReaderLost { guid: others[0], reason: reason() }), [News::Changed(own)]);
        assert_eq!((matches.of(own), matches.other_type(own)), (0, None));
    }
}
