//! How a subscription stands: connected, looking for a hub that is gone, or at its end. One step at a time, without waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::endpoint::Endpoint;
use super::super::error::ShareError;
use super::super::lease::Borrower;
use super::super::messages::{End, FromHub, Name, PACKET_MAX, ToHub, Wanted};
use super::super::subscription_config::{SharedStreamInfo, SubscriptionStats};
use super::super::sync::Ordering;
use super::call::{self, Call};
use super::mapped::{Link, Mapped, NoFrame};
use super::signal::Signal;
use crate::frame::{Frame, RecvError};

/// How often a hub that is gone is looked for.
pub(super) const RETRY: Duration = Duration::from_millis(100);

/// What is asked of a hub, each time that one is there.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) stream: String,
    pub(super) program: String,
    pub(super) wanted: Wanted,
    /// How long a hub may take for its answer.
    pub(super) patience: Duration,
}

impl Request {
    /// Asks the hub, by one of the ways that [`Call`] has to begin.
    ///
    /// # Errors
    /// Nobody is there, or the stream can have no such name.
    pub(super) fn begin_with(
        &self,
        begin: impl FnOnce(&Endpoint, &ToHub<'_>, Duration) -> Result<Call, ShareError>,
    ) -> Result<Call, ShareError> {
        let unknown = || ShareError::UnknownStream {
            endpoint: self.endpoint.clone(),
            name: self.stream.clone(),
            streams: Vec::new(),
        };
        let stream = Name::new(&self.stream).ok_or_else(unknown)?;
        // What it is shown as was cut to a name's length.
        let program = Name::new(&self.program).or_else(|| Name::new("")).ok_or_else(unknown)?;
        begin(&self.endpoint, &ToHub::Subscribe { wanted: self.wanted, stream, program }, self.patience)
    }

    /// The subscription, if the hub has answered.
    ///
    /// # Errors
    /// It refuses, or what it grants is not safe to map.
    fn granted(&self, asked: &mut Option<Asked>) -> Option<Result<Mapped, ShareError>> {
        let mapped = match asked.take()? {
            Asked::Admitting(mapped) => mapped,
            Asked::Subscribing(call) => {
                let mut buffer = [0; PACKET_MAX];
                let granted = match call.try_answer(&mut buffer) {
                    Ok(None | Some((FromHub::Preparing, _))) => {
                        *asked = Some(Asked::Subscribing(call));
                        return None;
                    }
                    Ok(Some((answer, descriptors))) => Mapped::new(call, answer, descriptors),
                    Err(error) => Err(self.completed(error)),
                };
                match granted {
                    Ok(mapped) => Box::new(mapped),
                    Err(error) => return Some(Err(error)),
                }
            }
        };
        match mapped.is_admitted() {
            Ok(true) => Some(Ok(*mapped)),
            Ok(false) => {
                *asked = Some(Asked::Admitting(mapped));
                None
            }
            Err(error) => Some(Err(self.completed(error))),
        }
    }

    /// An error with what was asked for in it.
    pub(super) fn completed(&self, error: ShareError) -> ShareError {
        match error {
            ShareError::UnknownStream { endpoint, streams, .. } => {
                ShareError::UnknownStream { endpoint, name: self.stream.clone(), streams }
            }
            ShareError::NoReaderSlots { reader_slots, left, .. } => ShareError::NoReaderSlots {
                name: self.stream.clone(),
                offers: self.wanted.words.into(),
                hold: self.wanted.hold.into(),
                reader_slots,
                left,
            },
            error => error,
        }
    }
}

/// How far a hub that is back has come with taking this reader in.
enum Asked {
    Subscribing(Call),
    /// All is mapped, and the hub knows.
    Admitting(Box<Mapped>),
}

/// Where a subscription is.
enum Place {
    Open(Mapped),
    /// The hub is gone: asked again, or to be, at that time.
    Away {
        call: Option<Asked>,
        at: Instant,
    },
    /// No frame follows.
    Over(RecvError),
}

/// What a step gave.
pub(super) enum Step {
    Frame(Frame),
    Nothing(Waiting),
    Error(RecvError),
}

/// What is to be waited for.
pub(super) enum Waiting {
    /// Something from the hub. `all_held` where no frame can come before one is dropped, and then how often slots were given back.
    Hub { link: Arc<Link>, borrower: Borrower, all_held: Option<(usize, u64)> },
    /// An answer, or the time to ask again.
    Away(Instant),
}

/// A subscription's state. For one thread at a time.
pub(super) struct Standing {
    place: Place,
    request: Request,
    info: SharedStreamInfo,
    /// What became of the frames of hubs that are gone.
    before: SubscriptionStats,
    /// Somebody waits for the descriptor.
    is_followed: bool,
    /// Why a hub does not take this reader back, as far as that was said: each cause once until it does.
    said: Vec<&'static str>,
    /// The stream's source has closed it.
    is_closed: bool,
}

impl Standing {
    pub(super) fn new(request: Request, mapped: Mapped) -> Self {
        let info = mapped.info.clone();
        let before = SubscriptionStats::default();
        Self {
            place: Place::Open(mapped),
            request,
            info,
            before,
            is_followed: false,
            said: Vec::new(),
            is_closed: false,
        }
    }

