//! The streams of a hub by their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stream::SharedStream;

/// What is listed, and found by who subscribes. Of two streams of one name the newer one is: the older one goes on for the readers that it has.
#[derive(Default)]
pub(super) struct Directory {
    streams: BTreeMap<Arc<str>, Arc<SharedStream>>,
    /// Changes whenever something is listed anew, or no more.
    generation: u64,
}

impl Directory {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Lists a stream, in place of one that had its name.
    pub(super) fn put(&mut self, name: &str, stream: Arc<SharedStream>) {
        self.generation += 1;
        self.streams.insert(name.into(), stream);
    }

    /// Takes a stream off the list, under whatever name.
    pub(super) fn remove(&mut self, stream: &Arc<SharedStream>) {
        self.retain(|listed| !Arc::ptr_eq(listed, stream));
    }

    /// Takes those off the list that have ended.
    pub(super) fn sweep(&mut self) {
        self.retain(|listed| !listed.is_over());
    }

    fn retain(&mut self, stays: impl Fn(&Arc<SharedStream>) -> bool) {
        let before = self.streams.len();
        self.streams.retain(|_, stream| stays(stream));
        self.generation += u64::from(self.streams.len() != before);
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<SharedStream>> {
        self.streams.get(name)
    }

    /// All of them, in the order of their names.
    pub(super) fn snapshot(&self) -> Vec<(Arc<str>, Arc<SharedStream>)> {
        self.streams.iter().map(|(name, stream)| (name.clone(), stream.clone())).collect()
    }
}
