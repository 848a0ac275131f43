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
/// For so long: whoever takes longer for a frame is in the way of others who are slow.
const LEAVING_MAX: Duration = Duration::from_secs(5);
/// Frames that the subscribers of one stream hold at most, all of them together.
pub const HELD_MAX: usize = NEWEST + LEAVING;

/// A publication whose frames have numbers of their own, those of the stream that they come from, and whose subscribers together hold no more than [`HELD_MAX`] of them, however many they
/// are and whatever becomes of them. Towards all of them it is `latest`.
#[derive(Debug)]
pub struct Distribution {
    publication: Publication,
    /// The numbers of the newest frames, the oldest of them first.
    newest: [u64; NEWEST],
    leaving: [Option<Leaving>; LEAVING],
    /// What the source's wall clock shows, once its frames have said it.
    utc: Option<UtcOffset>,
}

/// An older frame that is held.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    number: u64,
    since: Time,
    /// Somebody needed it when the last frame came.
    is_needed: bool,
}

/// Frames whose slices wait for room in a subscriber's socket, and so are held by what waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untaken {
    oldest: u64,
    /// The oldest but one; [`u64::MAX`], which no frame's number is, where there is no other.
    next: u64,
}

impl Untaken {
    /// Slices of this frame wait.
    pub fn of(number: u64) -> Self {
        Self { oldest: number, next: u64::MAX }
    }

    /// And of this one.
    pub fn and(self, number: u64) -> Self {
        match self {
            Self { oldest, next } if number < oldest => Self { oldest: number, next: next.min(oldest) },
            Self { oldest, next } if number > oldest => Self { oldest, next: next.min(number) },
            known => known,
        }
    }
}

impl Distribution {
    /// Of frames that have this format, with room for `tail_max` bytes of metadata and time, the first of which has the number `first`.
    pub fn new(format: FrameFormat, tail_max: u16, first: u64) -> Self {
        let publication = Publication::new(format, Delivery::Latest).with_tails(tail_max).beginning_at(first);
        Self { publication, newest: [first; NEWEST], leaving: [None; LEAVING], utc: None }
    }

    /// The lowest number that the next frame can have.
    pub fn next_number(&self) -> u64 {
        self.publication.next_number()
    }

    /// Whether its frames have said what their source's wall clock shows, which its subscribers are told then.
    pub fn knows_utc(&self) -> bool {
        self.utc.is_some()
    }

    /// What makes parity.
    pub fn publication(&mut self) -> &mut Publication {
        &mut self.publication
    }

    /// Brings the stream to one more receiver, from the next frame on, or the one that waits when the opening is made that the receiver takes. Of a configuration
    /// for `every`, up to three frames wait instead of one.
    pub fn subscribe(&self, config: SendConfig, now: Time) -> Subscriber {
        let mut subscriber = self.publication.subscribe(config, now);
        subscriber.begin_later();
        if config.delivery == Delivery::Every {
            subscriber.set_waiting_max(NEWEST);
        }
        subscriber.set_utc(self.utc);
        subscriber
    }

    /// Whether what waits for room in a socket may go on waiting; else it is to be let go of, for it holds frames that nobody may any more. To be asked of all that
    /// waits after each frame.
    pub fn lets_wait(&self, untaken: Untaken) -> bool {
        let is_leaving = || self.leaving.iter().flatten().any(|leaving| leaving.number == untaken.oldest);
        untaken.next >= self.newest[0] && (untaken.oldest >= self.newest[0] || is_leaving())
    }

