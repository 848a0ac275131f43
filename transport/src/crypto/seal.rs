//! Datagrams as they leave.

use super::schedule::{Purpose, SealKey, Secret, generation_shift};
use super::suite::Suite;
use crate::wire::{Flags, SLICE_HEADER_LEN, TAG_LEN};

/// Bytes that a sealed datagram other than a slice has behind its fields: its counter, and its tag.
pub const SEAL_LEN: usize = 8 + TAG_LEN;
/// The first bytes of every datagram are not encrypted, but covered by its tag: its prelude, its flags, and the 16 bits behind them.
pub(super) const CLEAR_LEN: usize = 16;
const FLAGS: std::ops::Range<usize> = 12..14;

/// Seals the slices and parity of one epoch.
pub struct SliceSealer {
    secret: Secret,
    suite: Suite,
    shift: u32,
    generation: u64,
    key: SealKey,
    /// Sequences below it have been sealed, or never will be.
    next: u64,
}

impl SliceSealer {
    pub(super) fn new(secret: Secret, suite: Suite) -> Self {
        let key = SealKey::new(&secret, suite, Purpose::Slices, 0);
        Self { secret, suite, shift: generation_shift(), generation: 0, key, next: 0 }
    }

    /// For tests: with another key each 2^`shift` slices. To be called before the first one, at both ends alike.
    #[must_use]
    pub fn with_generation_shift(self, shift: u32) -> Self {
        Self { shift, ..self }
    }

    /// What it seals with.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Seals `payload`, which stays as it is, into `sealed`, which is as long, in one pass. `fields` are the head as it is sent, with
    /// [`Flags::TAGGED`], and `tag` is what follows them; `sequence` is the one in them.
    ///
    /// Sequences only rise, and none is sealed twice: what is sent again by the system is what was sealed, and a repair has a sequence of
    /// its own. One that does not rise, or a `sealed` of another length, is a mistake that a debug build stops at; else zeroes leave in its
    /// place, which the far end drops, for two texts under one nonce would give both away.
    #[inline]
    pub fn seal(
        &mut self,
        sequence: u64,
        fields: &[u8; SLICE_HEADER_LEN],
        payload: &[u8],
        sealed: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) {
        debug_assert!(sequence >= self.next, "{sequence} is sealed after {}", self.next);
        self.seal_rising(sequence, fields, payload, sealed, tag);
    }

    /// What every build does: seals what rises, and makes zeroes of anything else.
    #[inline]
    pub(super) fn seal_rising(
        &mut self,
        sequence: u64,
        fields: &[u8; SLICE_HEADER_LEN],
        payload: &[u8],
        sealed: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) {
        if sequence < self.next || sequence == u64::MAX {
            sealed.fill(0);
            tag.fill(0);
            return;
        }
        self.next = sequence + 1;
        let generation = sequence >> self.shift;
        if generation != self.generation {
            self.key = SealKey::new(&self.secret, self.suite, Purpose::Slices, generation);
            self.generation = generation;
        }
        self.key.seal_into(sequence, fields, payload, sealed, tag);
    }
}

/// Seals all other datagrams of one epoch and direction, each under a counter of its own.
pub struct ControlSealer {
    key: SealKey,
    counter: u64,
}

impl ControlSealer {
    pub(super) fn new(secret: &Secret, suite: Suite, purpose: Purpose) -> Self {
        Self { key: SealKey::new(secret, suite, purpose, 0), counter: 0 }
    }

    /// Seals the first `fields` bytes of a datagram in place, all that is not padding, and writes counter and tag behind them; says how long
    /// that is: `fields` + [`SEAL_LEN`].
    ///
    /// # Panics
    /// The buffer has no room for it, or `fields` are fewer than 16.
    pub fn seal(&mut self, datagram: &mut [u8], fields: usize) -> usize {
        let (head, rest) = datagram.split_at_mut(CLEAR_LEN);
        let (body, rest) = rest.split_at_mut(fields - CLEAR_LEN);
        set_flags(head, flags_of(head) | Flags::TAGGED);
        let counter = self.counter.to_be_bytes();
        self.counter += 1;
        let tag = self.key.seal(self.counter - 1, &aad(head, counter), body);
        rest[..8].copy_from_slice(&counter);
        rest[8..SEAL_LEN].copy_from_slice(&tag);
        fields + SEAL_LEN
    }
}

pub(super) fn flags_of(head: &[u8]) -> u16 {
    u16::from_be_bytes([head[12], head[13]])
}

pub(super) fn set_flags(head: &mut [u8], flags: u16) {
    head[FLAGS].copy_from_slice(&flags.to_be_bytes());
}

/// What a control's tag covers beside what is encrypted.
pub(super) fn aad(head: &[u8], counter: [u8; 8]) -> [u8; CLEAR_LEN + 8] {
    let mut aad = [0; CLEAR_LEN + 8];
    aad[..CLEAR_LEN].copy_from_slice(&head[..CLEAR_LEN]);
    aad[CLEAR_LEN..].copy_from_slice(&counter);
    aad
}
