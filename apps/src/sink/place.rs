//! Where a sink's files are: what the user named, with the stream, the part, the time and a number where there are several.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{SinkError, SinkSpec, SinkSpecError};

/// So many files of one name are tried before a stream is given up: more than anybody keeps in one directory.
const NUMBERS_MAX: u32 = 10_000;
const PLACEHOLDERS: [&str; 3] = ["{stream}", "{part}", "{time}"];

/// A file's path as the command line has it, with `{stream}`, `{part}` and `{time}` in the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    path: PathBuf,
}

/// What stands for the placeholders in one file's name.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// The stream's name, made safe.
    pub(super) stream: String,
    /// Number of the part, from 1; none where a recording has one part only.
    pub(super) part: Option<u32>,
    /// When the file was begun.
    pub(super) time: Timestamp,
}

impl Template {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Refuses placeholders that are none, and those in the directory.
    pub(super) fn check(&self) -> Result<(), SinkSpecError> {
        let directory = self.path.parent().and_then(Path::to_str).unwrap_or_default();
        if PLACEHOLDERS.iter().any(|word| directory.contains(word)) {
            return Err(SinkSpecError::PlaceholderInDirectory(directory.chars().take(60).collect()));
        }
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for (start, _) in name.match_indices('{') {
            let word = name[start..].split_inclusive('}').next().unwrap_or_default();
            let is_word = word.len() > 2 && word[1..].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'}');
            if is_word && word.ends_with('}') && !PLACEHOLDERS.contains(&word) {
                return Err(SinkSpecError::Placeholder(word.chars().take(60).collect()));
            }
        }
        Ok(())
    }

    /// Whether the name is made up anew for each file, so that one that is there already is somebody else's.
    fn is_made_up(&self) -> bool {
        self.has("{stream}") || self.has("{time}")
    }

    fn has(&self, word: &str) -> bool {
        self.path.file_name().is_some_and(|name| name.to_string_lossy().contains(word))
    }

    /// The path of a file; `number` tells files apart that would have the same, and is left out where it is 1.
    fn path(&self, words: &Words, number: u32) -> PathBuf {
        let stem = self.path.file_stem().unwrap_or_default();
        let mut name = match stem.to_str() {
            Some(stem) => OsString::from(self.fill(stem, words)),
            None => stem.to_owned(),
        };
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

    /// In one pass: what stands for one placeholder is not looked at for another.
    fn fill(&self, stem: &str, words: &Words) -> String {
        let (mut filled, mut rest) = (String::new(), stem);
        while let Some(start) = rest.find('{') {
            filled.push_str(&rest[..start]);
            rest = &rest[start..];
            let word = PLACEHOLDERS.into_iter().find(|word| rest.starts_with(word));
            match word {
                Some("{stream}") => filled.push_str(&words.stream),
                Some("{part}") => filled.push_str(&format!("{:04}", words.part.unwrap_or(1))),
                Some(_) => filled.push_str(&words.time.strftime("%Y%m%dT%H%M%SZ").to_string()),
                None => filled.push('{'),
            }
            rest = &rest[word.map_or(1, str::len)..];
        }
        filled + rest
    }
}

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    /// The user named it: what is there is overwritten, and may be a device or a pipe.
    Named,
    /// Named after what the user named: a file that is there is overwritten.
    Derived,
    /// The name holds what a client or the clock said: nothing that is there is touched.
    Fresh,
}

/// Sees to it that no two files of a server are the same.
#[derive(Debug)]
pub struct Places {
    /// What the user named: no other file is given these names.
    named: Vec<PathBuf>,
    /// What has been opened: no other file of this server is given these names either, though it would overwrite them.
    opened: Mutex<HashSet<PathBuf>>,
    /// The next number of each sink whose names are not made up anew.
    numbers: Mutex<HashMap<PathBuf, u32>>,
}

impl Places {
    /// For these sinks of one server.
    pub fn new(sinks: &[SinkSpec]) -> Self {
        let named = sinks.iter().filter_map(SinkSpec::path).map(absolute).collect();
        Self { named, opened: Mutex::default(), numbers: Mutex::default() }
    }

    /// The number that a stream's files have at a sink.
    pub(super) fn number(&self, template: &Template) -> u32 {
        if template.is_made_up() {
            return 1;
        }
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let next = numbers.entry(template.path.clone()).or_insert(1);
        while *next > 1 && self.named.contains(&absolute(&template.numbered(*next))) {
            *next += 1;
        }
        let number = *next;
        *next += 1;
        number
    }

    /// Opens the first file that can be, by its number from `number` on; returns it with its path and number.
    pub(super) fn open<T>(
        &self,
        template: &Template,
        words: &Words,
        number: u32,
        mut open: impl FnMut(&Path, Creation) -> Result<T, SinkError>,
    ) -> Result<(T, PathBuf, u32), SinkError> {
        let last = number.saturating_add(NUMBERS_MAX);
        for number in number..last {
            let path = template.path(words, number);
            let creation = match path == template.path {
                true => Creation::Named,
                false if self.named.contains(&absolute(&path)) || !self.claim(&path) => continue,
                false if template.is_made_up() => Creation::Fresh,
                false => Creation::Derived,
            };
            if creation == Creation::Derived && path.metadata().is_ok_and(|there| !there.is_file()) {
                continue;
            }
            match open(&path, creation) {
                Err(SinkError::Create { source, .. })
                    if creation == Creation::Fresh && source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    self.lock_opened().remove(&absolute(&path));
                    return Err(error);
                }
                Ok(opened) => return Ok((opened, path, number)),
            }
        }
        let name = format!("'{}'", template.path(words, number).display());
        let source =
            io::Error::new(io::ErrorKind::AlreadyExists, format!("it and {NUMBERS_MAX} more are there already"));
        Err(SinkError::Create { name, source })
    }
}

