//! The client on Framewire's own wire: one source, and the servers that its frames go to.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use framewire_capture::FrameRate;
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::{Failure, say};
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_signal::message::{METADATA_BYTES_MAX, OpenRequest};
use framewire_transport::frame::Presentation;
use framewire_transport::{ClosedReport, Delivery, FrameFormat, LinkBudget, SenderConfig, SliceSize};

use super::account;
use super::demand;
use super::fan::Fan;
use super::feed::Feed;
use super::outlet::Outlet;
use super::source::Source;
use super::talk::Talk;
use super::target::{InTurn, Targets};
use super::way::Directions;
use super::window::Window;
use crate::cli::{ClientArgs, OnDemand};

pub(crate) fn run(
    args: &ClientArgs,
    targets: Targets,
    source: Source,
    stop: &Stop,
) -> Result<(Summary, Option<Failure>), Failure> {
    let mut feed = Feed::new(source, &args.stream)?;
    let offer = Offer::of(args, &feed);
    demand::check(args.on_demand, offer.delivery, &feed)?;
    let window = Window::open(args.stream.window, offer.format, stop)?;
    let is_one_of_several = targets.len() > 1;
    let (mut outlets, mut talks) = (Vec::new(), Vec::new());
    for turn in targets {
        let (outlet, talk, stream) = offer.begin(turn, is_one_of_several)?;
        outlets.push(outlet);
        talks.push((talk, stream));
    }
    let fan = Fan::new(outlets, offer.format, offer.delivery)?;
    let progress = Mutex::new(Progress::new(args.verbose > 0));
    let done = Stop::new();
    let (begun, sent, elapsed, reports, said) = std::thread::scope(|scope| {
        let spoken: Vec<_> = talks
            .into_iter()
            .zip(&fan.outlets)
            .map(|((mut talk, stream), outlet)| {
                let (fan, offer, done, progress) = (&fan, &offer, &done, &progress);
                scope.spawn(move || {
                    let config = || offer.sender(stream);
                    outlet.keep_up(&mut talk, args.connect_timeout, config, (stop, done), |talk| {
                        show(fan, talk, progress);
                        // Who has nobody left to send to is told why.
                        if fan.is_over() {
                            stop.stop();
                        }
                        fan.tell();
                    });
                    if fan.is_over() {
                        stop.stop();
                    }
                    fan.tell();
                    // Others may go on: this server is told at once that nothing more comes, and holds no place for it.
                    if let Some(failure) = outlet.given_up().filter(|_| is_one_of_several) {
                        say(format_args!("framewire-client: {}: {failure}; nothing more goes there", outlet.server));
                    }
                    talk.end()
                })
            })
            .collect();
        let begun = fan.wait_until_begun(stop).then(Instant::now);
        // Whatever ends the sending, what is on its way is confirmed as far as it can be, and accounted for.
        let sent = begun.map_or(Ok(()), |_| send_all(&mut feed, &fan, &offer, window.as_ref(), stop));
        let sent = fan.failure().map_or(sent, Err);
        let reports = begun.map(|_| close_all(&fan, stop)).unwrap_or_default();
        let elapsed = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        done.stop();
        let said: Vec<_> = spoken.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
        (begun, sent, elapsed, reports, said)
    });
    drop((window, progress));
    let frame_bytes = offer.format.frame_bytes() as u64;
    let (mut summary, failure) = match begun {
        Some(_) => account::of(&fan, &reports, &said, offer.delivery, frame_bytes),
        None => (Summary { frames_sent: Some(0), cpu_seconds: cpu_seconds(), ..Summary::default() }, None),
    };
    summary.set_rates(elapsed);
    let failures = [sent.err(), fan.failure(), stop.outcome().err(), feed.failure, failure];
    Ok((summary, failures.into_iter().flatten().next()))
}

/// The line that shows how all of it gets on.
fn show(fan: &Fan, talk: &Talk, progress: &Mutex<Progress>) {
    let Ok(mut progress) = progress.try_lock() else { return };
    let senders: Vec<_> = fan.outlets.iter().filter_map(Outlet::sender).collect();
    if let (true, Some(away)) = (senders.is_empty(), talk.away()) {
        return progress.say(away.to_owned());
    }
    let stats: Vec<_> = senders.iter().map(|sender| (sender.stats(), sender.format().frame_bytes() as u64)).collect();
    let delivered = stats.iter().map(|(stats, _)| stats.frames_delivered).sum();
    let bytes = stats.iter().map(|(stats, frame_bytes)| stats.frames_delivered * frame_bytes).sum();
    progress.show(delivered, bytes, None, stats.iter().map(|(stats, _)| stats.frames_skipped).sum());
}

