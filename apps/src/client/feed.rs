//! Frames out of the source, at the pace that was asked for.

use std::time::{Duration, Instant};

use framewire_capture::FrameSource;
use framewire_transport::FrameMut;

use super::{Source, source_failure};
use crate::cli::{Pace, StreamArgs};
use crate::exit::Failure;
use crate::pace::Pacer;
use crate::stop::Stop;

/// The source with its pace and its end.
pub(super) struct Feed {
    source: Source,
    pacer: Pacer,
    interval: Option<Duration>,
    frames_max: Option<u64>,
    repeat: bool,
    frames: u64,
    /// What the source failed with, after its last whole frame.
    pub(super) failure: Option<Failure>,
}

impl Feed {
    pub(super) fn new(source: Source, args: &StreamArgs) -> Self {
        let rate = match args.fps.unwrap_or(Pace::Source) {
            Pace::Source => source.frame_rate(),
            Pace::Max => None,
            Pace::Rate(rate) => Some(rate),
        };
        let interval = rate.map(|rate| rate.interval());
        Self {
            source,
            pacer: Pacer::new(interval),
            interval,
            frames_max: args.frames,
            repeat: args.repeat,
            frames: 0,
            failure: None,
        }
    }

    pub(super) fn source(&self) -> &dyn FrameSource {
        self.source.as_ref()
    }

    /// The time between frames, where there is a pace.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Waits until the next frame is due. False where there is none: the limit is reached, or somebody asked to stop.
    pub(super) fn wait(&mut self, stop: &Stop) -> bool {
        if self.frames_max.is_some_and(|max| self.frames >= max) || stop.is_stopped() {
            return false;
        }
        match self.pacer.next(Instant::now()) {
            Some(due) => !stop.sleep_until(due),
            None => true,
        }
    }

    /// Writes the next frame. False where the source has ended, or failed: see [`Feed::failure`].
    pub(super) fn write(&mut self, frame: &mut FrameMut) -> bool {
        match self.read(frame) {
            Ok(written) => {
                self.frames += u64::from(written);
                written
            }
            Err(failure) => {
                self.failure = Some(failure);
                false
            }
        }
    }

    fn read(&mut self, frame: &mut FrameMut) -> Result<bool, Failure> {
        if self.source.next_frame(frame).map_err(|error| source_failure(&error))? {
            return Ok(true);
        }
        if !self.repeat || self.frames == 0 {
            return Ok(false);
        }
        self.source.rewind().map_err(|error| source_failure(&error))?;
        self.source.next_frame(frame).map_err(|error| source_failure(&error))
    }

    /// Counts a frame that there was no slot for.
    pub(super) fn skip(&mut self) {
        self.frames += 1;
    }
}
