//! The two ends of Framewire's streams as programs in other languages see them. A [`Source`] gives frames, whether they come over the network or out of another
//! process's memory; an [`Output`] takes them. Both wait in steps of the caller's, tell errors by [`Class`], and know themselves forked. [`mod@array`] says what a
//! frame is as an array.
//!
//! What is here is what the bindings have in common. It is not meant for Rust programs, for which `framewire-transport` is.
#![forbid(unsafe_code)]

mod address;
pub mod array;
mod error;
mod followed;
mod joined;
mod output;
mod process;
mod slot;
mod source;
mod stream;
mod watching;

use std::time::Duration;

pub use self::error::{Class, Error};
pub use self::output::{Output, OutputOptions, OutputStats};
pub use self::slot::{Slot, SlotHold};
pub use self::source::{Hub, OpenOptions, ReceiveOptions, Source, SourceStats, WatchOptions, shared_streams};
pub use self::stream::{Stream, Taken};
pub use self::watching::ServerPlace;

/// How long anything is waited for before it is looked whether to wait on: how long a closing or a signal may go unseen.
pub const STEP: Duration = Duration::from_millis(50);
