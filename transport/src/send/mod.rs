//! The sender's side of the protocol, pure: no socket, no thread, no clock.

mod gate;
mod outbox;
mod path;
mod repair;
mod stats;
mod stream;

pub use outbox::SliceRun;
pub use stats::SendStats;
pub use stream::{CONTROL_MAX, ClosedReport, SendConfig, SendState, SendStream};
