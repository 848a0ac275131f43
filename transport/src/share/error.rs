//! Why frames are not shared.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

use super::endpoint::{Endpoint, EndpointError};
#[cfg(target_os = "linux")]
use super::socket::listening::ListenError;
use crate::frame::PoolError;
use crate::limit::{DESCRIPTORS_LOST, remedy};

/// Why a hub is not there, or did not give what was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Nothing is shared on this system.
    #[error("frames are shared between processes on Linux only; send them over UDP")]
    Unsupported,
    /// The path cannot be a hub's.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Another hub listens there.
    #[error("another program shares its streams on {endpoint}; stop it, or share on another path")]
    HubThere {
        /// Where.
        endpoint: Endpoint,
    },
    /// There can be no hub there.
    #[error("streams cannot be shared on {endpoint}: {why}")]
    Place {
        /// Where.
        endpoint: Endpoint,
        /// What is in its way, and what to do.
        why: String,
    },
    /// No stream can be called so.
    #[error("no stream can be called '{}'; use 1 to 256 bytes of UTF-8 without control characters", .0.escape_debug())]
    Name(String),
    /// The stream is of a receiver that shares none, or the system had nothing left to share it with.
    #[error(
        "the stream is not shared with other processes; have its receiver share (ReceiverConfig::share), and see the log"
    )]
    NotShared,
    /// Nobody listens on the socket.
    #[error("no hub listens on {endpoint} ({source}); start one there, or look where the others are (framewire ls)")]
    NoHub {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// What lies there is nothing that a hub listens on.
    #[error("{endpoint} is {what}; name the socket of a hub (framewire ls lists those of this machine)")]
    NotAHub {
        /// Where.
        endpoint: Endpoint,
        /// What it is instead.
        what: &'static str,
    },
    /// The socket is another user's.
    #[error(
        "the hub on {endpoint} is not for this user ({}{source}); run as the user who started it, or have it share with a \
         group of yours (--share-group)", whose(.owner)
    )]
    Forbidden {
        /// Where.
        endpoint: Endpoint,
        /// Whose socket it is; `None` where that cannot be seen, or the hub itself refuses.
        owner: Option<u32>,
        /// What the system said.
        source: io::Error,
    },
    /// The system did not let this process connect, for another reason.
    #[error("cannot connect to the hub on {endpoint}: {source}; {}", remedy_of_connect(.source))]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// A program listens on the socket, and more wait to be let in than it has room for.
    #[error(
        "a hub is on {endpoint}, and more wait to be let in there than it has room for; see whether it is stopped or overloaded"
    )]
    Busy {
        /// Where.
        endpoint: Endpoint,
    },
    /// The hub took too long to answer.
    #[error("the hub on {endpoint} did not answer within {} ms; see whether it is stopped or overloaded", .after.as_millis())]
    Silent {
        /// Where.
        endpoint: Endpoint,
        /// How long was waited.
        after: std::time::Duration,
    },
    /// The hub closed the connection: it ended, or was killed.
    #[error("the hub on {endpoint} is gone; try again when it is back")]
    HubGone {
        /// Where.
        endpoint: Endpoint,
    },
    /// It speaks another version.
    #[error(
        "the hub on {endpoint} speaks version {theirs} of sharing and this program {ours}; use the same release for both"
    )]
    Version {
        /// Where.
        endpoint: Endpoint,
        /// The version of the hub.
        theirs: u32,
        /// The version of this program.
        ours: u32,
    },
    /// What it said is not what a hub says.
    #[error("what answers on {endpoint} says what no hub says ({what}); see which program listens there")]
    Nonsense {
        /// Where.
        endpoint: Endpoint,
        /// What was wrong with it.
        what: String,
    },
    /// The system dropped a descriptor on its way.
    #[error(
        "the open files that the hub on {endpoint} handed over did not all arrive (MSG_CTRUNC): {DESCRIPTORS_LOST}"
    )]
    DescriptorsLost {
        /// Where.
        endpoint: Endpoint,
    },
    /// Memory that was received is not safe to map: it could be changed or cut off while it is read.
    #[error("the {what} from the hub on {endpoint} is not safe to map: {why}; see which program listens there")]
    UnsafeMemory {
        /// Where.
        endpoint: Endpoint,
        /// Which memory.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The hub has no stream of this name.
    #[error("the hub on {endpoint} has no stream '{name}'; {}", those_there(.streams))]
    UnknownStream {
        /// Where.
        endpoint: Endpoint,
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        streams: Vec<String>,
    },
    /// No such stream came in the time given.
    #[error("no stream '{name}' on {endpoint} within {} ms; {}", .after.as_millis(), those_there(.streams))]
    NoStreamYet {
        /// Where.
        endpoint: Endpoint,
        /// The name that was asked for.
        name: String,
        /// How long was waited.
        after: std::time::Duration,
        /// Those that there are.
        streams: Vec<String>,
    },
    /// The stream's slots for readers are taken.
    #[error(
        "a reader that is offered {offers} frames and holds {hold} needs {} slots, and of the {reader_slots} for readers of '{name}' {left} are \
         left; hold fewer, end another reader, or give readers more of them at the hub (--reader-slots)", .offers + .hold
    )]
    NoReaderSlots {
        /// The stream.
        name: String,
        /// Frames that wait for the reader at most.
        offers: usize,
        /// Frames that it may hold.
        hold: usize,
        /// Slots that there are for readers of the stream.
        reader_slots: usize,
        /// Those of them that no reader has.
        left: usize,
    },
    /// A reader may not have the hub wait for it.
    #[error(
        "the hub on {endpoint} lets no reader make it wait; read with 'latest' or 'queue', or allow it there (--share-block)"
    )]
    BlockRefused {
        /// Where.
        endpoint: Endpoint,
    },
    /// More frames were to wait, or to be held, than can be.
    #[error("{value} {what} cannot be; use {min} to {max}")]
    OutOfRange {
        /// Of what there are so many.
        what: &'static str,
        /// How many were asked for.
        value: usize,
        /// The least that can be.
        min: usize,
        /// The most that can be.
        max: usize,
    },
    /// The hub refuses, for another reason.
    #[error("the hub on {endpoint} refuses: {why}")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// What it said.
        why: String,
    },
    /// This process was forked from the one that the reader is of.
    #[error(
        "this process was forked from the one that uses {endpoint}, which alone may do so; connect or share anew here"
    )]
    Forked {
        /// Where.
        endpoint: Endpoint,
    },
    /// Readers could write to the stream's frames.
    #[error(
        "the system cannot seal memory against writing (before Linux 5.1, or refused by a filter); frames are shared with nobody here"
    )]
    Unsealed,
    /// There can be no slots of that number or size.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The system gave no memory, descriptor or thread.
    #[error("the system refused what sharing needs: {0}; {help}", help = remedy(.0).unwrap_or("check the process's limits"))]
    System(#[source] io::Error),
}

