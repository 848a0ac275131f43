//! All streams of one hub, those that come later too, as one source: what a server has been sent.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use framewire_transport::share::{Endpoint, SubscriptionConfig};
use framewire_transport::{Reader, RecvError};

use super::SourceStats;
use super::shared::{OpenOptions, Shared};
use super::turns::{self, Look};
use super::watched::{Watched, always_readable, ticked, ticks};
use crate::error::{Class, Error};
use crate::process::Process;
use crate::stream::{Stream, Taken};

/// How often it is asked which streams there are, while somebody waits: what a stream sends before it is found is not seen. An answer takes a tenth of a
/// millisecond.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// How long the hub may take for an answer: whoever takes frames waits for it.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) struct All {
    watched: Watched,
    state: Mutex<State>,
    endpoint: Endpoint,
    config: SubscriptionConfig,
    ends: Ends,
    /// Tells when to ask which streams there are.
    ticks: OwnedFd,
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
        Reader::connect_within(endpoint.clone(), PATIENCE)?;
        let (watched, ticks) = (Watched::new()?, ticks(ASKED_EVERY)?);
        watched.add(&ticks)?;
        let (endpoint, closed) = (endpoint.clone(), AtomicBool::new(false));
        let (state, process) = (Mutex::default(), Process::this());
        let all = Self { watched, state, endpoint, config, ends, ticks, closed, process };
        all.ask(&mut all.lock())?;
        Ok(all)
    }

    /// The next frame within a time.
    pub(super) fn recv(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        turns::take(&self.watched, timeout, || {
            self.process.check("reader")?;
            self.look()
        })
    }

    /// A frame that waits, each stream in turn.
    fn look(&self) -> Result<Look, Error> {
        let mut state = self.lock();
        if state.over.is_none() && ticked(&self.ticks) {
            self.ask(&mut state)?;
        }
        let (mut held, mut turns) = (None, state.open.len());
        while turns > 0 {
            turns -= 1;
            let place = state.next % state.open.len();
            match state.open[place].recv(Duration::ZERO) {
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

    /// Reads those streams too that are new.
    fn ask(&self, state: &mut State) -> Result<(), Error> {
        let reader = match Reader::connect_within(self.endpoint.clone(), PATIENCE).map_err(Error::from) {
            Ok(reader) => reader,
            Err(error) if error.class == Class::Interrupted || error.code == "no-hub" => {
                return self.interrupted(state);
            }
            // It is slow, or has enough to do: it is asked again.
            Err(error) if error.class == Class::Timeout || state.past.streams > 0 => return Ok(()),
            Err(error) => return Err(error),
        };
        let Ok(there) = reader.streams() else { return Ok(()) };
        state.is_gone = false;
        state.there = there.into_iter().map(|stream| stream.name).collect();
        let State { refused, there, .. } = &mut *state;
        refused.retain(|name| there.contains(name));
        for name in there.clone() {
            if state.refused.contains(&name) || state.open.iter().any(|open| open.name() == name) {
                continue;
            }
            match Shared::new(self.endpoint.clone(), name.clone(), self.config.clone(), false) {
                Ok(opened) => {
                    self.watched.add(opened.descriptor()?)?;
                    state.open.push(opened);
                }
                // It has ended meanwhile, or its hub has.
                Err(error) if matches!(error.class, Class::UnknownStream | Class::Interrupted | Class::Timeout) => {}
                Err(error) => {
                    state.refused.insert(name);
                    return Err(error);
                }
            }
        }
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
        let mut state = self.lock();
        if state.over.is_none() {
            // What is wrong is told to who takes frames.
            let _ = self.ask(&mut state);
        }
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
