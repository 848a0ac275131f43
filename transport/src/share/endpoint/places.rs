//! Where hubs' sockets are when nobody says where, and which are there.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Endpoint, EndpointError, Place};

/// What sockets are called whose place nobody said: `framewire/7001.sock`.
pub(super) const FOLDER: &str = "framewire";
const ENDING: &str = "sock";

/// What decides where sockets are.
pub(super) struct Places {
    /// `$XDG_RUNTIME_DIR`, where it is this user's.
    runtime: Option<PathBuf>,
    /// Where the system's own are: `/run`.
    system: PathBuf,
    temporary: PathBuf,
    uid: u32,
}

impl Places {
    pub(super) fn of_this_process() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        // One that `sudo` and `su` left from another user is not ours to put anything into.
        let is_ours = |path: &PathBuf| {
            path.is_absolute() && std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
        };
        Self { runtime: runtime.filter(is_ours), system: "/run".into(), temporary: std::env::temp_dir(), uid }
    }

    fn temporary_folder(&self) -> PathBuf {
        self.temporary.join(format!("{FOLDER}-{}", self.uid))
    }

    fn folder(&self) -> PathBuf {
        match &self.runtime {
            Some(runtime) => runtime.join(FOLDER),
            None if self.uid == 0 => self.system.join(FOLDER),
            None => self.temporary_folder(),
        }
    }

    pub(super) fn endpoint(&self, name: &str) -> Result<Endpoint, EndpointError> {
        let folder = self.folder();
        let is_stopgap = folder == self.temporary_folder();
        if is_stopgap {
            match private_to(&folder, self.uid) {
                Err(EndpointError::NoFolder { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                checked => checked?,
            }
        }
        let endpoint = Endpoint::path(folder.join(format!("{name}.{ENDING}")))?;
        Ok(Endpoint { place: if is_stopgap { Place::Stopgap } else { Place::Default }, ..endpoint })
    }

    /// The sockets for this user, and where there may be more of them.
    pub(super) fn sockets(&self) -> (Vec<Endpoint>, Vec<EndpointError>) {
        let (folders, mut troubles) = self.folders();
        let mut found = Vec::new();
        for folder in folders {
            match sockets_in(&folder) {
                Ok(sockets) => found.extend(sockets),
                Err(source) => troubles.extend(unlisted(folder, source)),
            }
        }
        found.sort();
        found.dedup();
        (found, troubles)
    }

    /// What to tell of folders of the temporary directory that are not what their names say.
    fn passed(&self, passed: &[EndpointError]) -> Option<EndpointError> {
        // The same one each time.
        let first = passed.iter().map(what_is_wrong).min()?;
        Some(EndpointError::Passed { temporary: self.temporary.clone(), count: passed.len(), first })
    }

    /// Where there may be sockets for this user, and why not elsewhere.
    fn folders(&self) -> (Vec<PathBuf>, Vec<EndpointError>) {
        let mut troubles = Vec::new();
        let mut folders = vec![self.system.join(FOLDER)];
        folders.extend(self.runtime.as_ref().map(|runtime| runtime.join(FOLDER)));
        let users = self.system.join("user");
        let mut private = Vec::new();
        if self.uid == 0 {
            let mut names = |folder: &Path| {
                names_in(folder).unwrap_or_else(|source| {
                    troubles.extend(unlisted(folder.to_owned(), source));
                    Vec::new()
                })
            };
            folders.extend(names(&users).into_iter().map(|user| users.join(user).join(FOLDER)));
            // Those of other users, where they are what their name says.
            private.extend(names(&self.temporary).into_iter().filter_map(|name| {
                let number = name.to_str()?.strip_prefix(FOLDER)?.strip_prefix('-')?;
                // One way to write it: a user has one folder.
                let uid = number.parse().ok().filter(|uid: &u32| uid.to_string() == number)?;
                Some((self.temporary.join(&name), uid))
            }));
        } else {
            // A program that was started without the variable looks where one that had it listens.
            folders.push(users.join(self.uid.to_string()).join(FOLDER));
            private.push((self.temporary_folder(), self.uid));
        }
        let mut passed = Vec::new();
        for (folder, uid) in private {
            match private_to(&folder, uid) {
                Ok(()) => folders.push(folder),
                Err(EndpointError::NoFolder { folder, source }) => passed.extend(unlisted(folder, source)),
                Err(error) => passed.push(error),
            }
        }
        if self.uid == 0 {
            troubles.extend(self.passed(&passed));
        } else {
            troubles.append(&mut passed);
        }
        // One may be named twice, as the runtime directory is.
        folders.sort();
        folders.dedup();
        (folders, troubles)
    }
}

/// What is wrong with a folder, without what its own user is to do about it.
fn what_is_wrong(error: &EndpointError) -> String {
    match error {
        EndpointError::Folder { folder, why } => format!("{} {why}", folder.display()),
        EndpointError::Unlisted { folder, source } => format!("{} cannot be looked at: {source}", folder.display()),
        error => error.to_string(),
    }
}

/// What to tell of a folder that cannot be listed: nothing where it is not there.
fn unlisted(folder: PathBuf, source: io::Error) -> Option<EndpointError> {
    (source.kind() != io::ErrorKind::NotFound).then_some(EndpointError::Unlisted { folder, source })
}

/// Whether a folder is one that this user alone can have put anything into.
fn private_to(folder: &Path, uid: u32) -> Result<(), EndpointError> {
    let refused = |why| Err(EndpointError::Folder { folder: folder.to_owned(), why });
    // Of the name itself: a link may lead anywhere by the time that it is followed.
    let found = std::fs::symlink_metadata(folder)
        .map_err(|source| EndpointError::NoFolder { folder: folder.to_owned(), source })?;
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        refused("is no folder".to_owned())
    } else if found.uid() != uid {
        refused(format!("belongs to user {} and not to {uid}", found.uid()))
    } else if mode & 0o067 != 0 {
        // Members of a group that its hub is shared with may pass through it: 0710.
        refused(format!("is open to others (mode {mode:04o} in place of 0700, as chmod sets it)"))
    } else {
        Ok(())
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    Ok(std::fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).collect())
}