    /// Hands a frame to all subscribers, under its own number, and has them let go of what is too old. With each comes what was polled from it and its
    /// socket has not taken, if there is anything. Numbers that are missing before the frame are skipped; returns how many those were.
    ///
    /// # Errors
    /// The frame: it has not the format's length or more behind its pixels than there may be, was not received whole, or its number is not above those before it, or is none that a
    /// frame can have on the wire (2^63 and more). Its number is missing then.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    pub fn publish<'a>(
        &mut self,
        frame: Frame,
        subscribers: impl IntoIterator<Item = (&'a mut Subscriber, Option<Untaken>)>,
        now: Time,
    ) -> Result<u64, Frame> {
        let number = frame.info().number;
        let Some(missing) = number.checked_sub(self.next_number()) else { return Err(frame) };
        if !frame.is_complete() {
            return Err(frame);
        }
        let utc = utc_of(&frame);
        let published = self.publication.publish_as(number, frame)?;
        // Until then they were told what another clock shows, this machine's.
        let is_another_clock = utc.is_some() && self.utc.is_none();
        self.utc = utc.or(self.utc);
        self.newest.rotate_left(1);
        self.newest[NEWEST - 1] = number;
        let from = self.newest[0];
        self.leaving.iter_mut().flatten().for_each(|leaving| leaving.is_needed = false);
        for (subscriber, untaken) in subscribers {
            if is_another_clock {
                subscriber.set_utc(None);
            }
            if utc.is_some() {
                subscriber.set_utc(utc);
            }
            // More than one of them cannot be held for it.
            let untaken = untaken.filter(|untaken| untaken.next >= from).map(|untaken| untaken.oldest);
            let own = subscriber.leaving(from);
            let leaving = own.filter(|number| *number < from).or_else(|| own.into_iter().chain(untaken).min());
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
            // It had its time: others wait for the place.
            let may_stay = now.since(known.since) < LEAVING_MAX;
            known.is_needed |= may_stay;
            return may_stay;
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

    /// What went through before may have been lost: the next one goes through whenever it comes.
    pub(super) fn begin_anew(&mut self) {
        self.next = Time::ZERO;
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
    use crate::frame::{FramePool, PixelFormat};
    use crate::send::{CONTROL_MAX, SendState};
    use crate::wire::{Accept, FRAME_NUMBER_END, Open, SLICE_BYTES_MIN};

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

    fn frame(pool: &FramePool, number: u64) -> Frame {
        let mut frame = pool.try_acquire().unwrap();
        frame.info.number = number;
        frame.freeze()
    }

    #[test]
    fn an_older_frame_may_leave_for_so_long_and_then_gives_its_place_to_another() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let (mut distribution, pool) = (Distribution::new(format, 0, 0), FramePool::new(8, 16).unwrap());
        let at = |millis| Time::from_nanos(1) + Duration::from_millis(millis);
        for number in 0..6 {
            distribution.publish(frame(&pool, number), [], at(number)).unwrap();
        }
        assert!(distribution.may_stay(1, at(5)) && distribution.may_stay(2, at(5)) && distribution.may_stay(1, at(5)));
        assert!(!distribution.may_stay(0, at(5)), "two are leaving");
        assert!(distribution.may_stay(2, at(5_004)));
        distribution.leaving.iter_mut().flatten().for_each(|leaving| leaving.is_needed = false);
        assert!(!distribution.may_stay(2, at(5_005)) && !distribution.may_stay(2, at(5_006)));
        // Whose time is over is not there for the next frame.
        distribution.publish(frame(&pool, 6), [], at(5_006)).unwrap();
        assert!(distribution.may_stay(0, at(5_007)) && distribution.may_stay(3, at(5_007)));
    }

    #[test]
    fn what_waits_in_a_socket_holds_the_newest_three_frames_and_one_that_is_leaving_and_no_other() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let (mut distribution, pool) = (Distribution::new(format, 0, 0), FramePool::new(8, 16).unwrap());
        for number in 0..=20 {
            distribution.publish(frame(&pool, number), [], Time::from_nanos(1)).unwrap();
        }
        assert!(distribution.may_stay(3, Time::from_nanos(1)) && distribution.may_stay(9, Time::from_nanos(1)));
        let waits = |numbers: &[u64]| {
            let of = numbers[1..].iter().fold(Untaken::of(numbers[0]), |untaken, number| untaken.and(*number));
            distribution.lets_wait(of)
        };
        for may in [&[18][..], &[20, 18, 19], &[3], &[9, 9, 20], &[20, 3, 19]] {
            assert!(waits(may), "{may:?}");
        }
        // Between those that are leaving, older than they, and more than one of them.
        for may_not in [&[5][..], &[17], &[2, 20], &[3, 17, 20], &[19, 17, 3], &[9, 3], &[20, 5, 9]] {
            assert!(!waits(may_not), "{may_not:?}");
        }
    }

    #[test]
    fn a_number_that_no_frame_can_have_on_the_wire_is_not_sent_on() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let pool = FramePool::new(8, 16).unwrap();
        let mut distribution = Distribution::new(format, 0, FRAME_NUMBER_END - 2);
        let mut publish = |number| distribution.publish(frame(&pool, number), [], Time::from_nanos(1)).ok();
        assert_eq!([FRAME_NUMBER_END, u64::MAX].map(&mut publish), [None; 2]);
        assert_eq!([FRAME_NUMBER_END - 1, FRAME_NUMBER_END].map(&mut publish), [Some(1), None]);
        // Not even where it is the first.
        let mut distribution = Distribution::new(format, 0, FRAME_NUMBER_END);
        assert!(distribution.publish(frame(&pool, FRAME_NUMBER_END), [], Time::from_nanos(1)).is_err());
    }

