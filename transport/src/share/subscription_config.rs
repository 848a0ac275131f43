//! What a reader asks for, and what it is told: the same on every system.

use std::time::Duration;

use super::error::ShareError;
use crate::frame::{ConsumerPolicy, FrameFormat, Presentation, SLOTS_MAX};
use crate::setters;
use crate::wire::{Delivery, PathKind};

/// The most frames that may wait for a reader.
pub(crate) const QUEUE_MAX: usize = 8;
/// Frames on offer at once to a reader whom the hub waits for.
pub(crate) const BLOCK_WORDS: usize = 4;
/// The most frames that a reader may hold beside those that wait for it.
pub(crate) const HOLD_MAX: usize = SLOTS_MAX - 2;

/// How a program reads a stream of another process: [`SubscriptionConfig::new`], and what is to be different from that.
///
/// ```
/// use framewire_transport::ConsumerPolicy;
/// use framewire_transport::share::SubscriptionConfig;
///
/// let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(4)).hold(3).name("viewer");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionConfig {
    /// What happens to frames that wait when a new one is published: [`ConsumerPolicy::Latest`] by default; a queue has 1 to 8 frames;
    /// [`ConsumerPolicy::Block`] is granted only where the hub lets readers make it wait.
    pub policy: ConsumerPolicy,
    /// Frames that the program may hold at once, 1 to 62, 2 by default, beside those that wait for it. The hub keeps as many slots for it,
    /// out of those that it has for readers: ask for no more than are needed.
    pub hold: usize,
    /// What the hub's operator sees of this program, at most 64 characters; by default the name of its file.
    pub name: Option<String>,
    /// For how long a frame is looked for before the thread sleeps, zero by default: a frame that comes meanwhile is taken in less than a
    /// microsecond, and a core is kept busy.
    pub busy_poll: Duration,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self { policy: ConsumerPolicy::Latest, hold: 2, name: None, busy_poll: Duration::ZERO }
    }
}

impl SubscriptionConfig {
    /// The most frames that a reader's queue may have.
    pub const QUEUE_MAX: usize = QUEUE_MAX;
    /// Frames that wait at most for a reader whom the hub waits for.
    pub const BLOCK_FRAMES: usize = BLOCK_WORDS;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { policy: ConsumerPolicy, hold: usize, busy_poll: Duration }

    /// Sets [`name`](Self::name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Frames on offer at once.
    ///
    /// # Errors
    /// [`ShareError::OutOfRange`], for what is held too.
    pub(crate) fn offers(&self) -> Result<usize, ShareError> {
        let in_range = |what, value, max| match value {
            1.. if value <= max => Ok(value),
            _ => Err(ShareError::OutOfRange { what, value, min: 1, max }),
        };
        in_range("frames held by a reader", self.hold, HOLD_MAX)?;
        match self.policy {
            ConsumerPolicy::Latest => Ok(1),
            ConsumerPolicy::Queue(frames) => in_range("frames in a reader's queue", frames, QUEUE_MAX),
            ConsumerPolicy::Block => Ok(BLOCK_WORDS),
        }
    }

    /// What the program is called, cut to what a hub takes.
    pub(crate) fn shown_name(&self) -> String {
        let own = || {
            let file = std::env::current_exe().ok()?;
            Some(file.file_name()?.to_string_lossy().into_owned())
        };
        let name = self.name.clone().or_else(own).unwrap_or_default();
        name.chars().filter(|character| !character.is_control()).take(64).collect()
    }
}

/// A stream that a hub shares.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SharedStreamInfo {
    /// What it is called at its hub.
    pub name: String,
    /// Its frames.
    pub format: FrameFormat,
    /// Whether its source loses nothing or has the newest frame win.
    pub delivery: Delivery,
    /// How its pictures are to be shown, as its source said.
    pub presentation: Presentation,
    /// Bytes of metadata that each of its frames may have.
    pub metadata_max: usize,
    /// How its frames come to the hub; `None` for those that the hub's own program makes.
    pub path: Option<PathKind>,
    /// Readers that it has at present, in all processes.
    pub readers: usize,
}

/// What became of the frames of a subscription: `offered` is `taken`, `dropped` and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// Frames that were published since it began, as far as this reader was connected.
    pub offered: u64,
    /// Frames that the program has taken.
    pub taken: u64,
    /// Frames that newer ones took the place of, or that there was no room for, or that waited when the hub was killed.
    pub dropped: u64,
    /// Slots that the program holds, by frames that it has not dropped.
    pub held: usize,
    /// How often it has connected again, after the hub was gone.
    pub reconnects: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_refused_with_the_range() {
        let offers = |policy, hold| SubscriptionConfig::new().policy(policy).hold(hold).offers();
        assert_eq!(offers(ConsumerPolicy::Latest, 1).unwrap(), 1);
        assert_eq!(offers(ConsumerPolicy::Queue(8), 62).unwrap(), 8);
        assert_eq!(offers(ConsumerPolicy::Block, 2).unwrap(), BLOCK_WORDS);
        let refused = |policy, hold| offers(policy, hold).unwrap_err().to_string();
        assert_eq!(refused(ConsumerPolicy::Queue(9), 1), "9 frames in a reader's queue cannot be; use 1 to 8");
        assert_eq!(refused(ConsumerPolicy::Queue(0), 1), "0 frames in a reader's queue cannot be; use 1 to 8");
        assert_eq!(refused(ConsumerPolicy::Latest, 63), "63 frames held by a reader cannot be; use 1 to 62");
        assert_eq!(refused(ConsumerPolicy::Latest, 0), "0 frames held by a reader cannot be; use 1 to 62");
    }

    #[test]
    fn a_program_is_shown_by_what_it_calls_itself_or_by_its_file() {
        assert!(!SubscriptionConfig::new().shown_name().is_empty());
        let named = SubscriptionConfig::new().name(format!("a\nb{}", "ü".repeat(100)));
        assert_eq!(named.shown_name(), format!("ab{}", "ü".repeat(62)));
    }
}
