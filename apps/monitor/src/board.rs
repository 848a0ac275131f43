//! What is known of the streams that come in now: for the page, for metrics, for whoever else looks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use framewire_figures::counts::TurnedAway;
use framewire_figures::snapshot::{GrantSnapshot, LinkSnapshot, ReaderSnapshot, WatcherSnapshot};
use framewire_process::lock::lock;
use framewire_sink::{SinkTotals, StreamSink};
use framewire_transport::frame::Presentation;
use framewire_transport::{Delivery, FrameFormat, PathKind};

use crate::figures::{Counts, Figures};
use crate::preview::PictureTap;

/// A stream that had no frame for so long gives its name up to one that begins.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// What a stream is, for as long as it lasts.
#[derive(Debug, Clone)]
pub struct About {
    /// The number that it is shown by: not the id, which its client alone knows.
    pub id: u32,
    /// What people call it: any text without control characters.
    pub name: String,
    /// When its client's program began, nanoseconds since 1970; `None` where it does not say. Of two of one name, the later one has it.
    pub incarnation: Option<u64>,
    /// Where it came from when it was opened; the plain wire does not say.
    pub source: Option<SocketAddr>,
    /// Of every frame.
    pub format: FrameFormat,
    /// What its source says of the pictures.
    pub presentation: Presentation,
    /// Whether each frame counts; the plain wire does not say.
    pub delivery: Option<Delivery>,
    /// Which way its frames come.
    pub path: PathKind,
    /// What they are encrypted by on it, if they are.
    pub cipher: Option<&'static str>,
    /// What moves the datagrams.
    pub backend: String,
}

/// A stream that comes in.
#[derive(Debug)]
pub struct LiveStream {
    /// What it is.
    pub about: About,
    label: Mutex<String>,
    pub(crate) begun: Instant,
    figures: Mutex<Figures>,
    /// How its recordings get on.
    pub sinks: Vec<Arc<StreamSink>>,
    readers: Mutex<Vec<ReaderSnapshot>>,
    watchers: Mutex<Vec<WatcherSnapshot>>,
    grant: Mutex<Option<GrantSnapshot>>,
    is_idle: AtomicBool,
    /// Where its pictures are.
    pub pictures: PictureTap,
}

impl LiveStream {
    /// Told to people and to Prometheus: the name, made unique among the streams that are there.
    pub fn label(&self) -> String {
        lock(&self.label).clone()
    }

    fn set_label(&self, label: String) {
        *lock(&self.label) = label;
    }

    /// Whether it has had no frame of late: its sender has gone, or it is about to.
    pub fn is_silent(&self, now: Instant) -> bool {
        let newest = self.figures().counts.newest.unwrap_or(self.begun);
        now.saturating_duration_since(newest) >= SILENT_AFTER
    }

    /// The programs that read it in place, as they were told of last.
    pub fn readers(&self) -> Vec<ReaderSnapshot> {
        lock(&self.readers).clone()
    }

    /// Takes over who reads it in place. Those of one name are told apart by a number.
    pub fn set_readers(&self, readers: Vec<ReaderSnapshot>) {
        *lock(&self.readers) = distinct(readers);
    }

    /// Who is sent it, as they were told of last.
    pub fn watchers(&self) -> Vec<WatcherSnapshot> {
        lock(&self.watchers).clone()
    }

    /// Takes over who is sent it.
    pub fn set_watchers(&self, watchers: Vec<WatcherSnapshot>) {
        *lock(&self.watchers) = watchers;
    }

    /// What it was granted of a link, if links are shared out.
    pub fn grant(&self) -> Option<GrantSnapshot> {
        lock(&self.grant).clone()
    }

    /// Takes over what it is granted.
    pub fn set_grant(&self, grant: Option<GrantSnapshot>) {
        *lock(&self.grant) = grant;
    }

    /// Whether nobody wants it, as its client was told.
    pub fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    /// Its client was told that nobody wants it, or that somebody does again.
    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }

    /// What it has counted. Held by its own thread for each frame: give it back at once.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        lock(&self.figures)
    }
}

/// Readers whose names are each another's.
fn distinct(mut readers: Vec<ReaderSnapshot>) -> Vec<ReaderSnapshot> {
    for at in 1..readers.len() {
        let (before, rest) = readers.split_at_mut(at);
        rest[0].name = unique(&rest[0].name, |name| before.iter().any(|reader| reader.name == name));
    }
    readers
}

/// All streams that come in, in the order in which they came.
#[derive(Debug)]
pub struct Board {
    pub(crate) begun: Instant,
    state: Mutex<State>,
    opened: AtomicU64,
    turned_away: Mutex<TurnedAway>,
    links: Mutex<Vec<LinkSnapshot>>,
    relayed: Mutex<Relayed>,
    /// Of all that record.
    pub sinks: Vec<Arc<SinkTotals>>,
}

