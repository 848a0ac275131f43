//! No number seals two texts: what was sealed under one is, each time that it travels, the same to the byte.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use framewire_transport::crypto::SEAL_LEN;
use framewire_transport::wire::{Flags, Kind, Prelude, SealedAccept, SliceHeader, fields_len};

use super::way::Towards;

/// What has been sealed so far. Keys are told apart by the handshake that they come of, which this sees travel as anybody does.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    /// For each epoch, the answer that its keys come of.
    handshakes: HashMap<u32, u64>,
    texts: HashMap<Nonce, u64>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nonce {
    handshake: u64,
    towards: Towards,
    is_slice: bool,
    number: u64,
}

impl Nonces {
    /// Takes in a datagram as its end sends it.
    pub(super) fn see(&mut self, towards: Towards, bytes: &[u8]) {
        let Ok(Prelude { kind, epoch, .. }) = Prelude::parse(bytes) else { return };
        if u16::from_be_bytes([bytes[12], bytes[13]]) & Flags::TAGGED == 0 {
            return;
        }
        let (is_slice, number, text) = match kind {
            Kind::Open => return,
            Kind::Accept => {
                let answer = SealedAccept::parse(bytes).expect("a receiver sends what is one");
                self.handshakes.insert(epoch, hash(&answer.message[..]));
                return;
            }
            Kind::Slice | Kind::Parity => {
                let sequence = bytes[16..24].try_into().expect("eight bytes");
                (true, u64::from_be_bytes(sequence), bytes)
            }
            _ => {
                let fields = fields_len(kind, bytes).expect("an end sends whole datagrams");
                let counter = bytes[fields..fields + 8].try_into().expect("eight bytes");
                (false, u64::from_be_bytes(counter), &bytes[..fields + SEAL_LEN])
            }
        };
        let handshake = self.handshakes.get(&epoch).copied().unwrap_or_default();
        let nonce = Nonce { handshake, towards, is_slice, number };
        let text = hash(text);
        let known = *self.texts.entry(nonce).or_insert(text);
        assert_eq!(known, text, "{kind:?} {number} of epoch {epoch} was sealed twice");
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

const _: () = assert!(SliceHeader::LEN >= 24);
