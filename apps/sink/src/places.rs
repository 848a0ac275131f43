//! Who has which place: no two files of a server are the same, and one pipe is one stream's at a time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use framewire_process::lock::lock;
use framewire_process::stop::Stop;
use framewire_transport::frame::Frame;

use crate::error::SinkError;
use crate::nut::SharedClock;
use crate::output::{Creation, STDOUT, Turns};
use crate::sink::{Sink, SinkReport};
use crate::spec::SinkSpec;
use crate::template::{Template, Words};

/// So many files of one name are tried before a stream is given up: more than anybody keeps in one directory.
const NUMBERS_MAX: u32 = 10_000;
/// How often it is looked whether a pipe that is waited for has its reader.
const READER: Duration = Duration::from_millis(20);

/// Whether a named pipe without a reader is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is: a stream begins when its reader does.
    First,
    /// It is not: its reader has gone, and the stream goes on.
    Again,
}

/// Sees to it that no two files of a server are the same, and that one pipe is one stream's at a time.
#[derive(Debug)]
pub struct Places {
    /// What the user named: no other file is given these names.
    named: Vec<PathBuf>,
    /// What streams write to now: the names of their files, without the part.
    held: Mutex<HashSet<PathBuf>>,
    /// The last number that each sink gave whose names are not made up anew: those below are tried no more.
    numbers: Mutex<HashMap<PathBuf, u32>>,
    stdout: Arc<Turns>,
    /// Where the times of NUT have come to on standard output.
    stdout_clock: SharedClock,
    /// Ends the wait for a pipe's reader.
    stop: Stop,
}

/// A place that is one stream's as long as this is kept.
#[derive(Debug)]
pub(crate) struct Hold {
    places: Arc<Places>,
    path: PathBuf,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.places.lock_held().remove(&self.path);
    }
}

/// A sink that has its place to itself.
pub(crate) struct Held<S> {
    sink: S,
    _hold: Hold,
}

impl<S: Sink> Held<S> {
    pub(crate) const fn new(sink: S, hold: Hold) -> Self {
        Self { sink, _hold: hold }
    }
}

impl<S: Sink> Sink for Held<S> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.sink.write(frame)
    }

    fn bytes(&self) -> u64 {
        self.sink.bytes()
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        // The place is free once nothing more is written.
        let Self { sink, _hold: hold } = *self;
        let finished = Box::new(sink).finish();
        drop(hold);
        finished
    }
}

/// A file that was opened for a stream.
pub(crate) struct Opened<T> {
    pub(crate) file: T,
    pub(crate) path: PathBuf,
    pub(crate) number: u32,
    /// None where the stream has its number already.
    pub(crate) hold: Option<Hold>,
}

impl Places {
    /// For these sinks of one server.
    pub fn new(sinks: &[SinkSpec]) -> Self {
        let named = sinks.iter().filter_map(SinkSpec::path).map(absolute).collect();
        Self {
            named,
            held: Mutex::default(),
            numbers: Mutex::default(),
            stdout: Arc::default(),
            stdout_clock: SharedClock::default(),
            stop: Stop::new(),
        }
    }

    /// As they are, with a wait for a pipe's reader that ends where `stop` is interrupted.
    pub fn with_stop(self, stop: &Stop) -> Self {
        Self { stop: stop.clone(), ..self }
    }

    /// Where the times of NUT have come to on standard output.
    pub(crate) fn stdout_clock(&self) -> SharedClock {
        self.stdout_clock.clone()
    }

    /// Standard output for one stream, which has it until the hold is dropped; and what went out there before.
    pub(crate) fn stdout(self: &Arc<Self>) -> Result<(Arc<Turns>, Hold), SinkError> {
        if self.stdout.is_closed() {
            return Err(SinkError::Closed { name: STDOUT.to_owned(), frames: 0 });
        }
        let hold = self.hold(Path::new("-")).ok_or_else(|| SinkError::Taken { name: STDOUT.to_owned() })?;
        Ok((self.stdout.clone(), hold))
    }

