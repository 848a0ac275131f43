//! What goes wrong, as it is told on the bus: errors that end a pipeline, and troubles that pass.

use std::sync::{Mutex, PoisonError};

use framewire_ends::{Class, Error};
use gst::prelude::*;

/// What errors call items of Rust's, and what they are called here.
const WORDS: &[(&str, &str)] = &[
    ("ReceiverConfig::keys, SenderConfig::key", "key-file="),
    ("ReceiverConfig::keys, or Announcement::key", "key-file="),
    ("Announcement::key, SenderConfig::key", "key-file="),
    ("ReceiverConfig::keys", "key-file="),
    ("SenderConfig::key", "key-file="),
    ("Protection::Off (--insecure)", "insecure=true"),
    ("Protection::Off", "insecure=true"),
    ("Protection::On", "insecure=false"),
    ("Protection::Auto", "insecure=false"),
    ("Key::to_text said", "the other end's key file has"),
];

/// The text of an error, in the words of elements.
pub(crate) fn text(error: Error) -> String {
    error.in_words(WORDS)
}

/// Tells of an error that ends the pipeline.
pub(crate) fn fail(element: &impl IsA<gst::Element>, error: Error, is_sink: bool) {
    let class = error.class;
    let text = text(error);
    match class {
        Class::Argument => gst::element_error!(element, gst::ResourceError::Settings, ("{text}")),
        Class::Format => gst::element_error!(element, gst::StreamError::Format, ("{text}")),
        Class::UnknownStream => gst::element_error!(element, gst::ResourceError::NotFound, ("{text}")),
        Class::Refused => gst::element_error!(element, gst::ResourceError::NotAuthorized, ("{text}")),
        _ if is_sink => gst::element_error!(element, gst::ResourceError::Write, ("{text}")),
        _ => gst::element_error!(element, gst::ResourceError::Read, ("{text}")),
    }
}

/// The same for a state change that fails.
pub(crate) fn as_message(error: Error) -> gst::ErrorMessage {
    let class = error.class;
    let text = text(error);
    match class {
        Class::Argument => gst::error_msg!(gst::ResourceError::Settings, ("{text}")),
        Class::UnknownStream => gst::error_msg!(gst::ResourceError::NotFound, ("{text}")),
        Class::Refused => gst::error_msg!(gst::ResourceError::Busy, ("{text}")),
        _ => gst::error_msg!(gst::ResourceError::Failed, ("{text}")),
    }
}

/// A trouble that passes, told once when it begins or changes, and when it is over.
#[derive(Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// Nothing was told yet: the element begins anew.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tells what has changed since it was looked last.
    pub(crate) fn look(&self, element: &impl IsA<gst::Element>, now: Option<String>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == now {
            return;
        }
        told.clone_from(&now);
        // Whoever hears of it may ask the element.
        drop(told);
        match now {
            Some(trouble) => gst::element_warning!(element, gst::ResourceError::NotFound, ("{trouble}")),
            None => gst::element_info!(element, gst::ResourceError::Failed, ("what was in the way is over")),
        }
    }
}
