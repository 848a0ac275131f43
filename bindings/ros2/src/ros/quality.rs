//! Which promises a topic is published and read with.

use clap::ValueEnum;
use rustdds::policy::{Deadline, Durability, History, Reliability, ResourceLimits};
use rustdds::{Duration, QosPolicies, QosPolicyBuilder};

/// Whether what is lost on the way is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reliable {
    /// It is.
    Reliable,
    /// It is not.
    BestEffort,
}

/// The shortest interval at which the middleware sends again what was lost, 1 ms: it takes a fifth of this, and looks at it for nothing else. A writer that
/// promises an image so often goes with every reader.
const REPAIRED_WITHIN: Deadline = Deadline(Duration::from_millis(5));

/// How long the middleware looks for room before it says that there is none: whoever writes asks again sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that may be on their way to a subscriber: what sockets hold that were given what large images want, so that nothing is lost there however long it takes.
const ON_THE_WAY_BYTES: usize = 8 << 20;

/// What is promised of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quality {
    pub(crate) reliable: Reliable,
    /// Images that are kept for whoever has not got them yet.
    pub(crate) depth: u16,
}

impl Quality {
    /// The same with as many at once as sockets hold, of images of so many bytes.
    pub(crate) fn holding(self, bytes: usize) -> Self {
        let images = ON_THE_WAY_BYTES / bytes.max(1);
        Self { depth: self.depth.min(u16::try_from(images).unwrap_or(u16::MAX)).max(1), ..self }
    }

    /// The same in the middleware's words, of a writer.
    pub(crate) fn of_writer(self) -> QosPolicies {
        QosPolicies::builder().deadline(REPAIRED_WITHIN).build().modify_by(&self.of_reader())
    }

    /// The same of a reader.
    pub(crate) fn of_reader(self) -> QosPolicies {
        let reliability = match self.reliable {
            Reliable::Reliable => Reliability::Reliable { max_blocking_time: PATIENCE },
            Reliable::BestEffort => Reliability::BestEffort,
        };
        let samples = i32::from(self.depth);
        QosPolicyBuilder::new()
            .reliability(reliability)
            .durability(Durability::Volatile)
            .history(History::KeepLast { depth: samples })
            // The history alone bounds what is kept, not what is on its way: without this, that is 8,192 images.
            .resource_limits(ResourceLimits {
                max_samples: samples,
                max_instances: 1,
                max_samples_per_instance: samples,
            })
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_images_are_on_their_way_as_sockets_hold_and_one_at_least() {
        let quality = Quality { reliable: Reliable::Reliable, depth: 16 };
        let depths = [1920 * 1080 * 3, 3840 * 2160 * 3, 640 * 480 * 3, 640 * 480, 16, 0]
            .map(|bytes| quality.holding(bytes).depth);
        assert_eq!(depths, [1, 1, 9, 16, 16, 16]);
    }
}
