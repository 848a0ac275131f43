//! What is said to clients by those whom the signal server asks: it is made of them, and so there after them.

use std::sync::{Arc, OnceLock, Weak};

use framewire_signal::SignalServer;

/// The signal server, once there is one. Nothing is said before, and after its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Voice(Arc<OnceLock<Weak<SignalServer>>>);

impl Voice {
    /// This one is it. Held weakly: it holds whoever speaks by this.
    pub(super) fn speak_by(&self, server: &Arc<SignalServer>) {
        // There is one in a program's life.
        let _ = self.0.set(Arc::downgrade(server));
    }

    /// Has something said.
    pub(super) fn say(&self, words: impl FnOnce(&SignalServer)) {
        if let Some(server) = self.0.get().and_then(Weak::upgrade) {
            words(&server);
        }
    }
}
