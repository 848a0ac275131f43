//! Where the frames of a stream go, and how: what an opening, and the user, say of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use framewire_process::address::{Address, announced};
use framewire_process::exit::Failure;
use framewire_signal::message::{Grant, Opened, ShareOffer};
use framewire_transport::crypto::Key;
use framewire_transport::share::Invitation;
use framewire_transport::{PathChoice, Protection};

use super::target::Target;
use crate::cli::ClientArgs;

/// How long after a failure a name is looked up again.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);

/// Where frames go, and how.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) peer: SocketAddr,
    pub(super) invitation: Option<Invitation>,
    pub(super) key: Option<Key>,
    pub(super) protection: Protection,
    /// How much of its link the server grants the stream, where it shares one out.
    pub(super) grant: Option<Grant>,
}

/// What the user says of it.
#[derive(Debug, Clone)]
pub(super) struct Directions {
    /// Where frames go, whatever the server says.
    pub(super) udp: Option<Address>,
    /// Which ways they may take.
    pub(super) path: PathChoice,
}

impl Directions {
    pub(super) fn of(args: &ClientArgs) -> Self {
        Self { udp: args.udp.clone(), path: path_of(args) }
    }

    /// The way to a server that has opened the stream, and was reached at `server`.
    ///
    /// # Errors
    /// The address is not known, or gives no protection where some is asked for.
    pub(super) fn way(&self, opened: &Opened, target: &Target, server: Option<SocketAddr>) -> Result<Way, Failure> {
        let peer = self.resolve(opened, server)?;
        let (key, protection) = target.protection(opened)?;
        Ok(Way { peer, invitation: self.invitation(opened), key, protection, grant: opened.grant })
    }

    /// Where the server takes frames by shared memory; not where the user says that they go elsewhere.
    pub(super) fn invitation(&self, opened: &Opened) -> Option<Invitation> {
        let is_meant = self.udp.is_none() || self.path == PathChoice::Shm;
        opened.share.as_ref().filter(|_| is_meant).and_then(ShareOffer::invitation)
    }

    /// Where frames go: where the user says, else where the server does, else where the server was reached.
    ///
    /// # Errors
    /// A name that is not known here.
    pub(super) fn resolve(&self, opened: &Opened, server: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
        let server =
            server.ok_or_else(|| Failure::runtime("the server's address is not known; give it as --udp HOST:PORT"))?;
        match &self.udp {
            Some(udp) if udp.is_unspecified() => announced(None, udp.port(), server),
            Some(udp) => udp.resolve_one(Some(server.ip())),
            None => announced(opened.udp_host.as_deref(), opened.udp_port, server),
        }
    }
}

/// Which ways frames may take: who says anything of slices, parity, a rate or a backend, also that it is to be as it is by default, means datagrams.
fn path_of(args: &ClientArgs) -> PathChoice {
    match (args.stream.path, means_datagrams(args)) {
        (PathChoice::Auto, Some(setting)) => {
            tracing::info!(
                "frames go by UDP: {setting} is set; leave it out for shared memory on the server's machine"
            );
            PathChoice::Udp
        }
        (chosen, _) => chosen,
    }
}

/// What is set that means datagrams. A sender takes nothing that is as by default for such a word (`SenderConfig::leaves_the_way_open`); here it is
/// told from what nobody said. What one knows of datagrams alone, the other has to know.
fn means_datagrams(args: &ClientArgs) -> Option<&'static str> {
    let settings = [
        (args.stream.slice.is_some(), "slice"),
        (args.stream.fec.is_some(), "fec"),
        (args.stream.max_rate.is_some(), "max-rate"),
        (args.common.backend.is_some(), "backend"),
        (args.common.sqpoll, "sqpoll"),
    ];
    settings.into_iter().find_map(|(is_set, name)| is_set.then_some(name))
}

/// Looks up where a server that is back, or another that has taken its place, takes frames, as often as that takes.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) opened: Opened,
    /// When it is due, after a failure.
    again: Option<Instant>,
}

#[derive(Debug, PartialEq)]
pub(super) enum LookUp {
    Found(SocketAddr),
    NotDue,
    Failed { failure: Failure, is_first: bool },
}

impl Moved {
    pub(super) const fn new(opened: Opened) -> Self {
        Self { opened, again: None }
    }

    pub(super) fn look_up(
        &mut self,
        now: Instant,
        resolve: impl FnOnce(&Opened) -> Result<SocketAddr, Failure>,
    ) -> LookUp {
        if self.again.is_some_and(|again| now < again) {
            return LookUp::NotDue;
        }
        match resolve(&self.opened) {
            Ok(peer) => LookUp::Found(peer),
            Err(failure) => {
                let is_first = self.again.replace(now + LOOK_UP_PAUSE).is_none();
                LookUp::Failed { failure, is_first }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn whoever_speaks_of_datagrams_means_udp_and_the_setting_that_decides_is_named() {
        let of = |flags: &[&str]| {
            let args =
                ClientArgs::try_parse_from([&["client", "--server", "127.0.0.1:1"], flags, &["pattern"]].concat());
            let args = args.unwrap();
            (means_datagrams(&args), path_of(&args))
        };
        assert_eq!(of(&[]), (None, PathChoice::Auto));
        for (flags, setting) in [
            (&["--slice", "auto"] as &[_], "slice"),
            (&["--fec", "auto"], "fec"),
            (&["--max-rate", "1G"], "max-rate"),
            (&["--backend", "auto"], "backend"),
            (&["--sqpoll"], "sqpoll"),
        ] {
            assert_eq!(of(flags), (Some(setting), PathChoice::Udp), "{flags:?}");
            assert_eq!(of(&[flags, &["--path", "shm"]].concat()).1, PathChoice::Shm, "{flags:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_found_for_a_moment_after_a_reconnect_is_looked_up_again_and_told_of_once() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let opened = Opened::new(7, 9).udp_host("cams.example".to_owned());
        let unknown = || Failure::usage("the host is not known here");
        let mut moved = Moved::new(opened);
        let failed = |is_first| LookUp::Failed { failure: unknown(), is_first };
        assert_eq!(moved.look_up(at(0), |_| Err(unknown())), failed(true));
        assert_eq!(moved.look_up(at(999), |_| panic!("it is asked too soon")), LookUp::NotDue);
        assert_eq!(moved.look_up(at(1_000), |_| Err(unknown())), failed(false));
        let peer: SocketAddr = "10.0.0.7:9".parse().unwrap();
        let found = moved.look_up(at(2_000), |opened| {
            assert_eq!(opened.udp_host.as_deref(), Some("cams.example"));
            Ok(peer)
        });
        assert_eq!(found, LookUp::Found(peer));
    }
}