/// The sockets in a folder that this process may connect to.
///
/// # Errors
/// It cannot be listed.
fn sockets_in(folder: &Path) -> io::Result<Vec<Endpoint>> {
    let paths = names_in(folder)?.into_iter().map(|name| folder.join(name));
    let sockets = paths.filter(|path| {
        path.extension() == Some(OsStr::new(ENDING))
            && std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
            && rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
    });
    Ok(sockets.filter_map(|path| Endpoint::path(path).ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A folder of the test's own, removed with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("fw-endpoint-{}-{count}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn make(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn places(runtime: Option<&str>, folder: &Folder, uid: u32) -> Places {
        let runtime = runtime.map(|name| folder.make(name, 0o700));
        Places { runtime, system: folder.make("run", 0o755), temporary: folder.make("tmp", 0o777), uid }
    }

    #[test]
    fn the_place_is_the_runtime_directory_or_the_systems_for_root_or_a_folder_of_the_users_own() {
        let folder = Folder::new();
        let place = |places: Places| places.endpoint("7001").unwrap().as_path().to_owned();
        assert_eq!(place(places(Some("user"), &folder, 1000)), folder.0.join("user/framewire/7001.sock"));
        assert_eq!(place(places(None, &folder, 0)), folder.0.join("run/framewire/7001.sock"));
        assert_eq!(place(places(None, &folder, 1000)), folder.0.join("tmp/framewire-1000/7001.sock"));
    }

    #[test]
    fn a_place_is_a_stopgap_only_in_the_users_folder_of_the_temporary_directory() {
        let folder = Folder::new();
        let endpoint = |places: Places| places.endpoint("7001").unwrap();
        let stopgap = endpoint(places(None, &folder, own_uid().max(1)));
        assert!(stopgap.is_stopgap() && stopgap.is_default(), "{stopgap}");
        assert!(!Endpoint::path(stopgap.as_path()).unwrap().is_stopgap());
        // A runtime directory may be below the temporary one as well.
        for places in [places(Some("tmp/runtime"), &folder, 1000), places(None, &folder, 0)] {
            assert!(!endpoint(places).is_stopgap());
        }
    }

    #[test]
    fn a_folder_in_the_temporary_directory_that_others_may_write_to_is_refused() {
        let folder = Folder::new();
        // As a user who is not root.
        let mut places = places(None, &folder, own_uid().max(1));
        let own = places.temporary_folder();
        let refusal = |places: &Places| places.endpoint("7001").unwrap_err().to_string();
        symlink("/", &own).unwrap();
        assert!(refusal(&places).contains("is no folder"));
        std::fs::remove_file(&own).unwrap();
        folder.make(&format!("tmp/framewire-{}", places.uid), 0o770);
        if places.uid == own_uid() {
            assert!(refusal(&places).contains("mode 0770"), "{}", refusal(&places));
        }
        places.uid = own_uid() + 1;
        folder.make(&format!("tmp/framewire-{}", places.uid), 0o700);
        let refused = refusal(&places);
        assert!(refused.contains(&format!("belongs to user {} and not to {}", own_uid(), own_uid() + 1)), "{refused}");
    }

    #[test]
    fn a_place_is_a_default_one_only_where_nobody_named_it_and_the_same_to_all_who_connect() {
        let folder = Folder::new();
        let places = places(Some("user"), &folder, own_uid());
        let default = places.endpoint("7001").unwrap();
        let named = Endpoint::path(default.as_path()).unwrap();
        assert!(default.is_default() && !named.is_default());
        assert_eq!(default, named);
        assert_eq!(std::collections::HashSet::from([default, named]).len(), 1);
    }

    #[test]
    fn all_hubs_are_the_sockets_in_every_place_and_nothing_else_that_lies_there() {
        let folder = Folder::new();
        let places = places(Some("user"), &folder, own_uid());
        let in_folder = |folder: PathBuf, name: &str| {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
            folder.join(name)
        };
        let there = [
            in_folder(places.runtime.as_ref().unwrap().join(FOLDER), "7001.sock"),
            in_folder(places.system.join(FOLDER), "7002.sock"),
            in_folder(places.system.join(FOLDER), "camera.sock"),
            in_folder(places.temporary_folder(), "7003.sock"),
        ];
        let _hubs = there.each_ref().map(|path| UnixListener::bind(path).unwrap());
        let beside = in_folder(places.system.join(FOLDER), "7004");
        let _other = UnixListener::bind(beside).unwrap();
        std::fs::write(places.system.join(FOLDER).join("7005.sock"), "").unwrap();
        symlink(&there[0], places.system.join(FOLDER).join("7006.sock")).unwrap();
        let (found, troubles) = places.sockets();
        assert!(troubles.is_empty(), "{troubles:?}");
        let mut expected = there.to_vec();
        expected.sort();
        assert_eq!(found.iter().map(|hub| hub.as_path().to_owned()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn root_is_told_once_of_all_folders_that_anybody_may_have_made() {
        let folder = Folder::new();
        let places = places(None, &folder, 0);
        // Neither is a user's: a user's number is written in one way.
        for name in ["framewire-007", "framewire-+7", "framewire-", "framewire-x"] {
            folder.make(&format!("tmp/{name}"), 0o777);
        }
        assert!(places.sockets().1.is_empty());
        for uid in 5000..5100 {
            folder.make(&format!("tmp/framewire-{uid}"), 0o777);
        }
        let (_, troubles) = places.sockets();
        let [told] = &troubles[..] else { panic!("{troubles:?}") };
        let told = told.to_string();
        assert!(told.starts_with("100 of the folders ") && told.contains("framewire-5000 "), "{told}");
        assert!(!told.contains("XDG_RUNTIME_DIR") && told.contains("name the socket"), "{told}");
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_told_of_and_one_that_is_not_there_is_not() {
        let folder = Folder::new();
        let places = places(Some("user"), &folder, own_uid());
        let (none, troubles) = places.sockets();
        assert!(none.is_empty() && troubles.is_empty(), "{troubles:?}");
        std::fs::write(places.system.join(FOLDER), "").unwrap();
        folder.make(&format!("tmp/framewire-{}", places.uid), 0o777);
        let told = places.sockets().1.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let system = places.system.join(FOLDER);
        assert!(told.contains(&format!("the folder {} cannot be listed (Not a directory", system.display())), "{told}");
        assert!(told.contains("open to others (mode 0777"), "{told}");
    }
}
