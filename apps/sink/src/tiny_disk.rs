//! A file system of a few pages, for tests of what a full disk does. Takes root.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Mounted as long as it lives.
pub(crate) struct TinyDisk(TempDir);

impl TinyDisk {
    /// 64 KiB; `None`, said aloud, where nothing can be mounted.
    pub(crate) fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(directory.path()).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            framewire_testing::skip("a tiny file system cannot be mounted here; run as root");
            return None;
        }
        Some(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}
