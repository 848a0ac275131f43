//! The server on the original system's wire.

use std::sync::Arc;
use std::time::Instant;

use framewire_figures::counts::TurnedAway;
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_monitor::{About, Board, Health};
use framewire_process::exit::Failure;
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_signal::message::{OpenRequest, Opened, Refused, reason};
use framewire_signal::{SignalServer, StreamHost};
use framewire_sink::{Recorded, Recorder};
use framewire_transport::frame::{ConsumerPolicy, Frame, RecvError};
use framewire_transport::{Delivery, PathKind};
use framewire_transport::{PlainReceiver, PlainReceiverConfig};

use crate::cli::ServerArgs;
use crate::server::Listening;
use crate::server::guard::Guard;
use crate::server::service::ServiceManager;
use crate::server::setup::{Places, recording, slots_beside, start_preview, start_signal};
use crate::server::tally::Tally;

/// Slots of the receiver: one that pieces land in, the others with sinks.
const SLOTS: usize = 6;
/// This wire names no stream and numbers none.
const STREAM: (&str, u32) = ("plain", 0);

/// Nothing is opened on this wire.
struct NoHost;

impl StreamHost for NoHost {
    fn open(&self, _: &OpenRequest) -> Result<Opened, Refused> {
        Err(Refused::new(reason::PLAIN_WIRE, "this server speaks the plain wire; start the client with --wire plain"))
    }

    fn close(&self, _: u32) {}
}

pub(crate) fn run(
    args: &ServerArgs,
    places: &Places,
    mut guard: Guard,
    stop: &Stop,
    ready: impl FnOnce(&Listening),
) -> Result<(Summary, Option<Failure>), Failure> {
    if let Some(idle) = args.shared.idle(false) {
        tracing::warn!("{idle}");
    }
    if !args.link.is_empty() || args.cluster.cluster.is_some() {
        return Err(Failure::usage(
            "on the plain wire nothing is opened that links or other servers could be told of; use --wire framed, or leave --link and --cluster out",
        ));
    }
    let format = args.plain_frame.format;
    let recording = recording(args, stop);
    if let Some(reason) = recording.refusal(&format) {
        return Err(Failure::usage(reason));
    }
    let (board, preview) = (Arc::new(Board::new(recording.totals())), start_preview(args)?);
    let signal = Arc::new(start_signal(args, places, &mut guard, Arc::new(NoHost), &board, None)?);
    let config = PlainReceiverConfig::new(format)
        .slots(SLOTS + slots_beside(args))
        .backend(args.common.backend.unwrap_or_default())
        .policy(ConsumerPolicy::Queue(SLOTS - 2));
    let acknowledge = signal.clone();
    let receiver = PlainReceiver::bind(places.udp, &config, move |len| acknowledge.plain_feedback(len as u64))
        .map_err(Failure::runtime)?;
    let mut manager = ServiceManager::from_environment();
    let listening = Listening::new(args, places, &guard, signal.local_addr(), receiver.local_addr())?;
    manager.ready(&listening);
    ready(&listening);
    let recorded = Recorded::new(format, args.plain_frame.rate, STREAM.0, STREAM.1);
    // Nothing makes this wire's sender wait.
    let recorder =
        Recorder::start(&recording, &recorded, Delivery::Latest, |policy| receiver.consumer().subscribe_here(policy));
    let tally = Tally::new();
    let about = About {
        incarnation: None,
        id: STREAM.1,
        name: STREAM.0.to_owned(),
        source: None,
        format,
        presentation: args.plain_frame.rate.into(),
        delivery: None,
        path: PathKind::Udp,
        cipher: None,
        backend: args.common.backend.unwrap_or_default().to_string(),
    };
    let entry = board.add(about, recorder.sinks());
    let mut progress = Progress::new(args.verbose > 0);
    let take = |frame: &Frame| {
        if args.frames.is_some_and(|most| tally.lock().counts.frames_delivered >= most) {
            return;
        }
        let now = Instant::now();
        recorder.look(now);
        preview.offer(&entry, frame, now);
        entry.figures().add_frame(frame.len(), None, now);
        if tally.add_frame(frame, false) == args.frames.unwrap_or(0) {
            stop.stop();
        }
    };
    while !stop.is_stopped() {
        match receiver.consumer().recv_timeout(REFRESH) {
            Ok(frame) => take(&frame),
            Err(RecvError::Ended) => {
                stop.fail(Failure::runtime("the receiver ended by itself; the log says why"));
            }
            Err(_) => {}
        }
        let stats = receiver.stats();
        let mut figures = entry.figures();
        let dropped = &mut figures.counts.stream.frames_dropped;
        (dropped.incomplete, dropped.no_slot) = (stats.frames_wrong_length, stats.frames_no_slot);
        dropped.slow_consumer = receiver.consumer().dropped() + recorder.dropped();
        drop(figures);
        board.set_turned_away(turned_away(&signal));
        let dropped = stats.frames_wrong_length + stats.frames_no_slot;
        progress.show(stats.frames_delivered, stats.bytes, None, dropped);
        manager.working(stats.frames_delivered, stats.bytes, dropped, || Health::of(&board));
    }
    manager.stopping();
    drop(progress);
    receiver.stop();
    // Their datagrams have been acknowledged.
    while let Ok(frame) = receiver.consumer().recv() {
        take(&frame);
    }
    let stats = receiver.stats();
    let slow_consumer = receiver.consumer().dropped() + recorder.finish();
    drop(receiver);
    if stats.frames_wrong_length > 0 {
        tracing::warn!(
            "{} frames did not have the {} bytes of {format}: pieces were lost, or --plain-frame is not what the client sends",
            stats.frames_wrong_length,
            format.frame_bytes()
        );
    }
    let turned_away = turned_away(&signal);
    drop(signal);
    stop.outcome()?;
    let mut state = tally.lock();
    state.counts.frames_dropped.incomplete = stats.frames_wrong_length;
    state.counts.frames_dropped.no_slot = stats.frames_no_slot;
    state.counts.frames_dropped.slow_consumer = slow_consumer;
    drop(state);
    let mut summary = tally.summary(cpu_seconds());
    // This wire says nothing of when a picture was taken.
    (summary.latency_ms, summary.stages_ms) = (None, None);
    summary.sinks = recording.figures();
    summary.turned_away = Some(turned_away);
    Ok((summary, recording.failure()))
}

/// Who had not what lets them in, so far: nothing of this wire is opened.
fn turned_away(signal: &SignalServer) -> TurnedAway {
    let away = signal.counters();
    TurnedAway { proofs: away.proofs_failed, tls: away.tls_failed, ..TurnedAway::default() }
}
