//! What a program keeps from run to run, and nobody else may read: a directory of its own, and small files in it.
//!
//! The directory is the one that `--state-directory` names, else the first of `$STATE_DIRECTORY` (systemd's), else
//! `framewire` below `$XDG_STATE_HOME`, else `~/.local/state/framewire`. A file is there whole or not at all, and is never
//! written over: of two programs that start at once, both find what the first one wrote.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What systemd names the directories of a service in, separated by colons.
const SERVICE_VARIABLE: &str = "STATE_DIRECTORY";
/// Its directory below the others.
const NAME: &str = "framewire";
/// Far more than any secret or certificate has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A directory of this program's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// Where it is, or would be: as `given` says, else where this machine has such directories.
    ///
    /// # Errors
    /// Nobody says where, as in a service without a home.
    pub fn place(given: Option<&Path>) -> Result<PathBuf, Failure> {
        place(given, |name| std::env::var_os(name)).ok_or_else(|| {
            Failure::usage(
                "there is no place for the server's token and key: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set to \
                 an absolute path; give --state-directory DIR",
            )
        })
    }

    /// Opens it, and makes it where it is not there, for this user alone.
    ///
    /// # Errors
    /// It cannot be made, is no directory, is another user's, or others may write to it.
    pub fn open(given: Option<&Path>) -> Result<Self, Failure> {
        let path = Self::place(given)?;
        let shown = path.display();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| {
            Failure::runtime(format!(
                "the state directory '{shown}' cannot be made: {error}; name one that can be written to with \
                 --state-directory DIR"
            ))
        })?;
        let unreadable =
            |error| Failure::runtime(format!("the state directory '{shown}' cannot be looked at: {error}"));
        let found = fs::metadata(&path).map_err(unreadable)?;
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user {
            return Err(Failure::runtime(format!(
                "the state directory '{shown}' is that of user {}, and this program runs as user {user}; run: chown {user} {shown}, \
                 or name another with --state-directory DIR",
                found.uid()
            )));
        }
        if found.permissions().mode() & 0o022 != 0 {
            return Err(Failure::runtime(format!(
                "others may write to the state directory '{shown}', and so could put another key into it; run: chmod 700 {shown}"
            )));
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is kept under `name`; where nothing is, what `make` makes is kept from now on.
    ///
    /// # Errors
    /// A file that others may read, that cannot be read or be written; what `make` says.
    pub fn kept(&self, name: &str, make: impl FnOnce() -> Result<String, Failure>) -> Result<Kept, Failure> {
        let path = self.file(name);
        let kept = match read_private(&path)? {
            Some(text) => Kept { path, text, is_new: false },
            None => {
                let text = make()?;
                match self.write_new(&path, name, text.as_bytes()) {
                    Ok(()) => Kept { path, text, is_new: true },
                    // Another program was faster, and may have removed what this one had beside it.
                    Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                        let text = read_private(&path)?.ok_or_else(|| unwritten(&path, &error))?;
                        Kept { path, text, is_new: false }
                    }
                    Err(error) => return Err(unwritten(&path, &error)),
                }
            }
        };
        self.clear_beside(name);
        Ok(kept)
    }

    /// Removes what programs that were killed while they made what is kept under `name` have left: secrets that nobody would miss, or
    /// remove. One that is at it still finds what is there in its place.
    fn clear_beside(&self, name: &str) {
        let prefix = format!(".{name}.");
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let random = found.to_str().and_then(|found| found.strip_prefix(&prefix));
            if random.is_some_and(|random| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                // It is of no use to anyone, and in nobody's way: a directory that is read-only keeps it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The text appears under its name once all of it is on the disk, and never over another.
    fn write_new(&self, path: &Path, name: &str, text: &[u8]) -> io::Result<()> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let beside = self.file(&format!(".{name}.{random:016x}"));
        let written = write_private(&beside, text).and_then(|()| fs::hard_link(&beside, path));
        let _ = fs::remove_file(&beside);
        written?;
        File::open(&self.path)?.sync_all()
    }
}

/// What a state directory keeps under a name. Not shown: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// All that is in it.
    pub text: String,
    /// It was made now.
    pub is_new: bool,
}

impl Kept {
    /// That what is in the file is not what was written there, and what to do; `what` it should be.
    pub fn is_broken(&self, what: &str, why: &dyn fmt::Display) -> Failure {
        let path = self.path.display();
        Failure::runtime(format!(
            "{path} is no whole {what}: {why}; put it back from a copy, or run: rm {path} (another is made at the next start, \
             which whoever had this one needs)"
        ))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("path", &self.path).field("is_new", &self.is_new).finish_non_exhaustive()
    }
}

