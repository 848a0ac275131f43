//! GStreamer elements that send and take raw video by Framewire, in the memory that it lies in: `framewiresink` and `framewiresrc`.
//!
//! `gst-inspect-1.0 framewire` lists them; the README has pipelines.

mod choices;
mod clock;
mod format;
mod key;
mod layout;
mod memory;
mod metadata;
mod plugin;
mod sink;
mod source;
mod trouble;

pub use self::choices::{DeliveryChoice, TimestampMode, Way};
pub use self::plugin::plugin_register_static;
pub use self::sink::FramewireSink;
pub use self::source::FramewireSrc;
