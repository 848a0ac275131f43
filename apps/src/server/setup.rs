//! What a server of either wire is made of: its places, sinks, pages, pictures.

use std::net::SocketAddr;
use std::sync::Arc;

use framewire_budget::{Link, cards};
use framewire_monitor::{Access, Board, Monitor, PreviewConfig, PreviewWorker, pages};
use framewire_process::address::Address;
use framewire_process::exit::Failure;
use framewire_process::reach::own_host;
use framewire_process::stop::Stop;
use framewire_signal::{ServerConfig, SignalServer, StreamHost};
use framewire_sink::Recording;
use framewire_transport::{Relay, RelayConfig};

use super::cluster::Node;
use super::guard::Guard;
use crate::build::COMMIT;
use crate::cli::{ServerArgs, Wire};
use crate::recording;

/// Where frames go unless that is said.
const UDP_PORT: u16 = 12_345;

/// Where a server listens: its names, looked up.
pub(crate) struct Places {
    pub(crate) signal: SocketAddr,
    /// The other addresses of the name, such as that of the other family.
    pub(crate) signal_also: Vec<SocketAddr>,
    /// Frames go to one.
    pub(crate) udp: SocketAddr,
    /// Where others reach it, as far as it can tell; as in an address, but without brackets.
    pub(crate) reach_host: Option<String>,
    /// If it is not the port that is listened on.
    pub(crate) reach_port: Option<u16>,
}

impl Places {
    pub(crate) fn of(args: &ServerArgs) -> Result<Self, Failure> {
        let mut signal = args.listen.resolve()?;
        let signal_also = signal.split_off(1);
        let udp = match &args.udp {
            Some(udp) => udp.resolve_one(None)?,
            None => SocketAddr::new(signal[0].ip(), UDP_PORT),
        };
        let bare = |host: String| host.trim_matches(['[', ']']).to_owned();
        let announced = args.announce.as_deref().map(|text| Address::with_default_port(text, 0)).transpose();
        let announced = announced.map_err(|error| Failure::usage(format!("--announce: {error}")))?;
        let own = || if args.listen.is_unspecified() { own_host() } else { Some(bare(args.listen.host())) };
        let reach_host =
            announced.as_ref().map(|address| bare(address.host())).filter(|host| !host.is_empty()).or_else(own);
        let reach_port = announced.map(|address| address.port()).filter(|port| *port != 0);
        Ok(Self { signal: signal[0], signal_also, udp, reach_host, reach_port })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = SocketAddr> {
        [self.signal, self.udp].into_iter().chain(self.signal_also.iter().copied())
    }
}

/// Each stream and each connection takes a file: as many may be open as the operator allows, not as programs begin with.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, ?limit, "the limit of open files stays as it is");
    }
}

/// A core dump has all keys and tokens in it.
pub(crate) fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Less than any dump takes. Nought would not do: the kernel hands dumps to programs all the same then, and at one byte it does not.
    let least = Rlimit { current: Some(1), maximum: Some(1) };
    if let Err(error) = setrlimit(Resource::Core, least) {
        tracing::debug!(%error, "core dumps are not forbidden");
    }
}

/// Starts the signal server, with the pages that show what is on the board.
pub(crate) fn start_signal(
    args: &ServerArgs,
    places: &Places,
    guard: &mut Guard,
    host: Arc<dyn StreamHost>,
    board: &Arc<Board>,
    node: Option<&Arc<Node>>,
) -> Result<SignalServer, Failure> {
    let config = ServerConfig::new()
        .listen(places.signal)
        .listen_also(places.signal_also.as_slice())
        .token(guard.token.clone())
        .view_token(guard.view_token.clone())
        .node_token(node.and_then(|node| node.token()))
        .tls(guard.identity.clone())
        .allowed_origins(args.allow_origin.as_slice())
        .plain(args.common.wire == Wire::Plain);
    let key = node.and_then(|node| node.key());
    let access = Access::new(guard.secrets(), guard.is_protected())?.nodes(key.clone());
    let monitor = Monitor::new(board.clone(), args.preview_fps, guard.guarding(), COMMIT);
    let monitor = match node {
        Some(node) => monitor.cluster(node.clone(), key),
        None => monitor,
    };
    let pages = pages(Arc::new(monitor), access);
    SignalServer::start_with_pages(config, host, pages).map_err(Failure::runtime)
}

/// The sinks of the command line.
pub(crate) fn recording(args: &ServerArgs, stop: &Stop) -> Arc<Recording> {
    let has_one_job = args.single_job || args.frames.is_some() || args.seconds.is_some();
    let program = recording::Program { name: "framewire-server", has_one_job };
    recording::begin(program, &args.sinks, args.frames, stop)
}

/// Slots that a receiver needs beside its own: each sink but the first may be busy with a frame, and so may the page's pictures.
pub(crate) fn slots_beside(args: &ServerArgs) -> usize {
    args.sinks.sink.len().saturating_sub(1) + usize::from(args.preview_fps > 0.0)
}

/// Slots that frames are in while they are sent on to watchers.
pub(crate) const SLOTS_SENT_ON: usize = Relay::SLOTS;

/// The links of the command line, as they are on this machine.
pub(super) fn links(args: &ServerArgs) -> Result<Vec<Link>, Failure> {
    if args.link.is_empty() {
        return Ok(Vec::new());
    }
    let (links, told) = framewire_budget::links(&args.link, &cards()).map_err(Failure::usage)?;
    told.iter().for_each(|told| tracing::warn!("{told}"));
    Ok(links)
}

/// What sends streams on to those who watch them.
pub(super) fn start_relay(args: &ServerArgs, guard: &Guard) -> Result<Relay, Failure> {
    let config = RelayConfig::new()
        .backend(args.common.backend.unwrap_or_default())
        .threads(args.common.threads())
        .protection(guard.protection());
    Relay::start(config).map_err(Failure::runtime)
}

pub(crate) fn start_preview(args: &ServerArgs) -> Result<PreviewWorker, Failure> {
    let config = PreviewConfig { rate: args.preview_fps, width: args.preview_width };
    PreviewWorker::start(config)
        .map_err(|error| Failure::runtime(format!("the system gave no thread for the page's pictures: {error}")))
}
