//! A protected stream's keys at the sender: the handshake inside its openings, and what is sealed and opened under them.

use std::fmt;
use std::time::Duration;

use super::Subscriber;
use crate::crypto::{ControlOpener, Initiator, Key, SEAL_LEN, SenderSession, SliceSealer, Suite, Suites};
use crate::send::config::SendState;
use crate::time::Time;
use crate::wire::{
    Accept, Closed, Kind, NACK_BITMAP_MAX, Nack, Open, Prelude, SealedAccept, SealedOpen, WireError, fields_len,
};

/// How long keys are used: then the next epoch has others, which nothing of these tells.
const REKEY_AFTER: Duration = Duration::from_secs(3600);
/// How much longer, where frames are on their way that would have to be sent again.
const REKEY_PATIENCE: Duration = Duration::from_secs(10);
/// The longest datagram of a receiver's that is sealed.
const ANSWER_MAX: usize = Nack::LEN + NACK_BITMAP_MAX + SEAL_LEN;

/// What is kept of a protected stream.
pub(super) struct Protected {
    key: Key,
    asking: Option<Asking>,
    /// The keys of the present epoch, once its opening has been answered, and since when.
    session: Option<(SenderSession, Time)>,
    /// The epoch before, and what opens its answers: a receiver has no other keys for the last word on a stream.
    before: Option<(u32, ControlOpener)>,
}

