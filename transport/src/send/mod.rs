//! The sender's side of the protocol, pure: no socket, no thread, no clock.

mod config;
mod distribution;
mod fec;
mod gate;
mod loss_meter;
mod outbox;
mod pace;
mod parity;
mod path;
mod phase;
mod publication;
mod repair;
mod slots;
mod stats;
mod subscriber;

pub use config::{ClosedReport, SendConfig, SendState};
pub use distribution::{Distribution, HELD_MAX, Untaken};
pub use fec::{Fec, FecError};
pub use outbox::SliceRun;
pub use pace::{Bitrate, BitrateError, LinkBudget, Pace};
pub use publication::{Publication, Published, make_room, share_of};
pub(crate) use slots::SlotNeed;
pub use slots::slots_ready;
pub use stats::SendStats;
pub(crate) use subscriber::REPORTED_BYTES_MIN;
pub use subscriber::{CONTROL_MAX, NotTaken, Subscriber};