    /// Opens the first file that can be: the next of a stream that has a number, or the first of one that has none. What is
    /// no file, but a pipe or a device, is opened by the user's name alone.
    pub(crate) fn open<T>(
        self: &Arc<Self>,
        template: &Template,
        words: &Words,
        number: Option<u32>,
        opening: Opening,
        mut open: impl FnMut(&Path, Creation) -> Result<T, SinkError>,
    ) -> Result<Opened<T>, SinkError> {
        if template.is_special() {
            let path = template.named().to_owned();
            let hold = self.hold(&path).ok_or_else(|| SinkError::Taken { name: format!("'{}'", path.display()) })?;
            // Looked for again and again: an open that waits in the system could not be ended.
            let file = loop {
                match open(&path, Creation::Named) {
                    Err(SinkError::NoReader { .. })
                        if opening == Opening::First && !self.stop.sleep_unless_interrupted(READER) => {}
                    other => break other?,
                }
            };
            return Ok(Opened { file, path, number: 1, hold: Some(hold) });
        }
        let first = number.unwrap_or_else(|| self.first_number(template));
        for candidate in first..first.saturating_add(NUMBERS_MAX) {
            let path = template.path(words, candidate);
            let is_named = path == template.named();
            if !is_named && self.named.contains(&absolute(&path)) {
                continue;
            }
            // All parts of a stream are its own, though somebody may have moved the first of them away.
            let hold = match number == Some(candidate) {
                true => None,
                false => {
                    match self.hold(&template.path(&Words { part: None, frame: None, ..words.clone() }, candidate)) {
                        Some(hold) => Some(hold),
                        None => continue,
                    }
                }
            };
            let creation = if is_named && has_nothing(&path) { Creation::Named } else { Creation::Fresh };
            match open(&path, creation) {
                Err(SinkError::Create { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    self.note_number(template, candidate);
                    return Ok(Opened { file, path, number: candidate, hold });
                }
            }
        }
        let name = format!("'{}'", template.path(words, first).display());
        let source =
            io::Error::new(io::ErrorKind::AlreadyExists, format!("it and {NUMBERS_MAX} more are there already"));
        Err(SinkError::Create { name, source })
    }

    fn first_number(&self, template: &Template) -> u32 {
        self.lock_numbers().get(template.named()).map_or(1, |last| last.saturating_add(1))
    }

    /// Only for names that clients have no part in: there are as many as there are sinks.
    fn note_number(&self, template: &Template, number: u32) {
        if !template.is_made_up() {
            let mut numbers = self.lock_numbers();
            let last = numbers.entry(template.named().to_owned()).or_default();
            *last = number.max(*last);
        }
    }

    /// Takes a place for one stream; `None` where another has it.
    fn hold(self: &Arc<Self>, path: &Path) -> Option<Hold> {
        let path = absolute(path);
        let is_free = self.lock_held().insert(path.clone());
        is_free.then(|| Hold { places: self.clone(), path })
    }

    fn lock_held(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        lock(&self.held)
    }

    fn lock_numbers(&self) -> MutexGuard<'_, HashMap<PathBuf, u32>> {
        lock(&self.numbers)
    }
}

