//! The names that clients gave their streams, from the opening over Socket.IO to the first frames over UDP.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use framewire_process::lock::lock;

/// As many streams as a receiver may have announced. The names of older ones are forgotten: whoever serves those has read them.
const NAMES_MAX: usize = 256;

/// Names by stream id, the newest last.
#[derive(Debug, Default)]
pub(super) struct StreamNames {
    names: Mutex<VecDeque<(u32, String)>>,
}

impl StreamNames {
    /// Notes the name of a stream that is being opened; empty where the client gave none.
    pub(super) fn note(&self, stream: u32, name: &str) {
        let mut names = self.lock();
        names.retain(|(id, _)| *id != stream);
        if names.len() == NAMES_MAX {
            names.pop_front();
        }
        names.push_back((stream, name.to_owned()));
    }

    /// What people call a stream: its client's name for it, or else the number that it is shown by.
    pub(super) fn of(&self, stream: u32, shown_id: u32) -> String {
        let names = self.lock();
        let name = names.iter().find(|(id, _)| *id == stream).map(|(_, name)| name.trim());
        name.filter(|name| !name.is_empty()).map_or_else(|| format!("{shown_id:08x}"), str::to_owned)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u32, String)>> {
        lock(&self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_called_what_its_client_said_last_or_else_by_the_number_it_is_shown_by() {
        let names = StreamNames::default();
        names.note(7, "front");
        names.note(8, "  ");
        let of = |stream| names.of(stream, 0xab);
        assert_eq!((of(7), of(8), of(9)), ("front".into(), "000000ab".into(), "000000ab".into()));
        names.note(7, "rear");
        assert_eq!(of(7), "rear");
    }

    #[test]
    fn clients_that_come_and_go_make_it_no_larger() {
        let names = StreamNames::default();
        for stream in 0..10_000 {
            names.note(stream, "cam");
            names.note(42, "constant");
        }
        assert_eq!(names.lock().len(), NAMES_MAX);
        let of = |stream| names.of(stream, 1);
        assert_eq!((of(9_999), of(42), of(1)), ("cam".into(), "constant".into(), "00000001".into()));
    }
}
