//! One stream to many receivers, none of whom is waited for: what each may hold of it, and who is cut short.

use std::time::Duration;

use super::SendConfig;
use super::publication::Publication;
use super::subscriber::Subscriber;
use crate::frame::{Frame, FrameFormat};
use crate::time::Time;
use crate::utc::UtcOffset;
use crate::wire::Delivery;

/// Frames that every subscriber may hold: the newest.
const NEWEST: usize = 3;
/// Older ones that are held all the same, since slices of them are still leaving to somebody: all that a path gets on which a frame takes longer than three
/// come in. They are the same for all subscribers that are so slow.
const LEAVING: usize = 2;
/// For so long.
const LEAVING_MAX: Duration = Duration::from_secs(1);

/// A publication whose frames have numbers of their own, those of the stream that they come from, and whose subscribers together hold no more than five of them, however many they
/// are and whatever becomes of them. Towards all of them it is `latest`.
#[derive(Debug)]
pub struct Distribution {
    publication: Publication,
    /// The numbers of the newest frames, the oldest of them first.
    newest: [u64; NEWEST],
    leaving: [Option<Leaving>; LEAVING],
    knows_utc: bool,
}

/// An older frame that is held.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    number: u64,
    since: Time,
    /// Somebody needed it when the last frame came.
    is_needed: bool,
}

impl Distribution {
    /// Of frames that have this format, with room for `tail_max` bytes of metadata and time, the first of which has the number `first`.
    pub fn new(format: FrameFormat, tail_max: u16, first: u64) -> Self {
        let publication = Publication::new(format, Delivery::Latest).with_tails(tail_max).beginning_at(first);
        Self { publication, newest: [first; NEWEST], leaving: [None; LEAVING], knows_utc: false }
    }

    /// The lowest number that the next frame can have.
    pub fn next_number(&self) -> u64 {
        self.publication.next_number()
    }

    /// Whether its frames have said what their source's wall clock shows, which its subscribers are told then.
    pub fn knows_utc(&self) -> bool {
        self.knows_utc
    }

    /// What makes parity.
    pub fn publication(&mut self) -> &mut Publication {
        &mut self.publication
    }

    /// Brings the stream to one more receiver, from the next frame on. Of a configuration for `every`, up to three frames wait instead of one.
    pub fn subscribe(&self, config: SendConfig, now: Time) -> Subscriber {
        let mut subscriber = self.publication.subscribe(config, now);
        if config.delivery == Delivery::Every {
            subscriber.set_waiting_max(NEWEST);
        }
        subscriber
    }

    /// The lowest number of a frame that somebody may hold.
    pub fn held_from(&self) -> u64 {
        self.leaving.iter().flatten().map(|leaving| leaving.number).chain([self.newest[0]]).min().unwrap_or(0)
    }

    /// Hands a frame to all subscribers, under its own number, and has them let go of what is too old. With each comes the lowest number of a frame that was polled
    /// from it and that its socket has not taken whole, if there is one. Numbers that are missing before the frame are skipped; returns how many those were.
    ///
    /// # Errors
    /// The frame: it has not the format's length or more behind its pixels than there may be, was not received whole, or its number is not above those before it. Its number is
    /// missing then.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    pub fn publish<'a>(
        &mut self,
        frame: Frame,
        subscribers: impl IntoIterator<Item = (&'a mut Subscriber, Option<u64>)>,
        now: Time,
    ) -> Result<u64, Frame> {
        let number = frame.info().number;
        let Some(missing) = number.checked_sub(self.next_number()) else { return Err(frame) };
        if !frame.is_complete() {
            return Err(frame);
        }
        let utc = utc_of(&frame);
        self.knows_utc |= utc.is_some();
        let published = self.publication.publish_as(number, frame)?;
        self.newest.rotate_left(1);
        self.newest[NEWEST - 1] = number;
        let from = self.newest[0];
        for leaving in &mut self.leaving {
            *leaving = leaving.filter(|leaving| now.since(leaving.since) < LEAVING_MAX);
            leaving.iter_mut().for_each(|leaving| leaving.is_needed = false);
        }
        for (subscriber, untaken) in subscribers {
            if utc.is_some() {
                subscriber.set_utc(utc);
            }
            let leaving = subscriber.leaving(from).into_iter().chain(untaken).min();
            let stays = leaving.filter(|number| *number < from || self.is_leaving(*number));
            let stays = stays.filter(|number| self.may_stay(*number, now));
            subscriber.let_go_below(from, stays, now);
            subscriber.note_pace(leaving, from);
            if subscriber.is_closing() {
                // It was told how many frames there are.
                continue;
            }
            subscriber.handle_missing(missing);
            // Whoever is slow begins a frame together with the others who are, when there is a place for one more: it is theirs until all of them have it.
            let is_slow = subscriber.is_slow();
            let waits = is_slow && (leaving.is_some() || !self.may_stay(number, now));
            if waits || !subscriber.wants_frame(now) {
                subscriber.handle_skipped();
            } else if let Err(error) = subscriber.handle_frame(&published, now) {
                tracing::error!(%error, "a frame was not sent on");
                subscriber.handle_skipped();
            }
        }
        for leaving in &mut self.leaving {
            *leaving = leaving.filter(|leaving| leaving.is_needed);
        }
        Ok(missing)
    }

