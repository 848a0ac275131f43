//! Entries as they travel: signed by the cluster's key, and read no further than they are believed.

use hmac::Mac;
use thiserror::Error;

use super::entry::NodeEntry;
use super::hex::from_hex;
use super::key::ClusterKey;
use crate::auth::to_hex;

/// Most bytes of an entry, signature and all: 256 KiB.
pub const ENTRY_BYTES_MAX: usize = 256 << 10;
/// What every entry begins with, and what is signed before its JSON.
const MAGIC: &[u8] = b"framewire-node-1";
/// Digits of a signature.
const MAC_DIGITS: usize = 64;
/// Bytes before the JSON: the magic, a space, the signature, a newline. Two entries that begin with the same of them are the same.
#[cfg(feature = "cluster")]
pub(super) const HEAD_BYTES: usize = MAGIC.len() + 1 + MAC_DIGITS + 1;

/// Bytes that are no entry of this cluster's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// More than is read.
    #[error("an entry of {bytes} bytes; at most {ENTRY_BYTES_MAX} are read")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Something else, or of another version.
    #[error(
        "no entry of a node: it does not begin with framewire-node-1 and a signature; have nothing else write under the cluster's prefix"
    )]
    Unreadable,
    /// The signature is not that of this cluster's key.
    #[error(
        "an entry that is not signed by this cluster's key; give all its servers the same key file, and each cluster a prefix of its own"
    )]
    Forged,
    /// It is signed, and cannot be.
    #[error("an entry that is signed and has {problem}; is a server of it of another version?")]
    OutOfBounds {
        /// What it has.
        problem: String,
    },
}

/// The bytes of an entry.
///
/// # Errors
/// It has more than [`ENTRY_BYTES_MAX`].
pub(super) fn seal(key: &ClusterKey, entry: &NodeEntry) -> Result<Vec<u8>, EntryError> {
    let json = serde_json::to_vec(entry).expect("an entry has nothing that JSON cannot say");
    let mac = key.mac(&[MAGIC, b"\n", &json]).finalize().into_bytes();
    let bytes = [MAGIC, b" ", to_hex(&mac).as_bytes(), b"\n", &json].concat();
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(EntryError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The entry of these bytes, if a node of this cluster has signed it. Nothing is read of it before that is known.
///
/// # Errors
/// Why it is none.
pub(super) fn open(key: &ClusterKey, bytes: &[u8]) -> Result<NodeEntry, EntryError> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(EntryError::TooLarge { bytes: bytes.len() });
    }
    let (mac, json) = split(bytes).ok_or(EntryError::Unreadable)?;
    key.mac(&[MAGIC, b"\n", json]).verify_slice(&mac).map_err(|_| EntryError::Forged)?;
    let entry: NodeEntry =
        serde_json::from_slice(json).map_err(|error| EntryError::OutOfBounds { problem: error.to_string() })?;
    entry.check().map_err(|problem| EntryError::OutOfBounds { problem })?;
    Ok(entry)
}

fn split(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (digits, json) = bytes.strip_prefix(MAGIC)?.strip_prefix(b" ")?.split_at_checked(MAC_DIGITS)?;
    Some((from_hex(digits)?, json.strip_prefix(b"\n")?))
}
