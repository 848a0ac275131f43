//! Cameras and encoded video, through OpenCV, decoded straight into the slot.

use std::path::{Path, PathBuf};
use std::sync::Once;

use framewire_transport::Time;
use framewire_transport::frame::{ColourRange, FrameFormat, FrameMut, FrameRate, PixelFormat, Presentation};
use opencv::core::{
    CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1, LogLevel, Mat, MatTraitConst, MatTraitConstManual, Vec3b, Vec4b,
};
use opencv::videoio::{self, VideoCapture, VideoCaptureTrait, VideoCaptureTraitConst};
use opencv::{boxed_ref::BoxedRefMut, imgproc};

use crate::colour::bgr24_to_yuv;
use crate::error::CaptureError;
use crate::place_time::PlaceTime;
use crate::samples::Sample;
use crate::source::{FrameSource, fit};

/// Frames of a camera or of a video file that OpenCV opens.
///
/// Frames have the pixel format that OpenCV decodes to (bgr24, of a few sources and back ends gray8, gray16 or bgra32) unless another is asked for. In
/// the native format OpenCV decodes into the slot itself, and so it does where gray is asked for as what it means: depth16, gray12, a Bayer
/// format. Any other is decoded beside the slot and converted into it: colour of 8 bits, gray8, yuv420p, yuv422p and yuv444p into one another.
pub struct VideoSource {
    capture: VideoCapture,
    origin: Origin,
    back_end: i32,
    /// What OpenCV decodes to.
    native: FrameFormat,
    /// What the frames are given as.
    format: FrameFormat,
    rate: Option<FrameRate>,
    count: Option<u64>,
    /// A file's first frame, decoded when it was opened to learn the true size.
    first: Option<Mat>,
    /// Where frames are decoded that are not given as they are; its memory is used again and again.
    decoded: Mat,
    given: u64,
    /// Of a file.
    time: PlaceTime,
    copied: u64,
}

#[derive(Debug, Clone)]
enum Origin {
    Camera(u32),
    File(PathBuf),
}

impl Origin {
    fn name(&self) -> String {
        match self {
            Self::Camera(number) => format!("camera:{number}"),
            Self::File(path) => format!("'{}'", path.display()),
        }
    }

    const fn remedy(&self) -> &'static str {
        match self {
            Self::Camera(_) => {
                "check that it is connected (ls /dev/video*), that you may read it and that nothing else uses it"
            }
            Self::File(_) => {
                "check with ffprobe that it is a video, or turn it into Y4M: ffmpeg -i FILE -pix_fmt yuv420p FILE.y4m"
            }
        }
    }

    fn undecodable(&self, reason: impl ToString) -> CaptureError {
        CaptureError::Undecodable { name: self.name(), reason: reason.to_string(), remedy: self.remedy() }
    }
}

impl VideoSource {
    /// The camera with this number, from 0. Its first frame is taken, to learn the size, and thrown away.
    ///
    /// Where `pixel` has 16 bits, the camera is asked for what it has instead of BGR.
    ///
    /// # Errors
    /// A camera that is not there, gives no frame, or has a size or pixels that do not go with `pixel`.
    pub fn open_camera(number: u32, pixel: Option<PixelFormat>) -> Result<Self, CaptureError> {
        Self::open(Origin::Camera(number), pixel, videoio::CAP_ANY)
    }

    /// A video file, in any container and codec that OpenCV's back ends read.
    ///
    /// # Errors
    /// A file that OpenCV cannot open or decode, or whose size or pixels do not go with `pixel`.
    pub fn open_file(path: &Path, pixel: Option<PixelFormat>) -> Result<Self, CaptureError> {
        Self::open(Origin::File(path.into()), pixel, videoio::CAP_ANY)
    }

