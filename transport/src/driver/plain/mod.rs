//! The original system's wire, at both ends: no headers, no credit, one sender at a time.

mod receiver;
mod sender;

pub use receiver::{PlainReceiver, PlainReceiverConfig};
pub use sender::{PlainSender, PlainSenderConfig};

/// The socket buffer asked for, at either end: nothing but it stands between a burst and a loss here.
const BUFFER_BYTES: usize = 8 << 20;
