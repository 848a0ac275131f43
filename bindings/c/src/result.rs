//! What calls return, and errors.

use std::any::Any;
use std::ffi::{CString, c_char};
use std::ptr;

use framewire_ends::{Class, Error};

/// What became of a call.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_result {
    /// It was done.
    FW_OK = 0,
    /// Nothing came, or nobody answered, in the time given. An error is made only where there is more to say
    /// than that.
    FW_TIMEOUT = 1,
    /// The stream has ended: there are no more frames.
    FW_ENDED = 2,
    /// This program holds every slot that it may: release frames, or ask for more slots.
    FW_SLOTS_HELD = 3,
    /// The process that shares the stream is gone; reading goes on when it is back. Only with `no_reconnect`.
    FW_INTERRUPTED = 4,
    /// It failed; the error's class and text say why.
    FW_ERROR = -1,
    /// It failed by a fault of this library. What the call was made with is no longer to be relied on.
    FW_ERROR_PANIC = -2,
}

/// What a program does about an error.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_class {
    /// There is no error: it is NULL.
    FW_CLASS_NONE = 0,
    /// A value that cannot be: an address, a number, a name, NULL. The program is to be changed.
    FW_CLASS_ARGUMENT = 1,
    /// Bytes or a format that are not what the stream carries.
    FW_CLASS_FORMAT = 2,
    /// Nothing came, or nobody answered, in the time given.
    FW_CLASS_TIMEOUT = 3,
    /// The stream has ended.
    FW_CLASS_ENDED = 4,
    /// This program has closed it.
    FW_CLASS_CLOSED = 5,
    /// This program holds every slot that it may.
    FW_CLASS_SLOTS_HELD = 6,
    /// No stream has this name, or several have; the text says which there are.
    FW_CLASS_UNKNOWN_STREAM = 7,
    /// The process that shares the stream is gone.
    FW_CLASS_INTERRUPTED = 8,
    /// The other end refuses, or cannot be reached.
    FW_CLASS_REFUSED = 9,
    /// The system has no more of something, or lacks it: memory, descriptors, threads.
    FW_CLASS_SYSTEM = 10,
    /// This process was forked from the one that made the handle: make one here.
    FW_CLASS_FORKED = 11,
    /// A fault of this library.
    FW_CLASS_PANIC = 12,
}

impl fw_result {
    pub(crate) fn of(class: Class) -> Self {
        match class {
            Class::Timeout => Self::FW_TIMEOUT,
            Class::Ended => Self::FW_ENDED,
            Class::SlotsHeld => Self::FW_SLOTS_HELD,
            Class::Interrupted => Self::FW_INTERRUPTED,
            _ => Self::FW_ERROR,
        }
    }
}

/// What went wrong. Freed with fw_error_free.
pub struct fw_error {
    class: fw_class,
    code: CString,
    text: CString,
}

impl fw_error {
    /// What a panic said.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no more is known");
        let text =
            format!("a fault of this library ({said}); please report it with what led to it, and make the handle anew");
        Self { class: fw_class::FW_CLASS_PANIC, code: text_of("panic"), text: text_of(&text) }
    }
}

impl From<Error> for fw_error {
    fn from(error: Error) -> Self {
        let class = match error.class {
            Class::Argument => fw_class::FW_CLASS_ARGUMENT,
            Class::Format => fw_class::FW_CLASS_FORMAT,
            Class::Timeout => fw_class::FW_CLASS_TIMEOUT,
            Class::Ended => fw_class::FW_CLASS_ENDED,
            Class::Closed => fw_class::FW_CLASS_CLOSED,
            Class::SlotsHeld => fw_class::FW_CLASS_SLOTS_HELD,
            Class::UnknownStream => fw_class::FW_CLASS_UNKNOWN_STREAM,
            Class::Interrupted => fw_class::FW_CLASS_INTERRUPTED,
            Class::Refused => fw_class::FW_CLASS_REFUSED,
            Class::System => fw_class::FW_CLASS_SYSTEM,
            Class::Forked => fw_class::FW_CLASS_FORKED,
        };
        Self { class, code: text_of(error.code), text: text_of(&error.in_words(WORDS)) }
    }
}

/// What Rust's items are in C.
const WORDS: &[(&str, &str)] = &[
    ("ReceiverConfig::keys, SenderConfig::key", "keys of fw_receiver_options, key of fw_output_options"),
    ("ReceiverConfig::keys, or Announcement::key", "keys of fw_receiver_options"),
    ("Announcement::key, SenderConfig::key", "keys of fw_receiver_options, key of fw_output_options"),
    ("ReceiverConfig::keys", "keys of fw_receiver_options"),
    ("SenderConfig::key", "key of fw_output_options"),
    ("Protection::Off (--insecure)", "FW_PROTECTION_OFF"),
    ("Protection::Off", "FW_PROTECTION_OFF"),
    ("Protection::On", "FW_PROTECTION_ON"),
    ("Protection::Auto", "FW_PROTECTION_AUTO"),
    ("Key::to_text said", "fw_key_text gave"),
];

/// A text as C has it: up to its first zero, if it has one.
pub(crate) fn text_of(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// What a program does about the error; FW_CLASS_NONE of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_error_class(error: Option<&fw_error>) -> fw_class {
    error.map_or(fw_class::FW_CLASS_NONE, |error| error.class)
}

/// The error's code, such as "no-hub": the same in every version (ERRORS.md lists them). NULL of NULL. Borrowed
/// from the error.
#[unsafe(no_mangle)]
pub extern "C" fn fw_error_code(error: Option<&fw_error>) -> *const c_char {
    error.map_or(ptr::null(), |error| error.code.as_ptr())
}

/// What happened, with the value, and what to do about it: for people, in UTF-8. NULL of NULL. Borrowed from
/// the error.
#[unsafe(no_mangle)]
pub extern "C" fn fw_error_text(error: Option<&fw_error>) -> *const c_char {
    error.map_or(ptr::null(), |error| error.text.as_ptr())
}

/// Frees an error. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_error_free(error: Option<Box<fw_error>>) {
    drop(error);
}
