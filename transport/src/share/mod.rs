//! Frames between the processes of one machine, of which no byte is copied: they lie in memory that the hub and its readers have mapped.
//!
//! The *hub* is the process whose slots the frames are in: a server for the streams that come to it, or a program for its own. It
//! listens on a Unix socket, at an [`Endpoint`].
//!
//! Linux only: elsewhere each of these is refused with [`ShareError::Unsupported`].

// What has no system call of Linux's in it is the same everywhere. The rest is in `absent` once more, an equal, empty twin.
#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod clocks;
mod config;
mod endpoint;
mod error;
mod figures;
#[cfg(target_os = "linux")]
pub(crate) mod hub;
#[cfg(target_os = "linux")]
pub(crate) mod inlet;
mod invitation;
#[cfg(target_os = "linux")]
pub(crate) mod layout;
#[cfg(target_os = "linux")]
mod lease;
#[cfg(target_os = "linux")]
pub(crate) mod memory;
#[cfg(target_os = "linux")]
pub(crate) mod messages;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod points;
#[cfg(target_os = "linux")]
mod process;
#[cfg(all(test, target_os = "linux"))]
mod protocol_tests;
#[cfg(target_os = "linux")]
mod reader;
#[cfg(target_os = "linux")]
pub(crate) mod socket;
mod subscription_config;
#[cfg(target_os = "linux")]
mod sync;

#[cfg(not(target_os = "linux"))]
pub(crate) use absent::hub;
#[cfg(not(target_os = "linux"))]
pub use absent::{Reader, Subscription, SubscriptionFrames};
pub use config::ShareConfig;
pub use endpoint::{Endpoint, EndpointError};
pub use error::ShareError;
pub use figures::ReaderFigures;
pub use invitation::Invitation;
// For the bindings, whose ends are a process's own too.
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub use messages::reread;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub use process::Process;
#[cfg(target_os = "linux")]
pub use reader::{Reader, Subscription, SubscriptionFrames};
pub use subscription_config::{SharedStreamInfo, SubscriptionConfig, SubscriptionStats};

/// Slots of a receiver's that a sender has to write into at once.
pub(crate) const IN_FLIGHT_MAX: usize = 4;
