//! The frames of a watched stream, as they come by the network.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use framewire_figures::counts::StreamCounts;
use framewire_figures::summary::ReaderCounts;
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_transport::frame::{Frame, RecvError};
use framewire_transport::{AcceptStreamError, IncomingStream, Time};

use super::super::follow::Stream;
use super::super::presence::Presence;
use super::super::reading::{Datagrams, Frames};
use super::line::{Line, News};

/// How long a frame is waited for before the server is listened to.
const LISTEN_EVERY: Duration = Duration::from_millis(50);
/// How long after its last frame a stream may be said to be over: its end comes by one way, and that it is one by the other.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A stream of a server: where its sender or the server goes and comes again, it is read on.
pub(super) struct Remote {
    line: RefCell<Line>,
    stop: Stop,
    /// `None` while it does not come.
    incoming: RefCell<Option<IncomingStream>>,
    /// What came of its runs before.
    before: RefCell<Runs>,
    presence: RefCell<Option<Presence>>,
    since: Cell<Time>,
    /// Its sender has closed it.
    is_over: Cell<bool>,
    /// It ended by the network, and it is not known yet what that means.
    ended: Cell<Option<Instant>>,
    /// The server was away since it came last.
    was_away: Cell<bool>,
    /// Of those that came last.
    datagrams: RefCell<Datagrams>,
}

/// What came of the runs of a stream that have ended.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    reader: ReaderCounts,
    stream: StreamCounts,
    /// Of the one that comes now.
    taken: u64,
}

impl Remote {
    pub(super) fn new(line: Line, stop: &Stop) -> Self {
        Self {
            line: RefCell::new(line),
            stop: stop.clone(),
            incoming: RefCell::default(),
            before: RefCell::default(),
            presence: RefCell::default(),
            since: Cell::new(Time::now()),
            is_over: Cell::default(),
            ended: Cell::default(),
            was_away: Cell::default(),
            datagrams: RefCell::default(),
        }
    }

    /// Waits until the stream comes. `None` where somebody asked to stop before.
    ///
    /// # Errors
    /// It is not there and is not waited for, or the server refuses.
    pub(super) fn wait(&self, is_impatient: bool) -> Result<Option<Stream>, Failure> {
        while !self.stop.is_stopped() {
            if self.accept(LISTEN_EVERY) {
                let (name, delivery) = (self.line.borrow().name.clone(), self.line.borrow().delivery);
                let incoming = self.incoming.borrow();
                let Some(info) = incoming.as_ref().map(IncomingStream::info) else { continue };
                let (format, presentation) = (info.format, info.presentation);
                *self.presence.borrow_mut() = Some(Presence::new(&name, format));
                return Ok(Some(Stream { name, format, presentation, delivery }));
            }
            let news = self.line.borrow_mut().next(Duration::ZERO)?;
            if let Some(News::NotThere(what)) = news.filter(|_| is_impatient) {
                let name = self.line.borrow().name.clone();
                return Err(Failure::runtime(format!(
                    "stream {name:?} is not there: {what}; without --no-wait it is waited for"
                )));
            }
        }
        Ok(None)
    }

    /// Has the server send no more.
    pub(super) fn end(self) {
        *self.incoming.borrow_mut() = None;
        self.line.into_inner().end();
    }

    /// Takes the stream where the server opens it now.
    fn accept(&self, timeout: Duration) -> bool {
        let line = self.line.borrow();
        match line.port.receiver().accept_timeout(timeout) {
            Ok(incoming) => {
                let info = incoming.info();
                *self.datagrams.borrow_mut() = Datagrams {
                    is_protected: info.protection.is_some(),
                    backend: info.backend.to_string(),
                    slice_bytes: incoming.slice_bytes(),
                };
                if let Some(presence) = self.presence.borrow_mut().as_mut() {
                    tell(presence.back(info.format));
                    if self.was_away.take() {
                        self.before.borrow_mut().reader.reconnects += 1;
                    }
                }
                // What is complete later did not lie there.
                self.since.set(Time::now());
                self.ended.set(None);
                *self.incoming.borrow_mut() = Some(incoming);
                true
            }
            Err(AcceptStreamError::Timeout) => false,
            // It listens elsewhere by now.
            Err(_) => {
                drop(line);
                self.stop.sleep(timeout);
                false
            }
        }
    }

