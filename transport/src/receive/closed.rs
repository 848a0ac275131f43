//! Streams that were closed: their senders may not have heard it, and must not open them again by asking.

use std::collections::VecDeque;

use crate::wire::{Closed, EPOCHS_AHEAD_MAX};

/// Streams that are remembered; of more, the one closed longest ago is forgotten.
const REMEMBERED: usize = 256;

/// The last word on streams that were closed, for as long as their senders may ask.
#[derive(Debug, Default)]
pub struct ClosedStreams {
    last_words: VecDeque<Closed>,
}

impl ClosedStreams {
    /// Notes what was, or would have been, said to the sender of a stream that is closed now.
    pub fn note(&mut self, last_word: Closed) {
        self.forget(last_word.stream);
        if self.last_words.len() == REMEMBERED {
            self.last_words.pop_front();
        }
        self.last_words.push_back(last_word);
    }

    /// The stream is open again, by a program that began anew.
    pub fn forget(&mut self, stream: u32) {
        self.last_words.retain(|known| known.stream != stream);
    }

    /// The answer to a Close that is repeated, or to an Open of a stream that was closed: the run is the one that was closed, or
    /// one that its sender began when it heard nothing. `None` for any other: a program that begins anew has an epoch of its own.
    pub fn answer(&self, stream: u32, epoch: u32) -> Option<Closed> {
        let known = self.last_words.iter().find(|known| known.stream == stream)?;
        let is_later = epoch.wrapping_sub(known.epoch) <= EPOCHS_AHEAD_MAX;
        is_later.then_some(Closed { epoch, ..*known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(stream: u32) -> Closed {
        Closed { stream, epoch: u32::MAX, flags: 0, reserved: 0, delivered: 3, incomplete: 2, no_slot: 1 }
    }

    #[test]
    fn the_run_that_was_closed_and_those_after_it_hear_what_became_of_it_and_no_other() {
        let mut streams = ClosedStreams::default();
        streams.note(closed(7));
        for epoch in [u32::MAX, 0, EPOCHS_AHEAD_MAX - 1] {
            assert_eq!(streams.answer(7, epoch), Some(Closed { epoch, ..closed(7) }));
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