impl Places {
    /// Takes a path for one file; false where another has it.
    fn claim(&self, path: &Path) -> bool {
        self.lock_opened().insert(absolute(path))
    }

    fn lock_opened(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path as it is whichever way it was written; links are not followed.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Template {
    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{number}."));
        name.push(self.path.extension().unwrap_or_default());
        self.path.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};

    use super::*;

    fn words(stream: &str, part: Option<u32>) -> Words {
        Words { stream: stream.to_owned(), part, time: "2026-11-23T02:01:55.9Z".parse().unwrap() }
    }

    fn path(template: &str, part: Option<u32>, number: u32) -> String {
        Template::new(Path::new(template)).path(&words("cam", part), number).display().to_string()
    }

    /// Makes the file as sinks do, and says which it was.
    fn open(places: &Places, template: &Path, stream: &str, number: u32) -> String {
        let made = places.open(&Template::new(template), &words(stream, None), number, |path, creation| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).create_new(creation == Creation::Fresh);
            let name = String::new();
            options.open(path).map_err(|source| SinkError::Create { name, source })
        });
        made.unwrap().1.file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn sinks(directory: &Path, names: &[&str]) -> Vec<SinkSpec> {
        names.iter().map(|name| directory.join(name).to_str().unwrap().parse().unwrap()).collect()
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
        assert_eq!(path("{{stream}}{1}{.raw", None, 1), "{cam}{1}{.raw");
    }

    #[test]
    fn what_is_no_placeholder_is_refused_with_those_there_are() {
        let check = |text: &str| Template::new(Path::new(text)).check().map_err(|error| error.to_string());
        assert!(check("cam-{steam}.raw").unwrap_err().contains("'{steam}'"));
        assert!(check("cam-{steam}.raw").unwrap_err().contains("{stream}, {part} and {time}"));
        assert!(check("{stream}/out.raw").unwrap_err().contains("'{stream}'"));
        for fine in ["{stream}-{part}-{time}.raw", "{1}.raw", "{.raw", "{}.raw", "a{b/c}.raw"] {
            check(fine).unwrap();
        }
    }

    #[test]
    fn the_second_stream_has_a_number_and_none_that_another_sink_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(&sinks(directory.path(), &["out.raw", "out-2.raw"]));
        let mut made = Vec::new();
        for _ in 0..3 {
            for name in ["out.raw", "out-2.raw"] {
                let path = directory.path().join(name);
                let number = places.number(&Template::new(&path));
                made.push(open(&places, &path, "cam", number));
            }
        }
        assert_eq!(made, ["out.raw", "out-2.raw", "out-3.raw", "out-2-2.raw", "out-4.raw", "out-2-3.raw"]);
    }

    #[test]
    fn streams_of_one_name_have_files_of_their_own_and_none_that_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(&sinks(directory.path(), &["cam-{stream}.raw", "cam-b.raw"]));
        let template = directory.path().join("cam-{stream}.raw");
        fs::write(directory.path().join("cam-a-2.raw"), b"precious").unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.path().join("cam-c.raw")).unwrap();
        std::os::unix::fs::symlink("/tmp/framewire-no-such-file", directory.path().join("cam-d.raw")).unwrap();
        let made = ["a", "a", "b", "c", "d"].map(|stream| open(&places, &template, stream, 1));
        assert_eq!(made, ["cam-a.raw", "cam-a-3.raw", "cam-b-2.raw", "cam-c-2.raw", "cam-d-2.raw"]);
        assert_eq!(fs::read(directory.path().join("cam-a-2.raw")).unwrap(), b"precious");
        assert!(!Path::new("/tmp/framewire-no-such-file").exists());
    }

    #[test]
    fn a_device_is_written_to_where_the_user_named_it_and_not_where_a_number_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["out.raw", "out-2.raw"] {
            std::os::unix::fs::symlink("/dev/null", directory.path().join(name)).unwrap();
        }
        File::create(directory.path().join("out-3.raw")).unwrap();
        let places = Places::new(&sinks(directory.path(), &["out.raw"]));
        let path = directory.path().join("out.raw");
        assert_eq!([1, 2].map(|number| open(&places, &path, "", number)), ["out.raw", "out-3.raw"]);
    }

    #[test]
    fn a_file_that_is_open_is_given_to_no_other_stream_however_it_came_to_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let (numbered, made_up) = (directory.path().join("cam.raw"), directory.path().join("{stream}.raw"));
        let places = Places::new(&sinks(directory.path(), &["cam.raw", "{stream}.raw"]));
        assert_eq!(open(&places, &made_up, "cam-2", 1), "cam-2.raw");
        assert_eq!(open(&places, &numbered, "cam", 1), "cam.raw");
        assert_eq!(open(&places, &numbered, "other", 2), "cam-3.raw");
        // Where one has moved on to the next number, the next moves on as well.
        assert_eq!(open(&places, &numbered, "third", 3), "cam-4.raw");
    }

    #[test]
    fn two_ways_to_write_a_path_are_one_file() {
        assert_eq!(absolute(Path::new("./out.raw")), absolute(Path::new("out.raw")));
        assert_eq!(absolute(&std::env::current_dir().unwrap().join("out.raw")), absolute(Path::new("out.raw")));
    }
}
