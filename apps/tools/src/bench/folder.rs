//! A folder that two processes of a bench meet in, and nobody else's.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use framewire_process::exit::Failure;

/// A folder of its owner alone, in that for temporary files; removed with what is in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, Failure> {
        let random = getrandom::u64()
            .map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}")))?;
        let path = std::env::temp_dir().join(format!("framewire-bench-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::runtime(format!("no folder {}: {error}; set TMPDIR to one that can be written to", path.display()))
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is empty files, for the system's own clearing up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