    /// Opens it by one of OpenCV's back ends, or the first that takes it.
    fn open(origin: Origin, pixel: Option<PixelFormat>, back_end: i32) -> Result<Self, CaptureError> {
        quieten_opencv();
        let failed = |error: opencv::Error| origin.undecodable(error.message);
        let mut capture = match &origin {
            Origin::Camera(number) => VideoCapture::new(number.cast_signed(), back_end),
            Origin::File(path) => VideoCapture::from_file(path, back_end),
        }
        .map_err(failed)?;
        if !capture.is_opened().map_err(failed)? {
            return Err(origin.undecodable("none of its back ends takes it"));
        }
        if matches!(origin, Origin::Camera(_)) && pixel.and_then(PixelFormat::sample_bytes) == Some(2) {
            // A back end that cannot says so or not; what it gives is looked at.
            let _ = capture.set(videoio::CAP_PROP_CONVERT_RGB, 0.0);
        }
        // What a container says of its size can be wrong (rotated video); what was decoded cannot.
        let mut first = Mat::default();
        if !capture.read(&mut first).map_err(failed)? || first.empty() {
            return Err(origin.undecodable("it gives no frame"));
        }
        let native = decoded_format(&first).ok_or_else(|| {
            origin.undecodable(format!(
                "it decodes to {}, not to gray of 8 or 16 bits or 8-bit BGR or BGRA",
                describe(&first)
            ))
        })?;
        let (width, height) = (native.width(), native.height());
        let (has, wanted) = (native.pixel(), pixel.unwrap_or(native.pixel()));
        if !is_as_decoded(has, wanted) && !is_converted(has, wanted) {
            return Err(CaptureError::PixelFixed { name: origin.name(), has, wanted });
        }
        let format = FrameFormat::new(wanted, width, height)
            .map_err(|source| CaptureError::Format { name: origin.name(), source })?;
        let rate = capture.get(videoio::CAP_PROP_FPS).ok().and_then(|fps| FrameRate::from_decimal(fps).ok());
        let (first, count) = match &origin {
            Origin::Camera(_) => (None, None),
            Origin::File(_) => (Some(first), capture.get(videoio::CAP_PROP_FRAME_COUNT).ok()),
        };
        // A back end that does not know says 0, -1 or an absurdly large number.
        let count = count.filter(|count| (1.0..1e12).contains(count)).map(|count| count as u64);
        let time = PlaceTime::now(rate.filter(|_| matches!(origin, Origin::File(_))));
        let decoded = Mat::default();
        Ok(Self { capture, origin, back_end, native, format, rate, count, first, decoded, given: 0, time, copied: 0 })
    }

    /// How many frames OpenCV decoded elsewhere, so that they had to be copied into the slot. The first frame of a file
    /// always is: it was decoded when the file was opened.
    pub fn copied_frames(&self) -> u64 {
        self.copied
    }

    fn broke(&self, reason: impl ToString) -> CaptureError {
        let (name, remedy) = (self.origin.name(), self.origin.remedy());
        CaptureError::Lost { name, frame: self.given, reason: reason.to_string(), remedy }
    }

    /// Waits for the next frame; false at the end of a file.
    fn grab(&mut self) -> Result<bool, CaptureError> {
        match self.capture.grab() {
            Ok(true) => Ok(true),
            Ok(false) if matches!(self.origin, Origin::File(_)) => {
                if let Some(count) = self.count.filter(|count| *count > self.given) {
                    let (file, frames) = (self.origin.name(), self.given);
                    tracing::info!(file, frames, count, "the video ended before the count in its container");
                }
                Ok(false)
            }
            Ok(false) => Err(self.broke("OpenCV grabbed none")),
            Err(error) => Err(self.broke(error.message)),
        }
    }

    /// Decodes what was grabbed into the slot.
    fn retrieve_in_place(&mut self, frame: &mut FrameMut) -> Result<(), CaptureError> {
        let slot = frame.as_ptr();
        let mut matrix = matrix_over(frame, &self.native).map_err(|error| self.broke(error.message))?;
        if !self.capture.retrieve_def(&mut matrix).map_err(|error| self.broke(error.message))? {
            return Err(self.broke("OpenCV could not decode it"));
        }
        // OpenCV takes memory of its own where size or type do not fit, or where a back end insists.
        if matrix.data() == slot {
            return Ok(());
        }
        let elsewhere = matrix.try_clone().map_err(|error| self.broke(error.message))?;
        drop(matrix);
        self.check(&elsewhere)?;
        self.copy(&elsewhere, frame)
    }

    /// Decodes what was grabbed beside the slot and converts it into it.
    fn retrieve_and_convert(&mut self, frame: &mut FrameMut) -> Result<(), CaptureError> {
        let mut decoded = std::mem::take(&mut self.decoded);
        let retrieved = self.capture.retrieve_def(&mut decoded).map_err(|error| self.broke(error.message));
        let done = match retrieved {
            Ok(true) => self.check(&decoded).and_then(|()| self.convert(&decoded, frame)),
            Ok(false) => Err(self.broke("OpenCV could not decode it")),
            Err(error) => Err(error),
        };
        self.decoded = decoded;
        done
    }

    fn check(&self, decoded: &Mat) -> Result<(), CaptureError> {
        if decoded_format(decoded) == Some(self.native) {
            return Ok(());
        }
        let (name, from, to) = (self.origin.name(), self.native, describe(decoded));
        Err(CaptureError::FormatChanged { name, frame: self.given, from, to })
    }

