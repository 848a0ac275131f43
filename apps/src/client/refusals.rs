//! Which of a server's refusals end a client, and which it waits out.

use framewire_process::exit::say;
use framewire_signal::message::Refused;
use framewire_transport::RefuseReason;

/// A stream that was taken once goes on, and is asked for again, while the server refuses it for now: others have its place, and
/// leave. Before that a refusal is the answer to what the user asked for.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    was_taken: bool,
    was_open: bool,
    /// Since the stream was taken last.
    count: u64,
    last: String,
    is_told: bool,
}

impl Refusals {
    /// The server takes the stream.
    pub(super) fn is_taken(&mut self) {
        self.was_taken = true;
        if let Some(told) = self.since() {
            say(format_args!("framewire-client: the server takes the stream again; {told}"));
        }
        (self.count, self.is_told) = (0, false);
    }

    /// Frames flow, or did a moment ago.
    pub(super) fn is_open(&mut self) {
        self.was_open = true;
    }

    /// The server refuses over Socket.IO; true where that is final.
    #[must_use]
    pub(super) fn is_final(&mut self, refused: &Refused) -> bool {
        // Who answers in a server's place for a moment ends no stream: it is given nothing, and the server may be back.
        if !self.was_taken || !(refused.is_for_now() || refused.is_of_another()) {
            return true;
        }
        self.count += 1;
        self.last = refused.to_string();
        self.tell(&format!("the server refuses: {refused}"));
        false
    }

    /// The receiver refuses to open the stream; true where that is final.
    #[must_use]
    pub(super) fn is_final_there(&mut self, reason: Option<RefuseReason>, said: &str) -> bool {
        match reason {
            // The server is back and has not been told of the stream yet; why not, it says over Socket.IO.
            Some(RefuseReason::Unknown) => false,
            Some(reason) if self.was_open && reason.is_for_now() => {
                self.tell(said);
                false
            }
            _ => true,
        }
    }

    /// What is to be told of refusals that have not ended.
    pub(super) fn since(&self) -> Option<String> {
        (self.count > 0).then(|| format!("it refused {} times for now, last: {}", self.count, self.last))
    }

    fn tell(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            say(format_args!("framewire-client: {what}; that is for now: it is asked again until it takes the stream"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewire_signal::message::reason;

    #[test]
    fn what_is_refused_for_now_ends_no_client_whose_stream_was_taken_before_and_anything_else_does() {
        let codes = [(reason::SERVER_FULL, false), (reason::TOO_MANY, false), (reason::NOT_YOURS, true)];
        let others = [reason::WRONG_PIN, reason::NOT_TRUSTED, reason::SERVER_UNPROVEN, reason::SERVER_IS_PLAIN];
        let others = others.map(|code| (code, false));
        for (code, is_final) in codes.into_iter().chain(others).chain([(reason::PROOF_WRONG, true), ("delivery", true)])
        {
            let refused = Refused::new(code, "");
            let mut refusals = Refusals::default();
            assert!(refusals.is_final(&refused), "{code} before the stream was ever taken");
            refusals.is_taken();
            assert_eq!(refusals.is_final(&refused), is_final, "{code}");
        }
    }

    #[test]
    fn what_a_receiver_has_no_room_for_now_ends_no_client_whose_stream_was_open_before() {
        use RefuseReason::{
            Format, FrameTooLarge, Memory, NeedsKey, NoKeys, NoSuite, Resources, TooManyStreams, Version, WrongKey,
        };
        for (reason, is_final) in [
            (TooManyStreams, false),
            (Memory, false),
            (Resources, false),
            (Format, true),
            (FrameTooLarge, true),
            (Version, true),
            (NeedsKey, true),
            (WrongKey, true),
            (NoKeys, true),
            (NoSuite, true),
        ] {
            let mut refusals = Refusals::default();
            refusals.is_taken();
            assert!(refusals.is_final_there(Some(reason), ""), "{reason:?} before the stream was ever open");
            refusals.is_open();
            assert_eq!(refusals.is_final_there(Some(reason), ""), is_final, "{reason:?}");
            assert!(refusals.is_final_there(None, ""), "one that this version does not know");
        }
    }

    #[test]
    fn refusals_are_counted_until_the_stream_is_taken() {
        let mut refusals = Refusals::default();
        refusals.is_taken();
        for _ in 0..3 {
            assert!(!refusals.is_final(&Refused::new(reason::SERVER_FULL, "5 clients are connected")));
        }
        let told = refusals.since().unwrap();
        assert!(told.contains("3 times") && told.contains("5 clients") && told.contains("server-full"), "{told}");
        refusals.is_taken();
        assert_eq!(refusals.since(), None);
    }
}
