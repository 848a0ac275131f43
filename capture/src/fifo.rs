//! A named pipe whose writers come and go.

use std::path::PathBuf;

use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use crate::error::CaptureError;
use crate::source::FrameSource;

/// A named pipe as a source. It ends with its writer; [`FrameSource::rewind`] waits for the next one, whose frames must be of the
/// same format.
pub(crate) struct Fifo {
    path: PathBuf,
    /// Opens the pipe and waits for what says which frames come.
    open: Box<dyn Fn() -> Result<Box<dyn FrameSource>, CaptureError> + Send>,
    source: Box<dyn FrameSource>,
    given: u64,
}

impl Fifo {
    pub(crate) fn new(
        path: PathBuf,
        open: impl Fn() -> Result<Box<dyn FrameSource>, CaptureError> + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let source = open()?;
        Ok(Self { path, open: Box::new(open), source, given: 0 })
    }
}

impl FrameSource for Fifo {
    fn format(&self) -> FrameFormat {
        self.source.format()
    }

    fn presentation(&self) -> Presentation {
        self.source.presentation()
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let more = self.source.next_frame(frame)?;
        self.given += u64::from(more);
        Ok(more)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        // The old descriptor is still open: what a writer that was quick has put into the pipe meanwhile is kept.
        let again = (self.open)()?;
        if again.format() != self.source.format() {
            let (from, to) = (self.source.format(), again.format().to_string());
            let name = format!("'{}'", self.path.display());
            return Err(CaptureError::FormatChanged { name, frame: self.given, from, to });
        }
        self.source = again;
        Ok(())
    }
}
