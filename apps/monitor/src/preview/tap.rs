//! Where a stream's frames are taken for pictures, and where the pictures are fetched.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use framewire_pictures::Limits;
use framewire_process::lock::lock;
use tokio::sync::watch;

use super::desk::MadePictures;
use super::picture::{Picture, PictureKind, PreviewConfig};

/// A stream that nobody looks at is pictured so often, so that who comes sees something at once.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// A picture of a range that somebody gave is kept for so long.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// The tap of one stream. Its thread asks it for each frame; viewers wait at it.
#[derive(Debug)]
pub struct PictureTap {
    state: Mutex<State>,
    /// The newest picture of each kind that was wanted of late.
    shown: watch::Sender<Vec<Picture>>,
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    wants: Wants,
    taken: Option<Instant>,
    /// A frame is with the worker.
    is_busy: bool,
    serial: u64,
    /// What was black and white in the last picture that was shown by what is in it.
    automatic: Option<Limits>,
}

/// Which pictures to make of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Wants([Option<PictureKind>; Self::MAX]);

impl Wants {
    /// Pictures of one frame, at most: each shown by a range of its own is made for itself.
    const MAX: usize = 8;
    /// Of those, by ranges that somebody gave: tile and full size by what is in the frame, which most look at, have places of their own.
    const GIVEN_MAX: usize = Self::MAX - 2;

