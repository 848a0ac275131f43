//! Moves raw video frames over UDP at the speed of memory, and accounts for every frame that did not arrive.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "system calls; each block names its invariant")]
pub mod backend;
mod charge;
mod clock;
pub mod driver;
#[allow(unsafe_code, reason = "raw slot memory; each block names its invariant")]
pub mod frame;
mod path_model;
mod random;
pub mod receive;
mod rising;
pub mod send;
mod time;
mod windowed_minimum;
pub mod wire;

pub use backend::BackendKind;
pub use clock::clock_id;
pub use driver::{Receiver, ReceiverConfig, Sender, SenderConfig};
pub use frame::{Frame, FrameFormat, FrameMut, PixelFormat};
pub use time::Time;
pub use wire::Delivery;
