//! The sender's side of the protocol, pure: no socket, no thread, no clock.

mod config;
mod fec;
mod gate;
mod loss_meter;
mod outbox;
mod pace;
mod parity;
mod path;
mod repair;
mod slots;
mod stats;
mod stream;

pub use config::{ClosedReport, SendConfig, SendState};
pub use fec::{Fec, FecError};
pub use outbox::SliceRun;
pub use pace::{Bitrate, BitrateError, LinkBudget};
pub use slots::slots_ready;
pub use stats::SendStats;
pub(crate) use stream::REPORTED_BYTES_MIN;
pub use stream::{CONTROL_MAX, SendStream};
