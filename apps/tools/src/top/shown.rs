//! Text of strangers, as it may be shown in a terminal.

use std::fmt;

use framewire_process::shown::is_plain;
use serde::{Deserialize, Deserializer};
use unicode_width::UnicodeWidthChar;

/// The most characters of a text that are kept: more than any screen shows.
const CHARS_MAX: usize = 400;
/// What stands for a character that must not be shown.
const REPLACEMENT: char = '\u{fffd}';

/// A text in which nothing commands a terminal, breaks a line or turns the direction of what follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shown(String);

impl Shown {
    pub(super) fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let mut shown: String = chars.by_ref().take(CHARS_MAX).map(showable).collect();
        if chars.next().is_some() {
            shown.push('…');
        }
        Self(shown)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Self::new(&text))
    }
}

/// As everywhere, and here accents that are piled up have no place either: a table's columns stand under each other.
fn showable(character: char) -> char {
    let is_visible = character.width().is_some_and(|columns| columns > 0);
    if is_plain(character) && is_visible { character } else { REPLACEMENT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_left() {
        let evil = "cam\x1b]0;title\x07\x1b[2J\r\n\u{9b}31m\u{202e}live\u{200b}\u{2028}\u{7f}e\u{301}";
        let shown = Shown::new(evil);
        assert!(!shown.as_str().contains(|character: char| character.is_control()));
        assert!(!shown.as_str().contains(['\u{202e}', '\u{200b}', '\u{2028}', '\u{301}']), "{shown}");
        assert!(shown.as_str().starts_with("cam\u{fffd}]0;title\u{fffd}\u{fffd}[2J"), "{shown}");
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["cam-1", "Kamera Süd", "カメラ", "<script>alert(1)</script>", ""] {
            assert_eq!(Shown::new(name).as_str(), name);
        }
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let shown = Shown::new(&"n".repeat(10_000));
        assert_eq!(shown.as_str().chars().count(), CHARS_MAX + 1);
        let read: Shown = serde_json::from_str("\"a\\u001bb\"").unwrap();
        assert_eq!(read.as_str(), "a\u{fffd}b");
    }
}
