//! The key of a stream, out of a file that nobody else may read.

use std::path::Path;

use framewire_ends::{Class, Error};
use framewire_signal::read_secret_file;
use framewire_transport::Key;

/// A key's text is shorter.
const BYTES_MAX: u64 = 4096;

/// Reads a key.
///
/// # Errors
/// The file cannot be read, is open to others, or has no key in it. Nothing of it is repeated.
pub(crate) fn read(path: &str) -> Result<Key, Error> {
    let bytes = read_secret_file(Path::new(path), "key", BYTES_MAX)
        .map_err(|error| Error::new(Class::Argument, "secret-unreadable", error.to_string()))?;
    // What is no text is no key, and its length says so.
    Ok(String::from_utf8(bytes).unwrap_or_default().trim().parse()?)
}