    fn copy(&mut self, decoded: &Mat, frame: &mut FrameMut) -> Result<(), CaptureError> {
        if self.copied == 1 {
            // The first was copied on purpose.
            let source = self.origin.name();
            tracing::info!(source, "OpenCV decodes into its own memory: every frame is copied once more");
        }
        self.copied += 1;
        let bytes = decoded.data_bytes().map_err(|error| self.broke(error.message))?;
        frame.copy_from_slice(bytes);
        Ok(())
    }

    fn convert(&self, decoded: &Mat, frame: &mut FrameMut) -> Result<(), CaptureError> {
        let (from, to) = (self.native.pixel(), self.format.pixel());
        let is_even = self.format.width() % 2 + self.format.height() % 2 == 0;
        let converted = match colour_code(from, to).filter(|_| to != PixelFormat::Yuv420p || is_even) {
            Some(code) => cvt_color(decoded, frame, &self.format, code),
            None if from == PixelFormat::Gray8 => decoded.data_bytes().map(|gray| gray_to_yuv(gray, frame)),
            // Planar 4:2:2, 4:4:4 and odd sides are not among OpenCV's conversions.
            None => {
                let bgr = decoded.data_bytes().map_err(|error| self.broke(error.message))?;
                return Ok(bgr24_to_yuv(bgr, &self.native, frame, &self.format)?);
            }
        };
        converted.map_err(|error| self.broke(error.message))
    }

    /// Whether OpenCV decodes to the very bytes of a frame.
    fn decodes_in_place(&self) -> bool {
        is_as_decoded(self.native.pixel(), self.format.pixel())
    }
}

/// Whether pixels as OpenCV decodes them are of a format: their own, or another of which nothing but the meaning differs.
fn is_as_decoded(has: PixelFormat, wanted: PixelFormat) -> bool {
    has == wanted
        || match has {
            PixelFormat::Gray8 => Sample::Uint8.may_be(1, wanted),
            PixelFormat::Gray16 => Sample::Uint16.may_be(1, wanted),
            _ => false,
        }
}

fn is_converted(has: PixelFormat, wanted: PixelFormat) -> bool {
    let is_planar = matches!(wanted, PixelFormat::Yuv420p | PixelFormat::Yuv422p | PixelFormat::Yuv444p);
    colour_code(has, wanted).is_some() || is_planar && matches!(has, PixelFormat::Bgr24 | PixelFormat::Gray8)
}

/// OpenCV's conversion from one to the other, where it has one.
const fn colour_code(from: PixelFormat, to: PixelFormat) -> Option<i32> {
    use PixelFormat::{Bgr24, Bgra32, Gray8, Rgb24, Rgba32, Yuv420p};
    Some(match (from, to) {
        (Bgr24, Gray8) => imgproc::COLOR_BGR2GRAY,
        (Bgr24, Rgb24) => imgproc::COLOR_BGR2RGB,
        (Bgr24, Rgba32) => imgproc::COLOR_BGR2RGBA,
        (Bgr24, Bgra32) => imgproc::COLOR_BGR2BGRA,
        (Bgr24, Yuv420p) => imgproc::COLOR_BGR2YUV_I420,
        (Gray8, Bgr24 | Rgb24) => imgproc::COLOR_GRAY2BGR,
        (Gray8, Bgra32 | Rgba32) => imgproc::COLOR_GRAY2BGRA,
        (Bgra32, Gray8) => imgproc::COLOR_BGRA2GRAY,
        (Bgra32, Bgr24) => imgproc::COLOR_BGRA2BGR,
        (Bgra32, Rgb24) => imgproc::COLOR_BGRA2RGB,
        (Bgra32, Rgba32) => imgproc::COLOR_BGRA2RGBA,
        _ => return None,
    })
}

impl FrameSource for VideoSource {
    fn format(&self) -> FrameFormat {
        self.format
    }

    /// OpenCV tells the rate alone. What it decodes to is BGR or gray; YUV is made of that in limited range.
    fn presentation(&self) -> Presentation {
        let is_yuv = self.format.pixel().planes() == 3;
        let range = if is_yuv && self.native.pixel() == PixelFormat::Bgr24 {
            ColourRange::Limited
        } else {
            ColourRange::Unknown
        };
        Presentation::UNKNOWN.rate(self.rate).range(range)
    }

    /// What the container says, which need not be true.
    fn frame_count(&self) -> Option<u64> {
        self.count
    }

