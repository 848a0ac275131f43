//! Clients on their way in, where there is a token: who is asked for a proof, for how long, and what becomes of a wrong one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use socketioxide::extract::SocketRef;
use tokio::sync::oneshot;

use super::conversation::{connected, say};
use super::places::Neighbour;
use super::seats::Connected;
use crate::auth::{Exchange, Guesses, Verifier, introduced, no_token_here};
use crate::message::{Numbered, OpenReply, Refused, event, reason};
use crate::unpoisoned::unpoisoned;

/// How long a client may take to prove that it has the token.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one that is dismissed may take to hear why, before its connection ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Who may come in.
pub(super) struct Proving {
    verifier: Option<Verifier>,
    guesses: Mutex<Guesses<Neighbour>>,
    failed: AtomicU64,
}

/// A proof that a client is waited for.
#[derive(Clone)]
struct Pending {
    exchange: Exchange,
    /// Dropped with it, which ends the wait.
    _waited_for: Arc<oneshot::Sender<()>>,
}

impl Proving {
    pub(super) fn new(verifier: Option<Verifier>) -> Self {
        Self { verifier, guesses: Mutex::new(Guesses::new()), failed: AtomicU64::new(0) }
    }

    /// Proofs that were wrong, late or none.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// What the client has to prove that says this as it connects; nothing where there is nothing to prove.
    pub(super) fn begin(&self, auth: Option<&Value>, connected: &Connected) -> Result<Option<Exchange>, Refused> {
        let Some(verifier) = &self.verifier else {
            return match introduced(auth) {
                Ok(Some(_)) => Err(no_token_here()),
                Ok(None) | Err(_) => Ok(None),
            };
        };
        let exchange = verifier.begin(auth, connected.key()).inspect_err(|_| self.count())?;
        if exchange.is_some() {
            unpoisoned(self.guesses.lock()).check(connected.neighbour(), Instant::now())?;
        }
        Ok(exchange)
    }

    /// Shows a client that the server has the token, and waits for its proof for as long as one may take.
    pub(super) fn ask(self: &Arc<Self>, socket: &SocketRef, exchange: Exchange) {
        let challenge = exchange.challenge();
        let (waited_for, is_over) = oneshot::channel::<()>();
        socket.extensions.insert(Pending { exchange, _waited_for: Arc::new(waited_for) });
        let (proving, late) = (self.clone(), socket.clone());
        tokio::spawn(async move {
            if tokio::time::timeout(PROOF_TIMEOUT, is_over).await.is_err() && proving.take(&late).is_some() {
                proving.count();
                let message = format!(
                    "no proof of the token came within {} s; answer \"challenge\" with \"prove\", as documented",
                    PROOF_TIMEOUT.as_secs()
                );
                dismiss(late, Refused::new(reason::PROOF_LATE, message));
            }
        });
        say(socket, event::CHALLENGE, &challenge);
    }

    /// The proof that a client is waited for, and is not from now on: there is one attempt.
    pub(super) fn take(&self, socket: &SocketRef) -> Option<Exchange> {
        Some(socket.extensions.remove::<Pending>()?.exchange)
    }

    /// Whether what a client says proves it.
    pub(super) fn check(&self, exchange: &Exchange, said: Option<&Value>, from: Neighbour) -> Result<(), Refused> {
        exchange.check(said).inspect_err(|_| {
            self.count();
            unpoisoned(self.guesses.lock()).was_wrong(from, Instant::now());
        })
    }

    /// Waits no more for one that has gone. Who has another token than the server sees that by the challenge, and leaves without a proof.
    pub(super) fn forget(&self, socket: &SocketRef) {
        if self.take(socket).is_some() {
            self.count();
        }
    }

    fn count(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tells a client why it is not let in, and ends its connection.
pub(super) fn dismiss(socket: SocketRef, body: Refused) {
    say(&socket, event::REFUSED, &Numbered { request: None, body: OpenReply::Refused(body) });
    let connected = connected(&socket).clone();
    if let Err(error) = socket.disconnect() {
        tracing::debug!("a client that was not let in was not told so: {error}");
    }
    tokio::spawn(async move {
        tokio::time::sleep(LAST_WORDS).await;
        connected.end();
    });
}