impl ShareError {
    /// Why there is no hub at a place.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_bind(endpoint: &Endpoint, error: &ListenError) -> Self {
        let endpoint = endpoint.clone();
        match error {
            ListenError::InUse(_) => Self::HubThere { endpoint },
            error => Self::Place { endpoint, why: error.to_string() },
        }
    }

    /// What connecting failed with, sorted by what helps.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_connect(endpoint: &Endpoint, source: io::Error) -> Self {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};

        let there = std::fs::metadata(endpoint).ok();
        let is_no_socket = there.as_ref().is_some_and(|there| !there.file_type().is_socket());
        let endpoint = endpoint.clone();
        let not_a_hub = |endpoint, what| Self::NotAHub { endpoint, what };
        match Errno::from_io_error(&source) {
            // Of what is no socket the system says what it says of a socket on which nobody listens.
            Some(Errno::CONNREFUSED | Errno::ACCESS) if is_no_socket => {
                let is_folder = there.is_some_and(|there| there.is_dir());
                not_a_hub(endpoint, if is_folder { "no socket, but a folder" } else { "no socket, but a file" })
            }
            Some(Errno::NOTDIR) => not_a_hub(endpoint, "no socket: what its path leads through is no folder"),
            Some(Errno::LOOP) => not_a_hub(endpoint, "no socket, but a link that leads to itself"),
            Some(Errno::PROTOTYPE) => not_a_hub(endpoint, "a socket of another kind, and so of another program"),
            Some(Errno::NOENT | Errno::CONNREFUSED) => Self::NoHub { endpoint, source },
            Some(Errno::ACCESS) => Self::Forbidden { endpoint, owner: there.map(|there| there.uid()), source },
            Some(Errno::AGAIN) => Self::Busy { endpoint },
            _ => Self::Connect { endpoint, source },
        }
    }
}

