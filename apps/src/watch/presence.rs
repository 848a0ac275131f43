//! What is said of a stream that goes and comes: one line each.

use framewire_transport::FrameFormat;

use super::PROGRAM;

/// Whether a stream is there, as far as people have been told.
#[derive(Debug)]
pub(super) struct Presence {
    stream: String,
    /// What it was when it was there last.
    format: FrameFormat,
    /// Who is gone, and has it with it.
    gone: Option<&'static str>,
    /// Why it is not given again, as was said last.
    refused: Option<&'static str>,
}

impl Presence {
    /// It is there.
    pub(super) fn new(stream: &str, format: FrameFormat) -> Self {
        Self { stream: stream.to_owned(), format, gone: None, refused: None }
    }

    /// Whether it is gone, as far as people have been told.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// What to say where `who` is gone; nothing where that is nothing new.
    pub(super) fn lost(&mut self, who: &'static str) -> Option<String> {
        if self.gone.is_some() {
            return None;
        }
        self.gone = Some(who);
        Some(format!("{PROGRAM}: the {who} of stream {:?} is gone; it is read on when that is back", self.stream))
    }

    /// What to say where the stream is there, in this format; nothing where it was.
    pub(super) fn back(&mut self, format: FrameFormat) -> Option<String> {
        let is_other = std::mem::replace(&mut self.format, format) != format;
        self.refused = None;
        let now = if is_other { format!("; its format is {format} now") } else { String::new() };
        let who = self.gone.take()?;
        Some(format!("{PROGRAM}: the {who} of stream {:?} is back{now}", self.stream))
    }

    /// What to say where it is there again and not given; nothing where that has been said, by the code of why.
    pub(super) fn refused(&mut self, code: &'static str, why: &dyn std::fmt::Display) -> Option<String> {
        (self.refused.replace(code) != Some(code))
            .then(|| format!("{PROGRAM}: stream {:?} is not read on: {why}; it is asked for again", self.stream))
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::PixelFormat;

    use super::*;

    fn format(width: u32) -> FrameFormat {
        FrameFormat::new(PixelFormat::Gray8, width, 4).unwrap()
    }

    #[test]
    fn going_and_coming_are_said_once_each_whoever_else_goes_meanwhile() {
        let mut presence = Presence::new("cam", format(8));
        assert_eq!(presence.back(format(8)), None, "it was there");
        for _ in 0..2 {
            let gone = presence.lost("hub").unwrap();
            assert!(gone.contains("the hub of stream \"cam\" is gone"), "{gone}");
            assert_eq!((presence.lost("hub"), presence.lost("sender")), (None, None));
            assert!(presence.back(format(8)).unwrap().ends_with("the hub of stream \"cam\" is back"));
            assert_eq!(presence.back(format(8)), None);
        }
    }

    #[test]
    fn another_format_is_told_where_it_comes_back_with_one_and_else_none() {
        let mut presence = Presence::new("cam", format(8));
        presence.lost("sender").unwrap();
        assert!(presence.back(format(16)).unwrap().ends_with("is back; its format is 16x4 gray8 now"));
        presence.lost("sender").unwrap();
        assert!(presence.back(format(16)).unwrap().ends_with("is back"));
    }

    #[test]
    fn why_it_is_not_given_again_is_said_once_and_another_reason_too() {
        let mut presence = Presence::new("cam", format(8));
        presence.lost("sender").unwrap();
        let said = presence.refused("no-reader-slots", &"0 are left").unwrap();
        assert!(said.contains("stream \"cam\" is not read on: 0 are left; it is asked for again"), "{said}");
        assert_eq!(presence.refused("no-reader-slots", &"0 are left"), None);
        assert!(presence.refused("hub-refuses", &"no memory").is_some());
    }
}
