"""What one contender did in one round, and why it did not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    gigabytes_per_second: float
    cpu_seconds_per_gigabyte: float | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    frames: int | None = None
    lost: int | None = None
    """Frames; for iperf3, which has none, datagrams."""
    lost_share: float | None = None
    frames_per_second: float | None = None
    """At full rate."""
    cpu_us_per_frame: float | None = None
    """Of both ends together, at full rate."""
    steady_cpu_us_per_frame: float | None = None
    """The same at the steady rate, where both ends sleep between frames."""
    shared_memory_share: float | None = None
    """The share of frames that arrived through shared memory, where the transport can tell."""


class ContenderFailed(Exception):
    """A contender could not be measured. The message is the reason."""
