//! Frames out of the source, at the pace that was asked for.

use std::time::{Duration, Instant};

use framewire_capture::{CaptureError, FrameRate, FrameSource, PlaceTime};
use framewire_process::exit::Failure;
use framewire_process::pace::Pacer;
use framewire_process::stop::Stop;
use framewire_transport::frame::Presentation;
use framewire_transport::{FrameFormat, FrameMut};

use super::sidecar::Sidecar;
use super::source::{Source, source_failure};
use crate::cli::{Pace, StreamArgs};

/// The source with its pace and its end.
pub(crate) struct Feed {
    source: Source,
    pacer: Pacer,
    interval: Option<Duration>,
    presentation: Presentation,
    /// Frames come at the distances that the source says they were taken at, where it knows.
    as_taken: bool,
    /// The source has times, and has told that of a frame.
    has_times: bool,
    frames_max: Option<u64>,
    repeat: bool,
    frames: u64,
    sidecar: Option<Sidecar>,
    /// The times of a file's frames that have none of their own, by the rate that was asked for.
    places: Option<PlaceTime>,
    /// What the source failed with, after its last whole frame.
    pub(crate) failure: Option<Failure>,
}

impl Feed {
    /// # Errors
    /// Metadata that cannot be.
    pub(crate) fn new(source: Source, args: &StreamArgs) -> Result<Self, Failure> {
        let pace = args.fps.unwrap_or(Pace::Source);
        let said = source.presentation();
        // How fast a film is sent says nothing of how fast it is to be shown.
        let (presentation, interval) = match pace {
            Pace::Source => (said, said.rate.map(FrameRate::interval)),
            Pace::Max => (said, None),
            Pace::Rate(rate) => (said.rate(rate), Some(rate.interval())),
        };
        let frames = source.frame_count().map(|frames| frames.min(args.frames.unwrap_or(u64::MAX)));
        let sidecar = args.metadata.as_ref().map(|path| Sidecar::open(path, frames)).transpose()?;
        let places = match pace {
            Pace::Rate(rate) if !source.is_live() && source.frame_count().is_some() => Some(PlaceTime::now(Some(rate))),
            _ => None,
        };
        Ok(Self {
            source,
            pacer: Pacer::new(interval),
            interval,
            presentation,
            as_taken: pace == Pace::Source,
            has_times: false,
            frames_max: args.frames,
            repeat: args.repeat,
            frames: 0,
            sidecar,
            places,
            failure: None,
        })
    }

    pub(crate) fn source(&self) -> &dyn FrameSource {
        self.source.as_ref()
    }

    /// What the source says of its pictures, with the rate that was asked for.
    pub(crate) fn presentation(&self) -> Presentation {
        self.presentation
    }

    /// The time between frames, where there is a pace.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Waits until the next frame is due. False where there is none: the limit is reached, or somebody asked to stop.
    pub(crate) fn wait(&mut self, stop: &Stop) -> bool {
        if self.frames_max.is_some_and(|max| self.frames >= max) || stop.is_stopped() {
            return false;
        }
        match self.next_due(Instant::now()) {
            Some(due) => !stop.sleep_until(due),
            None => true,
        }
    }

    fn next_due(&mut self, now: Instant) -> Option<Instant> {
        if self.as_taken
            && let Some(time) = self.source.next_time()
        {
            self.has_times = true;
            return self.pacer.next_at(time, now);
        }
        match (self.has_times, self.repeat) {
            (false, _) => self.pacer.next(now),
            (true, true) => self.pacer.next_after_last(now),
            // The end: there is nothing to wait for.
            (true, false) => None,
        }
    }

    /// Writes the next frame. False where the source has ended, or failed: see [`Feed::failure`].
    pub(crate) fn write(&mut self, frame: &mut FrameMut) -> bool {
        match self.read(frame) {
            Ok(written) => {
                self.frames += u64::from(written);
                written
            }
            Err(failure) => {
                self.failure = failure;
                false
            }
        }
    }

