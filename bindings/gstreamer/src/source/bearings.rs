//! What a source knows of the stream that it is in: its format, where planes lie, how old its frames are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use framewire_ends::Stream;
use framewire_transport::Time;

use crate::format::{self, Picture};
use crate::layout::Layout;

/// How old frames are taken to be before any has come.
const USUAL_AGE: Duration = Duration::from_millis(20);

/// A frame that is older lay about, and says nothing of those to come.
const AGE_MAX: Duration = Duration::from_secs(2);

/// The stream that frames come from.
pub(super) struct Bearings {
    pub(super) stream: Arc<Stream>,
    pub(super) picture: Picture,
    /// Where planes lie in its frames.
    pub(super) layout: Layout,
    /// Where they usually lie in GStreamer.
    pub(super) usual: Layout,
    /// Whether downstream reads what a buffer says of its planes.
    pub(super) reads_meta: AtomicBool,
}

impl Bearings {
    /// Those of a stream whose first frame has come; and its caps.
    ///
    /// # Errors
    /// GStreamer has no such format.
    pub(super) fn take(stream: &Arc<Stream>) -> Result<(Self, gst::Caps), String> {
        let (picture, caps) = format::picture_of(stream.format, stream.presentation)?;
        let (layout, usual) = (Layout::of(&stream.format), Layout::usual(&picture));
        let stream = stream.clone();
        Ok((Self { stream, picture, layout, usual, reads_meta: AtomicBool::new(false) }, caps))
    }

    /// Whether a frame can go on where it lies.
    pub(super) fn can_stay(&self) -> bool {
        self.layout == self.usual || (self.reads_meta.load(Ordering::Relaxed) && self.picture.info.is_some())
    }
}

/// How old frames are when they are handed on, as it was told and as it is.
#[derive(Debug, Default)]
pub(super) struct Age {
    told: Option<Duration>,
    played_since: Time,
}

impl Age {
    /// What is to be told: no frame so far was older.
    pub(super) fn told(&self) -> Duration {
        self.told.unwrap_or(USUAL_AGE)
    }

    /// Frames are handed on from now on: those of before lay about.
    pub(super) fn play(&mut self, now: Time) {
        self.played_since = now;
    }

    /// Notes a frame that follows another; whether it is to be told anew.
    pub(super) fn note(&mut self, captured: Time, now: Time) -> bool {
        let age = now.since(captured);
        if age <= self.told() || age > AGE_MAX || captured < self.played_since {
            return false;
        }
        // A quarter more, in whole milliseconds, so that it is not told again and again.
        let millis = (age + age / 4).as_millis() + 1;
        self.told = Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_covers_every_frame_and_grows_in_steps() {
        let mut age = Age::default();
        let at = |millis: u64| Time::from_nanos(1_000_000_000 + millis * 1_000_000);
        assert!(!age.note(at(0), at(19)));
        assert_eq!(age.told(), USUAL_AGE);
        assert!(age.note(at(0), at(40)));
        assert_eq!(age.told(), Duration::from_millis(51));
        assert!(!age.note(at(0), at(50)));
    }

    #[test]
    fn a_frame_that_waited_for_the_pipeline_to_play_says_nothing() {
        let mut age = Age::default();
        age.play(Time::from_nanos(500_000_000));
        assert!(!age.note(Time::from_nanos(400_000_000), Time::from_nanos(510_000_000)));
        assert!(age.note(Time::from_nanos(500_000_000), Time::from_nanos(540_000_000)));
    }

    #[test]
    fn a_frame_that_lay_about_and_one_from_the_future_say_nothing() {
        let mut age = Age::default();
        assert!(!age.note(Time::from_nanos(1), Time::from_nanos(3_000_000_000)));
        assert!(!age.note(Time::from_nanos(2), Time::from_nanos(1)));
        assert_eq!(age.told(), USUAL_AGE);
    }
}
