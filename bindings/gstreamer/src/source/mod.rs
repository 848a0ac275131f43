//! `framewiresrc`: a stream of Framewire's into a pipeline.

mod bearings;
mod frames;
mod imp;
mod properties;
mod settings;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// Takes raw video out of a hub of this machine, from a server, or from whoever sends here.
    pub struct FramewireSrc(ObjectSubclass<imp::FramewireSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "framewiresrc", gst::Rank::NONE, FramewireSrc::static_type())
}
