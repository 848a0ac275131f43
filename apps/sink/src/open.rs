//! A sink opened for a stream.

use std::sync::Arc;

use crate::error::SinkError;
use crate::files::FilesSink;
use crate::null::NullSink;
use crate::nut::NutSink;
use crate::output::FrameOutput;
use crate::pictures::PicturesSink;
use crate::places::{Held, Opening, Places};
use crate::raw::RawSink;
use crate::recorded::Recorded;
use crate::roll::Roll;
use crate::sink::Sink;
use crate::spec::{Piped, SinkSpec};
use crate::template::Template;
use crate::y4m::Y4mSink;

impl SinkSpec {
    /// Opens the sink for a stream; its files get names that no other stream or sink of `places` has. A window must be opened on
    /// the thread that writes to it. A named pipe waits here for its reader.
    ///
    /// # Errors
    /// A place that cannot be written to, standard output that is a terminal, a pipe or a device that another stream has, a
    /// format that the sink cannot hold, and what needs OpenCV in a build without it.
    pub fn open(&self, recorded: &Recorded, places: &Arc<Places>, roll: Roll) -> Result<Box<dyn Sink>, SinkError> {
        self.open_as(Opening::First, recorded, places, roll)
    }

    /// As [`SinkSpec::open`], where it may be that the stream has begun long ago.
    pub(crate) fn open_as(
        &self,
        opening: Opening,
        recorded: &Recorded,
        places: &Arc<Places>,
        roll: Roll,
    ) -> Result<Box<dyn Sink>, SinkError> {
        self.holds(&recorded.format)?;
        Ok(match self {
            Self::Null => Box::new(NullSink::default()),
            Self::Stdout(piped) => {
                let (turns, hold) = places.stdout()?;
                let output = FrameOutput::stdout(turns)?;
                match piped.of(&recorded.format) {
                    Piped::Raw => Box::new(Held::new(RawSink::piped(output, &recorded.format)?, hold)),
                    Piped::Nut => {
                        Box::new(Held::new(NutSink::new(output, recorded)?.in_turn(places.stdout_clock()), hold))
                    }
                    Piped::Fitting | Piped::Y4m => {
                        Box::new(Held::new(Y4mSink::new(output, &recorded.format, recorded.presentation)?, hold))
                    }
                }
            }
            Self::Window => open_window(recorded)?,
            Self::Pictures(path, kind, _) => Box::new(PicturesSink::new(*kind, Template::new(path), recorded, places)?),
            Self::Y4m(path) | Self::Nut(path) | Self::Raw(path) | Self::Mcap(path, _) | Self::Video(path, _) => {
                Box::new(FilesSink::open(self, Template::new(path), opening, recorded, places, roll)?)
            }
        })
    }

    /// As [`SinkSpec::open`], for the only sink of the only stream.
    ///
    /// # Errors
    /// As [`SinkSpec::open`].
    pub fn open_alone(&self, recorded: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
        self.open(recorded, &Arc::new(Places::new(std::slice::from_ref(self))), Roll::default())
    }
}

#[cfg(feature = "opencv")]
fn open_window(recorded: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
    Ok(Box::new(crate::window::WindowSink::open(&recorded.format, recorded.presentation.range)?))
}

#[cfg(not(feature = "opencv"))]
fn open_window(_: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::NeedsOpenCv { name: "the window".to_owned() })
}
