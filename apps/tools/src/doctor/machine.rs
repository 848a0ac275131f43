//! What the kernel tells in files, below a directory that a test can make up.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The machine at hand, or one that a test has written down.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine whose `proc` and `sys` are below `root`.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// What a file says, without the white space around it; else why it cannot be told, as a sentence.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        let text = std::fs::read_to_string(self.path(path));
        text.map(|text| text.trim().to_owned()).map_err(|error| format!("{path} cannot be read: {error}"))
    }

    /// As [`Machine::read`], for a file that holds one number.
    pub(super) fn number<T: FromStr>(&self, path: &str) -> Result<T, String> {
        let text = self.read(path)?;
        text.parse().map_err(|_| format!("{path} says '{}', which is no number", text.escape_debug()))
    }

    /// The names in a directory, sorted; none where it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten();
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}

#[cfg(test)]
pub(super) mod made_up {
    use super::*;

    /// A machine with these files.
    pub(in crate::doctor) fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::at(root.path());
        for (path, text) in files {
            let path = machine.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (root, machine)
    }
}

#[cfg(test)]
mod tests {
    use super::made_up::machine;

    #[test]
    fn what_cannot_be_read_says_which_file_and_why() {
        let (_root, machine) = machine(&[("/proc/a", " 17\n"), ("/proc/b", "many\n")]);
        assert_eq!(machine.number("/proc/a"), Ok(17_u64));
        assert_eq!(machine.number::<u64>("/proc/b").unwrap_err(), "/proc/b says 'many', which is no number");
        assert!(machine.read("/proc/c").unwrap_err().starts_with("/proc/c cannot be read: No such file"));
        assert_eq!(machine.names("/proc"), ["a", "b"]);
        assert!(machine.names("/sys").is_empty());
    }
}