    /// Reads the next frame and what belongs to it. No failure in an error is that somebody asked to stop.
    fn read(&mut self, frame: &mut FrameMut) -> Result<bool, Option<Failure>> {
        let is_there = self.read_picture(frame)?;
        if let Some(sidecar) = &mut self.sidecar {
            if is_there { sidecar.set(frame)? } else { sidecar.is_at_end() }
        }
        if let Some(places) = self.places.as_mut().filter(|_| is_there && frame.info.captured_utc.is_none()) {
            frame.info.captured_utc = places.next();
            places.is_given();
        }
        Ok(is_there)
    }

    fn read_picture(&mut self, frame: &mut FrameMut) -> Result<bool, Option<Failure>> {
        let failed = |error| match error {
            CaptureError::Stopped { .. } => None,
            error => Some(source_failure(&error)),
        };
        if self.source.next_frame(frame).map_err(failed)? {
            return Ok(true);
        }
        if !self.repeat || self.frames == 0 {
            return Ok(false);
        }
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.is_at_end();
            sidecar.start_over()?;
        }
        self.source.rewind().map_err(failed)?;
        self.pacer.start_over();
        self.source.next_frame(frame).map_err(failed)
    }

    /// Closes the source, so that others may have its device: until [`Feed::wake`] it gives nothing.
    pub(crate) fn rest(&mut self) {
        let resting = Resting { format: self.source.format(), presentation: self.source.presentation() };
        self.source = Box::new(resting);
    }

    /// Goes on with the source, opened anew.
    ///
    /// # Errors
    /// Its frames are others than before.
    pub(crate) fn wake(&mut self, source: Source) -> Result<(), Failure> {
        let (before, now) = (self.source.format(), source.format());
        if before != now {
            return Err(Failure::runtime(format!(
                "the source gave frames of {before} before it was released, and gives {now} now; start the client again for these"
            )));
        }
        self.source = source;
        self.pacer.start_over();
        Ok(())
    }

    /// Counts a frame that there was no slot for.
    pub(crate) fn skip(&mut self) {
        self.frames += 1;
    }
}

/// A source that is closed, and is what it will be.
struct Resting {
    format: FrameFormat,
    presentation: Presentation,
}

