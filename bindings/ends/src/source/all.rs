//! All streams of one hub, those that come later too, as one source: what a server has been sent.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use framewire_transport::share::{Endpoint, SubscriptionConfig};
use framewire_transport::{Reader, RecvError};

use super::SourceStats;
use super::hubs::PATIENCE_WHILE_READING;
use super::shared::{OpenOptions, Shared};
use super::turns::{Held, Look};
use super::watched::{Watched, always_readable, ticked, ticks};
use crate::error::{Class, Error};
use crate::process::Process;
use crate::stream::{Stream, Taken};

/// How often it is asked which streams there are, while somebody waits: what a stream sends before it is found is not seen.
const LISTED_EVERY: Duration = Duration::from_millis(50);

pub(super) struct All {
    watched: Watched,
    state: Mutex<State>,
    /// Has one thread ask at a time. No other waits for it: the hub may be stopped.
    asks: Mutex<()>,
    reader: Reader,
    config: SubscriptionConfig,
    ends: Ends,
    /// Tells when to ask which streams there are.
    ticks: OwnedFd,
    held: Held,
    closed: AtomicBool,
    process: Process,
}

/// What it ends with, besides being closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// With the last of its streams.
    pub(super) with_streams: bool,
    /// With its hub; else that is waited for.
    pub(super) with_hub: bool,
}

#[derive(Default)]
struct State {
    open: Vec<Shared>,
    /// Streams that the hub does not let this program read: that is told once of each.
    refused: BTreeSet<String>,
    /// Those that there were when it was asked last.
    there: BTreeSet<String>,
    /// Where the next look begins, so that each stream has its turn.
    next: usize,
    /// What ended streams counted.
    past: SourceStats,
    /// The hub is gone, and waited for.
    is_gone: bool,
    /// What is told from now on, and what keeps the descriptor readable meanwhile.
    over: Option<(Error, Option<OwnedFd>)>,
}

impl All {
    pub(super) fn open(endpoint: &Endpoint, options: &OpenOptions, ends: Ends) -> Result<Self, Error> {
        let config = options.subscription()?;
        let reader = Reader::connect_within(endpoint.clone(), PATIENCE_WHILE_READING)?;
        let (watched, ticks) = (Watched::new()?, ticks(LISTED_EVERY)?);
        watched.add(&ticks)?;
        let (state, asks, held) = (Mutex::default(), Mutex::default(), Held::default());
        let (closed, process) = (AtomicBool::new(false), Process::this());
        let all = Self { watched, state, asks, reader, config, ends, ticks, held, closed, process };
        all.ask()?;
        Ok(all)
    }

    /// The next frame within a time.
    pub(super) fn recv(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        self.held.take(&self.watched, timeout, || {
            self.process.check("reader")?;
            if self.lock().over.is_none() && ticked(&self.ticks) {
                self.ask()?;
            }
            self.look()
        })
    }

    /// A frame that waits already; the hub is not asked.
    pub(super) fn waiting(&self) -> Result<Option<Taken>, Error> {
        self.held.take(&self.watched, Duration::ZERO, || {
            self.process.check("reader")?;
            self.look()
        })
    }

    /// A frame that waits, each stream in turn.
    fn look(&self) -> Result<Look, Error> {
        let mut state = self.lock();
        let (mut held, mut turns) = (None, state.open.len());
        while turns > 0 {
            turns -= 1;
            let place = state.next % state.open.len();
            match state.open[place].waiting() {
                Ok(Some(taken)) => {
                    state.next = place + 1;
                    return Ok(Look::Taken(taken));
                }
                Ok(None) => state.next = place + 1,
                Err(error) => match error.class {
                    Class::SlotsHeld => {
                        held = Some(error);
                        state.next = place + 1;
                    }
                    Class::Ended => self.forget(&mut state, place),
                    Class::Interrupted => {
                        self.forget(&mut state, place);
                        self.interrupted(&mut state)?;
                    }
                    _ => {
                        let name = state.open[place].name().to_owned();
                        state.refused.insert(name);
                        self.forget(&mut state, place);
                        return Err(error);
                    }
                },
            }
        }
        if self.ends.with_streams && state.over.is_none() && state.open.is_empty() && state.past.streams > 0 {
            self.end(&mut state, RecvError::Ended.into())?;
        }
        match (&state.over, held) {
            // What is held was taken before the end; nothing can come after it.
            (Some((error, _)), _) => Err(error.clone()),
            (None, Some(error)) => Ok(Look::Held(error)),
            (None, None) => Ok(Look::Nothing),
        }
    }

