//! What every source of frames does.

use std::time::Duration;

use framewire_transport::frame::{FrameFormat, FrameMut, FrameRate, Presentation};

use crate::error::CaptureError;

/// Gives frames one after the other, each written straight into the slot it is handed.
///
/// The format is fixed when the source is opened and never changes.
pub trait FrameSource: Send {
    /// Geometry of every frame. A slot must hold [`FrameFormat::frame_bytes`].
    fn format(&self) -> FrameFormat;

    /// What the source says of its pictures beside their bytes.
    fn presentation(&self) -> Presentation;

    /// How fast the source says its frames follow each other; `None` where it does not say.
    fn frame_rate(&self) -> Option<FrameRate> {
        self.presentation().rate
    }

    /// How many frames the source says it has from its beginning: for progress, not for a loop's end. `None` where it
    /// cannot know (live, or a pipe).
    fn frame_count(&self) -> Option<u64>;

    /// Whether an old frame is worth nothing (camera, pattern), so that the newest matters and not every one. False for files and
    /// pipes.
    fn is_live(&self) -> bool;

    /// When the frame that [`FrameSource::next_frame`] gives next was taken, counted from the source's first frame. `None` where
    /// the source does not know it frame by frame (what [`FrameSource::frame_rate`] says then holds for all), and at its end.
    /// Asking moves nothing, and times never go back but by [`FrameSource::rewind`].
    fn next_time(&mut self) -> Option<Duration> {
        None
    }

    /// Writes the next frame; sets its length, `info.captured` and, where the source is a file that says when its pictures were or how
    /// fast they follow each other, `info.captured_utc`: the time of the frame's place in the file, from when the file was opened on,
    /// whatever speed it is read at and on from one time over to the next. Sets nothing else of `info`. Waits where the source
    /// does (camera, pipe), and not for [`FrameSource::frame_rate`] or [`FrameSource::next_time`]: who asks keeps the pace. True where
    /// a frame was written; false where the source has ended, and again on every later call. After false and after an error the
    /// slot's contents mean nothing.
    ///
    /// # Errors
    /// What went wrong, where, and what to do. The frames before an error were whole. Asking again gives the error
    /// again or, where it has passed, the next frame.
    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError>;

    /// Starts over from the first frame. A named pipe waits for its next writer, whose frames must be of the same format.
    ///
    /// # Errors
    /// [`CaptureError::NoRewind`] where there is no way back; [`CaptureError::FormatChanged`] where other frames follow; as on opening,
    /// where the source is opened again.
    fn rewind(&mut self) -> Result<(), CaptureError>;
}

/// Gives `frame` the length of one frame of `format`.
pub(crate) fn fit(frame: &mut FrameMut, format: &FrameFormat) -> Result<(), CaptureError> {
    fit_length(frame, format, format.frame_bytes())
}

/// Gives `frame` this length, which is that of a frame of `format`.
pub(crate) fn fit_length(frame: &mut FrameMut, format: &FrameFormat, frame_bytes: usize) -> Result<(), CaptureError> {
    let slot_bytes = frame.capacity();
    frame.set_len(frame_bytes).map_err(|_| CaptureError::SlotTooSmall { slot_bytes, frame_bytes, format: *format })
}
