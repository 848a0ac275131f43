//! Datagrams as they come: cheap checks, then the tag, and only then is anything remembered of them.

use thiserror::Error;

use super::replay::{ControlWindow, SliceWindow};
use super::schedule::{Purpose, SealKey, Secret, generation_shift};
use super::seal::{CLEAR_LEN, SEAL_LEN, aad, flags_of, set_flags};
use super::suite::Suite;
use crate::wire::{Flags, SLICE_HEADER_LEN, TAG_LEN};

/// Why a datagram is not believed. Whoever counts them counts each apart: replays come from networks that double, bad tags from somebody
/// who meddles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Forged {
    /// One with this number came before, or so long ago that it is not known whether it did.
    #[error("it came before, or is too old to tell")]
    Replay,
    /// Not sealed with the key of this epoch, or changed since.
    #[error("its tag is not that of its bytes under this epoch's key")]
    Tag,
}

/// Opens the slices and parity of one epoch.
pub struct SliceOpener {
    secret: Secret,
    suite: Suite,
    shift: u32,
    seen: Box<SliceWindow>,
    /// That of the newest slice.
    generation: u64,
    /// Keys of the generation before, of this one, and of the next: all are there before a slice of theirs comes, so that none derives any.
    before: Option<SealKey>,
    key: SealKey,
    next: SealKey,
}

impl SliceOpener {
    pub(super) fn new(secret: Secret, suite: Suite) -> Self {
        let key = |generation| SealKey::new(&secret, suite, Purpose::Slices, generation);
        let (first, next) = (key(0), key(1));
        Self {
            suite,
            shift: generation_shift(),
            seen: Box::new(SliceWindow::new()),
            generation: 0,
            before: None,
            key: first,
            next,
            secret,
        }
    }

    /// For tests: with another key each 2^`shift` slices. To be called before the first one, at both ends alike.
    #[must_use]
    pub fn with_generation_shift(self, shift: u32) -> Self {
        Self { shift, ..self }
    }

    /// What it opens with.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Opens `payload` in place, as it came behind `fields` and `tag`; `sequence` is the one in the fields. Only one that is genuine is
    /// remembered, and no other changes anything but `payload`, which is zeroes where the tag is wrong.
    ///
    /// # Errors
    /// It came before, or its tag is wrong.
    #[inline]
    pub fn open(
        &mut self,
        sequence: u64,
        fields: &[u8; SLICE_HEADER_LEN],
        tag: &[u8; TAG_LEN],
        payload: &mut [u8],
    ) -> Result<(), Forged> {
        if !self.seen.is_new(sequence) {
            return Err(Forged::Replay);
        }
        let generation = sequence >> self.shift;
        let key = if generation == self.generation {
            &self.key
        } else if generation == self.generation + 1 {
            &self.next
        } else if generation > self.generation {
            // Nothing that is genuine jumps over a whole generation without a Ping that tells of it.
            return Err(Forged::Tag);
        } else {
            self.before.as_ref().filter(|_| generation + 1 == self.generation).ok_or(Forged::Replay)?
        };
        if !key.open(sequence, fields, tag, payload) {
            return Err(Forged::Tag);
        }
        self.seen.mark(sequence);
        if generation > self.generation {
            self.advance();
        }
        Ok(())
    }

    /// Every slice below `sequence` has been sent, as a Ping says that was opened: a stream of which so many slices were lost that no key is
    /// ready for what comes next goes on.
    pub fn is_sent_to(&mut self, sequence: u64) {
        let generation = sequence.saturating_sub(1) >> self.shift;
        if generation > self.generation + 1 {
            let key = |generation| SealKey::new(&self.secret, self.suite, Purpose::Slices, generation);
            self.before = Some(key(generation - 1));
            (self.key, self.next) = (key(generation), key(generation.saturating_add(1)));
            self.generation = generation;
        } else if generation > self.generation {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.generation += 1;
        let after = SealKey::new(&self.secret, self.suite, Purpose::Slices, self.generation.saturating_add(1));
        let now = std::mem::replace(&mut self.next, after);
        self.before = Some(std::mem::replace(&mut self.key, now));
    }
}

/// Opens all other datagrams of one epoch and direction.
pub struct ControlOpener {
    key: SealKey,
    seen: ControlWindow,
}

impl ControlOpener {
    pub(super) fn new(secret: &Secret, suite: Suite, purpose: Purpose) -> Self {
        Self { key: SealKey::new(secret, suite, purpose, 0), seen: ControlWindow::new() }
    }

    /// Opens a datagram in place whose fields, [`crate::wire::fields_len`], are its first `fields` bytes, and takes [`Flags::TAGGED`] away, so that
    /// whoever reads plain datagrams reads it. What is behind fields, counter and tag is not looked at: padding, of a Ping.
    ///
    /// Where the tag is wrong, the fields behind the first 16 bytes are zeroes.
    ///
    /// # Errors
    /// It came before, its tag is wrong, or it has none.
    pub fn open(&mut self, datagram: &mut [u8], fields: usize) -> Result<(), Forged> {
        let (head, rest) = datagram.split_at_mut_checked(CLEAR_LEN).ok_or(Forged::Tag)?;
        let body_len = fields.checked_sub(CLEAR_LEN).ok_or(Forged::Tag)?;
        let (body, rest) = rest.split_at_mut_checked(body_len).ok_or(Forged::Tag)?;
        let (counter, rest) = rest.split_first_chunk::<8>().ok_or(Forged::Tag)?;
        let tag = rest.first_chunk::<TAG_LEN>().ok_or(Forged::Tag)?;
        const { assert!(SEAL_LEN == 8 + TAG_LEN) };
        if flags_of(head) & Flags::TAGGED == 0 {
            return Err(Forged::Tag);
        }
        let number = u64::from_be_bytes(*counter);
        if !self.seen.is_new(number) {
            return Err(Forged::Replay);
        }
        if !self.key.open(number, &aad(head, *counter), tag, body) {
            return Err(Forged::Tag);
        }
        self.seen.mark(number);
        set_flags(head, flags_of(head) & !Flags::TAGGED);
        Ok(())
    }
}
