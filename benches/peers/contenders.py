"""Who is compared, in the order of the table."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import environment
import framewire_bench
import iperf3_pair
import python_pair
from frame import FrameFormat
from place import Place
from result import ContenderFailed, Result


@dataclass(frozen=True)
class Settings:
    frame: FrameFormat
    seconds: float
    latency_seconds: float
    place: Place
    framewire: Path
    environment_folder: Path
    latency_fps: float = 60

    @functools.cache
    def python_with_transports(self) -> Path:
        return environment.python_with_transports(self.environment_folder)


@dataclass(frozen=True)
class Contender:
    name: str
    how: str
    """What moves the frame, for the table."""
    run: Callable[[str, Settings], Result]
    why_missing: Callable[[Settings], str | None] = lambda _settings: None
    across_wire: bool = True
    """Whether it can run, and means something, between two network namespaces."""


def _framewire(name: str, settings: Settings) -> Result:
    results = framewire_bench.run([name], settings)
    if name not in results:
        raise ContenderFailed(f"framewire's report has no row '{name}'")
    return results[name]


CONTENDERS = [
    Contender("framewire", "UDP", _framewire, framewire_bench.why_missing),
    Contender("kernel", "UDP, system calls only", _framewire, framewire_bench.why_missing, across_wire=False),
    Contender("zenoh-shm", "shared memory, payload not read", python_pair.run, across_wire=False),
    Contender("zenoh-shm-bytes", "shared memory, taken as bytes", python_pair.run, across_wire=False),
    Contender("zenoh-tcp", "TCP, payload not read", python_pair.run),
    Contender("imagezmq", "TCP, REQ/REP", python_pair.run),
    Contender("tcp", "TCP socket in Python", python_pair.run),
    Contender("iperf3-udp", "UDP, 65,507 B datagrams", iperf3_pair.run, iperf3_pair.why_missing, across_wire=False),
    Contender("iperf3-tcp", "TCP", iperf3_pair.run, iperf3_pair.why_missing),
]

NAMES = [contender.name for contender in CONTENDERS]