    /// Takes the next frame, if there is one. With `arms`, whoever offers something from here on wakes this reader; `sleepers` says how many
    /// other threads sleep.
    pub(super) fn step(&mut self, signal: &Signal, arms: bool, sleepers: usize, now: Instant) -> Step {
        match &mut self.place {
            Place::Over(error) => Step::Error(*error),
            Place::Away { .. } => self.look_for_hub(signal, now),
            Place::Open(mapped) => match take(mapped, signal, arms, self.is_followed, sleepers) {
                Took::Frame(frame) => Step::Frame(frame),
                Took::Nothing => {
                    let link = mapped.link.clone();
                    let all_held = mapped.all_held().map(|slots| (slots, link.given_back()));
                    Step::Nothing(Waiting::Hub { link, borrower: mapped.borrower(), all_held })
                }
                Took::End(end) => self.end(end, signal, now),
                Took::Gone => self.lose_hub(signal, now),
            },
        }
    }

    fn end(&mut self, end: End, signal: &Signal, now: Instant) -> Step {
        let error = match end {
            // Another run of it may come.
            End::Hub => return self.lose_hub(signal, now),
            End::Closed | End::Gone => RecvError::Ended,
            End::Misconduct => RecvError::CutOff { why: "it broke the rules of shared memory" },
            End::TooSlow => RecvError::CutOff { why: "frames waited for it for too long" },
            End::Costly => RecvError::CutOff { why: "waking it costs the hub too much" },
        };
        self.is_closed = end == End::Closed;
        self.close(signal);
        self.place = Place::Over(error);
        // For good: whoever asks learns of it.
        signal.raise();
        Step::Error(error)
    }

    fn lose_hub(&mut self, signal: &Signal, now: Instant) -> Step {
        // The program is told by the error, and tells whom it likes.
        tracing::info!(
            endpoint = %self.request.endpoint, stream = self.request.stream,
            "the hub is gone; what was taken stays as it is, and reading goes on when it is back"
        );
        self.close(signal);
        // What it told of was the hub's: else whoever waits for the next one does not sleep.
        signal.lower();
        self.place = Place::Away { call: None, at: now + RETRY };
        if self.is_followed {
            signal.tick(Some(RETRY));
        }
        Step::Error(RecvError::HubGone)
    }

    /// Lets go of the connection, but for what frames need of it, and keeps its figures.
    fn close(&mut self, signal: &Signal) {
        if let Place::Open(mapped) = &self.place {
            signal.leave(&mapped.link);
            self.before = self.stats();
            // Nobody takes any more what waited.
            self.before.dropped = self.before.offered - self.before.taken;
        }
    }

