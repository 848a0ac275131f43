//! One stream of another process, as a source.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::setters;
use framewire_transport::share::{Endpoint, SubscriptionConfig};
use framewire_transport::{Frame, Reader, RecvError, Subscription};

use super::hubs::{Hub, PATIENCE_WHILE_READING, asked, shared_streams};
use super::turns::{Held, Look};
use super::watched::{Watched, always_readable, ticked, ticks};
use super::{SourceStats, policy};
use crate::STEP;
use crate::error::{Class, Error};
use crate::process::Process;
use crate::stream::{Stream, Taken};

/// How often a stream is looked for whose source is gone.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(100);

/// How a stream of another process is read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Whose stream it is; by default it is looked for at every hub of this machine.
    pub hub: Option<Hub>,
    /// Frames that the program may hold at once, 1 to 62, 2 by default, beside those that wait for it.
    pub slots: usize,
    /// Frames that wait for the program at most, 1 to 8; by default the newest alone.
    pub queue: Option<usize>,
    /// Whether every frame waits for the program, and the source with it, where the hub lets readers ask for that; else it refuses. `queue` says nothing then. Off
    /// by default.
    pub every: bool,
    /// Whether the stream is waited for where its source or its hub is gone (the default). One that its source closed has ended all the same.
    pub reconnect: bool,
    /// How long the stream is waited for where it is not there; by default not at all.
    pub wait: Duration,
    /// For how long a frame is looked for before the thread sleeps, zero by default.
    pub busy_poll: Duration,
    /// What the hub's operator sees of this program; by default the name of its file.
    pub name: Option<String>,
}

impl OpenOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        hub: impl Into<Option<Hub>>,
        slots: usize,
        queue: impl Into<Option<usize>>,
        every: bool,
        reconnect: bool,
        wait: Duration,
        busy_poll: Duration,
        name: impl Into<Option<String>>,
    }

    pub(super) fn subscription(&self) -> Result<SubscriptionConfig, Error> {
        let policy = if self.every { ConsumerPolicy::Block } else { policy(self.queue)? };
        let config = SubscriptionConfig::new().policy(policy).hold(self.slots).busy_poll(self.busy_poll);
        Ok(match &self.name {
            Some(name) => config.name(name),
            None => config,
        })
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        let (wait, busy_poll) = (Duration::ZERO, Duration::ZERO);
        Self { hub: None, slots: 2, queue: None, every: false, reconnect: true, wait, busy_poll, name: None }
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    watched: Watched,
    endpoint: Endpoint,
    name: String,
    config: SubscriptionConfig,
    reconnect: bool,
    held: Held,
    closed: AtomicBool,
    process: Process,
}

struct State {
    standing: Standing,
    info: Arc<Stream>,
    /// What was taken, and what earlier subscriptions counted.
    past: SourceStats,
    /// Whether anybody has asked for the descriptor: before that, it costs nothing.
    is_watched: bool,
}

/// How the stream stands.
enum Standing {
    Read(Arc<Subscription>),
    /// Its source is gone: it is looked for at each tick.
    LookedFor(OwnedFd),
    /// What whoever takes frames is told from now on; the descriptor stays readable.
    Over(Error, Option<OwnedFd>),
}

