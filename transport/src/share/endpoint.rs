//! Where a hub's socket is: the path that it listens on.

mod places;

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use self::places::{FOLDER, Places};

/// Bytes that the path of a Unix socket may have at most: those of `sockaddr_un.sun_path`, less the zero that ends it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const PATH_BYTES_MAX: usize = 107;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const PATH_BYTES_MAX: usize = 103;

/// Why a path cannot be a hub's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A Unix socket cannot have it.
    #[error("{} has {bytes} bytes, and the path of a Unix socket at most {PATH_BYTES_MAX}; use a shorter one", .path.display())]
    TooLong {
        /// The path, from the root on.
        path: PathBuf,
        /// Bytes of it.
        bytes: usize,
    },
    /// It is empty, or has a zero in it, or begins in a working directory that there is not.
    #[error("'{}' is no path of a socket ({source}); use one such as /run/framewire/7001.sock", .path.display())]
    Path {
        /// What was to be a path.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The folder in which this user's sockets are is not safe to have them in: others may put theirs there.
    #[error(
        "{} {why}, so that anybody may pass for this user's hub there; set XDG_RUNTIME_DIR to a folder of this user's own, or use another path \
         for the socket",
        .folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What it is.
        why: String,
    },
    /// A folder in which hubs may have their sockets cannot be listed.
    #[error(
        "the folder {} cannot be listed ({source}), so that hubs with sockets there are not found; run as its user, or name a socket there",
        .folder.display()
    )]
    Unlisted {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Folders of the temporary directory that are named as those of users' sockets are not those users' alone: told to root, of all of them at once,
    /// since anybody can make such folders there.
    #[error(
        "{count} of the folders {}/{FOLDER}-UID are not looked into, as what is there may be anybody's ({first}); compare users, modes and numbers by \
         ls -ld, and name the socket of a hub that is to be asked all the same",
        .temporary.display()
    )]
    Passed {
        /// The temporary directory.
        temporary: PathBuf,
        /// How many there are.
        count: usize,
        /// One of them, and why.
        first: String,
    },
    /// The folder for the socket cannot be looked at.
    #[error("the folder {} for the socket cannot be looked at ({source}); use another path for the socket", .folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a hub listens: the path of its Unix socket. One is given, or follows from the hub's UDP port ([`Endpoint::of_port`]).
///
/// ```
/// use framewire_transport::share::Endpoint;
///
/// let endpoint: Endpoint = "/run/framewire/7001.sock".parse()?;
/// assert_eq!((endpoint.port(), endpoint.to_string().as_str()), (Some(7001), "/run/framewire/7001.sock"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    path: PathBuf,
    place: Place,
}

/// Whether somebody named the path. To all but the hub that listens there, it is the same place.
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Named,
    /// It follows from the port: the hub makes its folder, and sees to that.
    Default,
    /// The same, in the temporary directory for want of a better place.
    Stopgap,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl std::hash::Hash for Place {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Endpoint {
    /// The hub that listens, or is to listen, on this path. A relative one begins in the working directory of this moment. Nothing is
    /// looked up.
    ///
    /// # Errors
    /// [`EndpointError::TooLong`] for one of more than 107 bytes (Linux), and [`EndpointError::Path`] for an empty one or one with a zero
    /// in it.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, EndpointError> {
        let path = path.as_ref();
        let wrong = |source| EndpointError::Path { path: path.to_owned(), source };
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidInput, "there is a zero in it")));
        }
        let path = std::path::absolute(path).map_err(wrong)?;
        match path.as_os_str().len() {
            bytes if bytes > PATH_BYTES_MAX => Err(EndpointError::TooLong { path, bytes }),
            _ => Ok(Self { path, place: Place::Named }),
        }
    }

    /// Where the hub of a server of this user listens that receives on this UDP port, when nobody says where: `framewire/PORT.sock` in
    /// `$XDG_RUNTIME_DIR`, else in `/run` where this process is root's, else in the folder `framewire-UID` of the temporary directory.
    /// A runtime directory that is not this user's own does not count. The folder need not be there.
    ///
    /// # Errors
    /// [`EndpointError::Folder`] where the folder in the temporary directory is somebody else's, or others may write to it;
    /// [`EndpointError::TooLong`].
    pub fn of_port(udp_port: u16) -> Result<Self, EndpointError> {
        Places::of_this_process().endpoint(&udp_port.to_string())
    }

    /// Where the hub of a program of this user listens that shares streams of its own under this name, when nobody says where:
    /// `framewire/NAME.sock` where [`Endpoint::of_port`] has its sockets.
    ///
    /// # Errors
    /// [`EndpointError::Path`] for a name that is empty, begins with a dot, or has a slash, a space or a control character in it, or anything that is
    /// not ASCII, and for the number of a UDP port, whose socket is that port's; and as [`Endpoint::of_port`].
    pub fn of_name(name: &str) -> Result<Self, EndpointError> {
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        {
            return Err(no_name(name, "a name of letters, digits, '-', '_' and dots within it is wanted"));
        }
        if let Ok(port) = name.parse::<u16>() {
            let why = format!("it is the socket of a server at UDP port {port}; use a name with a letter in it");
            return Err(no_name(name, &why));
        }
        Places::of_this_process().endpoint(name)
    }

    /// The sockets of all hubs of this machine that this user may open, in the order of their paths: those in the places that
    /// [`Endpoint::of_port`] names, for root those of every user, and for every user those of the system. A hub that was killed leaves
    /// its socket behind, which connecting tells from one that lives.
    pub fn all() -> Vec<Self> {
        Self::all_and_unlisted().0
    }

    /// As [`Endpoint::all`], and the folders that are there and that this user may not list ([`EndpointError::Unlisted`]), or whose sockets
    /// are not to be trusted ([`EndpointError::Folder`]).
    pub fn all_and_unlisted() -> (Vec<Self>, Vec<EndpointError>) {
        Places::of_this_process().sockets()
    }

    /// The path, from the root on.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The UDP port that the socket is named after; `None` for one that is called something else.
    pub fn port(&self) -> Option<u16> {
        let name = self.path.file_name()?.to_str()?.strip_suffix(".sock")?;
        // One way to write a number: without a sign or zeroes in front.
        name.parse().ok().filter(|port: &u16| port.to_string() == name)
    }

    /// Whether nobody named it ([`Endpoint::of_port`]): the hub then makes its folder where that is not there, and takes it only where it is
    /// for this user alone.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.place, Place::Default | Place::Stopgap)
    }

    /// Whether [`Endpoint::of_port`] found no better place than the folder of this user's in the temporary directory, where programs with another
    /// `TMPDIR`, or a `/tmp` of their own as services and containers have it, do not look. A path that somebody named is none.
    pub fn is_stopgap(&self) -> bool {
        matches!(self.place, Place::Stopgap)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// As [`Endpoint::path`].
    fn from_str(path: &str) -> Result<Self, EndpointError> {
        Self::path(path)
    }
}

