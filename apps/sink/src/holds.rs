//! Which formats each sink can hold, and what is to be used for the others.

use framewire_transport::frame::FrameFormat;

use crate::error::SinkError;
use crate::output::STDOUT;
use crate::spec::{Piped, SinkSpec};
use crate::{nut, y4m};

impl SinkSpec {
    /// Whether frames of `format` come out of this sink as they went in; for sinks that show or encode, whether they can at all.
    ///
    /// # Errors
    /// [`SinkError::CannotHold`] with what to use instead.
    pub fn holds(&self, format: &FrameFormat) -> Result<(), SinkError> {
        let is_held = match self {
            Self::Null | Self::Raw(_) | Self::Stdout(Piped::Raw) => true,
            Self::Y4m(_) | Self::Stdout(Piped::Y4m) => y4m::holds(format),
            Self::Nut(_) | Self::Stdout(Piped::Nut) => nut::holds(format),
            Self::Stdout(Piped::Fitting) => y4m::holds(format) || nut::holds(format),
            Self::Video(..) | Self::Window => true,
        };
        if is_held {
            return Ok(());
        }
        let name = match self.path() {
            Some(path) => format!("'{}'", path.display()),
            None if *self == Self::Window => "the window".to_owned(),
            None => STDOUT.to_owned(),
        };
        let remedy = match (self, nut::holds(format)) {
            (Self::Stdout(_), true) => "-:nut or FILE.nut",
            (Self::Stdout(_), false) => "-:raw, FILE.raw or FILE.mcap",
            (_, true) => "FILE.nut, FILE.raw or FILE.mcap",
            (_, false) => "FILE.raw or FILE.mcap",
        };
        Err(SinkError::CannotHold { name, format: *format, remedy })
    }
}

impl Piped {
    /// What a stream of `format` is written as.
    pub(crate) fn of(self, format: &FrameFormat) -> Self {
        match self {
            Self::Fitting if y4m::holds(format) => Self::Y4m,
            Self::Fitting => Self::Nut,
            chosen => chosen,
        }
    }
}
