//! Which version this is.

use std::ffi::{CStr, c_char};

/// The version of this header: its first number, which rises when programs have to be changed.
pub const FW_VERSION_MAJOR: u32 = 0;
/// The version of this header: its second number.
pub const FW_VERSION_MINOR: u32 = 1;
/// The version of this header: its third number.
pub const FW_VERSION_PATCH: u32 = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero in it"),
};

const _: () = assert!(
    number(env!("CARGO_PKG_VERSION_MAJOR")) == FW_VERSION_MAJOR
        && number(env!("CARGO_PKG_VERSION_MINOR")) == FW_VERSION_MINOR
        && number(env!("CARGO_PKG_VERSION_PATCH")) == FW_VERSION_PATCH,
    "the header's version is the package's"
);

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("no number"),
    }
}

/// The version of the library that runs, such as "0.1.0". A static text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_version() -> *const c_char {
    VERSION.as_ptr()
}
