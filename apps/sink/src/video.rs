//! Encoded video, through OpenCV.

use std::path::Path;

use framewire_capture::FrameRate;
use framewire_transport::frame::{ColourRange, Frame, FrameFormat};
use opencv::core::{Mat, Size, Vec3b};
use opencv::videoio::{
    CAP_ANY, CAP_PROP_FRAME_COUNT, VideoCapture, VideoCaptureTraitConst, VideoWriter, VideoWriterTrait,
    VideoWriterTraitConst,
};

use crate::error::SinkError;
use crate::output::Creation;
use crate::output::FrameOutput;
use crate::picture::Picture;
use crate::sink::{Sink, SinkReport};
use crate::spec::VideoCodec;

/// Motion JPEG or MPEG-4, both of which lose a little of the picture.
pub(crate) struct VideoSink {
    writer: VideoWriter,
    path: String,
    picture: Picture,
    size: Size,
    frames: u64,
    bytes: u64,
}

impl VideoSink {
    pub(crate) fn create(
        path: &Path,
        creation: Creation,
        codec: VideoCodec,
        format: &FrameFormat,
        rate: FrameRate,
        range: ColourRange,
    ) -> Result<Self, SinkError> {
        let name = quoted(&path.display().to_string());
        let (width, height) = (format.width(), format.height());
        let refused = |reason: &str| SinkError::OpenCv { name: name.clone(), reason: reason.to_owned() };
        let path = path.to_str().ok_or_else(|| refused("its path is not UTF-8"))?.to_owned();
        let failed = |error: opencv::Error| refused(&error.message);
        let letters = match codec {
            VideoCodec::Mjpg => ['M', 'J', 'P', 'G'],
            VideoCodec::Mp4v => ['m', 'p', '4', 'v'],
        };
        if creation == Creation::Fresh {
            // OpenCV would write over what is there. It empties the file that is made here, and writes to that.
            FrameOutput::create(Path::new(&path), creation)?;
        }
        let start = || -> Result<_, SinkError> {
            let fourcc = VideoWriter::fourcc(letters[0], letters[1], letters[2], letters[3]).map_err(failed)?;
            // Widths beyond 2^31 do not fit OpenCV; a frame has at most 2^32 bytes, so they are one row of gray.
            let side = |pixels| i32::try_from(pixels).map_err(|_| refused("its size is beyond OpenCV's"));
            let size = Size::new(side(width)?, side(height)?);
            let writer = VideoWriter::new(&path, fourcc, rate.as_f64(), size, true).map_err(failed)?;
            if !writer.is_opened().map_err(failed)? {
                return Err(refused("no encoder of it takes this file, size and rate"));
            }
            let picture = Picture::new(&name, "encoded video", format, range)?;
            Ok((writer, picture, size))
        };
        let (writer, picture, size) = start().inspect_err(|_| {
            // Nothing is left of the attempt: the next one would make another.
            if creation == Creation::Fresh {
                let _ = std::fs::remove_file(&path);
            }
        })?;
        Ok(Self { writer, path, picture, size, frames: 0, bytes: 0 })
    }

    fn failed(&self, error: &opencv::Error) -> SinkError {
        SinkError::OpenCv { name: quoted(&self.path), reason: error.message.clone() }
    }
}

impl Sink for VideoSink {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let picture = self.picture.packed(frame)?;
        let written = Mat::new_rows_cols_with_bytes::<Vec3b>(self.size.height, self.size.width, picture)
            .and_then(|matrix| self.writer.write(&matrix));
        written.map_err(|error| self.failed(&error))?;
        self.frames += 1;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// What has reached the file: the encoder holds a little more.
    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Ends the file and reads back how many frames it has: OpenCV says nothing of a full disk.
    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        self.writer.release().map_err(|error| self.failed(&error))?;
        let (name, frames) = (quoted(&self.path), self.frames);
        if frames > 0 {
            let count = VideoCapture::from_file(&self.path, CAP_ANY).and_then(|file| file.get(CAP_PROP_FRAME_COUNT));
            let found = count.unwrap_or(0.0).max(0.0) as u64;
            if found < frames {
                return Err(SinkError::Incomplete { name, frames, found });
            }
        }
        Ok(SinkReport { name, files: 1, frames, bytes: self.bytes })
    }
}

fn quoted(path: &str) -> String {
    format!("'{path}'")
}
