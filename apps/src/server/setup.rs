//! What a server of either wire is made of: its places, sinks, pages, pictures.

use std::net::SocketAddr;
use std::sync::Arc;

use framewire_monitor::{Access, Board, Monitor, PreviewConfig, PreviewWorker, Secret, pages};
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_signal::{ServerConfig, SignalServer, StreamHost};
use framewire_sink::Recording;

use crate::build::COMMIT;
use crate::cli::{ServerArgs, Wire};
use crate::credentials::{token, token_as_secret};
use crate::recording;

/// Where a server listens: its names, looked up.
pub(crate) struct Places {
    pub(crate) signal: SocketAddr,
    /// The other addresses of the name, such as that of the other family.
    pub(crate) signal_also: Vec<SocketAddr>,
    /// Frames go to one.
    pub(crate) udp: SocketAddr,
}

impl Places {
    pub(crate) fn of(args: &ServerArgs) -> Result<Self, Failure> {
        let mut signal = args.listen.resolve()?;
        let signal_also = signal.split_off(1);
        Ok(Self { signal: signal[0], signal_also, udp: args.udp.resolve_one(None)? })
    }

    fn all(&self) -> impl Iterator<Item = SocketAddr> {
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

fn signal_config(args: &ServerArgs, places: &Places) -> Result<ServerConfig, Failure> {
    let token = token(&args.common)?;
    if args.common.wire == Wire::Plain && !args.insecure && !places.udp.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "{} can be reached from other machines, and a token guards no datagram of the plain wire; give --insecure to take frames from anyone, or use --wire framed",
            places.udp
        )));
    }
    for address in places.all() {
        if token.is_none() && !args.insecure && !address.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "{address} can be reached from other machines; give --token-file FILE (both ends the same), or --insecure to let anyone connect"
            )));
        }
    }
    Ok(ServerConfig::new()
        .listen(places.signal)
        .listen_also(places.signal_also.as_slice())
        .token(token)
        .allowed_origins(args.allow_origin.as_slice())
        .plain(args.common.wire == Wire::Plain))
}

/// Starts the signal server, with the pages that show what is on the board.
pub(crate) fn start_signal(
    args: &ServerArgs,
    places: &Places,
    host: Arc<dyn StreamHost>,
    board: &Arc<Board>,
) -> Result<SignalServer, Failure> {
    let config = signal_config(args, places)?;
    let password = args.view_password_file.as_deref().map(Secret::password_from_file).transpose()?;
    let access = Access::new(password.into_iter().chain(token_as_secret(&args.common)?).collect(), false)?;
    let pages = pages(Arc::new(Monitor::new(board.clone(), args.preview_fps, COMMIT)), access);
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

pub(crate) fn start_preview(args: &ServerArgs) -> Result<PreviewWorker, Failure> {
    let config = PreviewConfig { rate: args.preview_fps, width: args.preview_width };
    PreviewWorker::start(config)
        .map_err(|error| Failure::runtime(format!("the system gave no thread for the page's pictures: {error}")))
}
