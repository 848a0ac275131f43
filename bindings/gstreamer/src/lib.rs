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
mod sink;
mod trouble;

use gst::glib;

pub use self::choices::{DeliveryChoice, TimestampMode, Way};
pub use self::sink::FramewireSink;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    metadata::register();
    sink::register(plugin)
}

gst::plugin_define!(
    framewire,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "framewire",
    env!("BUILD_REL_DATE")
);
