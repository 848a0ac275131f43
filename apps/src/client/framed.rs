//! The client on Framewire's own wire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use framewire_capture::FrameRate;
use framewire_figures::counts::FramesDropped;
use framewire_figures::latency::LatencyHistogram;
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::address::{Address, announced};
use framewire_process::exit::{Failure, say};
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_signal::message::{METADATA_BYTES_MAX, OpenRequest, Opened, ShareOffer};
use framewire_signal::{ClientError, ClientEvent, SignalClient};
use framewire_transport::crypto::Key;
use framewire_transport::share::Invitation;
use framewire_transport::{Delivery, FrameFormat, LinkBudget, PathChoice, PathKind, Protection};
use framewire_transport::{SendError, Sender, SenderConfig, SliceSize};

use super::feed::Feed;
use super::refusals::Refusals;
use super::source::Source;
use super::target::Target;
use super::trouble::{not_all_arrived, nothing_arrived, too_late};
use super::window::Window;
use crate::cli::ClientArgs;

/// How long the receiver may take to confirm the end; then the figures of this side stand alone.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long the server may take to say that the stream is closed; what it said before is still heard.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);
/// How long a stream may take to open before people are told.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long after a failure a name is looked up again.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);
/// A server that is there says something each quarter of a second.
const HEARD_LATELY: Duration = Duration::from_secs(1);

