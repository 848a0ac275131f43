//! The client: reads a source, opens a stream at a server, and sends it frame by frame.

mod feed;
mod framed;
mod plain;
mod window;

use std::time::Duration;

use framewire_capture::{CaptureError, FrameSource, SourceOptions};
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use crate::cli::{ClientArgs, Wire};

/// Runs a client until its source or its limit ends, or somebody asks it to stop. The second value is a failure of the
/// source after which everything before it was sent in order (a truncated file).
///
/// # Errors
/// What cannot be asked for, and what failed.
pub fn run(args: &ClientArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    let options = SourceOptions { pixel: args.stream.pixel, raw_format: args.stream.raw_format };
    let waited = stop.descriptor().map_err(|error| {
        Failure::runtime(format!("the system refused a pipe for stopping: {error}; check the process's limits"))
    })?;
    let source = match args.stream.source.open_until(&options, Some(waited)) {
        // Asked to stop before there was anything to send.
        Err(CaptureError::Stopped { .. }) => {
            stop.outcome()?;
            return Ok((Summary { frames_sent: Some(0), cpu_seconds: cpu_seconds(), ..Summary::default() }, None));
        }
        source => source.map_err(|error| source_failure(&error))?,
    };
    match args.common.wire {
        Wire::Framed => framed::run(args, source, stop),
        Wire::Plain => plain::run(args, source, stop),
    }
}

/// A source that cannot be is wrong usage; one that breaks is a failure at run time.
fn source_failure(error: &CaptureError) -> Failure {
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

/// A job of which nothing arrived did not succeed, whatever the mode.
fn nothing_arrived(sent: u64, delivered: u64, peer: std::net::SocketAddr) -> Option<Failure> {
    (sent > 0 && delivered == 0).then(|| {
        Failure::runtime(format!(
            "nothing arrived: none of {sent} frames that were sent was delivered; is UDP to {peer} dropped on the way, and is \
             that where the server receives (--udp, and the server's --announce-udp)?"
        ))
    })
}

/// That the first connection took longer than the user wants to wait.
fn too_late(waited: Duration, server: &str, reason: Option<&str>) -> Failure {
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Failure::runtime(format!("{server} has not answered within {waited:?} (--connect-timeout){reason}"))
}

type Source = Box<dyn FrameSource>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_which_nothing_arrived_has_failed_and_one_that_sent_nothing_has_not() {
        let peer = "10.0.0.1:12345".parse().unwrap();
        let said = nothing_arrived(30, 0, peer).unwrap().to_string();
        assert!(said.contains("none of 30 frames") && said.contains("10.0.0.1:12345"), "{said}");
        assert_eq!((nothing_arrived(30, 1, peer), nothing_arrived(0, 0, peer)), (None, None));
    }
}
