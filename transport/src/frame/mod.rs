//! Memory for frames: what a frame looks like, the slots it lives in, and who may touch them.
//!
//! A [`FramePool`] owns slots of one size. A slot is held through leases: [`FrameMut`] while pixels are written,
//! [`Frame`] once they are final (cheap to clone, read-only). Dropping the last lease gives the slot back. A [`FrameRing`] hands
//! finished frames to consumers.
//!
//! Senders and receivers have pools and rings of their own: a program that only sends or receives makes neither.

mod arrival;
mod format;
mod holding;
mod lease;
#[cfg(target_os = "linux")]
pub(crate) mod memfd;
mod memory;
mod metadata;
mod pixel_format;
mod planes;
mod pool;
mod pool_in_making;
#[cfg(target_os = "linux")]
mod pool_of_several;
mod presentation;
mod rate;
pub(crate) mod readiness;
mod ring;
mod slots;
mod sync;
mod tail;

pub(crate) use arrival::LandingLease;
#[doc(hidden)]
pub use arrival::{Arrival, ArrivalPinned, NotLanded};
pub use format::{FormatError, FrameFormat};
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub use lease::Hold;
pub use lease::{Frame, FrameInfo, FrameMut, FrameTooLong};
pub(crate) use lease::{FrameParts, Gaps};
pub use metadata::{METADATA_MAX, Metadata, MetadataKind, MetadataTooLong, UnknownMetadataKind};
pub use pixel_format::{BayerOrder, PixelFormat, PixelLayout};
pub use planes::{Plane, PlaneMut, Planes, PlanesMut};
pub(crate) use pool::PoolMark;
pub use pool::{FramePool, PoolError};
pub(crate) use pool_in_making::PoolInMaking;
#[cfg(target_os = "linux")]
pub(crate) use pool_of_several::PoolShape;
pub use presentation::{ChromaPlace, ColourRange, Presentation, PresentationError, SampleAspect, Scan};
pub use rate::{FrameRate, FrameRateError};
pub use readiness::Readiness;
pub(crate) use ring::Outlet;
pub use ring::{Consumer, ConsumerPolicy, FrameIter, FrameRing, RecvError};
pub use slots::SLOTS_MAX;
#[doc(hidden)]
pub use tail::{TAIL_MAX, Tail};
pub(crate) use tail::{TIME_BYTES, utc_from_nanos, utc_nanos};
