//! What the program says at its end: one object, for people or as JSON.

use std::collections::BTreeMap;
use std::fmt;

use framewire_process::exit::{Failure, tell_summary};
use serde::Serialize;

/// What became of the frames of streams that were published.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Published {
    /// Frames that came, those that were passed over among them.
    pub(crate) frames: u64,
    /// Those that were handed to the middleware.
    pub(crate) frames_published: u64,
    pub(crate) frames_unpublished: Unpublished,
    /// Bytes of pixels handed to the middleware.
    pub(crate) bytes: u64,
    /// Calibrations that were published beside images.
    pub(crate) camera_infos: u64,
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(crate) cpu_seconds: f64,
}

/// Why frames were not published, by cause.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Unpublished {
    /// Nobody subscribed.
    pub(crate) unwatched: u64,
    /// As many images as may be were on their way to slow subscribers.
    pub(crate) slow_subscribers: u64,
    /// ROS has no name for their format.
    pub(crate) refused: u64,
    /// Their stream has no topic: its name makes none, or another stream has that.
    pub(crate) no_topic: u64,
    /// They were not whole.
    pub(crate) incomplete: u64,
    /// Newer ones took their place before this program came to them.
    pub(crate) passed_over: u64,
}

/// One topic's part.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Topic {
    pub(crate) stream: String,
    pub(crate) frames_published: u64,
    pub(crate) frames_unpublished: u64,
    /// Subscribers at the end.
    pub(crate) subscribers: usize,
}

impl Unpublished {
    pub(crate) fn causes(&self) -> [(&'static str, u64); 6] {
        let Self { unwatched, slow_subscribers, refused, no_topic, incomplete, passed_over } = *self;
        [
            ("that nobody subscribed to", unwatched),
            ("while slow subscribers had all that may be on its way", slow_subscribers),
            ("that ROS has no name for", refused),
            ("of streams without a topic", no_topic),
            ("not whole", incomplete),
            ("passed over", passed_over),
        ]
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} frames published, {} bytes", self.frames_published, self.frames, self.bytes)?;
        let causes = self.frames_unpublished.causes();
        causes
            .iter()
            .filter(|(_, frames)| *frames > 0)
            .try_for_each(|(cause, frames)| write!(f, ", {frames} {cause}"))?;
        self.topics.iter().try_for_each(
            |(topic, Topic { stream, frames_published, frames_unpublished, subscribers })| {
                write!(
                    f,
                    "\n  {topic}: {frames_published} of '{stream}', {frames_unpublished} not, {subscribers} subscribers"
                )
            },
        )
    }
}

/// What became of the images of a topic.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Subscribed {
    /// Images that came.
    pub(crate) images: u64,
    pub(crate) images_unsent: Unsent,
    /// Frames that were handed to the stream.
    pub(crate) frames_sent: u64,
    /// Those that the other end has whole.
    pub(crate) frames_delivered: u64,
    /// Publishers at the end.
    pub(crate) publishers: usize,
    pub(crate) cpu_seconds: f64,
}

/// Why images are in no stream, by cause.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Unsent {
    /// No pixel format is called as their pixels are.
    pub(crate) encoding: u64,
    /// Step, size and data did not go together.
    pub(crate) size: u64,
    /// They were no such messages.
    pub(crate) unreadable: u64,
    /// No slot was free: the other end was slow, or not there.
    pub(crate) no_slot: u64,
    /// They did not come, as their publishers' numbers say.
    pub(crate) lost: u64,
}

impl Subscribed {
    /// Images that were none.
    pub(crate) fn refused(&self) -> u64 {
        let Unsent { encoding, size, unreadable, .. } = self.images_unsent;
        encoding + size + unreadable
    }
}

impl fmt::Display for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, frames_sent, frames_delivered, .. } = self;
        write!(f, "{frames_sent} of {images} images sent, {frames_delivered} delivered")?;
        let Unsent { encoding, size, unreadable, no_slot, lost } = self.images_unsent;
        let causes = [
            ("of an encoding that there is no format for", encoding),
            ("whose step, size and data do not go together", size),
            ("no whole images", unreadable),
            ("without a free slot", no_slot),
            ("lost on the way here", lost),
        ];
        causes.iter().filter(|(_, images)| *images > 0).try_for_each(|(cause, images)| write!(f, ", {images} {cause}"))
    }
}

impl Summary for Subscribed {
    fn is_empty(&self) -> bool {
        self.images == 0
    }
}

/// A run that is over: what it has counted, and how it ended.
pub(crate) struct Ended<T> {
    pub(crate) summary: T,
    pub(crate) end: Result<(), Failure>,
}

impl<T: Summary> Ended<T> {
    /// Says what was counted; of a run that failed before anything came there is nothing to say.
    ///
    /// # Errors
    /// How it ended; else, that standard output cannot be written to.
    pub(crate) fn conclude(self, json: bool) -> Result<(), Failure> {
        let Self { summary, end } = self;
        let is_told = end.is_ok() || !summary.is_empty();
        let printed = if is_told { summary.print(json) } else { Ok(()) };
        end.and(printed)
    }
}

/// What a run has counted.
pub(crate) trait Summary: Serialize + fmt::Display {
    /// Whether nothing has come.
    fn is_empty(&self) -> bool;

    /// Says it: as JSON on standard output, or for people on standard error.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    fn print(&self, json: bool) -> Result<(), Failure> {
        let json = json.then(|| serde_json::to_string(self).expect("numbers and names are always JSON"));
        tell_summary(self, json.as_deref())
    }
}

impl Summary for Published {
    fn is_empty(&self) -> bool {
        self.frames == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A summary where standard output is closed.
    #[derive(Serialize)]
    struct Unprintable;

    impl fmt::Display for Unprintable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    }

    impl Summary for Unprintable {
        fn is_empty(&self) -> bool {
            false
        }

        fn print(&self, _: bool) -> Result<(), Failure> {
            Err(Failure::runtime("closed"))
        }
    }

    #[test]
    fn why_a_run_failed_is_told_although_its_summary_cannot_be_written() {
        let conclude = |end| Ended { summary: Unprintable, end }.conclude(true);
        assert_eq!(conclude(Err(Failure::usage("its own"))), Err(Failure::usage("its own")));
        assert_eq!(conclude(Ok(())), Err(Failure::runtime("closed")));
    }
}