impl Shared {
    /// `None` where `go_on` says no.
    pub(super) fn open(
        stream: Option<&str>,
        options: &OpenOptions,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>, Error> {
        let config = options.subscription()?;
        let deadline = Instant::now().checked_add(options.wait);
        loop {
            let Some(answers) = shared_streams(options.hub.as_ref(), go_on) else { return Ok(None) };
            let (config, reconnect) = (config.clone(), options.reconnect);
            let opened = answers.find(stream).and_then(|(info, endpoint)| {
                asked(move || Self::new(&Reader::connect(endpoint)?, info.name, config, reconnect), go_on)
            });
            let error = match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let is_to_come = matches!(error.class, Class::UnknownStream | Class::Interrupted) || error.code == "no-hub";
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !is_to_come || left.is_some_and(|left| left.is_zero()) {
                return Err(error);
            }
            std::thread::sleep(left.map_or(STEP, |left| left.min(STEP)));
            if !go_on() {
                return Ok(None);
            }
        }
    }

    /// The hub may take as long for its answer as the reader has patience.
    pub(super) fn new(
        reader: &Reader,
        name: String,
        config: SubscriptionConfig,
        reconnect: bool,
    ) -> Result<Self, Error> {
        let subscription = reader.subscribe_with(&name, config.clone())?;
        let endpoint = reader.endpoint().clone();
        let info = Arc::new(Stream::from(subscription.info()));
        let past = SourceStats { streams: 1, ..SourceStats::default() };
        let standing = Standing::Read(Arc::new(subscription));
        let state = Mutex::new(State { standing, info, past, is_watched: false });
        let (held, closed, process) = (Held::default(), AtomicBool::new(false), Process::this());
        Ok(Self { state, watched: Watched::new()?, endpoint, name, config, reconnect, held, closed, process })
    }

    /// The next frame within a time.
    pub(super) fn recv(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        self.process.check("reader")?;
        let deadline = Instant::now().checked_add(timeout);
        let mut left = deadline.map(|_| timeout);
        let mut patience = STEP;
        loop {
            let began = Instant::now();
            // In steps, so that who waits sees that it is closed.
            let step = left.map_or(STEP, |left| left.min(STEP)).min(patience);
            patience = STEP;
            match self.subscription()? {
                Some(subscription) => match self.take(&subscription, step)? {
                    Look::Taken(taken) => return Ok(Some(taken)),
                    Look::Nothing => {}
                    Look::Held(error) => match self.held.patience(began) {
                        Some(left) if !timeout.is_zero() => patience = left,
                        _ => return Err(error),
                    },
                },
                None => std::thread::sleep(step.min(LOOKED_FOR_EVERY)),
            }
            left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }

    /// A frame that waits already; no hub is asked.
    pub(super) fn waiting(&self) -> Result<Option<Taken>, Error> {
        self.process.check("reader")?;
        let subscription = match &self.lock().standing {
            Standing::Read(subscription) => subscription.clone(),
            Standing::Over(error, _) => return Err(error.clone()),
            Standing::LookedFor(_) => return Ok(None),
        };
        let began = Instant::now();
        match self.take(&subscription, Duration::ZERO)? {
            Look::Taken(taken) => Ok(Some(taken)),
            Look::Nothing => Ok(None),
            Look::Held(error) => {
                self.held.patience(began);
                Err(error)
            }
        }
    }

    /// The subscription; `None` while the stream is looked for.
    fn subscription(&self) -> Result<Option<Arc<Subscription>>, Error> {
        let mut state = self.lock();
        match &state.standing {
            Standing::Read(subscription) => Ok(Some(subscription.clone())),
            Standing::Over(error, _) => Err(error.clone()),
            Standing::LookedFor(timer) if !ticked(timer) => Ok(None),
            Standing::LookedFor(_) => {
                drop(state);
                let found = Reader::connect_within(self.endpoint.clone(), PATIENCE_WHILE_READING)
                    .and_then(|reader| reader.subscribe_with(&self.name, self.config.clone()));
                // Whatever is wrong with it now, it may be right in a moment.
                let Ok(subscription) = found else { return Ok(None) };
                state = self.lock();
                if !matches!(state.standing, Standing::LookedFor(_)) {
                    return Ok(None);
                }
                let subscription = Arc::new(subscription);
                state.turn_to(Standing::Read(subscription.clone()), &self.watched)?;
                state.past.streams += 1;
                state.past.reconnects += 1;
                state.info = Arc::new(subscription.info().into());
                Ok(Some(subscription))
            }
        }
    }

    fn take(&self, subscription: &Arc<Subscription>, timeout: Duration) -> Result<Look, Error> {
        let taken = if timeout.is_zero() { subscription.try_recv() } else { subscription.recv_timeout(timeout) };
        match taken {
            Ok(frame) => Ok(Look::Taken(self.taken(frame, subscription))),
            Err(error @ RecvError::HoldsAllSlots { .. }) => Ok(Look::Held(error.into())),
            Err(RecvError::Timeout) => {
                self.held.is_not();
                Ok(Look::Nothing)
            }
            Err(RecvError::HubGone) if self.reconnect => {
                self.lock().past.reconnects += 1;
                Ok(Look::Nothing)
            }
            Err(error @ RecvError::HubGone) => {
                let text = "the process that shares the stream is gone; what was taken stays as it is; open it again, or leave reconnect on";
                let error = Error::new(Class::Interrupted, error.code(), text);
                self.go_on_as(Standing::over(error.clone()), subscription)?;
                Err(error)
            }
            Err(RecvError::Ended) if self.reconnect && !subscription.is_closed() => {
                self.go_on_as(Standing::LookedFor(ticks(LOOKED_FOR_EVERY)?), subscription)?;
                Ok(Look::Nothing)
            }
            Err(error @ (RecvError::Ended | RecvError::CutOff { .. })) => {
                self.go_on_as(Standing::over(error.into()), subscription)?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn taken(&self, frame: Frame, subscription: &Subscription) -> Taken {
        self.held.taken();
        let mut state = self.lock();
        state.past.taken += 1;
        state.past.bytes += frame.len() as u64;
        // A hub that is back may have the stream in another format.
        if frame.format().is_some_and(|format| *format != state.info.format) {
            state.info = Arc::new(subscription.info().into());
        }
        Taken { frame, stream: state.info.clone() }
    }

    /// Lets a subscription go that gives no more, once.
    fn go_on_as(&self, next: Standing, before: &Arc<Subscription>) -> Result<(), Error> {
        let mut state = self.lock();
        if !matches!(&state.standing, Standing::Read(subscription) if Arc::ptr_eq(subscription, before)) {
            return Ok(());
        }
        state.turn_to(next, &self.watched)?;
        state.past.dropped += before.stats().dropped;
        Ok(())
    }

    /// What is readable while there is something to take.
    pub(super) fn descriptor(&self) -> Result<&Watched, Error> {
        self.process.check("reader")?;
        let mut state = self.lock();
        if !state.is_watched {
            state.standing.watched(&self.watched)?;
            state.is_watched = true;
        }
        Ok(&self.watched)
    }

    /// Its name at its hub.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn streams(&self) -> Vec<Stream> {
        if !self.process.is_this() {
            return Vec::new();
        }
        match &self.lock().standing {
            Standing::Read(subscription) => vec![subscription.info().into()],
            _ => Vec::new(),
        }
    }

    pub(super) fn stats(&self) -> SourceStats {
        if !self.process.is_this() {
            return SourceStats::default();
        }
        let state = self.lock();
        let mut all = state.past;
        if let Standing::Read(subscription) = &state.standing {
            let stats = subscription.stats();
            all.dropped += stats.dropped;
            all.held = stats.held;
        }
        all
    }

    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        if let Standing::Read(subscription) = &state.standing {
            state.past.dropped += subscription.stats().dropped;
        }
        let closed = || Error::closed("reader");
        // Without a descriptor for it, who waits learns of the end a moment later.
        let before = state
            .turn_to(Standing::over(closed()), &self.watched)
            .or_else(|_| state.turn_to(Standing::Over(closed(), None), &self.watched));
        drop(state);
        // It says goodbye to the hub.
        drop(before);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// From here on it stands so, and that is what the descriptor tells of; how it stood before.
    ///
    /// # Errors
    /// The system does not watch it; it stands as before.
    fn turn_to(&mut self, next: Standing, watched: &Watched) -> Result<Standing, Error> {
        if self.is_watched {
            next.watched(watched)?;
            self.standing.unwatched(watched);
        }
        Ok(std::mem::replace(&mut self.standing, next))
    }
}

impl Standing {
    fn over(error: Error) -> Self {
        Self::Over(error, always_readable().ok())
    }

    /// Has a descriptor watch what tells of it.
    fn watched(&self, watched: &Watched) -> Result<(), Error> {
        match self {
            Self::Read(subscription) => watched.add(&**subscription),
            Self::LookedFor(timer) => watched.add(timer),
            Self::Over(_, readable) => readable.as_ref().map_or(Ok(()), |readable| watched.add(readable)),
        }
    }

    fn unwatched(&self, watched: &Watched) {
        match self {
            Self::Read(subscription) => watched.remove(&**subscription),
            Self::LookedFor(timer) => watched.remove(timer),
            Self::Over(_, readable) => readable.iter().for_each(|readable| watched.remove(readable)),
        }
    }
}
