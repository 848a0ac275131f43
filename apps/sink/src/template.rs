//! Names of files: what the user named, with the stream, the part, the time and a number where there are several.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::SinkSpecError;

/// The number of a frame, which has a file of its own.
const FRAME: &str = "{frame}";
const PLACEHOLDERS: [&str; 4] = ["{stream}", "{part}", "{time}", FRAME];

/// A file's path as the command line has it, with `{stream}`, `{part}`, `{time}` and, for pictures, `{frame}` in the
/// file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    path: PathBuf,
}

/// What stands for the placeholders in one file's name.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// The stream's name, made safe.
    pub(crate) stream: String,
    /// Number of the part, from 1; none where a recording has one part only.
    pub(crate) part: Option<u32>,
    /// When the file was begun.
    pub(crate) time: Timestamp,
    /// Of a picture: which frame it is.
    pub(crate) frame: Option<u64>,
}

impl Template {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// As the user named it.
    pub(crate) fn named(&self) -> &Path {
        &self.path
    }

    /// Refuses placeholders that are none, and those in the directory.
    pub(crate) fn check(&self) -> Result<(), SinkSpecError> {
        let directory = self.path.parent().unwrap_or(Path::new("")).to_string_lossy();
        if PLACEHOLDERS.iter().any(|word| directory.contains(word)) {
            return Err(SinkSpecError::PlaceholderInDirectory(directory.chars().take(60).collect()));
        }
        // A shell's word, which nothing but a shell makes a directory of.
        let first = self.path.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
        if let Some(home) = first.filter(|first| first.starts_with('~') && !directory.is_empty()) {
            return Err(SinkSpecError::Tilde(home.chars().take(60).collect()));
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        for (start, _) in name.match_indices('{') {
            let word = name[start..].split_inclusive('}').next().unwrap_or_default();
            let is_word = word.len() > 2 && word[1..].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'}');
            if is_word && word.ends_with('}') && !PLACEHOLDERS.contains(&word) {
                return Err(SinkSpecError::Placeholder(word.chars().take(60).collect()));
            }
        }
        Ok(())
    }

    /// As [`Template::check`], for files of one frame each, or of many.
    pub(crate) fn check_for(&self, pictures: bool) -> Result<(), SinkSpecError> {
        self.check()?;
        let shown = || self.path.to_string_lossy().chars().take(60).collect::<String>();
        match (pictures, self.has(FRAME)) {
            (true, false) => Err(SinkSpecError::WantsFrame(shown())),
            (false, true) => Err(SinkSpecError::NoFrame(shown())),
            _ => Ok(()),
        }
    }

    /// Whether the name is made up anew for each file, so that one that is there already is somebody else's.
    pub(crate) fn is_made_up(&self) -> bool {
        self.has("{stream}") || self.has("{time}")
    }

    /// What the user named and looks for, where a file of this number is called otherwise.
    pub(crate) fn named_otherwise(&self, number: u32) -> Option<&Path> {
        (number > 1 && !self.is_made_up()).then_some(&self.path)
    }

    /// Whether the user named something that is there and is no file: a pipe, a device.
    pub(crate) fn is_special(&self) -> bool {
        self.path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir())
    }

    fn has(&self, word: &str) -> bool {
        self.path.file_name().is_some_and(|name| name.to_string_lossy().contains(word))
    }

    /// The path of a file; `number` tells files apart that would have the same, and is left out where it is 1.
    pub(crate) fn path(&self, words: &Words, number: u32) -> PathBuf {
        let mut name = fill(self.path.file_stem().unwrap_or_default(), words);
        if number > 1 {
            name.push(format!("-{number}"));
        }
        if let Some(part) = words.part.filter(|_| !self.has("{part}")) {
            name.push(format!("-part{part:04}"));
        }
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }
}

/// In one pass: what stands for one placeholder is not looked at for another. What is no UTF-8 stays as it is.
#[cfg(unix)]
fn fill(stem: &OsStr, words: &Words) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    OsString::from_vec(fill_bytes(stem.as_bytes(), words))
}

#[cfg(not(unix))]
fn fill(stem: &OsStr, words: &Words) -> OsString {
    let filled = stem.to_str().and_then(|stem| String::from_utf8(fill_bytes(stem.as_bytes(), words)).ok());
    filled.map_or_else(|| stem.to_owned(), OsString::from)
}