    fn is_live(&self) -> bool {
        matches!(self.origin, Origin::Camera(_))
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        fit(frame, &self.format)?;
        if let Some(first) = self.first.take() {
            frame.info.captured = Time::now();
            if self.decodes_in_place() { self.copy(&first, frame)? } else { self.convert(&first, frame)? }
        } else {
            if !self.grab()? {
                return Ok(false);
            }
            frame.info.captured = Time::now();
            if self.decodes_in_place() { self.retrieve_in_place(frame)? } else { self.retrieve_and_convert(frame)? }
        }
        frame.info.captured_utc = self.time.next();
        self.time.is_given();
        self.given += 1;
        Ok(true)
    }

    /// Opens a file again: seeking is exact in few containers.
    fn rewind(&mut self) -> Result<(), CaptureError> {
        let Origin::File(path) = &self.origin else {
            return Err(CaptureError::NoRewind { name: self.origin.name(), reason: "a camera has no beginning" });
        };
        let again = Self::open(Origin::File(path.clone()), Some(self.format.pixel()), self.back_end)?;
        if again.format != self.format {
            let (name, from, to) = (self.origin.name(), self.format, again.format.to_string());
            return Err(CaptureError::FormatChanged { name, frame: 0, from, to });
        }
        *self = Self { time: self.time.clone(), ..again };
        Ok(())
    }
}

/// OpenCV warns of each back end that does not take a file, before one does. Errors stay; so does a level that the user
/// set.
fn quieten_opencv() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("OPENCV_LOG_LEVEL").is_none()
            && let Err(error) = opencv::core::set_log_level(LogLevel::LOG_LEVEL_ERROR)
        {
            tracing::debug!(error = error.message, "OpenCV's log level stays as it is");
        }
    });
}

/// An OpenCV matrix whose memory is the slot's.
fn matrix_over<'a>(frame: &'a mut FrameMut, format: &FrameFormat) -> opencv::Result<BoxedRefMut<'a, Mat>> {
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let (columns, rows) = (side(format.width()), side(format.height()));
    match format.pixel() {
        PixelFormat::Bgr24 | PixelFormat::Rgb24 => Mat::new_rows_cols_with_bytes_mut::<Vec3b>(rows, columns, frame),
        PixelFormat::Bgra32 | PixelFormat::Rgba32 => Mat::new_rows_cols_with_bytes_mut::<Vec4b>(rows, columns, frame),
        PixelFormat::Gray16 => Mat::new_rows_cols_with_bytes_mut::<u16>(rows, columns, frame),
        // As OpenCV lays I420 out: chroma as rows of half as many again below.
        PixelFormat::Yuv420p => Mat::new_rows_cols_with_bytes_mut::<u8>(rows + rows / 2, columns, frame),
        _ => Mat::new_rows_cols_with_bytes_mut::<u8>(rows, columns, frame),
    }
}

fn cvt_color(decoded: &Mat, frame: &mut FrameMut, format: &FrameFormat, code: i32) -> opencv::Result<()> {
    let slot = frame.as_ptr();
    let mut matrix = matrix_over(frame, format)?;
    imgproc::cvt_color_def(decoded, &mut matrix, code)?;
    if matrix.data() == slot {
        return Ok(());
    }
    let elsewhere = matrix.try_clone()?;
    drop(matrix);
    frame.copy_from_slice(elsewhere.data_bytes()?);
    Ok(())
}

fn gray_to_yuv(gray: &[u8], frame: &mut FrameMut) {
    let (luma, chroma) = frame.split_at_mut(gray.len());
    luma.copy_from_slice(gray);
    chroma.fill(128);
}

/// The frame format that decoded pixels have, where there is one.
fn decoded_format(decoded: &Mat) -> Option<FrameFormat> {
    let pixel = match decoded.typ() {
        CV_8UC3 => PixelFormat::Bgr24,
        CV_8UC4 => PixelFormat::Bgra32,
        CV_16UC1 => PixelFormat::Gray16,
        CV_8UC1 => PixelFormat::Gray8,
        _ => return None,
    };
    let (width, height) = (u32::try_from(decoded.cols()).ok()?, u32::try_from(decoded.rows()).ok()?);
    FrameFormat::new(pixel, width, height).ok()
}

fn describe(decoded: &Mat) -> String {
    match decoded_format(decoded) {
        Some(format) => format.to_string(),
        None => format!("{}x{} of type {}", decoded.cols(), decoded.rows(), decoded.typ()),
    }
}

#[cfg(test)]
mod tests;
