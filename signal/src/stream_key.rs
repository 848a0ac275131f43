//! The key of a stream as it stands in `opened`: 43 characters of base64url.

use framewire_transport::crypto::Key;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<S: Serializer>(key: &Option<Key>, out: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => out.serialize_some(&key.to_text()),
        None => out.serialize_none(),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Key>, D::Error> {
    // What is no key is not repeated: it may be most of one.
    Option::<String>::deserialize(from)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}
