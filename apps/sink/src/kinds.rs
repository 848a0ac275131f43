//! One file of a recording, by its kind: Y4M, NUT, raw, MCAP, encoded video.

use std::num::NonZeroU64;
use std::path::Path;

#[cfg(feature = "opencv")]
use framewire_transport::frame::{ColourRange, Presentation, SampleAspect, Scan};

use crate::error::SinkError;
use crate::mcap::McapSink;
use crate::nut::NutSink;
use crate::output::{Creation, FrameOutput};
use crate::raw::RawSink;
use crate::recorded::Recorded;
use crate::sink::Sink;
use crate::spec::{SinkSpec, VideoCodec};
use crate::y4m::Y4mSink;

/// Opens one file, at `path` and of this kind.
///
/// # Panics
/// For what has no files.
pub(crate) fn open_file(
    spec: &SinkSpec,
    path: &Path,
    creation: Creation,
    recorded: &Recorded,
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match spec {
        // A file without a header is none, and the next attempt would make another.
        SinkSpec::Y4m(_) => {
            let sink = Y4mSink::new(FrameOutput::create(path, creation)?, &recorded.format, recorded.presentation);
            Box::new(sink.inspect_err(|_| take_away(path, creation))?)
        }
        SinkSpec::Nut(_) => {
            let output = FrameOutput::create(path, creation)?;
            let is_file = output.is_file();
            let sink = NutSink::new(output, recorded).inspect_err(|_| take_away(path, creation))?;
            Box::new(if is_file { sink.with_index() } else { sink })
        }
        SinkSpec::Mcap(_, chunk) => {
            let output = FrameOutput::create(path, creation)?;
            let sink = McapSink::new(output, recorded, chunk.map(NonZeroU64::get));
            Box::new(sink.inspect_err(|_| take_away(path, creation))?)
        }
        SinkSpec::Raw(_) => Box::new(RawSink::create(path, creation, recorded)?),
        SinkSpec::Video(_, codec) => open_video(path, creation, *codec, recorded)?,
        SinkSpec::Null | SinkSpec::Stdout(_) | SinkSpec::Pictures(..) | SinkSpec::Window => {
            unreachable!("{spec} has no file of many frames")
        }
    })
}

fn take_away(path: &Path, creation: Creation) {
    if creation == Creation::Fresh {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(feature = "opencv")]
fn open_video(
    path: &Path,
    creation: Creation,
    codec: VideoCodec,
    recorded: &Recorded,
) -> Result<Box<dyn Sink>, SinkError> {
    let rate = recorded.rate_or_default();
    let Presentation { scan, aspect, range, .. } = recorded.presentation;
    let interlaced = matches!(scan, Scan::TopFirst | Scan::BottomFirst | Scan::Mixed);
    if interlaced || aspect.is_some_and(|aspect| aspect != SampleAspect::SQUARE) || range == ColourRange::Full {
        let aspect = aspect.map_or_else(|| "unknown".to_owned(), |aspect| aspect.to_string());
        tracing::warn!(
            "encoded video does not keep what the source says of its pictures: scan {scan}, pixel aspect {aspect}, range \
             {range}; record .y4m or .raw to keep it"
        );
    }
    Ok(Box::new(crate::video::VideoSink::create(path, creation, codec, &recorded.format, rate, range)?))
}

#[cfg(not(feature = "opencv"))]
fn open_video(path: &Path, _: Creation, _: VideoCodec, _: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::NeedsOpenCv { name: format!("'{}'", path.display()) })
}
