//! Pictures, a file each: what people open, and what other programs take for training and inspection.
//!
//! A file is written under another name and then given its own: whoever sees it sees all of it, unless the machine loses power, as
//! the disk is not waited for.

mod encode;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use framewire_transport::frame::Frame;
use jiff::Timestamp;

use encode::Encoder;
pub(crate) use encode::holds;

use crate::error::SinkError;
use crate::output::Creation;
use crate::places::{Hold, Opened, Opening, Places};
use crate::recorded::Recorded;
use crate::safe_name::safe_name;
use crate::sink::{Sink, SinkReport};
use crate::spec::PictureKind;
use crate::template::{Template, Words};

/// Writes each frame that it is given into a file of its own.
pub(crate) struct PicturesSink {
    template: Template,
    places: Arc<Places>,
    stream: String,
    encoder: Encoder,
    /// Tells its files apart from those of other streams and of earlier runs.
    number: Option<u32>,
    /// Keeps the number from others.
    hold: Option<Hold>,
    file: Vec<u8>,
    first: Option<PathBuf>,
    last: PathBuf,
    frames: u64,
    bytes: u64,
}

impl PicturesSink {
    /// Makes no file yet.
    pub(crate) fn new(
        kind: PictureKind,
        template: Template,
        recorded: &Recorded,
        places: &Arc<Places>,
    ) -> Result<Self, SinkError> {
        let name = format!("'{}'", template.named().display());
        Ok(Self {
            encoder: Encoder::new(kind, &name, &recorded.format, recorded.presentation.range)?,
            template,
            places: places.clone(),
            stream: safe_name(&recorded.name, recorded.stream),
            number: None,
            hold: None,
            file: Vec::new(),
            first: None,
            last: PathBuf::new(),
            frames: 0,
            bytes: 0,
        })
    }
}

impl Sink for PicturesSink {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.encoder.encode(frame, &mut self.file)?;
        let (file, frames) = (&self.file, self.frames);
        let words =
            Words { stream: self.stream.clone(), part: None, time: Timestamp::now(), frame: Some(frame.info().number) };
        let opened = self.places.open(&self.template, &words, self.number, Opening::Again, |path, creation| {
            let name = format!("'{}'", path.display());
            write_whole(path, creation, file).map_err(|error| match error {
                Failed::Create(source) => SinkError::Create { name, source },
                Failed::Write(source) => SinkError::Write {
                    name,
                    frame: frames,
                    written: 0,
                    bytes: file.len() as u64,
                    kept: "nothing of it is left".to_owned(),
                    source,
                },
            })
        });
        let Opened { path, number, hold, .. } = opened?;
        self.number = Some(number);
        if hold.is_some() {
            self.hold = hold;
        }
        self.first.get_or_insert_with(|| path.clone());
        self.last = path;
        self.frames += 1;
        self.bytes += self.file.len() as u64;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        let (last, frames) = (self.last.display(), self.frames);
        let name = match &self.first {
            None => format!("'{}'", self.template.named().display()),
            Some(first) if frames == 1 => format!("'{}'", first.display()),
            Some(first) => format!("'{}' to '{last}'", first.display()),
        };
        Ok(SinkReport { name, files: frames, frames, bytes: self.bytes })
    }
}

enum Failed {
    Create(io::Error),
    Write(io::Error),
}

/// Makes the file with all its bytes, or none. What is there is left, unless the user named it and it has no byte.
fn write_whole(path: &Path, creation: Creation, bytes: &[u8]) -> Result<(), Failed> {
    if creation == Creation::Fresh && path.symlink_metadata().is_ok() {
        return Err(Failed::Create(io::ErrorKind::AlreadyExists.into()));
    }
    let before = before(path, WRITTEN.fetch_add(1, Ordering::Relaxed));
    let mut file = create(&before).map_err(Failed::Create)?;
    let written = file.write_all(bytes);
    drop(file);
    let renamed = written.map_err(Failed::Write).and_then(|()| {
        let rename =
            if creation == Creation::Fresh { rename_fresh(&before, path) } else { std::fs::rename(&before, path) };
        rename.map_err(Failed::Create)
    });
    renamed.inspect_err(|_| {
        let _ = std::fs::remove_file(&before);
    })
}

/// Files that this process has begun: two sinks may write one name at a time, and neither may touch the other's.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// What the file is called before it is whole, the `nth` of this process. It is hidden, and does not end like a picture.
fn before(path: &Path, nth: u64) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{nth}.part", std::process::id()));
    path.with_file_name(name)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    match options.open(path) {
        // An earlier program of the same number was killed here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            options.open(path)
        }
        other => other,
    }
}

/// Renames where nothing is there.
#[cfg(target_os = "linux")]
fn rename_fresh(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot say so.
        Err(Errno::INVAL | Errno::NOSYS) => rename_unless_there(from, to),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_fresh(from: &Path, to: &Path) -> io::Result<()> {
    rename_unless_there(from, to)
}

fn rename_unless_there(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}