    /// Takes in what the server says.
    fn listen(&self) -> Result<(), Failure> {
        loop {
            let news = self.line.borrow_mut().next(Duration::ZERO)?;
            let lost = |who| {
                if let Some(presence) = self.presence.borrow_mut().as_mut() {
                    tell(presence.lost(who));
                }
            };
            match news {
                None => return Ok(()),
                Some(News::Over) => self.is_over.set(true),
                Some(News::Gone) => lost("sender"),
                Some(News::Away) => {
                    self.was_away.set(true);
                    lost("server");
                }
                // It was over, and begins anew.
                Some(News::Given) => self.is_over.set(false),
                Some(News::NotThere(_)) => {}
            }
        }
    }

    /// The run has ended: its figures are what they are.
    fn leave(&self) {
        let Some(incoming) = self.incoming.borrow_mut().take() else { return };
        let mut runs = self.before.borrow_mut();
        let (reader, stream) = figures(&incoming, runs.taken, true);
        runs.reader = sum(runs.reader, reader);
        runs.stream.add(&stream);
        runs.taken = 0;
        self.ended.set(Some(Instant::now()));
    }

    fn fail(&self, failure: Failure) -> RecvError {
        self.stop.fail(failure);
        RecvError::Ended
    }
}

impl Frames for Remote {
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Err(failure) = self.listen() {
                return Err(self.fail(failure));
            }
            let left = deadline.saturating_duration_since(Instant::now()).min(LISTEN_EVERY);
            let received = self.incoming.borrow().as_ref().map(|incoming| incoming.recv_timeout(left));
            match received {
                Some(Ok(frame)) => {
                    self.before.borrow_mut().taken += 1;
                    return Ok(frame);
                }
                Some(Err(RecvError::Ended)) => self.leave(),
                Some(Err(RecvError::Timeout)) => {}
                Some(Err(error)) => return Err(error),
                None if self.is_over.get() => return Err(RecvError::Ended),
                None => {
                    if !self.accept(left) && self.ended.get().is_some_and(|ended| ended.elapsed() > END_PATIENCE) {
                        self.ended.set(None);
                        if let Some(presence) = self.presence.borrow_mut().as_mut() {
                            tell(presence.lost("sender"));
                        }
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(RecvError::Timeout);
            }
        }
    }

    fn counts(&self) -> ReaderCounts {
        let runs = *self.before.borrow();
        let now = self.incoming.borrow().as_ref().map(|incoming| figures(incoming, runs.taken, false).0);
        sum(runs.reader, now.unwrap_or_default())
    }

    fn since(&self) -> Time {
        self.since.get()
    }

    fn datagrams(&self) -> Option<Datagrams> {
        Some(self.datagrams.borrow().clone())
    }

    fn came(&self) -> StreamCounts {
        let runs = *self.before.borrow();
        let mut counts = runs.stream;
        if let Some(incoming) = self.incoming.borrow().as_ref() {
            counts.add(&figures(incoming, runs.taken, false).1);
        }
        counts
    }
}

/// What came of a run of which this program took so many frames; of the frames that were complete the summary knows from elsewhere.
fn figures(incoming: &IncomingStream, taken: u64, is_over: bool) -> (ReaderCounts, StreamCounts) {
    let dropped = incoming.dropped();
    let mut stream = StreamCounts::default();
    let (stats, source) = (incoming.stats(), incoming.source());
    if is_over {
        stream.take_over_last(&stats, source, 0);
    } else {
        stream.take_over(&stats, source, 0);
    }
    (ReaderCounts { offered: taken + dropped, taken, dropped, reconnects: 0 }, stream)
}

fn sum(one: ReaderCounts, other: ReaderCounts) -> ReaderCounts {
    ReaderCounts {
        offered: one.offered + other.offered,
        taken: one.taken + other.taken,
        dropped: one.dropped + other.dropped,
        reconnects: one.reconnects + other.reconnects,
    }
}

fn tell(line: Option<String>) {
    if let Some(line) = line {
        say(format_args!("{line}"));
    }
}