impl AsRef<Path> for Endpoint {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// A name that no socket is to have.
fn no_name(name: &str, why: &str) -> EndpointError {
    EndpointError::Path { path: name.into(), source: io::Error::new(io::ErrorKind::InvalidInput, why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_too_long_for_a_unix_socket_is_refused_with_the_limit() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert_eq!(Endpoint::path(&longest).unwrap().to_string(), longest);
        let refused = Endpoint::path(format!("{longest}a")).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("has {} bytes", PATH_BYTES_MAX + 1)) && refused.contains("at most 107"),
            "{refused}"
        );
    }

    #[test]
    fn a_name_gives_a_socket_beside_those_of_ports_and_what_is_none_is_refused() {
        let (port, name) = (Endpoint::of_port(7001).unwrap(), Endpoint::of_name("front").unwrap());
        assert_eq!((name.as_path().parent(), name.port()), (port.as_path().parent(), None));
        assert!(name.as_path().ends_with("framewire/front.sock") && name.is_default() || name.is_stopgap());
        for wrong in ["", ".", "..", ".hidden", "a/b", "/etc", "a b", "a\0", "\u{e4}", "7001", "0", "007", "+7001"] {
            assert!(matches!(Endpoint::of_name(wrong), Err(EndpointError::Path { .. })), "{wrong:?}");
        }
        let told = Endpoint::of_name("7001").unwrap_err().to_string();
        assert!(told.contains("UDP port 7001"), "{told}");
        assert!(["65536", "7001-a"].iter().all(|name| Endpoint::of_name(name).is_ok()));
    }

    #[test]
    fn what_is_no_path_is_refused_and_a_relative_one_begins_here() {
        assert!(matches!("".parse::<Endpoint>(), Err(EndpointError::Path { .. })));
        assert!(Endpoint::path("/a\0b").unwrap_err().to_string().contains("zero"));
        // A working directory of any length; what matters is that a change of it changes nothing.
        match Endpoint::path("x.sock") {
            Ok(endpoint) => assert!(endpoint.as_path().is_absolute() && endpoint.as_path().ends_with("x.sock")),
            Err(error) => assert!(matches!(error, EndpointError::TooLong { .. })),
        }
    }

    #[test]
    fn a_port_is_known_by_the_name_of_its_socket() {
        let port = |path: &str| Endpoint::path(path).unwrap().port();
        assert_eq!((port("/run/framewire/7001.sock"), port("/7001.sock")), (Some(7001), Some(7001)));
        for other in ["/7001", "/07001.sock", "/+7001.sock", "/65536.sock", "/camera.sock", "/.sock"] {
            assert_eq!(port(other), None, "{other}");
        }
    }
}
