//! Framewire's C library: what `include/framewire.h` says, over `framewire-ends`. The names are those of the header, which is made of this source by
//! `bindings/c/header`; what is to be known of all of them stands at its beginning, in `cbindgen.toml`.
//!
//! Handles that are borrowed are references here, and those that are given back are boxes: where C passes NULL, that is `None`. What stays `unsafe` is text,
//! and structs whose size their caller says.
#![allow(non_camel_case_types, reason = "the names are those of the header")]
#![allow(clippy::missing_safety_doc, reason = "the header says at its beginning what pointers are to be")]

pub mod array;
mod border;
pub mod format;
pub mod frame;
pub mod key;
pub mod output;
pub mod result;
pub mod slot;
pub mod source;
pub mod stream;
pub mod version;