    /// Reads those streams too that are new. Whoever takes frames, closes or counts meanwhile does not wait for the hub.
    fn ask(&self) -> Result<(), Error> {
        let _asks = match self.asks.try_lock() {
            Ok(asks) => asks,
            Err(TryLockError::Poisoned(asks)) => asks.into_inner(),
            // Another thread does.
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let there = match self.reader.streams().map_err(Error::from) {
            Ok(there) => there.into_iter().map(|stream| stream.name).collect(),
            Err(error) if error.class == Class::Interrupted || error.code == "no-hub" => {
                return self.interrupted(&mut self.lock());
            }
            Err(error) if is_slow(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in self.new_ones(there) {
            match Shared::new(&self.reader, name.clone(), self.config.clone(), false) {
                Ok(opened) => self.add(opened)?,
                // It has ended meanwhile, or its hub has.
                Err(error) if matches!(error.class, Class::UnknownStream | Class::Interrupted) => {}
                Err(error) if is_slow(&error) => return Ok(()),
                Err(error) => {
                    self.lock().refused.insert(name);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Notes which streams there are; those that are to be opened.
    fn new_ones(&self, there: BTreeSet<String>) -> Vec<String> {
        let mut state = self.lock();
        if state.over.is_some() {
            return Vec::new();
        }
        state.is_gone = false;
        state.refused.retain(|name| there.contains(name));
        state.there = there;
        let is_known =
            |name: &String| state.refused.contains(name) || state.open.iter().any(|open| open.name() == name);
        state.there.iter().filter(|name| !is_known(name)).cloned().collect()
    }

    /// Takes in a stream that was opened, unless it is over meanwhile.
    fn add(&self, opened: Shared) -> Result<(), Error> {
        let mut state = self.lock();
        if state.over.is_some() {
            drop(state);
            opened.close();
            return Ok(());
        }
        self.watched.add(opened.descriptor()?)?;
        state.open.push(opened);
        Ok(())
    }

    /// The hub is gone: what waits is still handed out, and then it is told, or the hub is waited for.
    fn interrupted(&self, state: &mut State) -> Result<(), Error> {
        if !self.ends.with_hub {
            state.past.reconnects += u64::from(!state.is_gone);
            state.is_gone = true;
            return Ok(());
        }
        if state.over.is_some() { Ok(()) } else { self.end(state, RecvError::HubGone.into()) }
    }

    fn end(&self, state: &mut State, error: Error) -> Result<(), Error> {
        let readable = always_readable();
        if let Ok(readable) = &readable {
            self.watched.add(readable)?;
            self.watched.remove(&self.ticks);
        }
        state.over = Some((error, readable.ok()));
        Ok(())
    }

    /// Takes an ended stream's counts, and lets it go.
    fn forget(&self, state: &mut State, place: usize) {
        let ended = state.open.remove(place);
        if let Ok(descriptor) = ended.descriptor() {
            self.watched.remove(descriptor);
        }
        ended.close();
        state.past = state.past.and(SourceStats { held: 0, ..ended.stats() });
    }

    /// What is readable while there is something to take.
    pub(super) fn descriptor(&self) -> Result<&Watched, Error> {
        self.process.check("reader")?;
        Ok(&self.watched)
    }

    pub(super) fn streams(&self) -> Vec<Stream> {
        if !self.process.is_this() {
            return Vec::new();
        }
        if self.lock().over.is_none() {
            // What is wrong is told to who takes frames.
            let _ = self.ask();
        }
        let state = self.lock();
        // Of those that have ended, frames may wait still.
        state.open.iter().filter(|open| state.there.contains(open.name())).flat_map(Shared::streams).collect()
    }

    pub(super) fn stats(&self) -> SourceStats {
        if !self.process.is_this() {
            return SourceStats::default();
        }
        let state = self.lock();
        state.open.iter().fold(state.past, |all, open| all.and(open.stats()))
    }

    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        while !state.open.is_empty() {
            self.forget(&mut state, 0);
        }
        // Without a descriptor for it, who waits learns of the end with the next tick.
        let _ = self.end(&mut state, Error::closed("reader"));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hub is stopped, or has enough to do: it is asked again.
fn is_slow(error: &Error) -> bool {
    error.class == Class::Timeout || error.code == "hub-busy"
}
