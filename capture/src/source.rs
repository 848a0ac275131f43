//! What every source of frames does.

use std::time::Duration;

use framewire_transport::frame::{FrameFormat, FrameMut, FrameRate, MetadataKind, Presentation};

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
    /// whatever speed it is read at and on from one time over to the next. Metadata and a
    /// `captured_utc` that the slot had from before are gone. Sets nothing else of `info`. Waits where the source
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

/// Gives `frame` this length, which is that of a frame of `format`, and takes from it what it had of metadata and of a time.
pub(crate) fn fit_length(frame: &mut FrameMut, format: &FrameFormat, frame_bytes: usize) -> Result<(), CaptureError> {
    // A slot that is used again has what belonged to the frame before; no bytes always fit.
    let _ = frame.set_metadata(MetadataKind::Bytes, &[]);
    frame.info.captured_utc = None;
    let slot_bytes = frame.capacity();
    frame.set_len(frame_bytes).map_err(|_| CaptureError::SlotTooSmall { slot_bytes, frame_bytes, format: *format })
}

/// Gives `frame`, the one with this number of the source `name`, its metadata. A slot without any room for metadata is of a wire that
/// carries none: it is left out, which is told once.
pub(crate) fn set_metadata(
    frame: &mut FrameMut,
    (kind, bytes): (MetadataKind, &[u8]),
    name: &str,
    number: u64,
    told: &mut bool,
) -> Result<(), CaptureError> {
    if frame.metadata_capacity() == 0 {
        if !bytes.is_empty() && !std::mem::replace(told, true) {
            tracing::warn!("{name}: its frames have metadata, and are sent without it: there is no room for it here");
        }
        return Ok(());
    }
    let failed = |source| CaptureError::Metadata { name: name.to_owned(), frame: number, source };
    frame.set_metadata(kind, bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use framewire_transport::frame::{FramePool, PixelFormat};

    use super::*;

    #[test]
    fn a_slot_that_is_used_again_has_nothing_of_the_frame_before() {
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 2).unwrap();
        let pool = FramePool::for_format(1, format).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        frame.set_metadata(MetadataKind::Cbor, b"\xa0").unwrap();
        frame.info.captured_utc = Some(SystemTime::UNIX_EPOCH);
        fit(&mut frame, &format).unwrap();
        assert!(frame.metadata().is_none() && frame.info.captured_utc.is_none());
    }

    #[test]
    fn metadata_is_left_out_where_there_is_no_room_for_any_and_is_an_error_where_there_is_too_little() {
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 2).unwrap();
        let metadata = (MetadataKind::Bytes, &[7; 5_000][..]);
        let mut told = false;
        let mut bare = FramePool::new(1, 8).unwrap().try_acquire().unwrap();
        set_metadata(&mut bare, metadata, "it", 3, &mut told).unwrap();
        assert!(told && bare.metadata().is_none());
        let mut frame = FramePool::for_format(1, format).unwrap().try_acquire().unwrap();
        let error = set_metadata(&mut frame, metadata, "it", 3, &mut told).unwrap_err();
        assert!(matches!(error, CaptureError::Metadata { frame: 3, .. }), "{error}");
    }
}
