//! The client: reads a source, opens a stream at a server, and sends it frame by frame.

mod feed;
mod framed;
mod plain;
mod window;

use std::net::{SocketAddr, ToSocketAddrs};

use framewire_capture::{CaptureError, FrameSource, SourceOptions};

use crate::cli::{ClientArgs, Wire};
use crate::exit::Failure;
use crate::stop::Stop;
use crate::summary::Summary;

/// Runs a client until its source or its limit ends, or somebody asks it to stop. The second value is a failure of the
/// source after which everything before it was sent in order (a truncated file).
///
/// # Errors
/// What cannot be asked for, and what failed.
pub fn run(args: &ClientArgs, stop: &Stop) -> Result<(Summary, Option<Failure>), Failure> {
    let options = SourceOptions { pixel: args.stream.pixel, raw_format: args.stream.raw_format };
    let source = args.stream.source.open(&options).map_err(|error| source_failure(&error))?;
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

/// An address by name; IPv4 first, for that is what servers listen on unless told otherwise.
pub(crate) fn first_address(address: &str) -> Result<SocketAddr, String> {
    let found: Vec<_> = address.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied().ok_or_else(|| "no such host".to_owned())
}

type Source = Box<dyn FrameSource>;
