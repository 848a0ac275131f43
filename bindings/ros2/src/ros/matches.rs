//! Who reads what is written here, and who writes what is read: as the domain tells it.

use std::collections::{HashMap, HashSet};

use rustdds::{DomainParticipantStatusEvent as Event, DomainParticipantStatusListener, GUID, StatusEvented};

/// Others that go with readers and writers of this program, by these.
#[derive(Default)]
pub(crate) struct Matches {
    others: HashMap<GUID, HashSet<GUID>>,
}

/// What is worth telling.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// An end of this program's has one more at its other end.
    Came(GUID),
    /// One of them is gone.
    Went(GUID),
    /// Somebody asks for another quality than this end has: they do not come together.
    Unlike(GUID),
}

impl Matches {
    /// How many go with this one.
    pub(crate) fn of(&self, own: GUID) -> usize {
        self.others.get(&own).map_or(0, HashSet::len)
    }

    /// Takes what the domain has told since.
    pub(crate) fn follow(&mut self, told: &DomainParticipantStatusListener) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(event) = told.try_recv_status() {
            match event {
                Event::RemoteReaderMatched { local_writer: own, remote_reader: other }
                | Event::RemoteWriterMatched { local_reader: own, remote_writer: other } => {
                    if self.others.entry(own).or_default().insert(other) {
                        news.push(News::Came(own));
                    }
                }
                Event::ReaderLost { guid, .. } | Event::WriterLost { guid, .. } => {
                    for (own, others) in &mut self.others {
                        if others.remove(&guid) {
                            news.push(News::Went(*own));
                        }
                    }
                }
                Event::RemoteReaderQosIncompatible { local_writer: own, .. }
                | Event::RemoteWriterQosIncompatible { local_reader: own, .. } => news.push(News::Unlike(own)),
                _ => {}
            }
        }
        news
    }
}