    /// Whether there was room.
    fn add(&mut self, kind: PictureKind) -> bool {
        if self.kinds().any(|wanted| wanted == kind) {
            return true;
        }
        if kind.is_given() && self.kinds().filter(PictureKind::is_given).count() >= Self::GIVEN_MAX {
            return false;
        }
        let free = self.0.iter_mut().find(|place| place.is_none());
        free.map(|place| *place = Some(kind)).is_some()
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = PictureKind> {
        self.0.iter().flatten().copied()
    }

    fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

impl Default for PictureTap {
    fn default() -> Self {
        Self { state: Mutex::default(), shown: watch::Sender::new(Vec::new()), ended: watch::Sender::new(false) }
    }
}

impl PictureTap {
    /// Whether the frame that came at `now` is to be pictured, and how. Where it is, [`PictureTap::publish`] or
    /// [`PictureTap::give_up`] follows.
    pub(super) fn take(&self, config: &PreviewConfig, now: Instant) -> Option<Wants> {
        let mut state = self.lock();
        let interval = Duration::from_secs_f64(1.0 / config.rate);
        let interval = if state.wants.is_empty() { interval.max(IDLE_INTERVAL) } else { interval };
        let is_due = state.taken.is_none_or(|taken| now.saturating_duration_since(taken) >= interval);
        if state.is_busy || !is_due {
            return None;
        }
        let mut wants = std::mem::take(&mut state.wants);
        if wants.is_empty() {
            wants.add(PictureKind::TILE);
        }
        (state.taken, state.is_busy) = (Some(now), true);
        Some(wants)
    }

    /// Shows what was made of a frame.
    pub(super) fn publish(&self, frame: u64, taken: Instant, made: MadePictures) {
        let mut state = self.lock();
        state.is_busy = false;
        state.serial += 1;
        state.automatic = made.automatic.or(state.automatic);
        let serial = state.serial;
        drop(state);
        self.shown.send_modify(|shown| {
            for (kind, jpeg) in made.pictures {
                shown.retain(|picture| picture.kind != kind);
                // Copied here: those who look would else give back memory of the maker's arena, which stands still with it.
                shown.push(Picture { serial, taken, frame, kind, jpeg: Bytes::copy_from_slice(&jpeg) });
            }
            // What was shown by a range that nobody wants any more; and the oldest, as a stream that stands still forgets none.
            let mut extra =
                shown.iter().filter(|picture| picture.kind.is_given()).count().saturating_sub(Wants::GIVEN_MAX);
            shown.retain(|picture| {
                if !picture.kind.is_given() {
                    return true;
                }
                let is_extra = extra > 0;
                extra = extra.saturating_sub(1);
                !is_extra && taken.saturating_duration_since(picture.taken) < FORGET_AFTER
            });
        });
    }

    /// Shows these bytes to who waits for a tile.
    #[cfg(test)]
    pub(crate) fn show_tile(&self, jpeg: Vec<u8>) {
        let pictures = vec![(PictureKind::TILE, jpeg)];
        self.publish(1, Instant::now(), MadePictures { pictures, automatic: None });
    }

    /// No picture came of a frame; what was wanted is wanted still.
    pub(super) fn give_up(&self, wants: Wants) {
        let mut state = self.lock();
        state.is_busy = false;
        for kind in wants.kinds() {
            // What finds no room is wanted by viewers who ask again.
            state.wants.add(kind);
        }
    }

    /// What was black and white in the last picture whose range was found by what is in it.
    pub(crate) fn automatic(&self) -> Option<Limits> {
        self.lock().automatic
    }

    /// A picture other than number `seen`, the last one made where that is not long ago, or else the next one; `None` where
    /// the stream has ended.
    pub(crate) async fn next(&self, kind: PictureKind, seen: u64) -> Option<Picture> {
        let (mut pictures, mut ended) = (self.shown.subscribe(), self.ended.subscribe());
        loop {
            let of_kind = |picture: &&Picture| picture.kind == kind && picture.serial != seen;
            let last = pictures.borrow_and_update().iter().find(of_kind).cloned();
            if last.as_ref().is_some_and(|picture| self.is_of_now(picture)) {
                return last;
            }
            // Where others want so many that there is no room, it is wanted with the next picture.
            self.lock().wants.add(kind);
            tokio::select! {
                // The senders live as long as this does.
                _ = pictures.changed() => {}
                _ = ended.wait_for(|ended| *ended) => return None,
            }
        }
    }

    /// How many look now: a page that shows the stream waits for its next picture, but for the moment in which it shows one.
    pub fn lookers(&self) -> usize {
        self.shown.receiver_count()
    }

    /// Nobody waits any longer.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Whether no newer frame has been pictured, in any size, but for a moment ago.
    fn is_of_now(&self, picture: &Picture) -> bool {
        picture.serial == self.lock().serial || picture.taken.elapsed() < IDLE_INTERVAL
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::picture::PictureSize;
    use framewire_pictures::ValueRange;

    const CONFIG: PreviewConfig = PreviewConfig { rate: 10.0, width: 480 };
    const FULL: PictureKind = PictureKind { size: PictureSize::Full, range: ValueRange::Automatic };

    fn wants(kinds: &[PictureKind]) -> Wants {
        let mut wants = Wants::default();
        kinds.iter().for_each(|kind| assert!(wants.add(*kind)));
        wants
    }

    fn tile() -> Wants {
        wants(&[PictureKind::TILE])
    }

    fn made(kind: PictureKind, jpeg: Vec<u8>) -> MadePictures {
        MadePictures { pictures: vec![(kind, jpeg)], automatic: None }
    }

    fn given(high: f64) -> PictureKind {
        PictureKind { range: ValueRange::Given(Limits::new(0.0, high).unwrap()), ..PictureKind::TILE }
    }

    fn at(begun: Instant, millis: u64) -> Instant {
        begun + Duration::from_millis(millis)
    }

    #[test]
    fn a_stream_that_nobody_looks_at_is_pictured_once_a_second() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        let taken = (0..5_000).filter(|millis| {
            let wants = tap.take(&CONFIG, at(begun, *millis));
            if wants.is_some() {
                tap.publish(0, begun, made(PictureKind::TILE, Vec::new()));
            }
            wants.is_some_and(|wants| wants == tile())
        });
        assert_eq!(taken.count(), 5);
    }

    #[test]
    fn a_viewer_gets_pictures_at_the_rate_and_one_frame_is_under_way_at_a_time() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        assert_eq!(tap.take(&CONFIG, at(begun, 0)), Some(tile()));
        assert!(tap.lock().wants.add(FULL));
        assert_eq!(tap.take(&CONFIG, at(begun, 500)), None, "the worker is busy with the last");
        tap.publish(1, begun, made(PictureKind::TILE, vec![1]));
        assert_eq!(tap.take(&CONFIG, at(begun, 500)), Some(wants(&[FULL])));
        tap.give_up(wants(&[FULL]));
        assert_eq!(tap.take(&CONFIG, at(begun, 599)), None, "ten a second");
        assert_eq!(tap.take(&CONFIG, at(begun, 600)), Some(wants(&[FULL])), "still wanted");
    }

    #[tokio::test]
    async fn who_comes_gets_the_newest_picture_at_once_and_then_only_newer_ones() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        tap.take(&CONFIG, begun).unwrap();
        tap.publish(41, begun, made(PictureKind::TILE, vec![1]));
        let first = tap.next(PictureKind::TILE, 0).await.unwrap();
        assert_eq!((first.serial, first.frame, &first.jpeg[..]), (1, 41, &[1][..]));
        let next = tap.next(PictureKind::TILE, first.serial);
        let make = async {
            tokio::task::yield_now().await;
            assert_eq!(tap.take(&CONFIG, at(begun, 100)), Some(tile()), "the viewer that waits wants one");
            tap.publish(42, begun, made(PictureKind::TILE, vec![2]));
        };
        let (next, ()) = tokio::join!(next, make);
        assert_eq!(next.unwrap().frame, 42);
    }

