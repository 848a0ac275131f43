//! `framewiresink`: a stream of Framewire's out of a pipeline.

mod imp;
mod outlet;
mod pool;
mod properties;
mod settings;
mod stats;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// Sends raw video to a server, to a program that listens, or to the programs of this machine.
    pub struct FramewireSink(ObjectSubclass<imp::FramewireSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "framewiresink", gst::Rank::NONE, FramewireSink::static_type())
}
