//! Whether an opening is by whoever has the stream's key, before anything is kept of it.

use std::sync::Arc;

use super::Listener;
use crate::driver::opening::{Admission, Asked, Keys, Opening, Proof, Refusal, proof, read};
use crate::driver::stream_shared::StreamShared;
use crate::time::Time;
use crate::wire::{AnyOpen, RefuseReason, SealedOpen};

impl Listener {
    /// Opens the stream, or goes on with it, if whoever asks has its key. Until that is known nothing is kept of it. Where the opening
    /// has opened something before that is over, a cookie to make another one with.
    pub(super) fn prove_and_open(&mut self, asked: &Asked, now: Time) -> Result<Option<u64>, Refusal> {
        let datagram = match &asked.open {
            AnyOpen::Plain(_) => None,
            AnyOpen::Sealed(datagram) => match self.seen(asked, datagram, now) {
                Seen::Never => Some(datagram),
                Seen::Open => return Ok(None),
                // Its sender may not have heard what came of it, and would repeat it in vain.
                Seen::Spent => {
                    return Ok(Some(self.cookies.another(datagram.cookie, asked.peer, datagram.stream, now)));
                }
            },
        };
        let opening = match (self.proof_of(asked)?, datagram) {
            (Proof::Plain(open), _) => {
                let Asked { open_bytes, peer, local, .. } = *asked;
                Opening { open, sealed: None, open_bytes, peer, local }
            }
            (Proof::Sealed(key), Some(datagram)) => {
                let address = asked.peer.ip();
                if !self.patience.takes(address, now) {
                    self.shared.lock().stats.unread += 1;
                    return Ok(None);
                }
                read(asked, &key, datagram).inspect_err(|(reason, _)| {
                    if *reason == RefuseReason::WrongKey {
                        self.patience.lose(address, now);
                        self.shared.lock().stats.forged += 1;
                    }
                })?
            }
            (Proof::Sealed(_), None) => return Ok(None),
        };
        self.open_stream(&opening).map(|()| None)
    }

    /// Whether an opening has been read before. One that opened what is open is answered again; one that opened something else opens
    /// nothing, whoever shows it.
    fn seen(&self, asked: &Asked, datagram: &SealedOpen, now: Time) -> Seen {
        let mut state = self.shared.lock();
        let of_it = |stream: &&Arc<StreamShared>| stream.open.stream == datagram.stream && !stream.is_over();
        let known = state.streams.iter().find(of_it).and_then(|stream| Some((stream, stream.newest_as(datagram)?)));
        if let Some((stream, opening)) = known {
            // Its sender has not heard that, or this one was on its way before the stream had its own socket.
            if (opening.peer, opening.local) == (asked.peer, asked.local) {
                stream.continue_from(&Opening { open_bytes: asked.open_bytes, ..opening });
            }
            return Seen::Open;
        }
        if state.waiting.has(datagram) {
            return Seen::Open;
        }
        let ephemeral = datagram.message.first_chunk().expect("a message begins with it, and is longer");
        let is_known = state.ephemerals.is_known(ephemeral, now);
        state.stats.replayed += u64::from(is_known);
        if is_known { Seen::Spent } else { Seen::Never }
    }

    /// What an opening must be made under.
    ///
    /// # Errors
    /// It is not, as can be seen without reading it.
    fn proof_of(&self, asked: &Asked) -> Result<Proof, Refusal> {
        let config = &self.shared.config;
        let state = self.shared.lock();
        let stream = asked.id().stream;
        let announced = state.announced.get(&stream);
        if config.admission == Admission::Announced && announced.is_none() {
            return Err((RefuseReason::Unknown, 0));
        }
        let keys = match announced.and_then(|announced| announced.key.as_ref()) {
            Some(key) => Keys::One(key),
            None => Keys::Any(&self.keys),
        };
        let is_protected =
            state.streams.iter().any(|open| open.open.stream == stream && open.is_protected() && !open.is_over());
        let takes_plain = config.protection.decide(false, self.shared.local) == Ok(false) && !is_protected;
        proof(asked, keys, takes_plain)
    }
}

/// What is known of an opening before it is read.
enum Seen {
    Never,
    /// What it opened is open, or will be.
    Open,
    /// What it opened is over, or is another run by now.
    Spent,
}
