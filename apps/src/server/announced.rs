//! What clients said of their streams, from the opening over Socket.IO to the first frames over UDP.

use std::sync::{Mutex, MutexGuard};

use framewire_process::lock::lock;
use framewire_signal::message::OpenRequest;

/// As many streams as a receiver may have announced. Beyond them, what was said of those is forgotten that nobody sends any more.
const STREAMS_MAX: usize = 256;

/// What was said of a stream beside what its datagrams say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    name: String,
    /// Whether its client sends less while nobody wants it.
    pub(super) is_on_demand: bool,
    /// Frames a second that its client means to keep.
    pub(super) frames_per_second: Option<f64>,
    /// When its client's program started: of equal names the newer one is meant.
    pub(super) incarnation: Option<u64>,
}

impl Said {
    /// What people call the stream: its client's name for it, or else the number that it is shown by.
    pub(super) fn name(&self, shown_id: u32) -> String {
        match self.name.trim() {
            "" => format!("{shown_id:08x}"),
            name => name.to_owned(),
        }
    }
}

/// What was said, the newest last.
#[derive(Debug, Default)]
pub(super) struct Announced(Mutex<Vec<Note>>);

#[derive(Debug)]
struct Note {
    stream: u32,
    said: Said,
    /// Its client has closed it, or gone.
    is_left: bool,
}

impl Announced {
    /// Notes what is said of a stream that is being opened. Where there are too many, those make room first whose clients are not there, and none whose frames flow.
    pub(super) fn note(&self, request: &OpenRequest, flows: impl Fn(u32) -> bool) {
        let said = Said {
            name: request.name.clone(),
            is_on_demand: request.on_demand,
            frames_per_second: request.frames_per_second,
            incarnation: request.incarnation,
        };
        let mut all = self.lock();
        all.retain(|note| note.stream != request.stream);
        if all.len() >= STREAMS_MAX {
            let left = all.iter().position(|note| note.is_left && !flows(note.stream));
            let oldest = left.or_else(|| all.iter().position(|note| !flows(note.stream))).unwrap_or(0);
            all.remove(oldest);
        }
        all.push(Note { stream: request.stream, said, is_left: false });
    }

    /// A stream's client has closed it, or gone. Who serves its last frames may not have begun yet.
    pub(super) fn leave(&self, stream: u32) {
        if let Some(note) = self.lock().iter_mut().find(|note| note.stream == stream) {
            note.is_left = true;
        }
    }

    /// What was said of a stream last; nothing where it is not known.
    pub(super) fn of(&self, stream: u32) -> Said {
        self.lock().iter().find(|note| note.stream == stream).map(|note| note.said.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::{Delivery, FrameFormat, PixelFormat};

    use super::*;

    fn note(announced: &Announced, stream: u32, name: &str) {
        let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
        announced.note(&OpenRequest::new(stream, &format, Delivery::Latest).name(name), |stream| stream == FLOWS);
    }

    /// The one stream whose frames flow.
    const FLOWS: u32 = 1_000_000;

    #[test]
    fn a_stream_is_called_what_its_client_said_last_or_else_by_the_number_it_is_shown_by() {
        let announced = Announced::default();
        note(&announced, 7, "front");
        note(&announced, 8, "  ");
        let name = |stream| announced.of(stream).name(0xab);
        assert_eq!((name(7), name(8), name(9)), ("front".into(), "000000ab".into(), "000000ab".into()));
        note(&announced, 7, "rear");
        assert_eq!(name(7), "rear");
        announced.leave(7);
        assert_eq!(name(7), "rear", "who serves its last frames reads it");
    }

    #[test]
    fn clients_that_come_and_go_make_it_no_larger() {
        let announced = Announced::default();
        note(&announced, FLOWS, "flows");
        note(&announced, FLOWS + 1, "rests");
        for stream in 0..10_000 {
            note(&announced, stream, "cam");
            announced.leave(stream);
        }
        assert_eq!(announced.lock().len(), STREAMS_MAX);
        let name = |stream| announced.of(stream).name(1);
        assert_eq!((name(9_999).as_str(), name(1).as_str()), ("cam", "00000001"));
        assert_eq!((name(FLOWS), name(FLOWS + 1)), ("flows".into(), "rests".into()), "their clients are there");
        for stream in 0..10_000 {
            note(&announced, stream, "stays");
        }
        assert_eq!(announced.lock().len(), STREAMS_MAX);
        assert_eq!(name(FLOWS), "flows");
    }
}
