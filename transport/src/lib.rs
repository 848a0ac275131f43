//! Moves raw video frames over UDP at the speed of memory, and accounts for every frame that did not arrive.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "system calls; each block names its invariant")]
#[doc(hidden)]
pub mod backend;
mod charge;
mod clock;
pub mod codes;
pub mod driver;
#[allow(unsafe_code, reason = "raw slot memory; each block names its invariant")]
pub mod frame;
mod path_model;
mod random;
#[doc(hidden)]
pub mod receive;
mod rising;
#[doc(hidden)]
pub mod send;
mod time;
mod windowed_minimum;
#[doc(hidden)]
pub mod wire;

pub use backend::{BackendKind, UnknownBackend};
pub use clock::clock_id;
pub use driver::{
    AcceptStreamError, Admission, AnnounceError, BindError, ConnectError, CpuError, Cpus, IncomingStream,
    ListenerStats, NotSent, PlainReceiver, PlainReceiverConfig, PlainSender, PlainSenderConfig, Receiver,
    ReceiverConfig, SendError, Sender, SenderConfig, SliceSize, SliceSizeError, StreamInfo, ThreadConfig,
};
pub use frame::{Consumer, ConsumerPolicy, Frame, FrameFormat, FrameMut, PixelFormat, RecvError};
pub use receive::{EndReason, PlainStats, ReceiveStats, RejectedCounts, SourceCounts};
pub use send::{Bitrate, BitrateError, ClosedReport, Fec, FecError, LinkBudget, SendState, SendStats};
pub use time::Time;
pub use wire::{Delivery, RefuseReason};
