//! Who has a stream's key: what an opening must be made under, and whether it is.

use std::sync::Arc;

use super::{Asked, Opening, Refusal};
use crate::crypto::{Key, KeyId};
use crate::receive::SealedOpening;
use crate::wire::{AnyOpen, Open, RefuseReason, SealedOpen};

/// What the openings of a stream are held against.
#[derive(Debug, Clone)]
pub(in crate::driver) enum Keys<'a> {
    /// One key, of which the stream was announced.
    One(&'a Key),
    /// Any of these, in pairs with their ids; none where the stream is plain.
    Any(&'a [(KeyId, Key)]),
}

impl Keys<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Any([]))
    }

    /// The one with this id.
    fn find(&self, id: KeyId) -> Option<Key> {
        match self {
            Self::One(key) => Some(*key).filter(|key| key.id() == id).cloned(),
            Self::Any(keys) => keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key.clone()),
        }
    }
}

/// What is left to do with an opening, once it is known what it must be made under.
#[derive(Debug)]
pub(in crate::driver) enum Proof {
    /// It is plain, and may be.
    Plain(Open),
    /// It is to be read under this key, which takes as long as 30 µs.
    Sealed(Key),
}

/// What proves an opening. `takes_plain` says whether one without a key may open the stream.
///
/// # Errors
/// The sender has no key where there must be one, or has one that is unknown here.
pub(in crate::driver) fn proof(asked: &Asked, keys: Keys<'_>, takes_plain: bool) -> Result<Proof, Refusal> {
    match &asked.open {
        AnyOpen::Plain(open) if keys.is_empty() && takes_plain => Ok(Proof::Plain(*open)),
        AnyOpen::Plain(_) => Err((RefuseReason::NeedsKey, 0)),
        AnyOpen::Sealed(_) if keys.is_empty() => Err((RefuseReason::NoKeys, 0)),
        AnyOpen::Sealed(datagram) => {
            keys.find(KeyId::from_bytes(datagram.key_id)).map(Proof::Sealed).ok_or((RefuseReason::WrongKey, 0))
        }
    }
}

/// Reads an opening under its key.
///
/// # Errors
/// It was not made under this key, or offers no cipher that is here.
pub(in crate::driver) fn read(asked: &Asked, key: &Key, datagram: &SealedOpen) -> Result<Opening, Refusal> {
    let Asked { open_bytes, peer, local, .. } = *asked;
    let (sealed, open) = SealedOpening::read(key, datagram).map_err(|_| (RefuseReason::WrongKey, 0))?;
    sealed.suite().ok_or((RefuseReason::NoSuite, 0))?;
    Ok(Opening { open, sealed: Some(Arc::new(sealed)), open_bytes, peer, local })
}
