//! The server on Framewire's own wire.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use framewire_figures::counts::TurnedAway;
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_monitor::PreviewWorker;
use framewire_monitor::{About, Board, Entry, Figures, Health};
use framewire_process::exit::Failure;
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_signal::message::{CaptureTime, Feedback};
use framewire_signal::{SignalServer, StreamEnd};
use framewire_sink::{Recorded, Recorder, Recording};
use framewire_transport::ReceiverConfig;
use framewire_transport::crypto::Suite;
use framewire_transport::frame::{ConsumerPolicy, Frame, RecvError};
use framewire_transport::share::ShareError;
use framewire_transport::{AcceptStreamError, Admission, IncomingStream, PathKind, Receiver};
use framewire_transport::{EndReason, ReceiveStats};

use super::announced::{Announced, Said};
use super::cluster::{Node, peers};
use super::flowing::Flowing;
use super::guard::Guard;
use super::host::ServerHost;
use super::interest::{Interest, Interests, Wanted};
use super::introduction::Listening;
use super::links::Links;
use super::service::ServiceManager;
use super::setup::{Places, SLOTS_SENT_ON, links, recording, slots_beside, start_preview, start_relay, start_signal};
use super::share;
use super::tally::Tally;
use super::voice::Voice;
use super::watching::{Source, UpstreamPlace, Watches};
use crate::cli::ServerArgs;

/// Frames that wait while a thread is not scheduled; more are dropped, and counted.
const QUEUE: ConsumerPolicy = ConsumerPolicy::Queue(3);

pub(crate) fn run(
    args: &ServerArgs,
    places: &Places,
    mut guard: Guard,
    stop: &Stop,
    ready: impl FnOnce(&Listening),
) -> Result<(Summary, Option<Failure>), Failure> {
    let config = ReceiverConfig::new()
        .backend(args.common.backend.unwrap_or_default())
        .sqpoll(args.common.sqpoll)
        .threads(args.common.threads())
        .admission(Admission::Announced)
        .protection(guard.protection())
        .latest_policy(QUEUE)
        .partial(args.partial);
    let memory_bytes_max = args.memory.unwrap_or(config.memory_bytes_max);
    let slots = config.slots + slots_beside(args) + SLOTS_SENT_ON;
    let node = Node::of(args, places)?.map(Arc::new);
    // Of what all may take, for those that are watched at others.
    let elsewhere_bytes = if node.as_ref().is_some_and(|node| node.key().is_some()) { memory_bytes_max / 4 } else { 0 };
    let config = config
        .slots(slots)
        .memory_bytes_max(memory_bytes_max.saturating_sub(elsewhere_bytes).max(1))
        .stream_bytes_max(args.stream_memory.unwrap_or(memory_bytes_max.div_ceil(2)));
    let receiver = Arc::new(Receiver::bind(places.udp, config.clone()).map_err(Failure::runtime)?);
    share::begin(&args.shared, &receiver)?;
    let announced = Arc::new(Announced::default());
    let voice = Voice::default();
    let links = Arc::new(Links::new(links(args)?, voice.clone()));
    let upstream = UpstreamPlace {
        bind: places.udp,
        config: config.memory_bytes_max(elsewhere_bytes.max(1)).latest_policy(ConsumerPolicy::Latest).partial(false),
    };
    let watches = Arc::new(Watches::new(
        start_relay(args, &guard)?,
        links.clone(),
        voice.clone(),
        peers(node.as_ref()),
        upstream,
        guard.is_protected(),
    ));
    let flowing = Arc::new(Flowing::default());
    let recording = recording(args, stop);
    let host = ServerHost {
        recording: recording.clone(),
        receiver: receiver.clone(),
        announced: announced.clone(),
        links: links.clone(),
        watches: watches.clone(),
        flowing: flowing.clone(),
        keys: guard.is_protected().then(Arc::default),
        delivery: args.delivery,
        announce_udp: args.announce_udp.clone(),
    };
    let (board, preview) = (Arc::new(Board::new(recording.totals())), start_preview(args)?);
    let signal = Arc::new(start_signal(args, places, &mut guard, Arc::new(host), &board, node.as_ref())?);
    voice.speak_by(&signal);
    if let Some(node) = &node {
        node.join(places, &guard, signal.local_addr())?;
    }
    let mut manager = ServiceManager::from_environment();
    let mut listening = Listening::new(args, places, &guard, signal.local_addr(), receiver.local_addr())?;
    manager.ready(&listening);
    ready(&listening);
    let (tally, interests) = (Tally::new(), Interests::default());
    let service = Service {
        args,
        stop,
        signal: &signal,
        tally: &tally,
        receiver: &receiver,
        announced: &announced,
        links: &links,
        watches: &watches,
        node: node.as_deref(),
        flowing: &flowing,
        interests: &interests,
        recording: &recording,
        board: &board,
        preview: &preview,
    };
    let mut progress = Progress::new(args.verbose > 0);
    std::thread::scope(|scope| {
        scope.spawn(|| watches.watch_elsewhere(stop));
        while !stop.is_stopped() {
            match receiver.accept_timeout(REFRESH) {
                Ok(stream) => {
                    let (service, stream) = (&service, Arc::new(stream));
                    scope.spawn(move || service.serve(&stream));
                }
                Err(AcceptStreamError::Timeout) => {}
                Err(_) => break,
            }
            listening.follow(signal.pin());
            service.look_after_watchers();
            board.set_turned_away(turned_away(&signal, &receiver));
            let state = tally.lock();
            let counts = state.counts;
            let figures = (counts.frames_delivered, counts.bytes, state.latest, counts.frames_dropped.total());
            drop(state);
            progress.show(figures.0, figures.1, figures.2, figures.3);
            manager.working(figures.0, figures.1, figures.3, || Health::of(&board));
        }
        manager.stopping();
        // What is still to be written may take a while.
        if node.as_ref().is_some_and(|node| node.has_told_of_others()) {
            signal.tell_moved("it stops");
        }
        receiver.stop();
    });
    drop(progress);
    let turned_away = Some(turned_away(&signal, &receiver));
    // The host may just be asked something; then it ends with the last answer.
    if let Some(signal) = Arc::into_inner(signal) {
        signal.shutdown();
    }
    stop.outcome()?;
    let summary = Summary { sinks: recording.figures(), turned_away, ..tally.summary(cpu_seconds()) };
    Ok((summary, recording.failure()))
}