/// Whether a file may be written to although it is there: it has no byte, or it is a link that leads to none yet.
fn has_nothing(path: &Path) -> bool {
    match path.metadata() {
        Ok(there) => there.is_file() && there.len() == 0,
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// The path as it is whichever way it was written; links are not followed.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};

    use super::*;

    fn words(stream: &str, part: Option<u32>) -> Words {
        Words { stream: stream.to_owned(), part, time: "2026-11-23T02:01:55.9Z".parse().unwrap(), frame: None }
    }

    /// Makes the file as sinks do, and says which it was.
    fn open(places: &Arc<Places>, template: &Path, stream: &str) -> (String, Opened<File>) {
        let words = words(stream, None);
        let made = places.open(&Template::new(template), &words, None, Opening::First, |path, creation| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).create_new(creation == Creation::Fresh);
            let name = String::new();
            options.open(path).map_err(|source| SinkError::Create { name, source })
        });
        let made = made.unwrap();
        (made.path.file_name().unwrap().to_str().unwrap().to_owned(), made)
    }

    fn sinks(directory: &Path, names: &[&str]) -> Vec<SinkSpec> {
        names.iter().map(|name| directory.join(name).to_str().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn the_second_stream_has_a_number_and_none_that_another_sink_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let places = Arc::new(Places::new(&sinks(directory.path(), &["out.raw", "out-2.raw"])));
        let mut made = Vec::new();
        for _ in 0..3 {
            for name in ["out.raw", "out-2.raw"] {
                made.push(open(&places, &directory.path().join(name), "cam"));
            }
        }
        let names: Vec<_> = made.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["out.raw", "out-2.raw", "out-3.raw", "out-2-2.raw", "out-4.raw", "out-2-3.raw"]);
    }

    #[test]
    fn streams_of_one_name_have_files_of_their_own_and_none_that_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let places = Arc::new(Places::new(&sinks(directory.path(), &["cam-{stream}.raw", "cam-b.raw"])));
        let template = directory.path().join("cam-{stream}.raw");
        fs::write(directory.path().join("cam-a-2.raw"), b"precious").unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.path().join("cam-c.raw")).unwrap();
        std::os::unix::fs::symlink("/tmp/framewire-no-such-file", directory.path().join("cam-d.raw")).unwrap();
        let made = ["a", "a", "b", "c", "d"].map(|stream| open(&places, &template, stream).0);
        assert_eq!(made, ["cam-a.raw", "cam-a-3.raw", "cam-b-2.raw", "cam-c-2.raw", "cam-d-2.raw"]);
        assert_eq!(fs::read(directory.path().join("cam-a-2.raw")).unwrap(), b"precious");
        assert!(!Path::new("/tmp/framewire-no-such-file").exists());
    }

    #[test]
    fn a_file_that_the_user_named_and_that_has_a_byte_is_left_and_the_next_run_takes_the_next_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.raw");
        fs::write(&path, b"precious").unwrap();
        for expected in ["out-2.raw", "out-3.raw"] {
            let places = Arc::new(Places::new(&sinks(directory.path(), &["out.raw"])));
            assert_eq!(open(&places, &path, "cam").0, expected);
        }
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let (empty, link) = (directory.path().join("empty.raw"), directory.path().join("link.raw"));
        File::create(&empty).unwrap();
        std::os::unix::fs::symlink(directory.path().join("there.raw"), &link).unwrap();
        let places = Arc::new(Places::new(&sinks(directory.path(), &["empty.raw", "link.raw"])));
        let made = [&empty, &link].map(|path| open(&places, path, "cam"));
        assert_eq!([&made[0].0, &made[1].0], ["empty.raw", "link.raw"], "nothing is lost by writing there");
        assert_eq!(open(&places, &empty, "cam").0, "empty-2.raw", "though it is empty still");
        assert!(directory.path().join("there.raw").exists());
    }

    #[test]
    fn a_device_is_one_streams_at_a_time_and_no_number_leads_beside_it_or_to_another() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["out.raw", "file-2.raw"] {
            std::os::unix::fs::symlink("/dev/null", directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("file.raw"), b"precious").unwrap();
        let places = Arc::new(Places::new(&sinks(directory.path(), &["out.raw", "file.raw"])));
        let path = directory.path().join("out.raw");
        let (name, first) = open(&places, &path, "");
        let second = places.open(&Template::new(&path), &words("", Some(1)), None, Opening::First, |_, _| Ok(()));
        assert!(matches!(second, Err(SinkError::Taken { .. })) && name == "out.raw");
        drop(first);
        assert_eq!(open(&places, &path, "").0, "out.raw");
        assert_eq!(open(&places, &directory.path().join("file.raw"), "").0, "file-3.raw");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_name_that_a_stream_has_is_given_to_no_other_however_it_came_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let (numbered, made_up) = (directory.path().join("cam.raw"), directory.path().join("{stream}.raw"));
        let places = Arc::new(Places::new(&sinks(directory.path(), &["cam.raw", "{stream}.raw"])));
        let first = open(&places, &made_up, "cam-2");
        assert_eq!(first.0, "cam-2.raw");
        fs::remove_file(directory.path().join("cam-2.raw")).unwrap();
        let second = open(&places, &numbered, "cam");
        assert_eq!(second.0, "cam.raw");
        assert_eq!(open(&places, &numbered, "other").0, "cam-3.raw");
        assert_eq!(open(&places, &numbered, "third").0, "cam-4.raw");
    }

    #[test]
    fn two_ways_to_write_a_path_are_one_file() {
        assert_eq!(absolute(Path::new("./out.raw")), absolute(Path::new("out.raw")));
        assert_eq!(absolute(&std::env::current_dir().unwrap().join("out.raw")), absolute(Path::new("out.raw")));
    }
}
