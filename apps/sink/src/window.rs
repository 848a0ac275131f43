//! A window on the display, through OpenCV.

use std::env;
use std::thread::{self, ThreadId};

use framewire_transport::frame::{ColourRange, Frame, FrameFormat};
use opencv::core::{Mat, Vec3b};
use opencv::highgui::{self, WINDOW_AUTOSIZE, WND_PROP_VISIBLE};

use crate::error::SinkError;
use crate::picture::Picture;
use crate::sink::{Sink, SinkReport};

/// The window's title, which is also how OpenCV tells windows apart.
const TITLE: &str = "Framewire";
const ESCAPE: i32 = 27;

/// Shows each frame. Closing the window, `q` and Escape are [`SinkError::Closed`].
///
/// A window belongs to the thread that opened it.
pub(crate) struct WindowSink {
    picture: Picture,
    rows: i32,
    columns: i32,
    thread: ThreadId,
    frames: u64,
    bytes: u64,
}

impl WindowSink {
    pub(crate) fn open(format: &FrameFormat, range: ColourRange) -> Result<Self, SinkError> {
        has_display()?;
        let side = |pixels| i32::try_from(pixels).map_err(|_| failed("its size is beyond OpenCV's"));
        let (rows, columns) = (side(format.height())?, side(format.width())?);
        highgui::named_window(TITLE, WINDOW_AUTOSIZE).map_err(|error| failed(&error.message))?;
        let picture = Picture::new(&name(), "a window", format, range)?;
        Ok(Self { picture, rows, columns, thread: thread::current().id(), frames: 0, bytes: 0 })
    }

    fn show(&mut self, frame: &Frame) -> Result<bool, SinkError> {
        let picture = self.picture.packed(frame)?;
        let shown = || -> opencv::Result<bool> {
            // Closed since the last frame: showing one would open it again. A toolkit that has ended with its last
            // window gives an error instead.
            if self.frames > 0 && highgui::get_window_property(TITLE, WND_PROP_VISIBLE).unwrap_or(0.0) < 1.0 {
                return Ok(false);
            }
            highgui::imshow(TITLE, &Mat::new_rows_cols_with_bytes::<Vec3b>(self.rows, self.columns, picture)?)?;
            let key = highgui::wait_key(1)?;
            // Negative: none was pressed. Toolkits set bits above the character for shift and the like.
            Ok(key < 0 || ![i32::from(b'q'), ESCAPE].contains(&(key & 0xff)))
        };
        shown().map_err(|error| failed(&error.message))
    }
}

impl Sink for WindowSink {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        if thread::current().id() != self.thread {
            return Err(SinkError::WrongThread);
        }
        if !self.show(frame)? {
            return Err(SinkError::Closed { name: name(), frames: self.frames });
        }
        self.frames += 1;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        if thread::current().id() != self.thread {
            return Err(SinkError::WrongThread);
        }
        // The user may have closed it already, which is no failure.
        let _ = highgui::destroy_window(TITLE);
        Ok(SinkReport { name: name(), files: 0, frames: self.frames, bytes: self.bytes })
    }
}

fn name() -> String {
    "the window".to_owned()
}

fn failed(reason: &str) -> SinkError {
    SinkError::OpenCv { name: name(), reason: reason.to_owned() }
}

/// Without a display the toolkit under OpenCV ends the whole process.
pub(crate) fn has_display() -> Result<(), SinkError> {
    let named = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    let is_needed = cfg!(all(unix, not(target_os = "macos")));
    if is_needed && !["DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"].into_iter().any(named) {
        return Err(SinkError::NoDisplay);
    }
    Ok(())
}