impl FrameSource for Resting {
    fn format(&self) -> FrameFormat {
        self.format
    }
    fn presentation(&self) -> Presentation {
        self.presentation
    }
    fn frame_count(&self) -> Option<u64> {
        None
    }
    fn is_live(&self) -> bool {
        true
    }
    fn next_frame(&mut self, _: &mut FrameMut) -> Result<bool, CaptureError> {
        Ok(false)
    }
    fn rewind(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::PixelFormat;
    use framewire_transport::frame::FramePool;

    use super::*;

    /// Frames taken at these milliseconds.
    struct Taken {
        at: &'static [u64],
        next: usize,
    }

    impl FrameSource for Taken {
        fn format(&self) -> FrameFormat {
            FrameFormat::new(PixelFormat::Gray8, 2, 2).unwrap()
        }
        fn presentation(&self) -> Presentation {
            FrameRate::per_second(100).ok().into()
        }
        fn frame_count(&self) -> Option<u64> {
            Some(self.at.len() as u64)
        }
        fn is_live(&self) -> bool {
            false
        }
        fn next_time(&mut self) -> Option<Duration> {
            self.at.get(self.next).map(|millis| Duration::from_millis(*millis))
        }
        fn next_frame(&mut self, _: &mut FrameMut) -> Result<bool, CaptureError> {
            self.next += 1;
            Ok(self.next <= self.at.len())
        }
        fn rewind(&mut self) -> Result<(), CaptureError> {
            self.next = 0;
            Ok(())
        }
    }

    /// When each of the first frames is due, in milliseconds of a clock that shows the time at which the one before was sent.
    fn due(arguments: &[&str], frames: usize) -> Vec<u128> {
        use clap::Parser;
        let arguments = ["client"].iter().chain(arguments);
        let args = crate::cli::ClientArgs::parse_from(arguments);
        let mut feed = Feed::new(Box::new(Taken { at: &[0, 33, 34, 5_034], next: 0 }), &args.stream).unwrap();
        let pool = FramePool::new(1, 4).unwrap();
        let start = Instant::now();
        let mut now = start;
        let mut dues = Vec::new();
        while dues.len() < frames {
            now = feed.next_due(now).unwrap_or(now);
            if !feed.write(&mut pool.try_acquire().unwrap()) {
                break;
            }
            dues.push((now - start).as_millis());
        }
        dues
    }

    #[test]
    fn a_source_that_was_released_is_read_on_where_it_is_what_it_was() {
        use clap::Parser;
        let args = crate::cli::ClientArgs::parse_from(["client", "--fps", "max"]);
        let open =
            |text: &str| text.parse::<framewire_capture::SourceSpec>().unwrap().open(&Default::default()).unwrap();
        let mut feed = Feed::new(open("pattern:8x4"), &args.stream).unwrap();
        let pool = FramePool::for_format(1, feed.source().format()).unwrap();
        assert!(feed.write(&mut pool.try_acquire().unwrap()));
        feed.rest();
        assert!(feed.source().is_live() && !feed.write(&mut pool.try_acquire().unwrap()));
        let said = feed.wake(open("pattern:16x4")).unwrap_err().to_string();
        assert!(said.contains("16x4") && said.contains("before it was released"), "{said}");
        feed.wake(open("pattern:8x4")).unwrap();
        assert!(feed.write(&mut pool.try_acquire().unwrap()));
    }

    #[test]
    fn a_recording_is_sent_as_it_was_taken_unless_a_pace_is_given() {
        assert_eq!(due(&[], 9), [0, 33, 34, 5_034]);
        assert_eq!(due(&["--fps", "source"], 9), [0, 33, 34, 5_034]);
        assert_eq!(due(&["--fps", "max"], 9), [0, 0, 0, 0]);
        assert_eq!(due(&["--fps", "50"], 9), [0, 20, 40, 60]);
    }

    #[test]
    fn a_recording_in_a_loop_keeps_its_times_in_every_round() {
        assert_eq!(due(&["--loop"], 9), [0, 33, 34, 5_034, 10_034, 10_067, 10_068, 15_068, 20_068]);
    }

    #[test]
    fn each_line_of_metadata_goes_with_its_frame_and_a_loop_begins_it_anew() {
        use clap::Parser;
        let lines = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(lines.path(), "1\n\n3\n").unwrap();
        let arguments = ["client", "--loop", "--fps", "max", "--metadata", lines.path().to_str().unwrap()];
        let args = crate::cli::ClientArgs::parse_from(arguments);
        let source = Taken { at: &[0, 33, 34, 5_034], next: 0 };
        let pool = FramePool::for_format(1, source.format()).unwrap();
        let mut feed = Feed::new(Box::new(source), &args.stream).unwrap();
        let mut next = || {
            let mut frame = pool.try_acquire().unwrap();
            assert!(feed.write(&mut frame));
            frame.metadata().map(|metadata| String::from_utf8(metadata.bytes.to_vec()).unwrap())
        };
        let round = [Some("1".to_owned()), None, Some("3".to_owned()), None];
        for _ in 0..3 {
            assert_eq!(std::array::from_fn(|_| next()), round);
        }
    }

    #[test]
    fn lines_for_the_frames_that_are_asked_for_are_enough() {
        use clap::Parser;
        let lines = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(lines.path(), "1\n2\n3\n").unwrap();
        for (limit, is_short) in [(&["--frames", "3"][..], false), (&["--frames", "3", "--loop"], false), (&[], true)] {
            let arguments = ["client", "--metadata", lines.path().to_str().unwrap()];
            let args = crate::cli::ClientArgs::parse_from(arguments.iter().chain(limit));
            let feed = Feed::new(Box::new(Taken { at: &[0, 33, 34, 5_034], next: 0 }), &args.stream).unwrap();
            assert_eq!(feed.sidecar.unwrap().told_of_length, is_short, "{limit:?}");
        }
    }
}
