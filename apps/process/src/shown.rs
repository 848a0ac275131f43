//! Text of strangers, such as a stream's name, as it may be shown to people: in every line that programs say, and in their tables.

use unicode_width::UnicodeWidthChar;

/// The text with what a terminal would obey, and what makes text appear as what it is not, written out (`\u{202e}`). Ends of lines and tabs
/// stay.
pub fn visible(text: &str) -> String {
    written_out(text, |letter| matches!(letter, '\n' | '\t') || is_plain(letter))
}

/// As [`visible`], for what stands in a line with other things: ends of lines and tabs are written out too.
pub fn in_a_line(text: &str) -> String {
    written_out(text, is_plain)
}

fn written_out(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match stays(letter) {
            true => written.push(letter),
            false => written.extend(letter.escape_default()),
        }
    }
    written
}

/// Whether a letter does nothing but show itself: it is no control character, ends no line, turns no direction, and is not invisible.
pub fn is_plain(letter: char) -> bool {
    let is_invisible = matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !is_invisible
}

/// The beginning of a text, as much of it as fits so many columns, with an ellipsis where something is left out.
pub fn fitted(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut fitting = String::new();
    for character in text.chars() {
        let Some(rest) = left.checked_sub(character.width().unwrap_or(0)) else { break };
        left = rest;
        fitting.push(character);
    }
    if columns > 0 {
        fitting.push('…');
    }
    fitting
}

/// How many columns of a terminal a text takes.
pub fn columns_of(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_a_terminal_do_anything_or_reads_as_what_it_is_not() {
        let evil = "/\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}; as 'é',\nand a tab\t";
        assert_eq!(visible(evil), "/\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}; as 'é',\nand a tab\t");
        assert_eq!(in_a_line("a\nb\tc\r"), "a\\nb\\tc\\r");
        for hidden in
            ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{e0041}']
        {
            let written = format!("cam{}gnp", hidden.escape_unicode());
            for shown in [visible, in_a_line] {
                assert_eq!(shown(&format!("cam{hidden}gnp")), written);
            }
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["cam-1", "Kamera Süd", "カメラ", "e\u{301}", "हिन्दी", "\\ \"quoted\" 'so'", ""] {
            assert_eq!((visible(name), in_a_line(name)), (name.to_owned(), name.to_owned()));
        }
    }

    #[test]
    fn text_is_cut_at_columns_and_not_at_bytes() {
        assert_eq!(fitted("cam-1", 5), "cam-1");
        assert_eq!(fitted("cam-10", 5), "cam-…");
        // Two columns each.
        assert_eq!(fitted("カメラ", 6), "カメラ");
        assert_eq!(fitted("カメラ", 5), "カメ…");
        assert_eq!(fitted("カメラ", 4), "カ…");
        assert_eq!((fitted("cam", 1), fitted("cam", 0)), ("…".into(), String::new()));
    }
}
