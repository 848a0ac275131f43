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

/// What is promised of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quality {
    pub(crate) reliable: Reliable,
    /// Images that are kept for whoever has not got them yet.
    pub(crate) depth: u16,
}

impl Quality {
    /// The same in the middleware's words, of a writer.
    pub(crate) fn of_writer(self) -> QosPolicies {
        QosPolicies::builder().deadline(REPAIRED_WITHIN).build().modify_by(&self.of_reader())
    }

    /// The same of a reader.
    pub(crate) fn of_reader(self) -> QosPolicies {
        let reliability = match self.reliable {
            // Whoever writes is told at once that there is no room: frames wait for nobody.
            Reliable::Reliable => Reliability::Reliable { max_blocking_time: Duration::ZERO },
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
