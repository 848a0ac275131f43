//! What makes a receiving stream a protected one: the opening that its keys come from, and these keys.

use std::fmt;
use std::sync::Arc;

use super::stats::Rejected;
use crate::crypto::{Forged, HandshakeError, Key, ReceiverSession, Responder, Suite, Suites};
use crate::wire::{Accept, Open, SealedAccept, SealedOpen};

/// An opening of a protected stream whose sender has the key: read, and not answered yet.
#[derive(Debug, Clone)]
pub struct SealedOpening {
    key: Key,
    datagram: SealedOpen,
}

impl SealedOpening {
    /// Reads an opening under the key that it names; returns what it says, too. Costs no more than a few hashes: whoever has not the key
    /// cannot have it cost more.
    ///
    /// # Errors
    /// It was not made under this key, or has been changed on the way.
    pub fn read(key: &Key, datagram: &SealedOpen) -> Result<(Self, Open), HandshakeError> {
        let (_, payload) = Responder::read(key, &datagram.context(), &datagram.message)?;
        Ok((Self { key: key.clone(), datagram: *datagram }, datagram.open(&payload)))
    }

    /// Whether a datagram is this opening, once more.
    pub fn is(&self, datagram: &SealedOpen) -> bool {
        self.datagram == *datagram
    }

    /// The key that it was made under.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What the sender made for this handshake alone, and for no other: nobody else's opening has it.
    pub fn ephemeral(&self) -> &[u8; 32] {
        self.datagram.message.first_chunk().expect("a message begins with it, and is longer")
    }

    /// The way of sealing that both ends can and this one prefers.
    pub fn suite(&self) -> Option<Suite> {
        Suites::supported().choose(Suites::from_wire(self.datagram.suites))
    }
}

/// The keys of one epoch.
pub(super) struct Session {
    keys: ReceiverSession,
    suite: Suite,
    /// What the opening was answered with, to be said again.
    accept: SealedAccept,
    /// Something has come that was sealed under them: the sender has them, too.
    is_used: bool,
}

impl Session {
    /// Answers an opening. `None` where it has no way of sealing that this end has, too, or is none that can be answered.
    pub(super) fn new(opening: &Arc<SealedOpening>, accept: &Accept) -> Option<Self> {
        let suite = opening.suite()?;
        let SealedOpening { key, datagram } = &**opening;
        let (responder, _) = Responder::read(key, &datagram.context(), &datagram.message).ok()?;
        let (keys, message) = responder.accept(suite, &SealedAccept::payload(accept)).ok()?;
        let accept = SealedAccept::of(accept.stream, accept.epoch, accept.path_bytes, message);
        Some(Self { keys, suite, accept, is_used: false })
    }

    /// The answer to the opening, with how long the longest one was that came.
    pub(super) fn accept(&self, path_bytes: u16) -> SealedAccept {
        SealedAccept { path_bytes, ..self.accept }
    }

    /// How slices are sealed.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether the sender is known to have the keys.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Opens the payload of a slice or a parity slice where it lies. Its head is whole.
    pub(super) fn open_slice(&mut self, sequence: u64, head: &[u8], payload: &mut [u8]) -> Result<(), Rejected> {
        let (fields, tag) = head.split_first_chunk().ok_or(Rejected::Malformed)?;
        let tag = tag.first_chunk().ok_or(Rejected::Malformed)?;
        self.keys.slices.open(sequence, fields, tag, payload)?;
        self.is_used = true;
        Ok(())
    }

    /// Every slice below this sequence has been sent, as the sender has said under seal.
    pub(super) fn note_sent(&mut self, sequence: u64) {
        self.keys.slices.is_sent_to(sequence);
    }

    /// Opens a datagram of fields, of which there are `fields` bytes, where it lies.
    pub(super) fn open_control(&mut self, datagram: &mut [u8], fields: usize) -> Result<(), Rejected> {
        self.keys.controls.open(datagram, fields)?;
        self.is_used = true;
        Ok(())
    }

    /// Seals an answer of `fields` bytes where it lies; returns how long it is then.
    pub(super) fn seal(&mut self, answer: &mut [u8], fields: usize) -> usize {
        self.keys.answers.seal(answer, fields)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("suite", &self.suite).field("is_used", &self.is_used).finish_non_exhaustive()
    }
}

impl From<Forged> for Rejected {
    fn from(forged: Forged) -> Self {
        match forged {
            Forged::Replay => Self::Replayed,
            Forged::Tag => Self::Forged,
        }
    }
}
