//! Where a stream's frames are taken for pictures, and where the pictures are fetched.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use framewire_process::lock::lock;
use tokio::sync::watch;

use super::picture::{Picture, PictureSize, PreviewConfig};

/// A stream that nobody looks at is pictured so often, so that who comes sees something at once.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// The tap of one stream. Its thread asks it for each frame; viewers wait at it.
#[derive(Debug)]
pub struct PictureTap {
    state: Mutex<State>,
    tile: watch::Sender<Option<Picture>>,
    full: watch::Sender<Option<Picture>>,
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    wants: Wants,
    taken: Option<Instant>,
    /// A frame is with the worker.
    is_busy: bool,
    serial: u64,
}

/// Which pictures to make of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) tile: bool,
    pub(super) full: bool,
}

impl Default for PictureTap {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            tile: watch::Sender::new(None),
            full: watch::Sender::new(None),
            ended: watch::Sender::new(false),
        }
    }
}

impl PictureTap {
    /// Whether the frame that came at `now` is to be pictured, and how. Where it is, [`PictureTap::publish`] or
    /// [`PictureTap::give_up`] follows.
    pub(super) fn take(&self, config: &PreviewConfig, now: Instant) -> Option<Wants> {
        let mut state = self.lock();
        let interval = Duration::from_secs_f64(1.0 / config.rate);
        let interval = if state.wants.tile || state.wants.full { interval } else { interval.max(IDLE_INTERVAL) };
        let is_due = state.taken.is_none_or(|taken| now.saturating_duration_since(taken) >= interval);
        if state.is_busy || !is_due {
            return None;
        }
        let mut wants = std::mem::take(&mut state.wants);
        wants.tile |= !wants.full;
        (state.taken, state.is_busy) = (Some(now), true);
        Some(wants)
    }

    /// Shows what was made of a frame.
    pub(super) fn publish(&self, frame: u64, taken: Instant, tile: Option<Vec<u8>>, full: Option<Vec<u8>>) {
        let mut state = self.lock();
        state.is_busy = false;
        state.serial += 1;
        let serial = state.serial;
        drop(state);
        for (made, shown) in [(tile, &self.tile), (full, &self.full)] {
            if let Some(jpeg) = made {
                shown.send_replace(Some(Picture { serial, taken, frame, jpeg: jpeg.into() }));
            }
        }
    }

    /// No picture came of a frame; what was wanted is wanted still.
    pub(super) fn give_up(&self, wants: Wants) {
        let mut state = self.lock();
        state.is_busy = false;
        state.wants.tile |= wants.tile;
        state.wants.full |= wants.full;
    }

    /// A picture other than number `seen`, the last one made where that is not long ago, or else the next one; `None` where
    /// the stream has ended.
    pub(crate) async fn next(&self, size: PictureSize, seen: u64) -> Option<Picture> {
        let (mut pictures, mut ended) = (self.shown(size).subscribe(), self.ended.subscribe());
        loop {
            let last = pictures.borrow_and_update().clone().filter(|picture| picture.serial != seen);
            if last.as_ref().is_some_and(|picture| self.is_of_now(picture)) {
                return last;
            }
            self.want(size);
            tokio::select! {
                // The senders live as long as this does.
                _ = pictures.changed() => {}
                _ = ended.wait_for(|ended| *ended) => return None,
            }
        }
    }

    /// Nobody waits any longer.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Whether no newer frame has been pictured, in any size, but for a moment ago.
    fn is_of_now(&self, picture: &Picture) -> bool {
        picture.serial == self.lock().serial || picture.taken.elapsed() < IDLE_INTERVAL
    }

    fn want(&self, size: PictureSize) {
        let mut state = self.lock();
        match size {
            PictureSize::Tile => state.wants.tile = true,
            PictureSize::Full => state.wants.full = true,
        }
    }

    fn shown(&self, size: PictureSize) -> &watch::Sender<Option<Picture>> {
        match size {
            PictureSize::Tile => &self.tile,
            PictureSize::Full => &self.full,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: PreviewConfig = PreviewConfig { rate: 10.0, width: 480 };
    const TILE: Wants = Wants { tile: true, full: false };

    fn at(begun: Instant, millis: u64) -> Instant {
        begun + Duration::from_millis(millis)
    }

    #[test]
    fn a_stream_that_nobody_looks_at_is_pictured_once_a_second() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        let taken = (0..5_000).filter(|millis| {
            let wants = tap.take(&CONFIG, at(begun, *millis));
            if wants.is_some() {
                tap.publish(0, begun, Some(Vec::new()), None);
            }
            wants.is_some_and(|wants| wants == TILE)
        });
        assert_eq!(taken.count(), 5);
    }

    #[test]
    fn a_viewer_gets_pictures_at_the_rate_and_one_frame_is_under_way_at_a_time() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        assert_eq!(tap.take(&CONFIG, at(begun, 0)), Some(TILE));
        tap.want(PictureSize::Full);
        assert_eq!(tap.take(&CONFIG, at(begun, 500)), None, "the worker is busy with the last");
        tap.publish(1, begun, Some(vec![1]), None);
        assert_eq!(tap.take(&CONFIG, at(begun, 500)), Some(Wants { tile: false, full: true }));
        tap.give_up(Wants { tile: false, full: true });
        assert_eq!(tap.take(&CONFIG, at(begun, 599)), None, "ten a second");
        assert_eq!(tap.take(&CONFIG, at(begun, 600)), Some(Wants { tile: false, full: true }), "still wanted");
    }

    #[tokio::test]
    async fn who_comes_gets_the_newest_picture_at_once_and_then_only_newer_ones() {
        let (tap, begun) = (PictureTap::default(), Instant::now());
        tap.take(&CONFIG, begun).unwrap();
        tap.publish(41, begun, Some(vec![1]), None);
        let first = tap.next(PictureSize::Tile, 0).await.unwrap();
        assert_eq!((first.serial, first.frame, &first.jpeg[..]), (1, 41, &[1][..]));
        let next = tap.next(PictureSize::Tile, first.serial);
        let make = async {
            tokio::task::yield_now().await;
            assert_eq!(tap.take(&CONFIG, at(begun, 100)), Some(TILE), "the viewer that waits wants one");
            tap.publish(42, begun, Some(vec![2]), None);
        };
        let (next, ()) = tokio::join!(next, make);
        assert_eq!(next.unwrap().frame, 42);
    }

    #[tokio::test]
    async fn who_waits_at_a_stream_that_ends_is_told() {
        let tap = PictureTap::default();
        let (next, ()) = tokio::join!(tap.next(PictureSize::Full, 0), async { tap.end() });
        assert!(next.is_none());
    }
}
