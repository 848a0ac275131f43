//! Keys: the secret that both ends of a protected stream have.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;

use framewire_ends::{Class, Error};
use framewire_transport::{Key, Protection};

use crate::border::{make, null, text};
use crate::result::{fw_error, text_of};

/// Bytes of a key.
pub const FW_KEY_BYTES: usize = 32;

/// Whether frames are encrypted, and both ends prove that they have the key.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_protection {
    /// With a key, also on loopback. Without one frames are plain, and do not leave this machine: off loopback
    /// that is an error. The default.
    FW_PROTECTION_AUTO = 0,
    /// Always: without a key it is an error.
    FW_PROTECTION_ON = 1,
    /// Never: whoever is on the way can read the frames, and send others in their place. For networks that you
    /// trust; with a key it is an error.
    FW_PROTECTION_OFF = 2,
}

/// The secret of a stream: whoever has it can send the stream and take it, and nobody else can. Freed with
/// fw_key_free.
pub struct fw_key {
    key: Key,
    text: CString,
    id: CString,
}

impl fw_key {
    fn new(key: Key) -> Box<Self> {
        Box::new(Self { text: text_of(&key.to_text()), id: text_of(&key.id().to_string()), key })
    }

    pub(crate) fn key(&self) -> Key {
        self.key.clone()
    }
}

/// A key that nobody else has. Freed with fw_key_free.
#[unsafe(no_mangle)]
pub extern "C" fn fw_key_random(err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>) -> Option<Box<fw_key>> {
    make(err, || {
        Key::random().map(fw_key::new).map_err(|error| Error::new(Class::System, "no-random", error.to_string()))
    })
}

/// The key of a text that fw_key_text gave, here or elsewhere: 43 characters, without what a file may have
/// behind them. Freed with fw_key_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_key_from_text(
    key: *const c_char,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_key>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let text = unsafe { secret(key, "key") }?;
        Ok(fw_key::new(text.trim().parse()?))
    })
}

/// The key of FW_KEY_BYTES bytes, which must be random: a password is none, whatever is computed from it. Freed
/// with fw_key_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_key_from_bytes(
    bytes: *const u8,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_key>> {
    make(err, || {
        // SAFETY: NULL or as many bytes, as the header asks for.
        let bytes = unsafe { crate::border::bytes(bytes, FW_KEY_BYTES, "key's bytes") }?;
        let bytes = bytes.try_into().map_err(|_| null("key's bytes"))?;
        Ok(fw_key::new(Key::from_bytes(bytes)))
    })
}

/// The key as 43 characters, as much of a secret as the key: for a file that nobody else may read, and for no
/// argument, environment or log. NULL of NULL. Borrowed from the key.
#[unsafe(no_mangle)]
pub extern "C" fn fw_key_text(key: Option<&fw_key>) -> *const c_char {
    key.map_or(ptr::null(), |key| key.text.as_ptr())
}

/// What the key is called where it is not to be told: 16 hexadecimal digits, no secret. NULL of NULL. Borrowed
/// from the key.
#[unsafe(no_mangle)]
pub extern "C" fn fw_key_id(key: Option<&fw_key>) -> *const c_char {
    key.map_or(ptr::null(), |key| key.id.as_ptr())
}

/// Frees a key, and overwrites what it was. Sources and outputs that were opened with it keep their own. It may
/// be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_key_free(key: Option<Box<fw_key>>) {
    let Some(key) = key else { return };
    let mut text = key.text.into_bytes();
    text.fill(0);
    // Else nobody would see what was written, and it might be left out.
    std::hint::black_box(&text);
}

/// A secret text, which an error does not repeat.
///
/// # Errors
/// It is NULL, or not UTF-8.
///
/// # Safety
/// As of [`text`].
pub(crate) unsafe fn secret<'a>(secret: *const c_char, what: &str) -> Result<&'a str, Error> {
    // SAFETY: as this function asks for.
    let found = unsafe { text(secret, what) }.map_err(|error| {
        Error::new(error.class, error.code, format!("the {what} is not UTF-8; give the whole of it as it was"))
    })?;
    found.ok_or_else(|| null(what))
}

/// Whether frames are protected, as programs say it.
///
/// # Errors
/// There is no such value.
pub(crate) fn protection_of(said: u32) -> Result<Protection, Error> {
    use fw_protection::{FW_PROTECTION_AUTO, FW_PROTECTION_OFF, FW_PROTECTION_ON};
    match said {
        auto if auto == FW_PROTECTION_AUTO as u32 => Ok(Protection::Auto),
        on if on == FW_PROTECTION_ON as u32 => Ok(Protection::On),
        off if off == FW_PROTECTION_OFF as u32 => Ok(Protection::Off),
        other => {
            let text = format!(
                "there is no protection {other}; use FW_PROTECTION_AUTO (0), FW_PROTECTION_ON (1) or FW_PROTECTION_OFF (2)"
            );
            Err(Error::new(Class::Argument, "protection", text))
        }
    }
}

/// The key that options name; NULL: none.
///
/// # Safety
/// `key` is NULL or a key that was not freed.
pub(crate) unsafe fn key_of(key: *const fw_key) -> Option<Key> {
    // SAFETY: as this function asks for.
    unsafe { key.as_ref() }.map(fw_key::key)
}

/// All keys that options name.
///
/// # Errors
/// One of them is NULL, or all.
///
/// # Safety
/// From `keys` on there are `count` pointers, each NULL or a key that was not freed.
pub(crate) unsafe fn keys_of(keys: *const *const fw_key, count: u32) -> Result<Vec<Key>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if keys.is_null() {
        return Err(null("array of keys"));
    }
    // SAFETY: as this function asks for.
    let keys = unsafe { std::slice::from_raw_parts(keys, count as usize) };
    // SAFETY: as this function asks for.
    keys.iter().map(|key| unsafe { key_of(*key) }.ok_or_else(|| null("key of the array"))).collect()
}

/// The name of a cipher. A static text; NULL of none.
pub(crate) fn cipher(protection: Option<&'static str>) -> *const c_char {
    match protection {
        Some("AES-128-GCM") => c"AES-128-GCM".as_ptr(),
        Some("ChaCha20-Poly1305") => c"ChaCha20-Poly1305".as_ptr(),
        Some(_) => c"another".as_ptr(),
        None => ptr::null(),
    }
}
