//! The receiver's side of the protocol, pure: no socket, no thread, no clock.

mod assembly;
mod bitmap;
mod closed;
mod config;
mod lengths;
mod loss;
mod parity;
mod passed_over;
mod placement;
mod plain;
mod reassembler;
mod reorder;
mod sealed;
mod source;
mod stats;
mod stream;
mod window;

pub use closed::{ClosedStreams, LAST_WORD_MAX, LastWord};
pub use config::{AcceptError, EndReason, ReassemblerConfig, ReceiveConfig};
pub(crate) use parity::parity_room_bytes;
pub use placement::LandingRun;
pub use plain::{PlainReassembler, PlainStats};
pub use reassembler::Reassembler;
pub(crate) use reassembler::SPILL_BYTES_MAX;
pub use sealed::SealedOpening;
pub use stats::{ReceiveStats, RejectedCounts, SourceCounts};
pub use stream::{CONTROL_MAX, ReceiveStream, SILENCE_MAX, StrayOpening};
pub use window::{RECEIVE_BUFFER_MAX, buffer_bytes_wanted};