    fn is_leaving(&self, number: u64) -> bool {
        self.leaving.iter().flatten().any(|leaving| leaving.number == number)
    }

    /// Whether somebody may go on sending a frame, however many newer ones come.
    fn may_stay(&mut self, number: u64, now: Time) -> bool {
        if let Some(known) = self.leaving.iter_mut().flatten().find(|leaving| leaving.number == number) {
            known.is_needed = true;
            return true;
        }
        let free = self.leaving.iter_mut().find(|leaving| leaving.is_none());
        free.map(|place| *place = Some(Leaving { number, since: now, is_needed: true })).is_some()
    }
}

/// What the wall clock of its source shows, as a distance from this machine's clock. `None` where it did not say, and for a time of the frame's own, which goes
/// with it.
fn utc_of(frame: &Frame) -> Option<UtcOffset> {
    let info = frame.info();
    let is_known = info.captured != Time::ZERO && !frame.has_own_time();
    info.captured_utc.filter(|_| is_known).and_then(|utc| UtcOffset::new(info.captured, utc, info.utc_error))
}

/// Lets no more frames a second through than there may be, evenly.
#[derive(Debug)]
pub(super) struct Thinning {
    interval: Duration,
    next: Time,
}

impl Thinning {
    /// One at most in each interval.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next: Time::ZERO }
    }

    /// Whether one that comes now goes through. It may be an eighth of the interval early: cameras are not more even than that.
    pub(super) fn lets(&mut self, now: Time) -> bool {
        if now + self.interval / 8 < self.next {
            return false;
        }
        let is_late = now >= self.next + self.interval;
        self.next = if is_late { now } else { self.next } + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_lets_through_the_rate_that_was_asked_for_whatever_the_cameras_is() {
        for (camera, most, expected) in [(60, 25, 250), (60, 30, 300), (30, 60, 300), (60, 1, 10), (25, 25, 250)] {
            let mut thinning = Thinning::new(Duration::from_secs(1) / most);
            let mut random = 1_u64;
            let frames = (0..camera * 10).filter(|nth| {
                // As uneven as a camera and a network.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let late = Duration::from_nanos(random >> 44);
                thinning.lets(Time::from_nanos(1) + Duration::from_secs(1) * *nth / camera + late)
            });
            let frames = frames.count() as i64;
            assert!((frames - expected).abs() <= 2, "{camera} a second, at most {most}: {frames}");
        }
    }

    #[test]
    fn after_a_pause_no_burst_goes_through() {
        let mut thinning = Thinning::new(Duration::from_millis(100));
        let at = |millis| Time::from_nanos(1) + Duration::from_millis(millis);
        assert!(thinning.lets(at(0)) && !thinning.lets(at(10)) && thinning.lets(at(5_000)));
        assert!(!thinning.lets(at(5_010)) && thinning.lets(at(5_090)));
    }
}
