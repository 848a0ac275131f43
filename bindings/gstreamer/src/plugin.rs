//! What GStreamer finds in the library.
#![allow(missing_docs, reason = "the macro's own items")]

use gst::glib;

use crate::{metadata, sink, source};

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    metadata::register();
    sink::register(plugin)?;
    source::register(plugin)
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
