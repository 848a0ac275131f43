//! Frames out of the source, at the pace that was asked for.

use std::time::{Duration, Instant};

use framewire_capture::{CaptureError, FrameRate, FrameSource};
use framewire_process::exit::Failure;
use framewire_process::pace::Pacer;
use framewire_process::stop::Stop;
use framewire_transport::FrameMut;
use framewire_transport::frame::Presentation;

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
    /// What the source failed with, after its last whole frame.
    pub(crate) failure: Option<Failure>,
}

impl Feed {
    pub(crate) fn new(source: Source, args: &StreamArgs) -> Self {
        let pace = args.fps.unwrap_or(Pace::Source);
        let said = source.presentation();
        // How fast a film is sent says nothing of how fast it is to be shown.
        let (presentation, interval) = match pace {
            Pace::Source => (said, said.rate.map(FrameRate::interval)),
            Pace::Max => (said, None),
            Pace::Rate(rate) => (said.rate(rate), Some(rate.interval())),
        };
        Self {
            source,
            pacer: Pacer::new(interval),
            interval,
            presentation,
            as_taken: pace == Pace::Source,
            has_times: false,
            frames_max: args.frames,
            repeat: args.repeat,
            frames: 0,
            failure: None,
        }
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
            // Somebody asked to stop, which is no failure.
            Err(CaptureError::Stopped { .. }) => false,
            Err(error) => {
                self.failure = Some(source_failure(&error));
                false
            }
        }
    }

    fn read(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        if self.source.next_frame(frame)? {
            return Ok(true);
        }
        if !self.repeat || self.frames == 0 {
            return Ok(false);
        }
        self.source.rewind()?;
        self.pacer.start_over();
        self.source.next_frame(frame)
    }

    /// Counts a frame that there was no slot for.
    pub(crate) fn skip(&mut self) {
        self.frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::FramePool;
    use framewire_transport::{FrameFormat, PixelFormat};

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
            None
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
        let mut feed = Feed::new(Box::new(Taken { at: &[0, 33, 34, 5_034], next: 0 }), &args.stream);
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
}