/// What to do about the rest of what connecting fails with.
fn remedy_of_connect(error: &io::Error) -> &'static str {
    if let Some(remedy) = remedy(error) {
        return remedy;
    }
    match Errno::from_io_error(error) {
        Some(Errno::NOMEM | Errno::NOBUFS) => "free memory, or raise this process's limit of it",
        Some(Errno::PERM) => {
            "allow connect with Unix sockets in the security module or the filter of the sandbox or container"
        }
        Some(Errno::AFNOSUPPORT) => "allow Unix sockets here (RestrictAddressFamilies=AF_UNIX)",
        _ => "check the path, and the filter of the sandbox or container",
    }
}

fn whose(owner: &Option<u32>) -> String {
    owner.map_or_else(String::new, |uid| format!("its socket is that of user {uid}: "))
}

fn those_there(streams: &[String]) -> String {
    match streams {
        [] => "it has none".to_owned(),
        streams => format!("there are {}", streams.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_connecting_fails_with_is_sorted_by_what_helps() {
        // Nothing lies there.
        let endpoint = Endpoint::path("/no/such/folder/x.sock").unwrap();
        let of = |errno: Errno| ShareError::of_connect(&endpoint, errno.into());
        assert!(matches!(of(Errno::NOENT), ShareError::NoHub { .. }));
        assert!(matches!(of(Errno::CONNREFUSED), ShareError::NoHub { .. }));
        assert!(matches!(of(Errno::ACCESS), ShareError::Forbidden { owner: None, .. }));
        for (errno, said) in [
            (Errno::PROTOTYPE, "is a socket of another kind"),
            (Errno::NOTDIR, "leads through is no folder"),
            (Errno::LOOP, "a link that leads to itself"),
            (Errno::MFILE, "Too many open files (os error 24); raise this process's limit of open files (ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::NOMEM, "free memory"),
            (Errno::AFNOSUPPORT, "RestrictAddressFamilies=AF_UNIX"),
            (Errno::PERM, "the security module or the filter"),
            (Errno::AGAIN, "stopped or overloaded"),
            (Errno::IO, "check the path"),
        ] {
            let error = of(errno);
            assert!(error.to_string().contains(said), "{error}");
            assert!(
                matches!(error, ShareError::NotAHub { .. } | ShareError::Connect { .. } | ShareError::Busy { .. }),
                "{error:?}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_lies_on_a_path_and_is_no_socket_is_said_to_be_none_whatever_the_system_says() {
        let folder = std::env::temp_dir();
        let executable = std::env::current_exe().unwrap();
        for (path, what) in [(folder.as_path(), "a folder"), (executable.as_path(), "a file")] {
            // A path of a test's build may be longer than a socket's.
            let Ok(endpoint) = Endpoint::path(path) else { continue };
            for errno in [Errno::CONNREFUSED, Errno::ACCESS] {
                let said = ShareError::of_connect(&endpoint, errno.into()).to_string();
                let wanted = format!("{endpoint} is no socket, but {what}; name the socket of a hub");
                assert!(said.starts_with(&wanted), "{said}");
            }
        }
    }

    #[test]
    fn who_asks_for_a_stream_that_there_is_not_is_told_which_there_are() {
        let endpoint = Endpoint::path("/x.sock").unwrap();
        let error = |streams: &[&str]| {
            let streams = streams.iter().map(|name| (*name).to_owned()).collect();
            ShareError::UnknownStream { endpoint: endpoint.clone(), name: "front".into(), streams }.to_string()
        };
        assert_eq!(error(&[]), "the hub on /x.sock has no stream 'front'; it has none");
        assert_eq!(error(&["a", "b"]), "the hub on /x.sock has no stream 'front'; there are a, b");
    }
}