fn fill_bytes(stem: &[u8], words: &Words) -> Vec<u8> {
    let (mut filled, mut rest) = (Vec::new(), stem);
    while let Some(start) = rest.iter().position(|byte| *byte == b'{') {
        filled.extend_from_slice(&rest[..start]);
        rest = &rest[start..];
        let word = PLACEHOLDERS.into_iter().find(|word| rest.starts_with(word.as_bytes()));
        match word {
            Some("{stream}") => filled.extend_from_slice(words.stream.as_bytes()),
            // Names are in the frames' order for a million of them: nine hours at 30 a second.
            Some(FRAME) => {
                filled.extend(words.frame.map(|frame| format!("{frame:06}")).unwrap_or_default().into_bytes())
            }
            Some("{part}") => filled.extend_from_slice(format!("{:04}", words.part.unwrap_or(1)).as_bytes()),
            Some(_) => filled.extend_from_slice(words.time.strftime("%Y%m%dT%H%M%SZ").to_string().as_bytes()),
            None => filled.push(b'{'),
        }
        rest = &rest[word.map_or(1, str::len)..];
    }
    filled.extend_from_slice(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(stream: &str, part: Option<u32>) -> Words {
        Words { stream: stream.to_owned(), part, time: "2026-11-23T02:01:55.9Z".parse().unwrap(), frame: Some(42) }
    }

    fn path(template: &str, part: Option<u32>, number: u32) -> String {
        Template::new(Path::new(template)).path(&words("cam", part), number).display().to_string()
    }

    #[test]
    fn stream_part_and_time_stand_where_the_template_has_them_and_parts_and_numbers_else_at_the_end() {
        assert_eq!(path("a.b/out.raw", None, 1), "a.b/out.raw");
        assert_eq!(path("a.b/out.raw", None, 12), "a.b/out-12.raw");
        assert_eq!(path("out.raw", Some(2), 1), "out-part0002.raw");
        assert_eq!(path("out.raw", Some(12_345), 3), "out-3-part12345.raw");
        assert_eq!(path("{part}-{stream}.y4m", Some(7), 1), "0007-cam.y4m");
        assert_eq!(path("{part}.y4m", None, 1), "0001.y4m");
        assert_eq!(path("cam-{stream}-{time}.raw", None, 1), "cam-cam-20261123T020155Z.raw");
        assert_eq!(path("{stream}-{frame}.png", None, 1), "cam-000042.png");
        assert_eq!(path("{frame}.png", None, 2), "000042-2.png");
        assert_eq!(path("{{stream}}{1}{.raw", None, 1), "{cam}{1}{.raw");
    }

    #[test]
    fn what_is_no_placeholder_is_refused_with_those_there_are() {
        let check = |text: &str| Template::new(Path::new(text)).check().map_err(|error| error.to_string());
        assert!(check("cam-{steam}.raw").unwrap_err().contains("'{steam}'"));
        assert!(check("cam-{steam}.raw").unwrap_err().contains("{stream}, {part}, {time} and"));
        assert!(check("{stream}/out.raw").unwrap_err().contains("'{stream}'"));
        let for_pictures = |text: &str, pictures| {
            Template::new(Path::new(text)).check_for(pictures).map_err(|error| error.to_string())
        };
        assert!(for_pictures("cam.png", true).unwrap_err().contains("cam-{frame}.png"));
        assert!(for_pictures("{frame}.raw", false).unwrap_err().contains("{frame}"));
        assert_eq!((for_pictures("{frame}.png", true), for_pictures("cam.raw", false)), (Ok(()), Ok(())));
        for fine in ["{stream}-{part}-{time}.raw", "{1}.raw", "{.raw", "{}.raw", "a{b/c}.raw"] {
            check(fine).unwrap();
        }
    }

    #[test]
    fn a_name_that_is_no_utf_8_keeps_its_bytes_and_its_placeholders() {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let template = Path::new(OsStr::from_bytes(b"caf\xe9-{stream}.y4m")).to_owned();
        Template::new(&template).check().unwrap();
        let path = Template::new(&template).path(&words("cam", Some(2)), 1);
        assert_eq!(path.into_os_string().into_vec(), b"caf\xe9-cam-part0002.y4m");
    }

    #[test]
    fn a_tilde_that_no_shell_has_expanded_is_refused_with_the_remedy() {
        for text in ["~/x.y4m", "~me/x.y4m"] {
            let said = Template::new(Path::new(text)).check().unwrap_err().to_string();
            assert!(said.contains("whole path") && said.contains("./~"), "{said}");
        }
        for fine in ["~x.y4m", "./~/x.y4m", "a/~/x.y4m"] {
            Template::new(Path::new(fine)).check().unwrap();
        }
    }
}
