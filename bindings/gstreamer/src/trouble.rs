//! What goes wrong, as it is told on the bus: errors that end a pipeline, and troubles that pass.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use framewire_ends::{Class, Error};
use framewire_transport::Time;
use gst::prelude::*;

/// How long the other end may take for an answer before that is told.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// What errors call items of Rust's and programs' options, and what they are called here.
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
    ("paste the join string that it prints (--join)", "say the join string that it prints (join=)"),
    ("name its file (--ca, or SSL_CERT_FILE)", "name its file (SSL_CERT_FILE)"),
];

/// The text of an error, in the words of elements.
pub(crate) fn text(error: Error) -> String {
    error.in_words(WORDS)
}

/// The same of a trouble, of which there is the text alone.
pub(crate) fn in_words(trouble: String) -> String {
    text(Error::new(Class::Refused, "trouble", trouble))
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

/// Since when the other end has not answered.
#[derive(Default)]
pub(crate) struct Silence(Mutex<Option<Time>>);

impl Silence {
    /// Whether it has not answered for so long that it is to be told. It `is_silent` where an answer is waited for, and not where it is known why none comes.
    pub(crate) fn look(&self, is_silent: bool, now: Time) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_silent {
            *since = None;
            return false;
        }
        now.since(*since.get_or_insert(now)) >= ANSWERED_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_once_it_is_long_and_begins_anew_after_each_answer_and_each_trouble() {
        let silence = Silence::default();
        let at = |seconds: u64| Time::from_nanos((1 + seconds) * 1_000_000_000);
        assert!(!silence.look(true, at(0)) && !silence.look(true, at(4)) && silence.look(true, at(5)));
        assert!(!silence.look(false, at(6)));
        assert!(!silence.look(true, at(20)) && !silence.look(true, at(24)) && silence.look(true, at(25)));
    }
}
