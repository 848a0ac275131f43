//! Flags of the server for programs of its machine that read its frames in place.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use framewire_process::times::duration;
use framewire_transport::share::{Endpoint, EndpointError};
use nix::unistd::Group;

/// Who may read the streams in place, and how much of the server's memory that may take.
#[derive(Debug, Clone, Args)]
pub struct ShareArgs {
    /// The socket on which the streams are shared with programs of this machine, or off; by default framewire/UDP-PORT.sock in
    /// $XDG_RUNTIME_DIR, else in /run as root, else in a folder of this user's in the temporary directory (framed wire)
    #[arg(long, value_name = "PATH|off", env = "FRAMEWIRE_SHARE")]
    pub share: Option<Share>,
    /// A group whose members may read and send by that socket too, by name or number; by default this user and root alone
    #[arg(long, value_name = "GROUP", value_parser = group)]
    pub share_group: Option<u32>,
    /// Slots of each stream that its readers in other programs may have between them; memory is taken for those that are used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=READER_SLOTS_MAX), default_value_t = READER_SLOTS)]
    pub reader_slots: u8,
    /// Let readers ask that every frame waits for them, and its sender with it
    #[arg(long)]
    pub share_block: bool,
    /// How long frames wait for such a reader before it is given no more, such as 500ms or 10s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub reader_timeout: Duration,
}

/// Eight readers that take the newest frame and hold two.
const READER_SLOTS: u8 = 24;
/// What is left of a pool's 64 slots beside those that a stream needs itself.
const READER_SLOTS_MAX: i64 = 48;

/// Where streams are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// Nowhere.
    Off,
    /// On this socket.
    At(Endpoint),
}

impl FromStr for Share {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text {
            "off" => Ok(Self::Off),
            path => path.parse().map(Self::At),
        }
    }
}

fn group(text: &str) -> Result<u32, String> {
    let shown: String = text.escape_debug().take(40).collect();
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("this machine has no group '{shown}'; getent group lists them")),
        Err(error) => Err(format!("the group '{shown}' cannot be looked up ({error}); write its number")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::ServerArgs;

    fn read(flags: &[&str]) -> Result<ShareArgs, String> {
        let args = ServerArgs::try_parse_from([&["server"], flags].concat());
        args.map(|args| args.shared).map_err(|error| error.to_string())
    }

    #[test]
    fn a_place_is_a_path_or_off_and_one_that_no_socket_can_have_is_refused_with_the_limit() {
        assert_eq!(read(&[]).unwrap().share, None);
        assert_eq!(read(&["--share", "off"]).unwrap().share, Some(Share::Off));
        let at = |path: &str| Some(Share::At(Endpoint::path(path).unwrap()));
        assert_eq!(read(&["--share", "/run/x.sock"]).unwrap().share, at("/run/x.sock"));
        let error = read(&["--share", &format!("/{}.sock", "x".repeat(150))]).unwrap_err();
        assert!(error.contains("156 bytes") && error.contains("at most"), "{error}");
        assert!(read(&["--share", ""]).unwrap_err().contains("such as /run/framewire/7001.sock"));
    }

    #[test]
    fn a_group_is_a_name_or_a_number() {
        assert_eq!(read(&["--share-group", "1234"]).unwrap().share_group, Some(1_234));
        assert_eq!(read(&["--share-group", "root"]).unwrap().share_group, Some(0));
        let error = read(&["--share-group", "no-such-group"]).unwrap_err();
        assert!(error.contains("no group 'no-such-group'"), "{error}");
    }

    #[test]
    fn slots_for_readers_are_some_of_a_pools() {
        assert_eq!(read(&[]).unwrap().reader_slots, 24);
        assert_eq!(read(&["--reader-slots", "0"]).unwrap().reader_slots, 0);
        assert!(read(&["--reader-slots", "49"]).unwrap_err().contains("49"));
    }
}