/// Writes a file that is not there yet, for this user alone, to the disk. One that is there is left as it is, and no link is
/// followed.
///
/// # Errors
/// It is there already, or cannot be written.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a secret is worse than none.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes a file for this user alone in the place of what is there: whoever reads it finds the one or the other, whole.
///
/// # Errors
/// It cannot be written.
pub fn replace_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = OsString::from(path.file_name().unwrap_or_default());
    beside.push(format!(".{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let beside = path.with_file_name(beside);
    let written = write_private(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// What is in a file that this user alone may read; `None` where it is not there.
fn read_private(path: &Path) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        Failure::runtime(format!(
            "{shown} cannot be read: {error}; check whose it is, or name another place with --state-directory DIR"
        ))
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let found = file.metadata().map_err(unreadable)?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(Failure::runtime(format!(
            "{shown} may be read or written by others (mode {:04o}), so that it is no secret any more; run: rm {shown} to have \
             another made, or chmod 600 {shown} where nobody has looked",
            found.permissions().mode() & 0o7777
        )));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::runtime(format!(
        "{} cannot be written: {error}; name a place that can be written to with --state-directory DIR, or bring a token and a \
         certificate of your own (--token-file, --view-token-file, --tls-cert, --tls-key)",
        path.display()
    ))
}

/// A relative path in the environment says nothing that can be relied on (XDG), but a flag means what it says.
fn place(given: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let of_service = || {
        let all = variable(SERVICE_VARIABLE)?;
        std::env::split_paths(&all).next().and_then(absolute)
    };
    let of_user = || variable("XDG_STATE_HOME").map(PathBuf::from).and_then(absolute);
    let of_home = || variable("HOME").map(PathBuf::from).and_then(absolute).map(|home| home.join(".local/state"));
    of_service().or_else(|| of_user().or_else(of_home).map(|states| states.join(NAME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (tempfile::TempDir, StateDirectory) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(Some(&directory.path().join("a/state"))).unwrap();
        (directory, state)
    }

    fn made(text: &str) -> Result<String, Failure> {
        Ok(text.to_owned())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_place_is_the_flags_then_the_services_then_the_users() {
        let at = |given: Option<&str>, set: &[(&str, &str)]| {
            place(given.map(Path::new), |name| {
                set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value))
            })
        };
        let all = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(at(Some("here"), &all), Some("here".into()));
        assert_eq!(at(None, &all), Some("/var/lib/a".into()));
        assert_eq!(at(None, &all[1..]), Some("/x/framewire".into()));
        assert_eq!(at(None, &all[2..]), Some("/h/.local/state/framewire".into()));
        assert_eq!(at(None, &[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), ("HOME", "")]), None);
    }

    #[test]
    fn what_the_first_run_makes_the_second_finds_and_nobody_else_may_read() {
        let (_root, state) = temporary();
        let first = state.kept("token", || made("one")).unwrap();
        let second = state.kept("token", || panic!("it is there")).unwrap();
        assert_eq!((first.text.as_str(), first.is_new), ("one", true));
        assert_eq!((second.text.as_str(), second.is_new), ("one", false));
        assert_eq!((mode(state.path()), mode(&first.path)), (0o700, 0o600));
        let names: Vec<_> = fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["token"], "nothing is left beside it");
        assert!(!format!("{first:?}").contains("one"));
    }

    #[test]
    fn of_programs_that_start_at_once_all_have_what_one_of_them_made() {
        let (_root, state) = temporary();
        let texts: Vec<String> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..16)
                .map(|number| {
                    let state = &state;
                    scope.spawn(move || state.kept("token", || made(&number.to_string())).unwrap().text)
                })
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }

    #[test]
    fn what_others_may_read_or_write_is_refused_with_what_to_type() {
        let (_root, state) = temporary();
        let path = state.kept("token", || made("one")).unwrap().path;
        for open in [0o640, 0o604, 0o620, 0o644] {
            set_mode(&path, open);
            let said = state.kept("token", || made("two")).unwrap_err().to_string();
            assert!(said.contains(&format!("chmod 600 {}", path.display())) && said.contains("rm "), "{said}");
        }
        set_mode(state.path(), 0o777);
        let said = StateDirectory::open(Some(state.path())).unwrap_err().to_string();
        assert!(said.contains(&format!("chmod 700 {}", state.path().display())), "{said}");
        // As systemd's units had it: to look at a list of names is no harm.
        set_mode(state.path(), 0o750);
        StateDirectory::open(Some(state.path())).unwrap();
    }

    #[test]
    fn what_is_no_directory_or_cannot_be_written_to_is_refused_with_another_way() {
        let (_root, state) = temporary();
        let file = state.kept("token", || made("one")).unwrap().path;
        for place in [file.as_path(), &file.join("below"), Path::new("/proc/framewire")] {
            let said = StateDirectory::open(Some(place)).unwrap_err().to_string();
            assert!(said.contains("--state-directory DIR"), "{said}");
        }
        fs::remove_dir_all(state.path()).unwrap();
        let said = state.kept("token", || made("one")).unwrap_err().to_string();
        assert!(said.contains("cannot be written") && said.contains("--token-file"), "{said}");
    }

    #[test]
    fn a_private_file_is_replaced_whole_and_a_new_one_never_is_written_over() {
        let (_root, state) = temporary();
        let path = state.file("join");
        replace_private(&path, b"one\n").unwrap();
        set_mode(&path, 0o644);
        replace_private(&path, b"two\n").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"two\n"[..], 0o600));
        assert_eq!(write_private(&path, b"three").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_program_left_beside_is_removed_and_nothing_else() {
        let (_root, state) = temporary();
        for left in [".token.0123456789abcdef", ".view-token.0123456789abcdef", ".token.mine"] {
            write_private(&state.file(left), b"half").unwrap();
        }
        for is_new in [true, false] {
            assert_eq!(state.kept("token", || made("one")).unwrap().is_new, is_new);
            assert!(!state.file(".token.0123456789abcdef").exists());
            assert!(state.file(".token.mine").exists() && state.file(".view-token.0123456789abcdef").exists());
            write_private(&state.file(".token.0123456789abcdef"), b"half").unwrap();
        }
    }

    #[test]
    fn what_is_broken_is_told_with_both_ways_out() {
        let (_root, state) = temporary();
        let said = state.kept("token", || made("half")).unwrap().is_broken("token", &"too short").to_string();
        assert!(said.contains("no whole token: too short") && said.contains("rm "), "{said}");
    }
}
