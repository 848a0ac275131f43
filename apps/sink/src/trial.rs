//! A sink tried before the server says that it is ready: what is wrong with its place is told now, and not when the first
//! stream comes.

use std::io;
use std::path::{Path, PathBuf};

use framewire_process::exit::Failure;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::SinkError;
use crate::output::check_stdout;
use crate::places::absolute;
use crate::spec::SinkSpec;

/// What is written to see whether there is room: a block of most file systems.
const PROBE_BYTES: usize = 4_096;

/// Tries all sinks of a server, and that no two are the same.
///
/// # Errors
/// Wrong usage where a sink is given twice; a failure where nothing can be recorded at one.
pub fn try_all(sinks: &[SinkSpec]) -> Result<(), Failure> {
    for (at, sink) in sinks.iter().enumerate() {
        let is_same = |other: &SinkSpec| {
            let is_stdout = |sink: &SinkSpec| matches!(sink, SinkSpec::Stdout(_));
            other == sink
                || is_stdout(other) && is_stdout(sink)
                || other.path().is_some_and(|path| sink.path().map(absolute) == Some(absolute(path)))
        };
        if *sink != SinkSpec::Null && sinks[..at].iter().any(is_same) {
            return Err(Failure::usage(format!("--sink {sink} is given twice; name another file")));
        }
    }
    sinks.iter().try_for_each(|sink| sink.try_place().map_err(Failure::runtime))
}

impl SinkSpec {
    /// Tries whether anything can be recorded here. Nothing is left behind, and no pipe is opened.
    ///
    /// # Errors
    /// A directory that is not there, or may not be written to, or has no room; a terminal in the place of a pipe.
    pub fn try_place(&self) -> Result<(), SinkError> {
        match self {
            Self::Null => Ok(()),
            Self::Stdout(_) => check_stdout(),
            Self::Window => has_display(),
            Self::Y4m(path)
            | Self::Nut(path)
            | Self::Raw(path)
            | Self::Mcap(path, _)
            | Self::Pictures(path, ..)
            | Self::Video(path, _) => {
                try_file(path).map_err(|problem| SinkError::Place { name: format!("'{}'", path.display()), problem })
            }
        }
    }
}

fn try_file(path: &Path) -> Result<(), String> {
    if let Ok(there) = path.metadata() {
        if there.is_dir() {
            return Err("it is a directory; name a file in it".to_owned());
        }
        if !there.is_file() {
            return may(path, Access::WRITE_OK)
                .map_err(|error| format!("{error}; give yourself the right to write to it, or name another place"));
        }
    }
    let directory = directory_of(path);
    let shown = directory.display();
    match directory.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("there is no directory '{shown}'; make it (mkdir -p '{shown}') or name another place"));
        }
        Err(error) => return Err(format!("the directory '{shown}' cannot be looked at: {error}; name another place")),
        Ok(there) if !there.is_dir() => return Err(format!("'{shown}' is no directory; name another place")),
        Ok(_) => {}
    }
    match try_directory(&directory) {
        Ok(()) => Ok(()),
        Err(Errno::NOSPC | Errno::DQUOT) => {
            Err(format!("there is no space left in '{shown}'; free space there or name another place"))
        }
        Err(error) => Err(format!(
            "no file can be made in the directory '{shown}': {}; give the user of this server the right to, or name another place",
            io::Error::from(error)
        )),
    }
}

/// Makes a file without a name and writes a little to it; where the file system has no such files, one that is removed at once.
fn try_directory(directory: &Path) -> Result<(), Errno> {
    let (flags, mode) = (OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    match rustix::fs::open(directory, flags | OFlags::TMPFILE, mode) {
        Ok(file) => rustix::io::write(&file, &[0; PROBE_BYTES]).map(drop),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
            let path = directory.join(format!(".framewire-{}.try", std::process::id()));
            let file = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
            let written = rustix::io::write(&file, &[0; PROBE_BYTES]).map(drop);
            rustix::fs::unlink(&path)?;
            written
        }
        Err(error) => Err(error),
    }
}

fn may(path: &Path, access: Access) -> Result<(), Errno> {
    rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(feature = "opencv")]
fn has_display() -> Result<(), SinkError> {
    crate::window::has_display()
}

#[cfg(not(feature = "opencv"))]
fn has_display() -> Result<(), SinkError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &Path) -> String {
        SinkSpec::Raw(path.to_owned()).try_place().map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn a_place_that_takes_files_is_fine_and_nothing_is_left_there() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(said(&directory.path().join("{stream}.raw")), "fine");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(said(Path::new("x.raw")), "fine");
        assert_eq!(said(Path::new("/dev/null")), "fine");
        for spec in ["null", "a.y4m"] {
            spec.parse::<SinkSpec>().unwrap().try_place().unwrap();
        }
    }

    #[test]
    fn a_place_that_cannot_be_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let (file, folder) = (directory.path().join("file"), directory.path().join("folder.raw"));
        std::fs::write(&file, b"").unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(said(&directory.path().join("no/such/x.raw")).contains("mkdir -p"));
        assert!(
            said(&file.join("x.raw")).contains("' is no directory") || said(&file.join("x.raw")).contains("looked at")
        );
        assert!(said(&folder).contains("it is a directory; name a file in it"));
        assert!(said(Path::new("/proc/x.raw")).contains("no file can be made in the directory '/proc'"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_without_room_is_told() {
        let Some(disk) = crate::tiny_disk::TinyDisk::mount() else { return };
        assert_eq!(said(&disk.path().join("x.raw")), "fine");
        std::fs::write(disk.path().join("filler"), vec![0; 64 * 1024]).unwrap();
        assert!(said(&disk.path().join("x.raw")).contains("there is no space left in"));
    }
}