    #[test]
    fn whoever_comes_late_is_told_the_sources_wall_clock_and_whoever_was_there_before_not_what_another_shows() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let (mut distribution, pool) = (Distribution::new(format, 0, 0), FramePool::new(8, 16).unwrap());
        let now = Time::from_nanos(1_000_000_000);
        let config = SendConfig::new(7, 1, format, Delivery::Latest, SLICE_BYTES_MIN as u16);
        let utc = |ns| UtcOffset::from_nanos(now.as_nanos(), ns, None);
        // Of this machine, less than what a clock that was read again may be off.
        let (here, there) = (5_000_000_000_000_000_000, 5_000_000_000_000_400_000);
        let mut early = distribution.subscribe(config, now);
        early.set_utc(Some(utc(here)));
        let mut frame = pool.try_acquire().unwrap();
        (frame.info.number, frame.info.captured, frame.info.captured_utc) = (0, now, utc(there).at(now.as_nanos()));
        distribution.publish(frame.freeze(), [(&mut early, None)], now).unwrap();
        let mut late = distribution.subscribe(config, now);
        for subscriber in [&mut early, &mut late] {
            let mut out = [0; CONTROL_MAX];
            let len = subscriber.poll_transmit(now, &mut out).expect("an opening is due");
            assert_eq!(Open::parse(&out[..len]).unwrap().utc_ns, there);
        }
    }

    #[test]
    fn who_joins_a_stream_has_nothing_to_account_for_that_came_before_it_answered() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let (mut distribution, pool) = (Distribution::new(format, 0, 5), FramePool::new(8, 16).unwrap());
        let now = Time::from_nanos(1);
        for delivery in [Delivery::Latest, Delivery::Every] {
            let config = SendConfig::new(7, 1, format, delivery, SLICE_BYTES_MIN as u16);
            let first = distribution.publication().next_number();
            let mut subscriber = distribution.subscribe(config, now);
            let opening = |subscriber: &mut Subscriber| {
                subscriber.retry(now);
                let mut out = [0; CONTROL_MAX];
                let len = subscriber.poll_transmit(now, &mut out).expect("an opening is due");
                let open = Open::parse(&out[..len]).unwrap();
                (open.first_frame - first, open.skipped)
            };
            assert_eq!(opening(&mut subscriber), (0, 0));
            // Of these one waits, and of the numbers before it nothing was sent.
            for (number, expected) in [(0, (0, 0)), (1, (1, 1)), (4, (4, 4))] {
                let frame = frame(&pool, first + number);
                distribution.publish(frame, [(&mut subscriber, None)], now).unwrap();
                assert_eq!(opening(&mut subscriber), expected, "{}", delivery.name());
            }
        }
    }

    #[test]
    fn who_gets_few_frames_has_the_next_one_at_once_where_its_stream_begins_anew() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let distribution = Distribution::new(format, 0, 0);
        let at = |millis| Time::from_nanos(1) + Duration::from_millis(millis);
        let config = SendConfig::new(7, 1, format, Delivery::Latest, SLICE_BYTES_MIN as u16);
        let mut subscriber = distribution.subscribe(config, at(0));
        subscriber.set_interval_min(Duration::from_secs(10));
        assert_eq!([0, 33, 66].map(|millis| subscriber.wants_frame(at(millis))), [true, false, false]);
        subscriber.handle_redirect(28, at(70));
        assert_eq!([99, 132].map(|millis| subscriber.wants_frame(at(millis))), [true, false]);
    }

    #[test]
    fn an_opening_that_is_made_again_says_what_was_skipped_before_the_frame_that_it_goes_on_with() {
        let format = FrameFormat::new(PixelFormat::Gray8, 16, 1).unwrap();
        let (mut distribution, pool) = (Distribution::new(format, 0, 0), FramePool::new(8, 16).unwrap());
        let now = Time::from_nanos(1);
        let config = SendConfig::new(7, 1, format, Delivery::Every, SLICE_BYTES_MIN as u16);
        let mut subscriber = distribution.subscribe(config, now);
        let accept = Accept {
            stream: 7,
            epoch: 1,
            flags: 0,
            path_bytes: 0,
            frame_limit: u64::MAX,
            sequence_limit: 0,
            receiver_ns: 1,
            echo_ns: 1,
            delivered: 0,
            buffer_bytes: 1 << 20,
            slots: 8,
        };
        subscriber.handle_datagram(&accept.emit(), now);
        assert_eq!(subscriber.state(), SendState::Open);
        // Three wait where the stream is open, and numbers are missing between them.
        for number in [0, 2, 5] {
            distribution.publish(frame(&pool, number), [(&mut subscriber, None)], now).unwrap();
        }
        assert_eq!((pool.held_count(), subscriber.stats().frames_skipped), (3, 3));
        subscriber.handle_redirect(28, now);
        for number in [7, 10, 12] {
            distribution.publish(frame(&pool, number), [(&mut subscriber, None)], now).unwrap();
            subscriber.retry(now);
            let mut out = [0; CONTROL_MAX];
            let len = subscriber.poll_transmit(now, &mut out).expect("an opening is due");
            let open = Open::parse(&out[..len]).unwrap();
            // Of the frames before it none was sent.
            assert_eq!((open.first_frame, open.skipped), (number, number));
        }
    }
}