pub(crate) fn run(
    args: &ClientArgs,
    target: Target,
    source: Source,
    stop: &Stop,
) -> Result<(Summary, Option<Failure>), Failure> {
    let mut feed = Feed::new(source, &args.stream)?;
    let format = feed.source().format();
    let chosen = args.stream.delivery;
    let delivery = chosen.unwrap_or(if feed.source().is_live() { Delivery::Latest } else { Delivery::Every });
    let window = Window::open(args.stream.window, format, stop)?;
    let stream = random_stream_id()?;
    let signal = start_signal(args, &target, &format, delivery, stream, feed.presentation().rate)?;
    let path = path_of(args);
    let mut talk = Talk {
        signal,
        target,
        udp: args.udp.clone(),
        peer: None,
        path,
        verbose: args.verbose > 0,
        latency: LatencyHistogram::new(),
        refused: None,
        refusals: Refusals::default(),
        away: None,
        udp_watch: UdpWatch::default(),
        unrecorded: None,
        moved: None,
    };
    let mut progress = Progress::new(args.verbose > 0);
    let Some(Way { peer, invitation, key, protection }) = talk.wait_until_opened(args, stop, &mut progress)? else {
        talk.signal.shutdown();
        stop.outcome()?;
        return Ok((Summary { frames_sent: Some(0), cpu_seconds: cpu_seconds(), ..Summary::default() }, None));
    };
    let config = SenderConfig::new(format)
        .delivery(delivery)
        .slice(args.stream.slice.unwrap_or_default())
        .presentation(feed.presentation())
        .paced(feed.interval().is_some())
        .deadline(args.stream.deadline.unwrap_or_default())
        .fec(args.stream.fec.unwrap_or_default())
        .link(args.stream.max_rate.map(LinkBudget::new))
        .backend(args.common.backend.unwrap_or_default())
        .sqpoll(args.common.sqpoll)
        .threads(args.common.threads())
        .stream(stream)
        .path(path)
        .share(invitation)
        .key(key.clone())
        .protection(protection);
    let sender = Sender::connect(peer, config).map_err(Failure::runtime)?;
    talk.target.tell(peer, sender.path(), key.as_ref());
    let started = Instant::now();
    let sent = std::thread::scope(|scope| {
        let (sender, talk) = (&sender, &mut talk);
        let done = Stop::new();
        let listening = done.clone();
        let listener = scope.spawn(move || talk.listen(sender, stop, &listening, &mut progress));
        let sent = send_all(&mut feed, sender, delivery, window.as_ref(), stop);
        let closed = sent.and_then(|()| close(sender, delivery, stop));
        done.stop();
        let _ = listener.join();
        closed
    });
    let elapsed = started.elapsed();
    talk.signal.close_stream();
    drop(window);
    talk.drain();
    let Talk { signal, latency, refused, refusals, unrecorded, peer: last, .. } = talk;
    let peer = last.unwrap_or(peer);
    signal.shutdown();
    // Where the server says why it does not know the stream, that tells more than that it does not.
    if let Some(refused) = refused {
        return Err(refused);
    }
    let report = sent?;
    stop.outcome()?;
    if let Some(told) = refusals.since() {
        say(format_args!("framewire-client: the server has not taken the stream again; {told}"));
    }
    let stats = sender.stats();
    let delivered = report.map_or(stats.frames_delivered, |report| report.delivered);
    let mut dropped = FramesDropped {
        skipped_at_source: stats.frames_skipped - stats.frames_no_credit,
        no_credit: stats.frames_no_credit,
        ..Default::default()
    };
    if let Some(report) = report.filter(|report| !report.is_forgotten) {
        dropped.incomplete = report.incomplete;
        dropped.no_slot = report.no_slot;
    }
    dropped.lost = stats.frames.saturating_sub(delivered + dropped.total());
    let missing = dropped.lost + dropped.incomplete + dropped.no_slot;
    let path = sender.path();
    let by_udp = path == PathKind::Udp;
    let mut summary = Summary {
        frames_sent: Some(stats.frames),
        frames_delivered: delivered,
        frames_dropped: dropped,
        bytes: delivered * format.frame_bytes() as u64,
        latency_ms: latency.figures(),
        cpu_seconds: cpu_seconds(),
        path: Some(path.to_string()),
        path_trouble: sender.path_trouble(),
        // Of what moves no datagrams there is nothing to say.
        protected: by_udp.then(|| sender.protection().is_some()),
        backend: by_udp.then(|| sender.backend().to_string()),
        slice_bytes: by_udp.then(|| u64::from(sender.slice_bytes())),
        slices_resent: Some(stats.slices_resent),
        slices_parity: Some(stats.slices_parity),
        frames_unrecorded: unrecorded,
        ..Summary::default()
    };
    summary.set_rates(elapsed);
    let failure = nothing_arrived(stats.frames, delivered, peer)
        .or_else(|| not_all_arrived(delivery, stats.frames, missing, report.is_some()));
    Ok((summary, feed.failure.or(failure)))
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

fn start_signal(
    args: &ClientArgs,
    target: &Target,
    format: &FrameFormat,
    delivery: Delivery,
    stream: u32,
    rate: Option<FrameRate>,
) -> Result<SignalClient, Failure> {
    let slice_bytes = match args.stream.slice {
        Some(SliceSize::Bytes(bytes)) => Some(u32::from(bytes)),
        _ => None,
    };
    let open = OpenRequest::new(stream, format, delivery)
        .name(args.stream.name.as_str())
        .frames_per_second(rate.map(FrameRate::as_f64))
        .slice_bytes(slice_bytes)
        .metadata_bytes_max(METADATA_BYTES_MAX);
    SignalClient::start(target.config().open(open)).map_err(|error| match error {
        ClientError::Thread(_) | ClientError::Random(_) => Failure::runtime(error),
        _ => Failure::usage(error),
    })
}

/// Sends what the feed gives, until it ends or somebody asks to stop.
fn send_all(
    feed: &mut Feed,
    sender: &Sender,
    delivery: Delivery,
    window: Option<&Window>,
    stop: &Stop,
) -> Result<(), Failure> {
    // Of a live source, in `latest`, a picture that has waited for its interval has passed.
    let passing = feed.interval().filter(|_| delivery == Delivery::Latest && feed.source().is_live());
    while feed.wait(stop) {
        let patience = passing.unwrap_or(REFRESH);
        let Some(mut frame) = sender.frame_timeout(patience).map_err(Failure::runtime)? else {
            if passing.is_some() {
                sender.skip();
                feed.skip();
            }
            continue;
        };
        if !feed.write(&mut frame) {
            break;
        }
        if let Some(window) = window {
            window.show(&frame);
        }
        sender.send(frame).map_err(Failure::runtime)?;
    }
    Ok(())
}

/// Ends the stream. Without an answer, or when somebody asked to stop, the figures of this side stand alone.
fn close(
    sender: &Sender,
    delivery: Delivery,
    stop: &Stop,
) -> Result<Option<framewire_transport::ClosedReport>, Failure> {
    // A file's last frames wait as long as the server is away, unless somebody loses patience.
    while delivery == Delivery::Every && !stop.is_stopped() {
        match sender.wait_until_settled(REFRESH) {
            Ok(()) => break,
            Err(SendError::Unanswered { .. } | SendError::NoSharedMemory { .. }) => {}
            Err(error) => return Err(Failure::runtime(error)),
        }
    }
    let wait = if stop.is_stopped() { Duration::from_secs(1) } else { CLOSE_WAIT };
    match sender.close(wait) {
        Ok(report) => Ok(Some(report)),
        // One that was open, and has no place for now: nobody answers for it.
        Err(SendError::Refused { reason: Some(reason), .. })
            if reason.is_for_now() && sender.stats().frames_delivered > 0 =>
        {
            Ok(None)
        }
        Err(SendError::Unanswered { .. } | SendError::NoSharedMemory { .. }) if stop.is_stopped() => Ok(None),
        Err(error @ (SendError::Unanswered { .. } | SendError::NoSharedMemory { .. })) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        Err(error) => Err(Failure::runtime(error)),
    }
}

/// Where frames go, and how.
struct Way {
    peer: SocketAddr,
    invitation: Option<Invitation>,
    key: Option<Key>,
    protection: Protection,
}

/// What is said to and by the server over Socket.IO.
struct Talk {
    signal: SignalClient,
    target: Target,
    verbose: bool,
    latency: LatencyHistogram,
    /// Where the user says that frames go.
    udp: Option<Address>,
    /// Which ways they may take.
    path: PathChoice,
    /// Where they go.
    peer: Option<SocketAddr>,
    refused: Option<Failure>,
    refusals: Refusals,
    /// Frames that the server should have recorded and did not, once it has said anything of frames.
    unrecorded: Option<u64>,
    /// Why there is no connection, while there is none; it has been told.
    away: Option<String>,
    udp_watch: UdpWatch,
    /// The server is back, and it is not known yet where frames go.
    moved: Option<Moved>,
}

/// Looks up where a server that is back takes frames, as often as that takes.
#[derive(Debug)]
struct Moved {
    opened: Opened,
    /// When it is due, after a failure.
    again: Option<Instant>,
}

#[derive(Debug, PartialEq)]
enum LookUp {
    Found(SocketAddr),
    NotDue,
    Failed { failure: Failure, is_first: bool },
}

impl Moved {
    const fn new(opened: Opened) -> Self {
        Self { opened, again: None }
    }

    fn look_up(&mut self, now: Instant, resolve: impl FnOnce(&Opened) -> Result<SocketAddr, Failure>) -> LookUp {
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

/// Judges whether the server answers on Socket.IO alone: it does not answer the opening, and is heard all the while.
#[derive(Debug, Default)]
struct UdpWatch {
    /// Since when the stream has not been open and the server has been heard.
    since: Option<Instant>,
    told: bool,
}

impl UdpWatch {
    fn is_open(&mut self) {
        *self = Self::default();
    }

    /// The stream is not open; the server was heard last at `heard`. True where that is to be told, once until it is open.
    fn is_unopened(&mut self, heard: Option<Instant>, now: Instant) -> bool {
        if heard.is_none_or(|heard| now.saturating_duration_since(heard) > HEARD_LATELY) {
            // It has gone, or has not been heard since this machine slept: that is no matter of UDP.
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_due = !self.told && now.saturating_duration_since(since) > OPEN_PATIENCE;
        self.told |= is_due;
        is_due
    }
}

impl Talk {
    /// Waits for the server, as long as the user wants to; `None` where somebody asked to stop meanwhile.
    fn wait_until_opened(
        &mut self,
        args: &ClientArgs,
        stop: &Stop,
        progress: &mut Progress,
    ) -> Result<Option<Way>, Failure> {
        let begun = Instant::now();
        while !stop.is_stopped() {
            if let Some(limit) = args.connect_timeout.filter(|limit| begun.elapsed() >= *limit) {
                return Err(too_late(limit, &self.target.server, self.away.as_deref()));
            }
            match self.signal.next_event(REFRESH) {
                Some(ClientEvent::Opened(opened)) => {
                    let peer = self.resolve(&opened)?;
                    let (key, protection) = self.target.protection(&opened)?;
                    self.peer = Some(peer);
                    self.refusals.is_taken();
                    return Ok(Some(Way { peer, invitation: self.invitation(&opened), key, protection }));
                }
                Some(event) => self.handle(&event, progress),
                None => {}
            }
            if let Some(refused) = self.refused.take() {
                return Err(refused);
            }
        }
        Ok(None)
    }

    /// Takes in what the server says while frames flow.
    fn listen(&mut self, sender: &Sender, stop: &Stop, done: &Stop, progress: &mut Progress) {
        while !done.is_stopped() {
            match self.signal.next_event(REFRESH / 2) {
                // The server is back, maybe elsewhere.
                Some(ClientEvent::Opened(opened)) => {
                    self.refusals.is_taken();
                    self.moved = Some(Moved::new(opened));
                }
                Some(event) => self.handle(&event, progress),
                None => {}
            }
            self.follow(sender);
            self.look_at(sender);
            if self.refused.is_some() {
                stop.stop();
            }
            let stats = sender.stats();
            let frame_bytes = sender.format().frame_bytes() as u64;
            progress.show(stats.frames_delivered, stats.frames_delivered * frame_bytes, None, stats.frames_skipped);
        }
    }

    /// Sends to where the server is now, once that is known. A name that is not found for a moment was found at the start: it is
    /// looked up again, as a server that is away is asked again.
    fn follow(&mut self, sender: &Sender) {
        let Some(mut moved) = self.moved.take() else { return };
        match moved.look_up(Instant::now(), |opened| self.resolve(opened)) {
            LookUp::Found(peer) => {
                self.peer = Some(peer);
                // It was started again, maybe without what protected it: then nothing more goes there.
                match self.target.protection(&moved.opened) {
                    Ok((Some(key), _)) => sender.set_key(key),
                    Ok((None, _)) => {}
                    Err(failure) => {
                        self.refused = Some(failure);
                        return;
                    }
                }
                sender.redirect_with(peer, self.invitation(&moved.opened));
            }
            LookUp::NotDue => self.moved = Some(moved),
            LookUp::Failed { failure, is_first } => {
                if is_first {
                    say(format_args!("framewire-client: {failure}; it is looked up again until it is found"));
                }
                self.moved = Some(moved);
            }
        }
    }

    /// Tells of a stream that the receiver refuses, or that does not open.
    fn look_at(&mut self, sender: &Sender) {
        match sender.wait_until_open(Duration::ZERO) {
            Ok(()) => {
                self.udp_watch.is_open();
                self.refusals.is_open();
            }
            Err(error @ SendError::Refused { reason, .. }) => {
                if self.refusals.is_final_there(reason, &error.to_string()) {
                    self.refused = Some(Failure::runtime(error));
                }
            }
            // Its cause is in the log, and at the end.
            Err(SendError::NoSharedMemory { .. }) => {}
            Err(_) => {
                if self.udp_watch.is_unopened(self.signal.last_heard(), Instant::now()) {
                    let at = self.peer.map(|peer| format!(" at {peer}")).unwrap_or_default();
                    say(format_args!(
                        "framewire-client: no frames flow: the server answers on Socket.IO, but not on UDP{at}; does a \
                         firewall drop it, or is another port published (--udp, and the server's --announce-udp)?"
                    ));
                }
            }
        }
    }

    /// What has been said but not heard yet, until the server confirms that the stream is closed.
    fn drain(&mut self) {
        let mut nobody_looks = Progress::new(true);
        let deadline = Instant::now() + LAST_WORDS_WAIT;
        while let Some(event) = self.signal.next_event(deadline.saturating_duration_since(Instant::now())) {
            self.handle(&event, &mut nobody_looks);
            if matches!(event, ClientEvent::Closed(_)) {
                break;
            }
        }
    }

    fn handle(&mut self, event: &ClientEvent, progress: &mut Progress) {
        match event {
            ClientEvent::Feedback(feedback) => {
                let before = self.unrecorded.unwrap_or(0);
                if before == 0 && feedback.frames_unrecorded > 0 {
                    say(format_args!(
                        "framewire-client: the server does not record all of this stream: its disk, or another place of its frames, failed or \
                         is too slow; its log says why"
                    ));
                }
                self.unrecorded = Some(feedback.frames_unrecorded.max(before));
                if let Some(latency_ms) = feedback.latency_ms {
                    self.latency.record(Duration::from_secs_f64(latency_ms.clamp(0.0, 60_000.0) / 1e3));
                }
                if self.verbose {
                    let latency = feedback.latency_ms.map(|latency| format!(", {latency:.2} ms")).unwrap_or_default();
                    say(format_args!(
                        "feedback: frame {} of {} bytes{latency}, {} delivered, {} lost",
                        feedback.frame, feedback.frame_size, feedback.frames_delivered, feedback.frames_lost
                    ));
                }
            }
            ClientEvent::Retrying { in_, attempt, reason } => {
                if self.away.is_none() {
                    say(format_args!("framewire-client: {reason}; it is asked again until it answers"));
                }
                progress.say(format!("{reason}; attempt {attempt} in {:.1} s", in_.as_secs_f64()));
                self.away = Some(reason.clone());
            }
            ClientEvent::Connected => {
                if self.away.take().is_some() {
                    say(format_args!("framewire-client: the server answers"));
                }
            }
            ClientEvent::Refused(refused) => {
                if self.refusals.is_final(refused) {
                    self.refused = Some(Failure::runtime(format!("the server refuses: {refused}")));
                }
            }
            ClientEvent::Disconnected { reason } => {
                say(format_args!("framewire-client: the server is gone: {reason}; it is asked again until it is back"));
                self.away = Some(reason.clone());
            }
            ClientEvent::Closed(closed) => tracing::info!("the server closed the stream: {}", closed.message),
            other => tracing::debug!(?other, "signal"),
        }
    }

    /// Where the server takes frames by shared memory; not where the user says that they go elsewhere.
    fn invitation(&self, opened: &Opened) -> Option<Invitation> {
        let is_meant = self.udp.is_none() || self.path == PathChoice::Shm;
        opened.share.as_ref().filter(|_| is_meant).and_then(ShareOffer::invitation)
    }

    /// Where frames go: where the user says, else where the server does, else where the server was reached.
    fn resolve(&self, opened: &Opened) -> Result<SocketAddr, Failure> {
        let peer = self.signal.peer();
        let peer =
            peer.ok_or_else(|| Failure::runtime("the server's address is not known; give it as --udp HOST:PORT"))?;
        match &self.udp {
            Some(udp) if udp.is_unspecified() => announced(None, udp.port(), peer),
            Some(udp) => udp.resolve_one(Some(peer.ip())),
            None => announced(opened.udp_host.as_deref(), opened.udp_port, peer),
        }
    }
}

/// Who knows the id can send the stream's datagrams, so nobody may guess it.
fn random_stream_id() -> Result<u32, Failure> {
    getrandom::u32().map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}")))
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

    #[test]
    fn a_server_that_answers_on_socket_io_alone_is_told_of_once_and_one_that_has_gone_is_not() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        // How often it is told in ten seconds of a closed stream, where the server is heard until then.
        let told = |watch: &mut UdpWatch, from: u64, heard_until: u64| {
            let looks = (from..from + 10_000).step_by(125);
            looks.filter(|millis| watch.is_unopened(Some(at((*millis).min(heard_until))), at(*millis))).count()
        };
        let mut watch = UdpWatch::default();
        assert_eq!(told(&mut watch, 0, u64::MAX), 1);
        assert_eq!(told(&mut watch, 10_000, u64::MAX), 0, "it has been told");
        watch.is_open();
        assert_eq!(told(&mut watch, 20_000, u64::MAX), 1, "it is told again of another time");
        // Killed at once, and a second and two after the stream had closed.
        for heard_until in [0, 1_000, 1_900] {
            assert_eq!(told(&mut UdpWatch::default(), 0, heard_until), 0, "{heard_until}");
        }
        let mut watch = UdpWatch::default();
        assert!(!(0..100).any(|millis| watch.is_unopened(None, at(millis * 125))));
        // It is back: UDP gets its time from then on.
        assert_eq!((1..24).filter(|look| watch.is_unopened(Some(at(look * 125)), at(look * 125))).count(), 0);
    }
}
