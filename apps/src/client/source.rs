//! What a client sends: a source, opened.

use framewire_capture::{CaptureError, FrameSource, SourceOptions};
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use crate::cli::StreamArgs;

pub(crate) type Source = Box<dyn FrameSource>;

/// Opens the source; `None` where the program was asked to stop before there was anything to send.
///
/// # Errors
/// A source that cannot be.
pub(crate) fn open(args: &StreamArgs, stop: &Stop) -> Result<Option<Source>, Failure> {
    let options = SourceOptions::new().pixel(args.pixel).raw_format(args.raw_format);
    let waited = stop.descriptor().map_err(|error| {
        Failure::runtime(format!("the system refused a pipe for stopping: {error}; check the process's limits"))
    })?;
    match args.source.open_until(&options, Some(waited)) {
        Err(CaptureError::Stopped { .. }) => stop.outcome().map(|()| None),
        source => source.map(Some).map_err(|error| source_failure(&error)),
    }
}

/// A source that cannot be is wrong usage; one that breaks is a failure at run time.
pub(crate) fn source_failure(error: &CaptureError) -> Failure {
    match error {
        CaptureError::NotFound { .. }
        | CaptureError::Directory { .. }
        | CaptureError::Device { .. }
        | CaptureError::RawFormatMissing { .. }
        | CaptureError::RawFormatContradicts { .. }
        | CaptureError::Index { .. }
        | CaptureError::NeedsOpenCv { .. }
        | CaptureError::PixelFixed { .. } => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}