/// The opening of one epoch with one cookie, which is repeated as it is.
struct Asking {
    datagram: SealedOpen,
    initiator: Initiator,
    /// The answer that was taken, and what it says: a repetition says the same.
    answered: Option<(SealedAccept, Accept)>,
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protected")
            .field("key", &self.key)
            .field("is_agreed", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl Protected {
    fn new(key: Key) -> Self {
        Self { key, asking: None, session: None, before: None }
    }

    /// The sealed form of an opening; `None` where the system has no random numbers at present.
    fn opening(&mut self, open: &Open) -> Option<SealedOpen> {
        let known = self.asking.as_ref().map(|asking| asking.datagram);
        if let Some(known) = known.filter(|known| (known.epoch, known.cookie) == (open.epoch, open.cookie)) {
            return Some(known);
        }
        let mut datagram = SealedOpen::of(open, self.key.id().bytes(), Suites::supported().bits());
        let started = Initiator::start(&self.key, &datagram.context(), &SealedOpen::payload(open));
        let (initiator, message) =
            started.inspect_err(|error| tracing::warn!(%error, "a stream is not opened")).ok()?;
        datagram.message = message;
        // An answer to the one before is of no use any more.
        (self.asking, self.session) = (Some(Asking { datagram, initiator, answered: None }), None);
        Some(datagram)
    }

    /// Takes in the answer to the opening: what it says, where it is the receiver's.
    fn accepted(&mut self, answer: &SealedAccept, now: Time) -> Option<Accept> {
        let asking = self.asking.as_mut()?;
        if let Some((known, accept)) = &asking.answered {
            // The opening has one answer, but for how long an opening came.
            let is_repetition = known.message == answer.message;
            return is_repetition.then_some(Accept { path_bytes: answer.path_bytes, ..*accept });
        }
        let (session, payload) = asking.initiator.finish(&answer.message).ok()?;
        let accept = answer.accept(&payload);
        asking.answered = Some((*answer, accept));
        self.session = Some((session, now));
        Some(accept)
    }

    /// The epoch ends, and its keys with it.
    pub(super) fn end_epoch(&mut self, epoch: u32) {
        self.asking = None;
        if let Some((session, _)) = self.session.take() {
            self.before = Some((epoch, session.answers));
        }
    }

    pub(super) fn slices(&mut self) -> Option<&mut SliceSealer> {
        self.session.as_mut().map(|(session, _)| &mut session.slices)
    }

    /// Opens an answer where it lies.
    fn open_answer(&mut self, prelude: Prelude, epoch: u32, bytes: &mut [u8]) -> Result<(), WireError> {
        let fields = fields_len(prelude.kind, bytes).ok_or(WireError::Value("length"))?;
        let opener = match (&mut self.session, &mut self.before) {
            (Some((session, _)), _) if prelude.epoch == epoch => &mut session.answers,
            (_, Some((before, answers))) if prelude.kind == Kind::Closed && prelude.epoch == *before => answers,
            _ => return Err(WireError::Value("epoch")),
        };
        opener.open(bytes, fields).map_err(|_| WireError::Value("seal"))
    }
}

impl Subscriber {
    /// Has nothing of the stream be sent or believed that is not sealed under keys which come of this one, from the next epoch on, which
    /// begins at once. The receiver must have the key, too.
    pub fn protect(&mut self, key: Key, now: Time) {
        if self.protected.as_ref().is_some_and(|protected| protected.key == key) {
            return;
        }
        let has_asked = self.state != SendState::Opening { attempts: 0 };
        if matches!(self.state, SendState::Closed(_)) {
            return;
        }
        let before = self.protected.take().and_then(|mut protected| {
            protected.end_epoch(self.config.epoch);
            protected.before
        });
        self.config.has_tags = true;
        self.protected = Some(Protected { before, ..Protected::new(key) });
        if has_asked {
            self.restart(now);
        }
        self.cut_anew();
    }

    /// Whether what is sent is sealed.
    pub fn is_protected(&self) -> bool {
        self.protected.is_some()
    }

    /// How slices are sealed; `None` where they are not, or the stream is not open.
    pub fn suite(&self) -> Option<Suite> {
        let (session, _) = self.protected.as_ref()?.session.as_ref()?;
        Some(session.slices.suite())
    }

    /// Writes the opening, sealed where the stream is protected; returns how long it is. `None` where that cannot be at present.
    pub(super) fn put_sealed_opening(&mut self, open: &Open, out: &mut [u8]) -> Option<usize> {
        match &mut self.protected {
            None => Some(self.put_opening(out, &open.emit())),
            Some(protected) => {
                let datagram = protected.opening(open)?;
                Some(self.put_opening(out, &datagram.emit()))
            }
        }
    }

    /// Bytes of a datagram of so many bytes of fields.
    pub(super) fn sealed_len(&self, fields: usize) -> usize {
        if self.is_protected() { fields + SEAL_LEN } else { fields }
    }

    /// Seals a datagram of fields, `fields` bytes of them and what is behind them up to `len`; returns how long it is.
    pub(super) fn seal_control(&mut self, out: &mut [u8], fields: usize, len: usize) -> Option<usize> {
        let Some(protected) = &mut self.protected else { return Some(len) };
        let (session, _) = protected.session.as_mut()?;
        Some(session.controls.seal(out, fields).max(len))
    }

    /// Takes in a datagram of a protected stream's receiver.
    pub(super) fn handle_sealed(&mut self, prelude: Prelude, bytes: &[u8], now: Time) -> Result<(), WireError> {
        if prelude.kind == Kind::Accept {
            return self.handle_sealed_accept(prelude, bytes, now);
        }
        let Some(protected) = &mut self.protected else { return Ok(()) };
        let mut answer = [0; ANSWER_MAX];
        let len = bytes.len().min(ANSWER_MAX);
        let answer = &mut answer[..len];
        answer.copy_from_slice(&bytes[..len]);
        protected.open_answer(prelude, self.config.epoch, answer)?;
        match prelude.kind {
            Kind::Closed => self.handle_closed(&Closed::parse(answer)?, now),
            _ => self.handle_answer(prelude, answer, now)?,
        }
        Ok(())
    }

    fn handle_sealed_accept(&mut self, prelude: Prelude, bytes: &[u8], now: Time) -> Result<(), WireError> {
        self.check_epoch(prelude)?;
        let answer = SealedAccept::parse(bytes)?;
        let is_opening = self.is_opening();
        if let Some(protected) = self.protected.as_mut().filter(|_| is_opening) {
            let accept = protected.accepted(&answer, now).ok_or(WireError::Value("message"))?;
            self.handle_accept(&accept, now);
        }
        Ok(())
    }

    /// When the next epoch is to begin for new keys: when nothing is on its way that would have to be sent again, or soon after in any
    /// case.
    pub(super) fn rekeying_ends(&self) -> Time {
        let session = self.protected.as_ref().and_then(|protected| protected.session.as_ref());
        let patience = if self.outbox.is_empty() { Duration::ZERO } else { REKEY_PATIENCE };
        session.map_or(Time::MAX, |(_, since)| *since + REKEY_AFTER + patience)
    }
}
