//! Which streams flow now: as long as one does, its id is its client's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use framewire_process::lock::lock;

/// Ids of streams that flow, and how many of each: one that is taken over has begun again before it has ended.
#[derive(Debug, Default)]
pub(super) struct Flowing(Mutex<HashMap<u32, usize>>);

impl Flowing {
    /// The stream flows until what this returns is dropped.
    pub(super) fn begin(&self, stream: u32) -> impl Drop + '_ {
        *self.lock().entry(stream).or_default() += 1;
        Flows { all: self, stream }
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        self.lock().contains_key(&stream)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        lock(&self.0)
    }
}

struct Flows<'a> {
    all: &'a Flowing,
    stream: u32,
}

impl Drop for Flows<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.stream) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_begins_again_before_it_has_ended_flows_until_both_have() {
        let flowing = Flowing::default();
        let first = flowing.begin(7);
        let second = flowing.begin(7);
        drop(first);
        assert!(flowing.contains(7) && !flowing.contains(8));
        drop(second);
        assert!(!flowing.contains(7) && flowing.lock().is_empty());
    }
}