/// What each server is offered.
struct Offer<'a> {
    args: &'a ClientArgs,
    format: FrameFormat,
    delivery: Delivery,
    presentation: Presentation,
    /// From one frame to the next, where there is a pace.
    interval: Option<Duration>,
    directions: Directions,
    /// Of the one link that all of them are behind.
    link: Option<LinkBudget>,
    /// When this run began, by which servers know it from another one of the same name. At another server that takes the stream over it is newer.
    incarnation: Option<u64>,
}

impl<'a> Offer<'a> {
    fn of(args: &'a ClientArgs, feed: &Feed) -> Self {
        let usual = if feed.source().is_live() { Delivery::Latest } else { Delivery::Every };
        Self {
            args,
            format: feed.source().format(),
            delivery: args.stream.delivery.unwrap_or(usual),
            presentation: feed.presentation(),
            interval: feed.interval(),
            directions: Directions::of(args),
            link: args.stream.max_rate.map(LinkBudget::new),
            incarnation: now_utc_ns(),
        }
    }

    /// Begins to open the stream at a server, under an id of its own: who knows it can send the stream's datagrams.
    ///
    /// # Errors
    /// What cannot be opened; no random number, no thread.
    fn begin(&self, turn: InTurn, is_one_of_several: bool) -> Result<(Outlet, Talk, u32), Failure> {
        let stream = random_stream_id()?;
        let names: Vec<_> = turn.iter().map(|target| target.server.as_str()).collect();
        let outlet = Outlet::new(names.join(","), self.delivery, self.interval);
        let flags = (is_one_of_several, self.args.verbose > 0);
        let talk = Talk::start(turn, self.request(stream), self.directions.clone(), flags)?;
        Ok((outlet, talk, stream))
    }

    fn request(&self, stream: u32) -> OpenRequest {
        let slice_bytes = match self.args.stream.slice {
            Some(SliceSize::Bytes(bytes)) => Some(u32::from(bytes)),
            _ => None,
        };
        OpenRequest::new(stream, &self.format, self.delivery)
            .name(self.args.stream.name.as_str())
            .frames_per_second(self.presentation.rate.map(FrameRate::as_f64))
            .slice_bytes(slice_bytes)
            .metadata_bytes_max(METADATA_BYTES_MAX)
            .on_demand(self.args.on_demand.is_some())
            .priority(self.args.priority)
            .incarnation(self.incarnation)
    }

    fn sender(&self, stream: u32) -> SenderConfig {
        let ClientArgs { stream: asked, common, .. } = self.args;
        SenderConfig::new(self.format)
            .delivery(self.delivery)
            .slice(asked.slice.unwrap_or_default())
            .presentation(self.presentation)
            .paced(self.interval.is_some())
            .deadline(asked.deadline.unwrap_or_default())
            .fec(asked.fec.unwrap_or_default())
            .link(self.link.clone())
            .backend(common.backend.unwrap_or_default())
            .sqpoll(common.sqpoll)
            .threads(common.threads())
            .stream(stream)
            .path(self.directions.path)
    }
}

/// A clock that stands before 1970 says nothing.
fn now_utc_ns() -> Option<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok().filter(|nanos| *nanos > 0)
}

fn random_stream_id() -> Result<u32, Failure> {
    getrandom::u32().map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}")))
}

/// Sends what the feed gives, until it ends, there is nobody left to send to, or somebody asks to stop.
///
/// # Errors
/// The one stream cannot go on, or the source.
fn send_all(
    feed: &mut Feed,
    fan: &Fan,
    offer: &Offer<'_>,
    window: Option<&Window>,
    stop: &Stop,
) -> Result<(), Failure> {
    // Of a live source, in `latest`, a picture that has waited for its interval has passed.
    let passing = feed.interval().filter(|_| offer.delivery == Delivery::Latest && feed.source().is_live());
    while feed.wait(stop) {
        if offer.args.on_demand == Some(OnDemand::Release) && fan.is_idle() {
            demand::rest(feed, fan, &offer.args.stream, stop)?;
            continue;
        }
        let patience = passing.unwrap_or(REFRESH);
        let Some(mut frame) = fan.frame_timeout(patience)? else {
            if passing.is_some() {
                fan.skip();
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
        fan.send(frame, stop)?;
    }
    Ok(())
}

/// Ends the stream everywhere, at once. What could not go on is given up.
fn close_all(fan: &Fan, stop: &Stop) -> Vec<Option<ClosedReport>> {
    let is_of_several = fan.is_of_several();
    std::thread::scope(|scope| {
        let closing: Vec<_> =
            fan.outlets.iter().map(|outlet| scope.spawn(move || outlet.close(is_of_several, stop))).collect();
        let reports = closing.into_iter().zip(&fan.outlets).map(|(thread, outlet)| {
            let closed = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            closed.unwrap_or_else(|failure| {
                outlet.give_up(failure);
                None
            })
        });
        reports.collect()
    })
}
