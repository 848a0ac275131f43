//! Messages that are put together here, once, byte for byte as they are sent.

use std::convert::Infallible;

use rustdds::RepresentationIdentifier;
use rustdds::bytes::Bytes;
use rustdds::no_key::{DataWriter, SerializerAdapter};

/// A writer of such messages.
pub(crate) type Writer = DataWriter<Bytes, Serialized>;

/// Hands the middleware what is serialized already: little-endian CDR, without the four bytes that say so.
pub(crate) struct Serialized;

impl SerializerAdapter<Bytes> for Serialized {
    type Error = Infallible;

    fn output_encoding() -> RepresentationIdentifier {
        RepresentationIdentifier::CDR_LE
    }

    fn to_bytes(message: &Bytes) -> Result<Bytes, Infallible> {
        // The same bytes, counted once more.
        Ok(message.clone())
    }
}