/// What was sent on to watchers since the server began, of all streams; and how many there are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Watchers that are sent a stream now.
    pub watchers: u64,
    /// Wishes for names that are not here, which wait.
    pub waiting: u64,
    /// Streams that this server watches at other nodes now, to send them on.
    pub upstreams: u64,
    /// Watchers that were let in.
    pub begun: u64,
    /// Watches that were refused: by rights, hops, loops, room on a link.
    pub refused: u64,
    /// Frames sent on, each watcher's for itself.
    pub frames_sent: u64,
    /// Frames that gave way to newer ones, or that a watcher did not want.
    pub frames_skipped: u64,
    /// Bytes of the frames sent on.
    pub bytes_sent: u64,
}

#[derive(Debug, Default)]
struct State {
    streams: Vec<Arc<LiveStream>>,
    /// What those have counted that have gone.
    ended: Counts,
}

impl Board {
    /// Of a server whose frames are recorded there.
    pub fn new(sinks: Vec<Arc<SinkTotals>>) -> Self {
        Self {
            begun: Instant::now(),
            state: Mutex::default(),
            opened: AtomicU64::new(0),
            turned_away: Mutex::default(),
            links: Mutex::default(),
            relayed: Mutex::default(),
            sinks,
        }
    }

    /// Adds a stream with its recordings; it is there until the answer is dropped.
    pub fn add(self: &Arc<Self>, about: About, sinks: Vec<Arc<StreamSink>>) -> Entry {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        let streams = &mut state.streams;
        let (begun, is_taken) = (Instant::now(), |label: &str| streams.iter().any(|stream| stream.label() == label));
        let mut label = unique(&about.name, is_taken);
        // A camera that was restarted goes on under its name, though nobody has told the server yet that its last run is over; and so does one that
        // was started later than another of its name.
        let is_newer = |before: &LiveStream| {
            let both = about.incarnation.zip(before.about.incarnation);
            both.is_some_and(|(this, before)| this > before)
        };
        let has_to_give = |stream: &LiveStream| stream.is_silent(begun) || is_newer(stream);
        let before = streams.iter().find(|stream| stream.label() == about.name && has_to_give(stream));
        if let Some(before) = before {
            before.set_label(std::mem::replace(&mut label, about.name.clone()));
        }
        let stream = Arc::new(LiveStream {
            about,
            label: Mutex::new(label),
            begun,
            figures: Mutex::new(Figures::new(begun)),
            sinks,
            readers: Mutex::default(),
            watchers: Mutex::default(),
            grant: Mutex::default(),
            is_idle: AtomicBool::new(false),
            pictures: PictureTap::default(),
        });
        streams.push(stream.clone());
        drop(state);
        Entry { board: self.clone(), stream }
    }

    /// The streams there are.
    pub fn streams(&self) -> Vec<Arc<LiveStream>> {
        self.lock().streams.clone()
    }

    /// The streams there are, each with what it has counted; and what all have, with those that have gone. It only grows.
    pub fn counts(&self) -> (Vec<(Arc<LiveStream>, Counts)>, Counts) {
        // Under one lock, so that a stream which ends is in the sum once.
        let state = self.lock();
        let mut all = state.ended;
        let live: Vec<_> = state.streams.iter().map(|stream| (stream.clone(), stream.figures().counts)).collect();
        live.iter().for_each(|(_, counts)| all.add(counts));
        (live, all)
    }

    /// The stream of this id; the newest, where one that fell silent is still there.
    pub fn find(&self, id: u32) -> Option<Arc<LiveStream>> {
        self.lock().streams.iter().rev().find(|stream| stream.about.id == id).cloned()
    }

    /// Takes over who was turned away so far.
    pub fn set_turned_away(&self, counts: TurnedAway) {
        *lock(&self.turned_away) = counts;
    }

    /// Who was turned away so far, as it was told last.
    pub fn turned_away(&self) -> TurnedAway {
        *lock(&self.turned_away)
    }

    /// Takes over which links are shared out, and what of them is given away.
    pub fn set_links(&self, links: Vec<LinkSnapshot>) {
        *lock(&self.links) = links;
    }

    /// The links that are shared out, as they were told of last.
    pub fn links(&self) -> Vec<LinkSnapshot> {
        lock(&self.links).clone()
    }

    /// Takes over what was sent on so far.
    pub fn set_relayed(&self, relayed: Relayed) {
        *lock(&self.relayed) = relayed;
    }

    /// What was sent on so far, as it was told last.
    pub fn relayed(&self) -> Relayed {
        *lock(&self.relayed)
    }

