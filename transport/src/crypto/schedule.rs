//! The keys of an epoch, which all follow from what its handshake agreed on: HKDF-Expand with SHA-256.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Suite;
use super::recorder::Recording;
use crate::wire::TAG_LEN;

/// What a direction's keys follow from: one of the two halves of a handshake's outcome.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// A slice's generation is its sequence without so many bits: a key seals 2^22 slices of one, a half of what QUIC (RFC 9001, B.1) allows for
/// packets of 64 KiB, and by far less than it does for those of 1,500 bytes.
pub const GENERATION_SHIFT: u32 = 22;

/// What it is in this process.
static SHIFT: AtomicU32 = AtomicU32::new(GENERATION_SHIFT);

/// For tests alone: sessions that begin from now on have another key each 2^`shift` slices, at both ends. Builds without debug assertions know
/// nothing of it.
pub fn shorten_generations(shift: u32) {
    SHIFT.store(shift, Ordering::Relaxed);
}

pub(super) fn generation_shift() -> u32 {
    if cfg!(debug_assertions) { SHIFT.load(Ordering::Relaxed) } else { GENERATION_SHIFT }
}

/// What keys are for: no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Slices and parity, from the sender.
    Slices,
    /// All else that a sender says once its stream is open.
    Control,
    /// All that a receiver says.
    Answers,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Slices => b"framewire slices",
            Self::Control => b"framewire control",
            Self::Answers => b"framewire answers",
        }
    }
}

/// A key, and what its nonces are made from.
pub(super) struct SealKey {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// Names the key in a [`Recording`]; 0 where there are none.
    name: u64,
}

/// What a key has to be, and its IV behind it.
struct KeyAndIv(usize);

impl KeyType for KeyAndIv {
    fn len(&self) -> usize {
        self.0
    }
}

/// Of the longest key, with its IV.
const OKM_MAX: usize = 32 + NONCE_LEN;

impl SealKey {
    pub(super) fn new(secret: &Secret, suite: Suite, purpose: Purpose, generation: u64) -> Self {
        let key_len = suite.algorithm().key_len();
        let mut okm = Zeroizing::new([0; OKM_MAX]);
        let okm = &mut okm[..key_len + NONCE_LEN];
        let info = [purpose.label(), &[suite as u8], &generation.to_be_bytes()];
        let prk = Prk::new_less_safe(HKDF_SHA256, &**secret);
        prk.expand(&info, KeyAndIv(okm.len()))
            .and_then(|out| out.fill(okm))
            .expect("44 bytes are less than 255 hashes");
        let (key, iv) = okm.split_at(key_len);
        Self {
            key: LessSafeKey::new(UnboundKey::new(suite.algorithm(), key).expect("as long as its algorithm's")),
            iv: iv.try_into().expect("all but the key"),
            name: if Recording::IS_LIVE { name_of(okm) } else { 0 },
        }
    }

    /// Seals `plain` into `sealed`, which is as long, under `number`: one that this key has never sealed anything under before.
    #[inline]
    pub(super) fn seal_into(&self, number: u64, aad: &[u8], plain: &[u8], sealed: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        let nonce = self.record(number);
        let done = self.key.seal_out_of_place_scatter(nonce, Aad::from(aad), plain, sealed, &[], tag);
        if done.is_err() {
            // Of another length, which is a mistake of this program's: what leaves is refused at the far end, and gives nothing away.
            debug_assert!(false, "{} bytes sealed into {}", plain.len(), sealed.len());
            sealed.fill(0);
            tag.fill(0);
        }
    }

    /// The same in place.
    pub(super) fn seal(&self, number: u64, aad: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = self.record(number);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad), bytes).expect("shorter than a datagram");
        tag.as_ref().try_into().expect("both suites have tags of 16 bytes")
    }

    /// Opens in place. Where the tag is not that of these bytes, they are zeroes afterwards.
    #[inline]
    pub(super) fn open(&self, number: u64, aad: &[u8], tag: &[u8; TAG_LEN], bytes: &mut [u8]) -> bool {
        self.key.open_in_place_separate_tag(self.nonce(number), Aad::from(aad), tag, bytes).is_ok()
    }

    #[inline]
    fn record(&self, number: u64) -> Nonce {
        let nonce = self.nonce(number);
        if Recording::IS_LIVE {
            Recording::seals(self.name, nonce.as_ref());
        }
        nonce
    }

    #[inline]
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

fn name_of(okm: &[u8]) -> u64 {
    let hash = Sha256::digest(okm);
    u64::from_be_bytes(hash[..8].try_into().expect("of 32 bytes"))
}

#[cfg(test)]
pub(super) fn okm_for_tests(secret: [u8; 32], suite: Suite, purpose: Purpose, generation: u64) -> Vec<u8> {
    let info = [purpose.label(), &[suite as u8], &generation.to_be_bytes()];
    let mut okm = vec![0; suite.algorithm().key_len() + NONCE_LEN];
    let len = KeyAndIv(okm.len());
    Prk::new_less_safe(HKDF_SHA256, &secret).expand(&info, len).unwrap().fill(&mut okm).unwrap();
    okm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC by its definition (RFC 2104), so that nothing of what is tested is in what it is tested against.
    fn hmac(key: &[u8], text: &[&[u8]]) -> [u8; 32] {
        let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect() };
        let hash = |parts: &[&[u8]]| -> [u8; 32] {
            parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
        };
        let mut inner = vec![pad(0x36)];
        inner.extend(text.iter().map(|part| part.to_vec()));
        hash(&[&pad(0x5c), &hash(&inner.iter().map(Vec::as_slice).collect::<Vec<_>>())])
    }

    #[test]
    fn keys_are_what_hkdf_expand_says_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for suite in [Suite::Aes128Gcm, Suite::ChaCha20Poly1305] {
            for purpose in [Purpose::Slices, Purpose::Control, Purpose::Answers] {
                for generation in [0, 1, u64::MAX] {
                    let info = [purpose.label(), &[suite as u8], &generation.to_be_bytes()[..]].concat();
                    let first = hmac(&[9; 32], &[&info, &[1]]);
                    let second = hmac(&[9; 32], &[&first, &info, &[2]]);
                    let okm = okm_for_tests([9; 32], suite, purpose, generation);
                    assert_eq!(okm, [first, second].concat()[..okm.len()]);
                    assert!(seen.insert(okm));
                }
            }
        }
    }
}
