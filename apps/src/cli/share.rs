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

impl ShareArgs {
    /// Flags beside `--share` that ask for something; one that says what holds without it asks for nothing.
    fn asked(&self) -> Vec<&'static str> {
        let flags = [
            (self.share_group.is_some(), "--share-group"),
            (self.reader_slots != READER_SLOTS, "--reader-slots"),
            (self.share_block, "--share-block"),
            (self.reader_timeout != READER_TIMEOUT, "--reader-timeout"),
        ];
        flags.into_iter().filter_map(|(is_asked, flag)| is_asked.then_some(flag)).collect()
    }

    /// What is to be told of flags that come to nothing: where nothing can be `shared`, and else.
    pub fn idle(&self, shared: bool) -> Option<String> {
        let mut idle = self.asked();
        let why = if !shared {
            if let Some(Share::At(_)) = &self.share {
                idle.insert(0, "--share");
            }
            "frames of the plain wire are shared with nobody"
        } else if self.share == Some(Share::Off) {
            "--share is off"
        } else {
            idle.retain(|flag| *flag == "--reader-timeout" && !self.share_block);
            "frames wait for no reader without --share-block"
        };
        let verb = if idle.len() == 1 { "does" } else { "do" };
        (!idle.is_empty()).then(|| format!("{} {verb} nothing here: {why}", idle.join(", ")))
    }
}

/// Eight readers that take the newest frame and hold two.
pub const READER_SLOTS: u8 = 24;
/// Longer than a program stops for by chance, and shorter than anybody looks at a picture that stands still.
pub const READER_TIMEOUT: Duration = Duration::from_secs(5);
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
    match text.parse() {
        // What system calls take for none at all: the socket would be open to the server's own group.
        Ok(u32::MAX) => return Err(format!("{text} is the number of no group; getent group lists those there are")),
        Ok(number) => return Ok(number),
        Err(_) => {}
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
        let error = read(&["--share-group", "4294967295"]).unwrap_err();
        assert!(error.contains("the number of no group"), "{error}");
    }

    #[test]
    fn flags_that_come_to_nothing_are_told_and_those_that_say_what_holds_anyway_are_not() {
        let idle = |flags: &[&str], shared| read(flags).unwrap().idle(shared);
        let all = ["--share-group", "0", "--reader-slots", "9", "--share-block", "--reader-timeout", "1s"];
        let off = |flags: &[&str]| idle(&[&["--share", "off"], flags].concat(), true);
        assert_eq!(
            off(&all).unwrap(),
            "--share-group, --reader-slots, --share-block, --reader-timeout do nothing here: --share is off"
        );
        assert_eq!(off(&["--share-block"]).unwrap(), "--share-block does nothing here: --share is off");
        assert_eq!((off(&[]), off(&["--reader-slots", "24", "--reader-timeout", "5s"])), (None, None));
        assert_eq!((idle(&all, true), idle(&[], true), idle(&["--share", "off"], false)), (None, None, None));
        assert!(idle(&["--reader-timeout", "1s"], true).unwrap().ends_with("without --share-block"));
        let plain = idle(&["--share", "/x.sock", "--share-block"], false).unwrap();
        assert!(plain.starts_with("--share, --share-block do nothing here: frames of the plain wire"), "{plain}");
    }

    #[test]
    fn a_reader_that_nobody_gives_a_time_has_that_of_the_defaults() {
        assert_eq!(read(&[]).unwrap().reader_timeout, READER_TIMEOUT);
    }

    #[test]
    fn slots_for_readers_are_some_of_a_pools() {
        assert_eq!(read(&[]).unwrap().reader_slots, 24);
        assert_eq!(read(&["--reader-slots", "0"]).unwrap().reader_slots, 0);
        assert!(read(&["--reader-slots", "49"]).unwrap_err().contains("49"));
    }
}
