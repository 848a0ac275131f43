//! The secret that both ends of a stream have, and the name it goes by.

use std::fmt;
use std::io;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

const KEY_LEN: usize = 32;
/// Characters of a key as text.
const TEXT_LEN: usize = 43;

/// The secret of one stream: whoever has it can send the stream and take it, and nobody else can.
///
/// Both ends are given the same one, made by [`Key::random`] and carried from one to the other over something that nobody reads on the way. One key
/// is for one sender and one receiver: do not share it between streams whose senders do not trust each other. Its memory is overwritten
/// when it is dropped, and [`Debug`](fmt::Debug) shows its [id](Key::id) alone.
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// One that nobody else has.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut key = Self([0; KEY_LEN]);
        getrandom::fill(&mut key.0).map_err(|error| io::Error::other(format!("no random key: {error}")))?;
        Ok(key)
    }

    /// These 32 bytes, which must be random: a password is none, whatever is computed from it.
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes: a secret.
    pub const fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// What the key is called where it is not to be told: no secret, and nothing of the key can be computed from it.
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new().chain_update(b"framewire key id").chain_update(self.0).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        KeyId(id)
    }

    /// The key as 43 characters, base64url without padding, which [`FromStr`] reads: as much of a secret as the key. It belongs into a file
    /// that its owner alone may read, and into no argument, environment or log.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Takes as long wherever they differ.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Key {}

/// The id: the key itself is shown nowhere.
impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key({})", self.id())
    }
}

/// Why text is no [`Key`]. What it was is not said: it may be most of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not as long as a key is.
    #[error(
        "a key has 43 characters, this text has {characters}; give the whole of what Key::to_text said, and nothing else"
    )]
    Length {
        /// Characters there are.
        characters: usize,
    },
    /// As long as a key, and none.
    #[error(
        "the text is no base64url of 32 bytes; a key has A-Z, a-z, 0-9, '-' and '_' alone: give what Key::to_text said"
    )]
    Characters,
}

impl FromStr for Key {
    type Err = KeyError;

    /// Reads what [`Key::to_text`] says.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let characters = text.chars().count();
        if characters != TEXT_LEN {
            return Err(KeyError::Length { characters });
        }
        // As much as any text of that length may decode to.
        let mut bytes = Zeroizing::new([0; TEXT_LEN]);
        match URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes) {
            Ok(KEY_LEN) => {
                let mut key = Self([0; KEY_LEN]);
                key.0.copy_from_slice(&bytes[..KEY_LEN]);
                Ok(key)
            }
            _ => Err(KeyError::Characters),
        }
    }
}

/// What a [`Key`] is called on the wire, in logs and to people: the first 8 bytes of the SHA-256 of `framewire key id` and the key. Shown as 16
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as they are on the wire.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_what_it_says_and_shows_its_id_alone() {
        let key = Key::random().unwrap();
        let text = key.to_text();
        assert_eq!((text.len(), text.parse::<Key>().as_ref()), (TEXT_LEN, Ok(&key)));
        assert_ne!(key, Key::random().unwrap());
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("Key({})", key.id()));
        let hex: String = key.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hex.contains(&shown[4..20]) && !shown.contains(&text));
        assert_eq!(Key::from_bytes([7; 32]).id(), Key::from_bytes([7; 32]).id());
        assert_ne!(Key::from_bytes([7; 32]).id(), Key::from_bytes([8; 32]).id());
    }

    #[test]
    fn text_that_is_no_key_is_refused_and_not_quoted() {
        let text = Key::from_bytes([0xff; 32]).to_text();
        for wrong in ["", &text[1..], &format!("{text}_"), &format!("{text}\n")] {
            let error = wrong.parse::<Key>().unwrap_err();
            assert_eq!(error, KeyError::Length { characters: wrong.chars().count() });
            assert!(wrong.is_empty() || !error.to_string().contains(wrong.trim()));
        }
        // Of the last character two bits are none of the key's: with any of them set, two texts would be one key.
        for wrong in
            [format!("{}!", &text[1..]), format!("{}+", &text[1..]), format!("{}9", &text[..42]), "ä".repeat(43)]
        {
            let error = wrong.parse::<Key>().unwrap_err();
            assert_eq!(error, KeyError::Characters, "{wrong}");
            assert!(!error.to_string().contains(&wrong));
        }
    }
}
