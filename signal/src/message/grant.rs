//! What a server tells the owner of a stream while it flows: whether anybody wants it, how fast it may send, who has its name.

use framewire_transport::setters;
use serde::{Deserialize, Serialize};

/// How much of a link a stream has: its sender keeps to it from now on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Grant {
    /// The stream's id.
    pub stream: u32,
    /// Most bits a second on the wire, headers included, in the mean; at least 1.
    pub bits_per_second: u64,
    /// Most bytes in one burst, headers included; at least 1.
    pub burst_bytes: u32,
    /// Frames a second that fit into it; absent where the stream's own rate does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Where in a cycle the sender's frames are begun, in microseconds from its beginning (cycles are counted from the zero of the server's monotonic clock),
    /// so that senders on one switch do not burst together; absent where that does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_us: Option<u32>,
    /// How long a cycle is, in microseconds, at most the interval between two frames; that interval where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle_us: Option<u32>,
}

impl Grant {
    /// So many bits a second in bursts of so many bytes, for the stream's own rate of frames, at any phase.
    pub fn new(stream: u32, bits_per_second: u64, burst_bytes: u32) -> Self {
        Self { stream, bits_per_second, burst_bytes, frames_per_second: None, phase_us: None, cycle_us: None }
    }

    setters! {
        frames_per_second: impl Into<Option<f64>>,
        phase_us: impl Into<Option<u32>>,
        cycle_us: impl Into<Option<u32>>,
    }

    /// Whether every value is one that a sender can keep to: rates finite and above 0.
    pub fn is_usable(&self) -> bool {
        let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
        self.bits_per_second > 0 && self.burst_bytes > 0 && self.frames_per_second.is_none_or(is_rate)
    }
}

/// Whether anybody wants a stream that was opened [on demand](super::OpenRequest::on_demand).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Idle {
    /// The stream's id.
    pub stream: u32,
    /// True where nobody does: its client may send less. False once somebody does again.
    pub idle: bool,
}

impl Idle {
    /// Nobody wants this stream, or somebody does.
    pub fn new(stream: u32, idle: bool) -> Self {
        Self { stream, idle }
    }
}

/// Another stream that was started later has the name of this one. This one goes on, and is listed by its name and node, or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Replaced {
    /// The stream's id.
    pub stream: u32,
    /// For people: what has its name.
    pub message: String,
}

impl Replaced {
    /// This stream has its name no more to itself.
    pub fn new(stream: u32, message: impl Into<String>) -> Self {
        Self { stream, message: message.into() }
    }
}

/// The server is about to end, or has no room left: who knows another one goes there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moved {
    /// For people: why.
    pub message: String,
}

impl Moved {
    /// Who knows another server goes there.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What a client wants to hear of what is for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quiet {
    /// True for feedback of the client's own streams alone; false, which it is without being said, for that of all.
    pub quiet: bool,
}

impl Quiet {
    /// Feedback of the client's own streams alone, or of all.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }
}
