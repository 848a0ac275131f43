//! What is known of the streams that come in now: for the page, for metrics, for whoever else looks.

mod figures;
mod snapshot;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framewire_transport::{Delivery, FrameFormat};

pub(crate) use figures::{Counts, Figures, LATENCY_BOUNDS};
pub(crate) use snapshot::Snapshot;

use crate::preview::PictureTap;

/// A stream that had no frame for so long gives its name up to one that begins.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// What a stream is, for as long as it lasts.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// Its id, chosen by its sender.
    pub(crate) id: u32,
    /// What people call it: any text without control characters.
    pub(crate) name: String,
    /// Where it came from when it was opened; the plain wire does not say.
    pub(crate) source: Option<SocketAddr>,
    pub(crate) format: FrameFormat,
    /// Whether each frame counts; the plain wire does not say.
    pub(crate) delivery: Option<Delivery>,
    /// What moves the datagrams.
    pub(crate) backend: String,
}

/// A stream that comes in.
#[derive(Debug)]
pub(crate) struct LiveStream {
    pub(crate) about: About,
    label: Mutex<String>,
    begun: Instant,
    figures: Mutex<Figures>,
    pub(crate) pictures: PictureTap,
}

impl LiveStream {
    /// Told to people and to Prometheus: the name, made unique among the streams that are there.
    pub(crate) fn label(&self) -> String {
        self.label.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_label(&self, label: String) {
        *self.label.lock().unwrap_or_else(PoisonError::into_inner) = label;
    }

    /// Whether it has had no frame of late: its sender has gone, or it is about to.
    fn is_silent(&self, now: Instant) -> bool {
        let newest = self.figures().counts.newest.unwrap_or(self.begun);
        now.saturating_duration_since(newest) >= SILENT_AFTER
    }

    /// What it has counted. Held by its own thread for each frame: give it back at once.
    pub(crate) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All streams that come in, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Board {
    begun: Instant,
    streams: Mutex<Vec<Arc<LiveStream>>>,
    opened: AtomicU64,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), streams: Mutex::default(), opened: AtomicU64::new(0) }
    }

    /// Adds a stream; it is there until the answer is dropped.
    pub(crate) fn add(self: &Arc<Self>, about: About) -> Entry {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut streams = self.lock();
        let (begun, is_taken) = (Instant::now(), |label: &str| streams.iter().any(|stream| stream.label() == label));
        let mut label = unique(&about.name, is_taken);
        // A camera that was restarted goes on under its name, though nobody has told the server yet that its last run is over.
        let before = streams.iter().find(|stream| stream.label() == about.name && stream.is_silent(begun));
        if let Some(before) = before {
            before.set_label(std::mem::replace(&mut label, about.name.clone()));
        }
        let stream = Arc::new(LiveStream {
            about,
            label: Mutex::new(label),
            begun,
            figures: Mutex::new(Figures::new(begun)),
            pictures: PictureTap::default(),
        });
        streams.push(stream.clone());
        drop(streams);
        Entry { board: self.clone(), stream }
    }

    /// The streams there are.
    pub(crate) fn streams(&self) -> Vec<Arc<LiveStream>> {
        self.lock().clone()
    }

    /// The stream of this id; the newest, where one that fell silent is still there.
    pub(crate) fn find(&self, id: u32) -> Option<Arc<LiveStream>> {
        self.lock().iter().rev().find(|stream| stream.about.id == id).cloned()
    }

    /// How many streams there have been.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<LiveStream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its stream off the board when it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    board: Arc<Board>,
    stream: Arc<LiveStream>,
}

impl std::ops::Deref for Entry {
    type Target = Arc<LiveStream>;

    fn deref(&self) -> &Arc<LiveStream> {
        &self.stream
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.board.lock().retain(|stream| !Arc::ptr_eq(stream, &self.stream));
        self.stream.pictures.end();
    }
}

/// The name; numbered where another stream has it.
fn unique(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|nth| format!("{name}-{nth}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|label| !is_taken(label)).expect("numbers do not run out")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use framewire_transport::PixelFormat;

    pub(crate) fn about(id: u32, name: &str) -> About {
        About {
            id,
            name: name.to_owned(),
            source: Some("10.0.0.3:4444".parse().unwrap()),
            format: FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap(),
            delivery: Some(Delivery::Latest),
            backend: "mmsg".to_owned(),
        }
    }

    #[test]
    fn a_stream_is_there_until_its_entry_is_dropped_and_its_label_is_its_own() {
        let board = Arc::new(Board::new());
        let labels = |board: &Board| board.streams().iter().map(|stream| stream.label()).collect::<Vec<_>>();
        let first = board.add(about(1, "cam"));
        let second = board.add(about(2, "cam"));
        let third = board.add(about(3, "other"));
        assert_eq!(labels(&board), ["cam", "cam-2", "other"]);
        drop(first);
        let fourth = board.add(about(2, "cam"));
        assert_eq!(labels(&board), ["cam-2", "other", "cam"]);
        assert!(Arc::ptr_eq(&board.find(2).unwrap(), &fourth), "the newest of an id is found");
        drop((second, third, fourth));
        assert!(labels(&board).is_empty() && board.find(2).is_none());
        assert_eq!(board.opened(), 4);
    }

    #[test]
    fn a_stream_that_begins_anew_takes_its_name_from_its_silent_last_run() {
        let board = Arc::new(Board::new());
        let (busy, silent) = (board.add(about(1, "busy")), board.add(about(2, "cam")));
        let begun = Instant::now();
        assert!(!silent.is_silent(begun) && silent.is_silent(begun + SILENT_AFTER));
        busy.figures().add_frame(1, None, begun + Duration::from_secs(60));
        silent.figures().add_frame(1, None, begun - SILENT_AFTER);
        let (again, other) = (board.add(about(3, "cam")), board.add(about(4, "busy")));
        assert_eq!((again.label(), silent.label()), ("cam".to_owned(), "cam-2".to_owned()));
        assert_eq!((other.label(), busy.label()), ("busy-2".to_owned(), "busy".to_owned()));
    }
}