    #[tokio::test]
    async fn who_waits_at_a_stream_that_ends_is_told() {
        let tap = PictureTap::default();
        let (next, ()) = tokio::join!(tap.next(FULL, 0), async { tap.end() });
        assert!(next.is_none());
    }

    #[tokio::test]
    async fn each_viewer_sees_the_range_that_it_asked_for_and_ranges_that_nobody_wants_are_forgotten() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        let wanted = tap.next(given(4095.0), 0);
        let make = async {
            tokio::task::yield_now().await;
            assert_eq!(tap.take(&CONFIG, begun), Some(wants(&[given(4095.0)])));
            tap.publish(1, begun, made(given(4095.0), vec![7]));
        };
        let (wanted, ()) = tokio::join!(wanted, make);
        let wanted = wanted.unwrap();
        assert_eq!((&wanted.jpeg[..], wanted.kind), (&[7][..], given(4095.0)));
        tap.publish(2, begun + FORGET_AFTER, made(PictureKind::TILE, vec![8]));
        assert_eq!(tap.shown.borrow().len(), 1);
    }

    #[test]
    fn of_one_frame_no_more_pictures_are_made_than_are_allowed() {
        let mut wants = Wants::default();
        let added = (1..1_000).filter(|high| wants.add(given(f64::from(*high)))).count();
        assert_eq!((added, wants.kinds().count()), (Wants::GIVEN_MAX, Wants::GIVEN_MAX));
        assert!(wants.add(given(1.0)), "what is wanted already has its place");
    }

    #[test]
    fn ranges_that_somebody_makes_up_take_no_place_from_the_tile_and_the_full_size() {
        let mut wants = Wants::default();
        (1..1_000).for_each(|high| {
            wants.add(given(f64::from(high)));
        });
        assert!(wants.add(PictureKind::TILE) && wants.add(FULL));
        assert_eq!(wants.kinds().count(), Wants::MAX);
    }

    #[test]
    fn of_pictures_by_ranges_that_change_all_the_time_a_few_are_kept_the_newest_of_them() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        tap.publish(0, begun, made(PictureKind::TILE, vec![0]));
        (1..=100_u8).for_each(|high| tap.publish(high.into(), begun, made(given(high.into()), vec![high])));
        let kept: Vec<u8> = tap.shown.borrow().iter().map(|picture| picture.jpeg[0]).collect();
        assert_eq!(kept, [0, 95, 96, 97, 98, 99, 100]);
    }
}