    /// How many streams there have been.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Takes its stream off the board when it is dropped.
#[derive(Debug)]
pub struct Entry {
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
        let mut state = self.board.lock();
        state.streams.retain(|stream| !Arc::ptr_eq(stream, &self.stream));
        state.ended.add(&self.stream.figures().counts);
        drop(state);
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
            incarnation: None,
            source: Some("10.0.0.3:4444".parse().unwrap()),
            format: FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap(),
            presentation: Presentation::UNKNOWN,
            delivery: Some(Delivery::Latest),
            path: PathKind::Udp,
            cipher: Some("AES-128-GCM"),
            backend: "mmsg".to_owned(),
        }
    }

    pub(crate) fn board() -> Arc<Board> {
        Arc::new(Board::new(Vec::new()))
    }

    #[test]
    fn a_stream_is_there_until_its_entry_is_dropped_and_its_label_is_its_own() {
        let board = board();
        let labels = |board: &Board| board.streams().iter().map(|stream| stream.label()).collect::<Vec<_>>();
        let first = board.add(about(1, "cam"), Vec::new());
        let second = board.add(about(2, "cam"), Vec::new());
        let third = board.add(about(3, "other"), Vec::new());
        assert_eq!(labels(&board), ["cam", "cam-2", "other"]);
        drop(first);
        let fourth = board.add(about(2, "cam"), Vec::new());
        assert_eq!(labels(&board), ["cam-2", "other", "cam"]);
        assert!(Arc::ptr_eq(&board.find(2).unwrap(), &fourth), "the newest of an id is found");
        drop((second, third, fourth));
        assert!(labels(&board).is_empty() && board.find(2).is_none());
        assert_eq!(board.opened(), 4);
    }

    #[test]
    fn readers_of_one_name_are_told_apart() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let reader = |name: &str, pid| ReaderSnapshot { name: name.into(), pid, ..ReaderSnapshot::default() };
        stream.set_readers(vec![reader("view", 1), reader("view", 2), reader("other", 3), reader("view", 4)]);
        let names: Vec<_> = stream.readers().into_iter().map(|reader| (reader.name, reader.pid)).collect();
        let expected = [("view", 1), ("view-2", 2), ("other", 3), ("view-3", 4)];
        assert_eq!(names, expected.map(|(name, pid)| (name.to_owned(), pid)));
    }

    #[test]
    fn what_streams_counted_stays_in_the_servers_totals_and_never_goes_back() {
        let board = board();
        let mut before = 0;
        for round in 0..5 {
            let stream = board.add(about(round, "cam"), Vec::new());
            for _ in 0..round {
                stream.figures().add_frame(10, Some(Duration::from_millis(1)), Instant::now());
            }
            stream.figures().counts.stream.frames_dropped.lost = 2;
            stream.figures().counts.latency_counts[0] += 1;
            let (live, all) = board.counts();
            assert_eq!((live.len(), all.stream.frames_delivered - before), (1, u64::from(round)));
            drop(stream);
            before = board.counts().1.stream.frames_delivered;
        }
        let (live, all) = board.counts();
        assert!(live.is_empty());
        assert_eq!((all.stream.frames_delivered, all.stream.bytes, all.stream.frames_dropped.lost), (10, 100, 10));
        assert_eq!(all.latency_counts.iter().sum::<u64>(), 15);
    }

    #[test]
    fn a_stream_that_begins_anew_takes_its_name_from_its_silent_last_run() {
        let board = board();
        let (busy, silent) = (board.add(about(1, "busy"), Vec::new()), board.add(about(2, "cam"), Vec::new()));
        let begun = Instant::now();
        assert!(!silent.is_silent(begun) && silent.is_silent(begun + SILENT_AFTER));
        busy.figures().add_frame(1, None, begun + Duration::from_secs(60));
        silent.figures().add_frame(1, None, begun - SILENT_AFTER);
        let (again, other) = (board.add(about(3, "cam"), Vec::new()), board.add(about(4, "busy"), Vec::new()));
        assert_eq!((again.label(), silent.label()), ("cam".to_owned(), "cam-2".to_owned()));
        assert_eq!((other.label(), busy.label()), ("busy-2".to_owned(), "busy".to_owned()));
    }

    #[test]
    fn of_two_streams_of_one_name_the_one_that_was_started_later_has_it() {
        let board = board();
        let of = |id, incarnation| About { incarnation, ..about(id, "cam") };
        let (old, new) = (board.add(of(1, Some(7)), Vec::new()), board.add(of(2, Some(8)), Vec::new()));
        assert_eq!((old.label(), new.label()), ("cam-2".to_owned(), "cam".to_owned()));
        let (older, unknown) = (board.add(of(3, Some(6)), Vec::new()), board.add(of(4, None), Vec::new()));
        assert_eq!((new.label(), older.label(), unknown.label()), ("cam".into(), "cam-3".into(), "cam-4".into()));
    }
}
