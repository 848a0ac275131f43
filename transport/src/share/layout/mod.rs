//! What lies in memory that two processes share: words and records, each an atomic of a fixed place and size. Nothing else in the crate
//! touches such memory but the pixels of frames.
//!
//! Whatever is read here was written by somebody who may be hostile, or half gone: a word is read once, and checked by what the reader of it
//! knows himself, before anything follows from it.

mod control;
mod inlet;
mod line;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use control::{Control, OFFERS_MAX, Offer, ROOM, SLOT};
pub(crate) use inlet::{Inlet, InletCounts};
pub(crate) use line::Line;
pub(crate) use record::Record;

use super::sync;