/// Who had not what lets them in, so far.
fn turned_away(signal: &SignalServer, receiver: &Receiver) -> TurnedAway {
    let (away, openings) = (signal.counters(), receiver.stats());
    TurnedAway {
        proofs: away.proofs_failed,
        tls: away.tls_failed,
        openings_forged: openings.forged,
        openings_replayed: openings.replayed,
    }
}

/// How often is looked whether somebody wants a stream that nobody did: programs that come to read it in place wait so long at most.
const IDLE_REFRESH: Duration = Duration::from_millis(20);

/// Who wants a stream.
struct Demand {
    interest: Arc<Interest>,
    /// What it is to those who watch it.
    source: u64,
}

struct Service<'a> {
    args: &'a ServerArgs,
    stop: &'a Stop,
    signal: &'a SignalServer,
    tally: &'a Tally,
    receiver: &'a Receiver,
    announced: &'a Announced,
    links: &'a Links,
    watches: &'a Watches,
    node: Option<&'a Node>,
    flowing: &'a Flowing,
    interests: &'a Interests,
    recording: &'a Arc<Recording>,
    board: &'a Arc<Board>,
    preview: &'a PreviewWorker,
}

impl Service<'_> {
    /// Does what is due for watchers and links now and then, and tells who looks.
    fn look_after_watchers(&self) {
        self.board.set_relayed(self.watches.tick(Instant::now()));
        self.board.set_links(self.links.all_shown());
        if let Some(node) = self.node {
            node.tell(self.board, self.signal.pin());
            if let Some(elsewhere) = node.elsewhere_anew() {
                self.signal.tell_elsewhere(elsewhere);
            }
        }
    }

    /// Takes the frames of a stream until it ends.
    fn serve(&self, stream: &Arc<IncomingStream>) {
        let info = *stream.info();
        {
            let mut state = self.tally.lock();
            state.begin(info.path, info.protection.is_some());
            if info.path == PathKind::Udp {
                state.backend = Some(info.backend.to_string());
                state.slice_bytes = Some(u64::from(stream.slice_bytes()));
            }
        }
        let flows = self.flowing.begin(info.stream);
        // Who knows the id can send the stream's datagrams: what people, files and pages are shown is another number.
        let shown_id = self.signal.shown_id(info.stream);
        let said = self.announced.of(info.stream);
        let name = said.name(shown_id);
        tracing::info!(stream = ?name, peer = %info.peer, format = %info.format, "open");
        let recorded = Recorded::new(info.format, info.presentation, &name, shown_id);
        let recorder =
            Recorder::start(self.recording, &recorded, info.delivery, |policy| stream.subscribe_here(policy));
        let about = About {
            id: shown_id,
            name: name.clone(),
            incarnation: said.incarnation,
            source: Some(info.peer),
            format: info.format,
            presentation: info.presentation,
            delivery: Some(info.delivery),
            path: info.path,
            cipher: info.protection.map(Suite::name),
            backend: info.backend.to_string(),
        };
        let entry = self.board.add(about, recorder.sinks());
        // As people see it: two streams of one name have two.
        match stream.share_as(&entry.label()) {
            Ok(()) | Err(ShareError::NotShared) => {}
            Err(error) => tracing::warn!(stream = ?name, %error, "no reader on this machine finds it"),
        }
        let demand = self.begin_demand(stream, &entry, &said);
        let mut asked = None;
        while !self.stop.is_stopped() {
            let now = Instant::now();
            let is_idle = entry.is_idle();
            let interval = if is_idle { IDLE_REFRESH } else { REFRESH };
            if asked.is_none_or(|asked| now.saturating_duration_since(asked) >= interval) {
                asked = Some(now);
                self.look_who_wants(stream, &entry, &demand, recorder.sinks().len(), now);
            }
            match stream.recv_timeout(interval) {
                Ok(frame) => self.take(stream, &entry, &recorder, &frame),
                Err(RecvError::Ended) => break,
                Err(_) => drop(show_stats(stream, &entry, &recorder, &stream.stats())),
            }
        }
        stream.stop();
        // The sender has been told that these arrived.
        while let Ok(frame) = stream.recv() {
            self.take(stream, &entry, &recorder, &frame);
        }
        // The stream is over, so what its sinks were too slow for is final.
        recorder.look(Instant::now());
        entry.figures().counts.stream.take_over_last(
            &stream.stats(),
            stream.source(),
            stream.dropped() + recorder.dropped(),
        );
        let mut counts = entry.figures().counts.stream;
        // What sinks still have to write is nothing to look at, and nothing to wait for.
        drop(entry);
        if stream.end_reason() == Some(EndReason::Closed) {
            self.receiver.retract(info.stream);
        }
        let why = match stream.end_reason() {
            Some(EndReason::Closed) => "closed by its sender",
            Some(EndReason::Silent) => "its sender fell silent",
            Some(EndReason::Replaced) => "another stream has taken its place",
            _ => "the server stops",
        };
        self.watches.end(demand.source, stream.end_reason() == Some(EndReason::Closed), why);
        self.interests.end(info.stream, &demand.interest);
        drop(flows);
        // What has taken its place is the same client's, who goes on.
        if stream.end_reason() != Some(EndReason::Replaced) {
            // The sender of a silent one may be heard again, as long as the stream is announced.
            let is_over = stream.end_reason() == Some(EndReason::Closed);
            let end = if is_over { StreamEnd::Over } else { StreamEnd::MayGoOn };
            self.signal.end_stream(info.stream, end, why);
            if is_over { self.links.close(info.stream) } else { self.links.fall_silent(info.stream) }
        }
        let shown = recorder.shown();
        counts.frames_dropped.slow_consumer = stream.dropped() + recorder.finish();
        self.tally.add_stream(stream, &counts, stream.dropped());
        let is_over = stream.end_reason() == Some(EndReason::Closed) && self.board.streams().is_empty();
        let was_shown = shown.is_some_and(|sink| sink.counts().frames > 0);
        if is_over && was_shown && self.recording.only_shows() {
            // The end of a film: whoever reads it waits for the end of standard output.
            self.stop.stop();
        }
    }

    /// Lets a stream be watched.
    fn begin_demand(&self, stream: &Arc<IncomingStream>, entry: &Entry, said: &Said) -> Demand {
        let id = stream.info().stream;
        let interest = self.interests.begin(id, said.is_on_demand, |idle| self.signal.tell_idle(id, idle));
        let rate = said.frames_per_second.or_else(|| stream.info().presentation.rate.map(|rate| rate.as_f64()));
        let source = self.watches.begin(Source::here(stream, (**entry).clone(), rate, interest.clone()));
        if let Some(node) = self.node {
            node.tell(self.board, self.signal.pin());
        }
        Demand { interest, source }
    }

    /// Looks who wants a stream, for those who look, and for its client where it sends on demand.
    fn look_who_wants(&self, stream: &IncomingStream, entry: &Entry, demand: &Demand, sinks: usize, now: Instant) {
        entry.set_readers(share::told(stream.readers()));
        entry.set_watchers(self.watches.shown(demand.source));
        entry.set_grant(self.links.shown(stream.info().stream));
        // Who comes while this is counted has said so before the next look, and is waited for anew.
        let wanted = Wanted {
            sinks,
            readers: entry.readers().len(),
            watchers: self.watches.count(demand.source),
            lookers: entry.pictures.lookers(),
        };
        demand.interest.look(wanted, now, |idle| {
            entry.set_idle(idle);
            self.signal.tell_idle(stream.info().stream, idle);
        });
    }

    /// Tells of a frame, and counts it. The sinks have it from the stream, as this has.
    fn take(&self, stream: &IncomingStream, entry: &Entry, recorder: &Recorder, frame: &Frame) {
        if self.args.frames.is_some_and(|most| self.tally.lock().counts.frames_delivered >= most) {
            return;
        }
        let (stats, now) = (stream.stats(), Instant::now());
        recorder.look(now);
        self.preview.offer(entry, frame, now);
        let mut figures = show_stats(stream, entry, recorder, &stats);
        if frame.is_complete() {
            figures.add_frame(frame.len(), frame.info().latency, now);
            figures.note(frame);
        }
        let dropped = figures.counts.stream.frames_dropped;
        drop(figures);
        let mut feedback = Feedback::new(stream.info().stream, frame.info().number, frame.len() as u64);
        feedback.metadata_bytes = Some(frame.metadata().map_or(0, |metadata| metadata.bytes.len() as u32));
        feedback.captured_utc = frame.captured_utc().and_then(CaptureTime::new);
        feedback.captured_utc_error_ms = frame.info().utc_error.map(|error| error.as_secs_f64() * 1e3);
        feedback.latency_ms = frame.info().latency.map(|latency| latency.as_secs_f64() * 1e3);
        feedback.frames_delivered = stats.frames_delivered;
        feedback.frames_lost = dropped.lost + dropped.incomplete + dropped.no_slot;
        feedback.frames_repaired = stats.frames_repaired;
        feedback.frames_restored = stats.frames_restored;
        feedback.missing_bytes = frame.missing().map(|range| range.len() as u64).sum();
        feedback.socket_drops = stats.socket_drops;
        feedback.frames_unrecorded = recorder.unrecorded();
        self.signal.feedback(feedback);
        if !frame.is_complete() {
            tracing::debug!(frame = frame.info().number, "handed on with gaps");
            return;
        }
        if self.tally.add_frame(frame, false) == self.args.frames.unwrap_or(0) {
            self.stop.stop();
        }
    }
}

/// Shows what the transport has counted; more can be added to it.
fn show_stats<'a>(
    stream: &IncomingStream,
    entry: &'a Entry,
    recorder: &Recorder,
    stats: &ReceiveStats,
) -> MutexGuard<'a, Figures> {
    let mut figures = entry.figures();
    figures.counts.stream.take_over(stats, stream.source(), stream.dropped() + recorder.dropped());
    figures.slice_bytes = Some(stream.slice_bytes());
    figures
}
