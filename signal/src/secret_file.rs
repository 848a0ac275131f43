//! Files that hold secrets: read where nobody else on the machine reads them, and refused otherwise.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file with a secret was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The file could not be read.
    #[error("the {what} file {path} cannot be read ({source}); check the path and who may read it")]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than what it should hold.
    #[error("the {what} file {path} has more than {bytes_max} bytes; is it the right file?")]
    TooLarge {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// Everyone on the machine may read or change it.
    #[error("the {what} file {path} is open to everyone on this machine (mode {mode:04o}); run: chmod 600 {path}")]
    OpenToOthers {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// What a file holds that is a secret, at most `bytes_max` bytes. `what` names it in errors, such as `token`. A file of a group's is read; one
/// that everyone on the machine may read or change is not.
///
/// # Errors
/// The file cannot be read, is larger, or is open to everyone.
pub fn read_secret_file(
    path: impl AsRef<Path>,
    what: &'static str,
    bytes_max: u64,
) -> Result<Vec<u8>, SecretFileError> {
    let path = path.as_ref();
    let unreadable = |source| SecretFileError::Unreadable { what, path: path.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that is open: another may have its name by now.
    let mode = mode_of(&file.metadata().map_err(unreadable)?);
    if mode & 0o006 != 0 {
        return Err(SecretFileError::OpenToOthers { what, path: path.into(), mode });
    }
    let mut secret = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut secret).map_err(unreadable)?;
    if secret.len() as u64 > bytes_max {
        return Err(SecretFileError::TooLarge { what, path: path.into(), bytes_max });
    }
    Ok(secret)
}

#[cfg(unix)]
fn mode_of(file: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode_of(_: &Metadata) -> u32 {
    0
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_everyone_may_read_or_change_is_refused_with_the_line_to_type() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret").unwrap();
        for (mode, is_read) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o602, false), (0o666, false)]
        {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret_file(file.path(), "token", 6);
            assert_eq!(read.is_ok(), is_read, "{mode:o}");
            if let Err(error) = read {
                let line = format!("(mode {mode:04o}); run: chmod 600 {}", file.path().display());
                assert!(error.to_string().contains(&line), "{error}");
            }
        }
    }

    #[test]
    fn more_than_it_may_hold_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secrets").unwrap();
        let error = read_secret_file(file.path(), "token", 6).unwrap_err().to_string();
        assert!(error.contains("more than 6 bytes") && !error.contains("secrets"), "{error}");
        assert!(matches!(read_secret_file("/nowhere", "token", 6), Err(SecretFileError::Unreadable { .. })));
        // Without an end.
        assert!(matches!(read_secret_file("/dev/zero", "token", 6), Err(SecretFileError::OpenToOthers { .. })));
    }
}