    fn look_for_hub(&mut self, signal: &Signal, now: Instant) -> Step {
        if self.is_followed {
            signal.ticked();
        }
        let Place::Away { call, at } = &mut self.place else { return Step::Error(RecvError::HubGone) };
        let asked = match call {
            Some(_) => self.request.granted(call),
            None if now < *at => None,
            None => match self.request.begin_with(Call::begin) {
                Ok(begun) => {
                    *at = call::until(now, self.request.patience);
                    *call = Some(Asked::Subscribing(begun));
                    self.request.granted(call)
                }
                Err(error) => Some(Err(error)),
            },
        };
        match asked {
            Some(Ok(mapped)) => {
                self.before.reconnects += 1;
                self.said.clear();
                self.info = mapped.info.clone();
                tracing::info!(endpoint = %self.request.endpoint, stream = self.request.stream, "the hub is back");
                signal.tick(None);
                self.place = Place::Open(mapped);
                if self.is_followed {
                    self.follow(signal);
                }
                self.step(signal, true, 1, now)
            }
            Some(Err(error)) => {
                if !self.said.contains(&error.code()) {
                    self.said.push(error.code());
                    tracing::info!(%error, stream = self.request.stream, "the stream is asked for until it is there again");
                }
                self.wait_away(None, now + RETRY)
            }
            None if call.is_some() && now >= *at => self.wait_away(None, now + RETRY),
            None => {
                // An answer comes within microseconds; it is looked for in a moment.
                let until = if call.is_some() { (now + Duration::from_millis(5)).min(*at) } else { *at };
                Step::Nothing(Waiting::Away(until))
            }
        }
    }

    fn wait_away(&mut self, call: Option<Asked>, at: Instant) -> Step {
        self.place = Place::Away { call, at };
        Step::Nothing(Waiting::Away(at))
    }

    /// Has the descriptor tell of what there is, and of what comes.
    pub(super) fn follow(&mut self, signal: &Signal) {
        self.is_followed = true;
        match &mut self.place {
            Place::Open(mapped) => {
                signal.follow(&mapped.link);
                // One that was woken has a byte in its pipe, which whoever looks next takes out: it is not to say that it sleeps before that.
                if !mapped.is_armed {
                    mapped.arm();
                }
                if mapped.has_offer() || mapped.end().is_some() {
                    signal.raise();
                }
            }
            Place::Away { .. } => signal.tick(Some(RETRY)),
            Place::Over(_) => {}
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        self.is_followed
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.place, Place::Open(_))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn info(&self) -> &SharedStreamInfo {
        &self.info
    }

    pub(super) fn all_held(&self) -> Option<usize> {
        match &self.place {
            Place::Open(mapped) => mapped.all_held(),
            _ => None,
        }
    }

    pub(super) fn stats(&self) -> SubscriptionStats {
        let Place::Open(mapped) = &self.place else { return SubscriptionStats { held: 0, ..self.before } };
        let (offered, dropped) = mapped.told();
        SubscriptionStats {
            offered: self.before.offered + offered,
            taken: self.before.taken + mapped.taken,
            dropped: self.before.dropped + dropped,
            held: mapped.held(),
            reconnects: self.before.reconnects,
        }
    }
}

/// What looking for a frame gave.
enum Took {
    Frame(Frame),
    Nothing,
    End(End),
    Gone,
}

/// The next frame, or that there is none any more.
///
/// Whenever the lock is free, either the hub wakes this reader for the next offer, or there is a byte in the pipe, or will be, or the signal is
/// raised, or nobody waits.
fn take(mapped: &mut Mapped, signal: &Signal, arms: bool, is_followed: bool, sleepers: usize) -> Took {
    let others_wait = is_followed || sleepers > 0;
    match mapped.take() {
        Ok(Some(frame)) => {
            if sleepers > 0 && mapped.all_held().is_some() {
                // For them too, no other can come.
                signal.raise();
            }
            return Took::Frame(frame);
        }
        Ok(None) if !arms => return Took::Nothing,
        Ok(None) => {}
        Err(NoFrame) => return Took::Gone,
    }
    // Asked once it has said that it sleeps: a hub that is gone wakes it. To ask each time that nothing is there yet would cost a system call.
    let was_woken = mapped.link.control().asleep.load(Ordering::Acquire) == 0;
    let is_gone = mapped.is_armed && if was_woken { mapped.link.drain() } else { mapped.link.is_gone() };
    signal.lower();
    mapped.arm();
    // In this order: what was offered before the end is found before it.
    let end = mapped.end();
    match mapped.take() {
        Ok(Some(frame)) => {
            if !others_wait {
                // It does not sleep: the hub need not wake it for the next one.
                mapped.disarm();
            } else if mapped.has_offer() {
                // The byte that told of the rest may have been drained.
                signal.raise();
            }
            Took::Frame(frame)
        }
        Ok(None) if is_gone && end.is_none() => Took::Gone,
        Ok(None) => end.map_or(Took::Nothing, Took::End),
        Err(NoFrame) => Took::Gone,
    }
}
