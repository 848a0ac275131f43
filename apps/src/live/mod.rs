//! What is known of the streams that come in now: for the page, for metrics, for whoever else looks.

mod figures;
mod snapshot;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use framewire_transport::{Delivery, FrameFormat};

pub(crate) use figures::{Figures, LATENCY_BOUNDS};
pub(crate) use snapshot::Snapshot;

use crate::preview::PictureTap;

/// What a stream is, for as long as it lasts.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// Its id, chosen by its sender.
    pub(crate) id: u32,
    /// What its sender calls it; may be empty, and any text without control characters.
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
    /// Told to people and to Prometheus: the name, made unique among the streams that are there.
    pub(crate) label: String,
    begun: Instant,
    figures: Mutex<Figures>,
    pub(crate) pictures: PictureTap,
}

impl LiveStream {
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
        let label = unique(&about, |label| streams.iter().any(|stream| stream.label == label));
        let begun = Instant::now();
        let stream = Arc::new(LiveStream {
            about,
            label,
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

/// The name, or `stream-ID` where there is none; numbered where another stream has it.
fn unique(about: &About, is_taken: impl Fn(&str) -> bool) -> String {
    let name = match about.name.as_str() {
        "" => format!("stream-{}", about.id),
        name => name.to_owned(),
    };
    let numbered = (2..).map(|nth| format!("{name}-{nth}"));
    std::iter::once(name.clone()).chain(numbered).find(|label| !is_taken(label)).expect("numbers do not run out")
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
        let labels = |board: &Board| board.streams().iter().map(|stream| stream.label.clone()).collect::<Vec<_>>();
        let first = board.add(about(1, "cam"));
        let second = board.add(about(2, "cam"));
        let third = board.add(about(3, ""));
        assert_eq!(labels(&board), ["cam", "cam-2", "stream-3"]);
        drop(first);
        let fourth = board.add(about(2, "cam"));
        assert_eq!(labels(&board), ["cam-2", "stream-3", "cam"]);
        assert!(Arc::ptr_eq(&board.find(2).unwrap(), &fourth), "the newest of an id is found");
        drop((second, third, fourth));
        assert!(labels(&board).is_empty() && board.find(2).is_none());
        assert_eq!(board.opened(), 4);
    }
}
