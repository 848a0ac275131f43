//! Both ends in one process, over loopback: the main job in one command.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::mpsc;
use std::time::Duration;

use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::address::Address;
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_transport::Delivery;

use crate::cli::{
    ClientArgs, ClusterArgs, DemoArgs, PREVIEW_FPS, PREVIEW_WIDTH, Pace, READER_SLOTS, READER_TIMEOUT, ServerArgs,
    Share, ShareArgs, SinkArgs,
};
use crate::ends;

/// How long the demo runs when nothing else ends it.
const SECONDS: f64 = 3.0;

/// Runs a server and a client that talk to each other, and puts their figures together.
///
/// # Errors
/// What cannot be asked for, and what failed at either end.
pub fn run(args: &DemoArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    let server_stop = Stop::new();
    let (send_address, address) = mpsc::channel();
    let server_args = server_args(args);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            ends::serve(&server_args, &server_stop, |listening| {
                let _ = send_address.send((listening.signal, listening.udp));
            })
            // However it ended, there is nobody left to send to.
            .inspect(|_| stop.stop())
            .inspect_err(|_| stop.stop())
        });
        // The server drops the channel's end where it fails to start.
        let sent = match wait_for_address(&address, stop) {
            Some((signal, udp)) => {
                say(format_args!("framewire: http://{signal}/ shows it while it runs"));
                limit_time(args, stop);
                Some(ends::send(&client_args(args, signal, udp), stop))
            }
            None => None,
        };
        server_stop.stop();
        let received = serving.join().map_err(|_| Failure::runtime("the server's thread panicked"))?;
        let (received, unrecorded) = received?;
        let Some(sent) = sent else { return Ok((received, unrecorded)) };
        let (sent, broken) = sent?;
        Ok((merge(&sent, received), broken.or(unrecorded)))
    })
}

fn wait_for_address(
    address: &mpsc::Receiver<(SocketAddr, SocketAddr)>,
    stop: &Stop,
) -> Option<(SocketAddr, SocketAddr)> {
    while !stop.is_stopped() {
        match address.recv_timeout(Duration::from_millis(100)) {
            Ok(addresses) => return Some(addresses),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

fn limit_time(args: &DemoArgs, stop: &Stop) {
    let endless = args.stream.frames.is_none() && (args.stream.repeat || !is_file(args));
    let Some(seconds) = args.seconds.or(endless.then_some(SECONDS)) else { return };
    let stop = stop.clone();
    let timer = std::thread::Builder::new().name("framewire-limit".into());
    let spawned = timer.spawn(move || {
        if !stop.sleep(Duration::from_secs_f64(seconds)) {
            stop.stop();
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread for the time limit; end the demo with Ctrl-C");
    }
}

fn is_file(args: &DemoArgs) -> bool {
    use framewire_capture::SourceSpec;
    matches!(args.stream.source, SourceSpec::File(_) | SourceSpec::Stdin)
}

/// The server's end: loopback, ports of the system's choice.
fn server_args(args: &DemoArgs) -> ServerArgs {
    let any_port = Address::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    ServerArgs {
        partial: false,
        listen: any_port.clone(),
        udp: Some(any_port),
        announce_udp: None,
        plain_frame: plain_frame(args),
        sinks: SinkArgs {
            sink: args.sink.clone(),
            roll: Vec::new(),
            mcap_chunk: None,
            picture_every: NonZeroU64::MIN,
            slow_sink: None,
        },
        single_job: true,
        delivery: None,
        frames: None,
        seconds: None,
        until_input_ends: false,
        // What it shows is how fast frames are, not what ciphers take.
        insecure: true,
        protect: false,
        join_file: None,
        announce: None,
        tls_cert: None,
        tls_key: None,
        state_directory: None,
        allow_origin: Vec::new(),
        view_token_file: None,
        view_password_file: None,
        preview_fps: PREVIEW_FPS,
        preview_width: PREVIEW_WIDTH,
        memory: None,
        stream_memory: None,
        link: Vec::new(),
        cluster: ClusterArgs::default(),
        // What it shows is the way over UDP.
        shared: ShareArgs {
            share: Some(Share::Off),
            share_group: None,
            reader_slots: READER_SLOTS,
            share_block: false,
            reader_timeout: READER_TIMEOUT,
        },
        // The client's end shows how it gets on.
        verbose: args.verbose.max(1),
        common: args.common.clone(),
    }
}

fn plain_frame(args: &DemoArgs) -> framewire_capture::RawFormat {
    use framewire_capture::SourceOptions;
    let options = SourceOptions::new().pixel(args.stream.pixel);
    let pattern = matches!(args.stream.source, framewire_capture::SourceSpec::Pattern { .. });
    // Opening a pattern costs nothing and says its format; other sources are opened once, by the client.
    let opened = if pattern { args.stream.source.open(&options).ok() } else { None };
    match opened {
        Some(source) => framewire_capture::RawFormat::new(source.format(), source.frame_rate()),
        None => {
            args.stream.raw_format.unwrap_or_else(|| "1920x1080:gray8".parse().expect("a format as the help writes it"))
        }
    }
}

/// The client's end. Unless told otherwise it goes as fast as it can and loses nothing: that is what there is to see.
fn client_args(args: &DemoArgs, signal: SocketAddr, udp: SocketAddr) -> ClientArgs {
    let mut stream = args.stream.clone();
    stream.fps.get_or_insert(Pace::Max);
    stream.delivery.get_or_insert(Delivery::Every);
    ClientArgs {
        // A token that the environment has is shown on loopback plainly, too.
        insecure: true,
        join: Vec::new(),
        ca: None,
        protect: false,
        common: args.common.clone(),
        server: vec![format!("http://{signal}")],
        udp: Some(udp.into()),
        connect_timeout: None,
        on_demand: None,
        priority: None,
        stream,
        verbose: args.verbose,
    }
}

/// The sender knows what was sent and dropped before, the receiver what arrived, and how fast.
fn merge(sent: &Summary, received: Summary) -> Summary {
    Summary {
        frames_sent: sent.frames_sent,
        slices_resent: sent.slices_resent,
        slices_parity: sent.slices_parity,
        path: received.path.or_else(|| sent.path.clone()),
        path_trouble: sent.path_trouble.clone(),
        protected: received.protected.or(sent.protected),
        backend: received.backend.or_else(|| sent.backend.clone()),
        slice_bytes: received.slice_bytes.or(sent.slice_bytes),
        cpu_seconds: cpu_seconds(),
        ..received
    }
}
