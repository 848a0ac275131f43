//! What a program sends while its stream has no way: frames and skipped numbers, in their order, for the next one.

use std::collections::VecDeque;
use std::sync::Arc;

use super::way::Way;
use crate::frame::Frame;
use crate::send::SendStats;

/// What waits for the next way.
#[derive(Default)]
pub(super) struct Between {
    pub(super) waiting: VecDeque<Waiting>,
    /// Behind all that waits.
    pub(super) next_number: u64,
    /// What the frames are being handed to; it takes none of the program's yet.
    pub(super) next: Option<Arc<dyn Way>>,
}

/// One number, or a run of them.
pub(super) enum Waiting {
    Frame(Frame),
    Skipped(u64),
}

impl Waiting {
    fn numbers(&self) -> u64 {
        match self {
            Self::Frame(_) => 1,
            Self::Skipped(count) => *count,
        }
    }
}

impl Between {
    pub(super) fn first_number(&self) -> u64 {
        self.next_number - self.waiting.iter().map(Waiting::numbers).sum::<u64>()
    }

    /// Of what waits, as a way would count it that has it.
    pub(super) fn stats(&self) -> SendStats {
        let mut stats = SendStats::default();
        for waiting in &self.waiting {
            stats.frames += waiting.numbers();
            if let Waiting::Skipped(count) = waiting {
                stats.frames_skipped += count;
            }
        }
        stats
    }

    pub(super) fn skip(&mut self) {
        self.next_number += 1;
        match self.waiting.back_mut() {
            Some(Waiting::Skipped(count)) => *count += 1,
            _ => self.waiting.push_back(Waiting::Skipped(1)),
        }
    }

    /// A newer frame comes: those that wait are skipped, and keep their numbers. They come free where what is returned is dropped.
    pub(super) fn replace(&mut self) -> VecDeque<Waiting> {
        let replaced = std::mem::take(&mut self.waiting);
        let numbers = replaced.iter().map(Waiting::numbers).sum();
        if numbers > 0 {
            self.waiting.push_back(Waiting::Skipped(numbers));
        }
        replaced
    }
}
