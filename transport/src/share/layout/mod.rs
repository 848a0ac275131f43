//! What lies in memory that two processes share: words and records, each an atomic of a fixed place and size. Nothing else in the crate
//! touches such memory but the pixels of frames.
//!
//! Whatever is read here was written by somebody who may be hostile, or half gone: a word is read once, and checked by what the reader of it
//! knows himself, before anything follows from it.

mod control;
mod inlet;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use control::{Control, OFFERS_MAX, Offer};
pub(crate) use inlet::{Inlet, InletCounts};
pub(crate) use record::Record;

/// A line of the cache of its own, so that what one end writes all the time does not slow down who reads its neighbour.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Line<T>(pub(crate) T);

impl<T> std::ops::Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
