//! The client on the original system's wire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::address::Address;
use framewire_process::exit::{Failure, say};
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_signal::{ClientError, ClientEvent, SignalClient};
use framewire_transport::{PlainSender, PlainSenderConfig};

use crate::cli::ClientArgs;
use crate::client::feed::Feed;
use crate::client::source::Source;
use crate::client::target::Targets;
use crate::client::trouble::{nothing_arrived, too_late};
use crate::client::window::Window;

/// How long to wait for the server's acknowledgement of the last datagrams.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How long to wait for a Socket.IO server before frames go out all the same: the wire does not need one.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const SLOTS: usize = 2;
/// That of the original system.
const DEFAULT_UDP_PORT: u16 = 12_345;

pub(crate) fn run(
    args: &ClientArgs,
    targets: &Targets,
    source: Source,
    stop: &Stop,
) -> Result<(Summary, Option<Failure>), Failure> {
    if args.stream.metadata.is_some() {
        return Err(Failure::usage("the plain wire carries no metadata; leave --metadata out, or use --wire framed"));
    }
    if args.on_demand.is_some() || args.priority.is_some() {
        return Err(Failure::usage(
            "nobody says on the plain wire who wants a stream or what its link has; leave --on-demand and --priority out, or use --wire framed",
        ));
    }
    let [turn] = targets.as_slice() else { return Err(one_server()) };
    let [target] = turn.as_slice() else { return Err(one_server()) };
    let mut feed = Feed::new(source, &args.stream)?;
    let format = feed.source().format();
    let here = || Address::from(SocketAddr::from(([127, 0, 0, 1], DEFAULT_UDP_PORT)));
    let peer = args.udp.clone().unwrap_or_else(here).resolve_one(None)?;
    if peer.ip().is_unspecified() {
        return Err(Failure::usage(format!(
            "no server of the plain wire says where its frames go; give --udp HOST:{}",
            peer.port()
        )));
    }
    if !args.insecure && !peer.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "{peer} is not on this machine, and nothing guards the datagrams of the plain wire; give --insecure to send them all the same, or use --wire framed"
        )));
    }
    let window = Window::open(args.stream.window, format, stop)?;
    let signal = SignalClient::start(target.config().plain(true)).map_err(|error| match error {
        ClientError::Thread(_) | ClientError::Random(_) => Failure::runtime(error),
        _ => Failure::usage(error),
    })?;
    let mut progress = Progress::new(args.verbose > 0);
    let is_heard = wait_until_connected(args, &target.server, &signal, stop, &mut progress)?;
    let config = PlainSenderConfig::new(format).slots(SLOTS).backend(args.common.backend.unwrap_or_default());
    let sender = PlainSender::connect(peer, &config).map_err(Failure::runtime)?;
    let started = Instant::now();
    let (done, mut frames) = (Stop::new(), 0);
    let sent = std::thread::scope(|scope| {
        let (signal, sender, listening) = (&signal, &sender, done.clone());
        scope.spawn(move || listen(signal, sender, args.verbose > 0, &listening, &mut progress));
        let sent = (|| {
            while feed.wait(stop) {
                let Some(mut frame) = sender.frame_timeout(REFRESH) else { continue };
                if !feed.write(&mut frame) {
                    break;
                }
                if let Some(window) = &window {
                    window.show(&frame);
                }
                sender.send(frame).map_err(Failure::runtime)?;
                frames += 1;
            }
            let deadline = Instant::now() + LAST_WAIT;
            sender.wait_until_acknowledged(deadline);
            Ok(())
        })();
        done.stop();
        sent
    });
    let elapsed = started.elapsed();
    signal.shutdown();
    drop(window);
    sent?;
    stop.outcome()?;
    let (datagrams, acknowledged) = sender.datagrams();
    if acknowledged < datagrams {
        tracing::warn!(
            "{} of {datagrams} datagrams were not acknowledged; is the server's Socket.IO address right?",
            datagrams - acknowledged
        );
    }
    // Whole frames' worth of acknowledgements: this wire has no better account of what arrived.
    let delivered = acknowledged / sender.datagrams_per_frame();
    let mut summary = Summary {
        frames_sent: Some(frames),
        frames_delivered: delivered,
        bytes: delivered * format.frame_bytes() as u64,
        cpu_seconds: cpu_seconds(),
        backend: Some(sender.backend().to_string()),
        slice_bytes: Some(PlainSender::DATAGRAM_BYTES.into()),
        ..Summary::default()
    };
    summary.frames_dropped.lost = frames.saturating_sub(delivered);
    summary.set_rates(elapsed);
    // Without Socket.IO nobody says what arrived.
    let failure = is_heard.then(|| nothing_arrived(datagrams, acknowledged, peer)).flatten();
    Ok((summary, feed.failure.or(failure)))
}

fn one_server() -> Failure {
    Failure::usage(
        "the plain wire has one server, which is told nothing of where frames go; name one, or use --wire framed",
    )
}

/// Waits for the Socket.IO connection, so that the first acknowledgements are heard; whether there is one.
fn wait_until_connected(
    args: &ClientArgs,
    server: &str,
    signal: &SignalClient,
    stop: &Stop,
    progress: &mut Progress,
) -> Result<bool, Failure> {
    let deadline = Instant::now() + args.connect_timeout.unwrap_or(CONNECT_WAIT);
    let mut away = None;
    while !stop.is_stopped() && Instant::now() < deadline {
        match signal.next_event(REFRESH) {
            Some(ClientEvent::Connected) => return Ok(true),
            Some(ClientEvent::Retrying { in_, attempt, reason }) => {
                if away.is_none() {
                    say(format_args!("framewire-client: {reason}"));
                }
                progress.say(format!("{reason}; attempt {attempt} in {:.1} s", in_.as_secs_f64()));
                away = Some(reason);
            }
            _ => {}
        }
    }
    if let Some(limit) = args.connect_timeout.filter(|_| !stop.is_stopped()) {
        return Err(too_late(limit, server, away.as_deref()));
    }
    say(format_args!("framewire-client: no Socket.IO server answers; frames are sent without acknowledgement"));
    Ok(false)
}

fn listen(signal: &SignalClient, sender: &PlainSender, verbose: bool, done: &Stop, progress: &mut Progress) {
    while !done.is_stopped() {
        match signal.next_event(REFRESH / 2) {
            Some(ClientEvent::PlainFeedback(feedback)) => {
                sender.acknowledge(1);
                if verbose {
                    say(format_args!("feedback: {} bytes, {}", feedback.frame_size, feedback.timestamp));
                }
            }
            Some(ClientEvent::Disconnected { reason }) => {
                say(format_args!("framewire-client: the server is gone: {reason}"))
            }
            Some(_) | None => {}
        }
        let (sent, acknowledged) = sender.datagrams();
        progress.say(format!("{sent} datagrams sent, {acknowledged} acknowledged"));
    }
}
