//! Streams that were closed: their senders may not have heard it, and must not open them again by asking.

use std::collections::VecDeque;

use crate::crypto::SEAL_LEN;
use crate::wire::{Closed, EPOCHS_AHEAD_MAX};

/// Streams that are remembered; of more, the one closed longest ago is forgotten.
const REMEMBERED: usize = 256;

/// What is said to the sender of a closed stream, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWord {
    closed: Closed,
    /// The datagram under the keys of the run that was closed, where that was protected: there are no others' to seal it with.
    sealed: Option<[u8; SEALED_LEN]>,
}

const SEALED_LEN: usize = Closed::LEN + SEAL_LEN;

impl LastWord {
    pub(super) fn new(closed: &Closed) -> Self {
        Self { closed: *closed, sealed: None }
    }

    /// Of a protected stream: `seal` seals the fields in front, and returns how long that is.
    pub(super) fn sealed(closed: &Closed, seal: impl FnOnce(&mut [u8]) -> usize) -> Self {
        let mut datagram = [0; SEALED_LEN];
        datagram[..Closed::LEN].copy_from_slice(&closed.emit());
        let len = seal(&mut datagram);
        debug_assert_eq!(len, SEALED_LEN);
        Self { closed: *closed, sealed: Some(datagram) }
    }

    /// The stream that was closed.
    pub fn stream(&self) -> u32 {
        self.closed.stream
    }

    /// Writes the datagram; returns its length.
    pub fn emit(&self, out: &mut [u8; LAST_WORD_MAX]) -> usize {
        match &self.sealed {
            Some(datagram) => out[..SEALED_LEN].copy_from_slice(datagram),
            None => out[..Closed::LEN].copy_from_slice(&self.closed.emit()),
        }
        if self.sealed.is_some() { SEALED_LEN } else { Closed::LEN }
    }
}

/// Room for any last word.
pub const LAST_WORD_MAX: usize = SEALED_LEN;

/// The last word on streams that were closed, for as long as their senders may ask.
#[derive(Debug, Default)]
pub struct ClosedStreams {
    last_words: VecDeque<LastWord>,
}

impl ClosedStreams {
    /// Notes what was, or would have been, said to the sender of a stream that is closed now.
    pub fn note(&mut self, last_word: LastWord) {
        self.forget(last_word.stream());
        if self.last_words.len() == REMEMBERED {
            self.last_words.pop_front();
        }
        self.last_words.push_back(last_word);
    }

    /// The stream is open again, by a program that began anew.
    pub fn forget(&mut self, stream: u32) {
        self.last_words.retain(|known| known.stream() != stream);
    }

    /// The answer to a Close that is repeated, or to an Open of a stream that was closed: the run is the one that was closed, or
    /// one that its sender began when it heard nothing. A sealed one is of the run that was closed. `None` for any other: a program that
    /// begins anew has an epoch of its own.
    pub fn answer(&self, stream: u32, epoch: u32) -> Option<LastWord> {
        let known = self.last_words.iter().find(|known| known.stream() == stream)?;
        let is_later = epoch.wrapping_sub(known.closed.epoch) <= EPOCHS_AHEAD_MAX;
        is_later.then_some(LastWord { closed: Closed { epoch, ..known.closed }, ..*known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(stream: u32) -> LastWord {
        closed_in(stream, u32::MAX)
    }

    fn closed_in(stream: u32, epoch: u32) -> LastWord {
        LastWord::new(&Closed { stream, epoch, flags: 0, reserved: 0, delivered: 3, incomplete: 2, no_slot: 1 })
    }

    #[test]
    fn the_run_that_was_closed_and_those_after_it_hear_what_became_of_it_and_no_other() {
        let mut streams = ClosedStreams::default();
        streams.note(closed(7));
        for epoch in [u32::MAX, 0, EPOCHS_AHEAD_MAX - 1] {
            assert_eq!(streams.answer(7, epoch), Some(closed_in(7, epoch)));
        }
        for (stream, epoch) in [(7, EPOCHS_AHEAD_MAX), (7, u32::MAX - 1), (8, u32::MAX)] {
            assert_eq!(streams.answer(stream, epoch), None, "{stream}, {epoch}");
        }
        streams.forget(7);
        assert_eq!(streams.answer(7, u32::MAX), None);
    }

    #[test]
    fn as_many_streams_as_are_remembered_cost_no_more_memory() {
        let mut streams = ClosedStreams::default();
        (0..3 * REMEMBERED as u32).for_each(|stream| streams.note(closed(stream)));
        assert_eq!(streams.last_words.len(), REMEMBERED);
        assert_eq!(streams.answer(0, u32::MAX), None);
        assert_eq!(streams.answer(700, u32::MAX), Some(closed(700)));
    }
}
