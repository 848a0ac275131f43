//! A stream that a server has a part in: a connection of its own, and the thread that hears what the server says for as long as the stream lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use framewire_signal::message::Refused;
use framewire_signal::{ClientError, ClientEvent, SignalClient};

use crate::STEP;
use crate::error::{Class, Error};

/// How long the server may take to say that it has done with the stream.
const FAREWELL: Duration = Duration::from_millis(500);

/// What is done with what a server says of a stream.
pub(crate) trait Follow: Send + 'static {
    /// What programs ask for, beside why nothing goes on.
    type Known: Default + Send;

    /// The server has said this; what it refuses, and that it is away, has been told.
    fn hear(&mut self, event: ClientEvent, signal: &SignalClient, told: &Told<Self::Known>);

    /// The server is away, or refuses what it had granted.
    fn lost(&mut self) {}

    /// Once a [`STEP`] at least.
    fn look(&mut self, _signal: &SignalClient, _told: &Told<Self::Known>) {}

    /// The server is to do no more for it.
    fn leave(&self, signal: &SignalClient);

    /// Whether this says that it does no more for it, or that it does again; `None` where it says neither.
    fn has_left(event: &ClientEvent) -> Option<bool>;
}

/// The stream's thread, and what it tells. Ends with it.
pub(crate) struct Followed<K> {
    told: Arc<Told<K>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells those who use the stream.
#[derive(Default)]
pub(crate) struct Told<K> {
    state: Mutex<State<K>>,
    changed: Condvar,
    ends: AtomicBool,
    /// As people are told of it.
    server: String,
}

#[derive(Default)]
pub(crate) struct State<K> {
    pub(crate) known: K,
    /// The server has granted it once: it is asked for again while that refuses it for now.
    pub(crate) was_granted: bool,
    /// Why it cannot go on.
    pub(crate) failure: Option<Error>,
    /// Why nothing goes yet, or for now.
    pub(crate) trouble: Option<String>,
}

impl<K: Default + Send + 'static> Followed<K> {
    /// Begins to follow, and returns at once.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn begin<F: Follow<Known = K>>(
        name: &str,
        server: String,
        signal: SignalClient,
        follow: F,
    ) -> Result<Self, Error> {
        let told = Arc::new(Told { server, ..Told::default() });
        let tells = told.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(follow, signal, &tells));
        let thread = thread.map_err(|error| {
            let text = format!("the thread {name} did not start ({error}); have fewer threads, or raise `ulimit -u`");
            Error::new(Class::System, "client-resources", text)
        })?;
        Ok(Self { told, thread: Some(thread) })
    }
}

impl<K> Followed<K> {
    pub(crate) fn told(&self) -> &Told<K> {
        &self.told
    }

    /// Why nothing goes yet, or for now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.told.lock().trouble.clone()
    }
}

impl<K> Drop for Followed<K> {
    fn drop(&mut self) {
        self.told.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl<K> Told<K> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever waits looks again.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State<K>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    pub(crate) fn fail(&self, error: Error) {
        self.change(|state| {
            state.failure.get_or_insert(error);
        });
    }

    pub(crate) fn trouble(&self, why: String) {
        self.change(|state| state.trouble = Some(why));
    }

    /// Waits while it is so, and for so long at most.
    pub(crate) fn wait_while(
        &self,
        timeout: Duration,
        is_so: impl FnMut(&mut State<K>) -> bool,
    ) -> MutexGuard<'_, State<K>> {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_so);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// As people are told of it.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// A stream that was granted once is asked for again while the server refuses it for now, or another answers; before that a refusal is the answer.
    pub(crate) fn refused(&self, refused: &Refused) {
        let text = format!("the server {} refuses: {}", self.server, refused.message);
        // Who answers in a server's place for a moment is given nothing, and ends no stream.
        if self.lock().was_granted && (refused.is_for_now() || refused.is_of_another()) {
            self.trouble(text);
        } else {
            self.fail(Error::new(Class::Refused, "server-refuses", text));
        }
    }
}

fn run<F: Follow>(mut follow: F, signal: SignalClient, told: &Told<F::Known>) {
    // A server that has heard of the end by the frames' own way says so before it is asked, and not again.
    let mut has_left = false;
    while !told.ends.load(Ordering::Acquire) {
        match signal.next_event(STEP) {
            Some(ClientEvent::Retrying { reason, .. } | ClientEvent::Disconnected { reason }) => {
                follow.lost();
                told.trouble(reason);
            }
            Some(ClientEvent::WatchRefused { refused, .. } | ClientEvent::Refused(refused)) => {
                follow.lost();
                told.refused(&refused);
            }
            Some(event) => {
                has_left = has_left_after::<F>(&event, has_left);
                follow.hear(event, &signal, told);
            }
            None => {}
        }
        follow.look(&signal, told);
    }
    follow.leave(&signal);
    let deadline = Instant::now() + FAREWELL;
    while !has_left && let Some(event) = signal.next_event(deadline.saturating_duration_since(Instant::now())) {
        has_left = has_left_after::<F>(&event, has_left);
    }
    signal.shutdown();
}

/// Whether the server does no more for it once it has said this: what it says of anything else changes nothing.
pub(crate) fn has_left_after<F: Follow>(event: &ClientEvent, before: bool) -> bool {
    F::has_left(event).unwrap_or(before)
}

/// Who knows the id knows a stream, so nobody may guess it.
pub(crate) fn random_stream() -> Result<u32, Error> {
    getrandom::u32().map_err(|error| {
        let text = format!("the system gives no random numbers ({error}); wait until it has started up");
        Error::new(Class::System, "client-resources", text)
    })
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let class = match error {
            ClientError::Random(_) | ClientError::Thread(_) => Class::System,
            _ => Class::Argument,
        };
        Self::new(class, error.code(), error.to_string())
    }
}
