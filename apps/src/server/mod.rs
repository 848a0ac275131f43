//! The server: opens streams that clients ask for, hands their frames to sinks, and tells of them over Socket.IO.

mod flowing;
mod framed;
mod host;
mod names;
mod plain;
mod service;
mod tally;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use framewire_figures::summary::Summary;
use framewire_monitor::Board;
use framewire_monitor::{Access, Monitor, ViewPassword, pages};
use framewire_monitor::{PreviewConfig, PreviewWorker};
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_signal::{ServerConfig, SignalServer, StreamHost, Token};
use framewire_sink::{Asked, Recording, Roll, SinkSpec, VideoCodec, try_all};
use framewire_transport::frame::ConsumerPolicy;

use crate::build::COMMIT;
use crate::cli::{ServerArgs, Wire};

/// Frames that wait while a thread is not scheduled; more are dropped, and counted.
const QUEUE: ConsumerPolicy = ConsumerPolicy::Queue(3);

/// Runs a server until its limits are reached or somebody asks it to stop. `ready` is called once it listens, with the
/// addresses for Socket.IO and for frames. The second value is that of a sink that failed, where the server went on without it.
///
/// # Errors
/// What cannot be asked for, and what failed: an address in use, a sink that cannot be written to, where that is the server's one job.
pub fn run(
    args: &ServerArgs,
    stop: &Stop,
    ready: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(Summary, Option<Failure>), Failure> {
    check(args)?;
    let places = Places::of(args)?;
    raise_open_files();
    if let Some(seconds) = args.seconds {
        let (stop, deadline) = (stop.clone(), Instant::now() + Duration::from_secs_f64(seconds));
        std::thread::Builder::new()
            .name("framewire-limit".into())
            .spawn(move || {
                if !stop.sleep_until(deadline) {
                    stop.stop();
                }
            })
            .map_err(Failure::runtime)?;
    }
    match args.common.wire {
        Wire::Framed => framed::run(args, &places, stop, ready),
        Wire::Plain => plain::run(args, &places, stop, ready),
    }
}

/// Tells people where the server listens.
pub fn announce(signal: SocketAddr, udp: SocketAddr) {
    say(format_args!("framewire-server: listening on http://{signal} (Socket.IO) and UDP {udp}"));
}

fn check(args: &ServerArgs) -> Result<(), Failure> {
    let stdout = args.sink.iter().filter(|sink| **sink == SinkSpec::Stdout).count();
    if stdout > 0 && args.common.json {
        return Err(Failure::usage("--sink - and --json both want standard output; leave one of them out"));
    }
    try_all(&args.sink)?;
    let is_mp4 = |sink: &SinkSpec| matches!(sink, SinkSpec::Video(_, VideoCodec::Mp4v));
    if args.roll.is_empty() && !args.single_job && args.sink.iter().any(is_mp4) {
        tracing::warn!(
            "an .mp4 opens once it is ended: with --roll 10min, a crash costs the last part and not the whole recording"
        );
    }
    Ok(())
}

/// The token from `--token-file` or the environment, if there is one.
///
/// # Errors
/// A file that cannot be read, or is empty.
pub fn token(args: &crate::cli::CommonArgs) -> Result<Option<Token>, Failure> {
    match &args.token_file {
        Some(path) => Token::from_file(path).map(Some).map_err(Failure::usage),
        None if std::env::var_os(TOKEN_VARIABLE).is_some() => {
            Token::from_environment(TOKEN_VARIABLE).map(Some).map_err(Failure::usage)
        }
        None => Ok(None),
    }
}

/// The variable that may hold the token.
pub(crate) const TOKEN_VARIABLE: &str = "FRAMEWIRE_TOKEN";

/// Where a server listens: its names, looked up.
struct Places {
    signal: SocketAddr,
    /// The other addresses of the name, such as that of the other family.
    signal_also: Vec<SocketAddr>,
    /// Frames go to one.
    udp: SocketAddr,
}

impl Places {
    fn of(args: &ServerArgs) -> Result<Self, Failure> {
        let mut signal = args.listen.resolve()?;
        let signal_also = signal.split_off(1);
        Ok(Self { signal: signal[0], signal_also, udp: args.udp.resolve_one(None)? })
    }

    fn all(&self) -> impl Iterator<Item = SocketAddr> {
        [self.signal, self.udp].into_iter().chain(self.signal_also.iter().copied())
    }
}

/// Each stream and each connection takes a file: as many may be open as the operator allows, not as programs begin with.
fn raise_open_files() {
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
    Ok(ServerConfig {
        listen: places.signal,
        listen_also: places.signal_also.clone(),
        token,
        allowed_origins: args.allow_origin.clone(),
        plain: args.common.wire == Wire::Plain,
        ..ServerConfig::default()
    })
}

/// Starts the signal server, with the pages that show what is on the board.
fn start_signal(
    args: &ServerArgs,
    places: &Places,
    host: Arc<dyn StreamHost>,
    board: &Arc<Board>,
) -> Result<SignalServer, Failure> {
    let config = signal_config(args, places)?;
    let password = args.view_password_file.as_deref().map(ViewPassword::from_file).transpose()?;
    let access = Access::new(password, config.token.is_some())?;
    let pages = pages(Arc::new(Monitor::new(board.clone(), args.preview_fps, COMMIT)), access);
    SignalServer::start_with_pages(config, host, pages).map_err(Failure::runtime)
}

/// The sinks of the command line.
fn recording(args: &ServerArgs, stop: &Stop) -> Arc<Recording> {
    let asked = Asked {
        sinks: args.sink.clone(),
        roll: Roll::new(&args.roll),
        slow: args.slow_sink,
        stops_at_failure: args.single_job || args.frames.is_some() || args.seconds.is_some(),
    };
    Recording::new(asked, stop)
}

/// Slots that a receiver needs beside its own: each sink but the first may be busy with a frame, and so may the page's pictures.
fn slots_beside(args: &ServerArgs) -> usize {
    args.sink.len().saturating_sub(1) + usize::from(args.preview_fps > 0.0)
}

fn start_preview(args: &ServerArgs) -> Result<PreviewWorker, Failure> {
    let config = PreviewConfig { rate: args.preview_fps, width: args.preview_width };
    PreviewWorker::start(config)
        .map_err(|error| Failure::runtime(format!("the system gave no thread for the page's pictures: {error}")))
}
