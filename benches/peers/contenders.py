"""Who is compared, in the order of the table."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import environment
import framewire_bench
import iperf3_pair
import python_pair
import rust_peers
from frame import FrameFormat
from place import Place
from result import ContenderFailed, Result


USUAL_GROUP, LOCAL_GROUP, PROTECTED_GROUP = "usual", "local", "protected"


@dataclass(frozen=True)
class Settings:
    frame: FrameFormat
    seconds: float
    latency_seconds: float
    place: Place
    framewire: Path
    environment_folder: Path
    latency_fps: float = 60
    rust_folder: Path | None = None
    """Where the Rust peers are built, for those who measure them."""

    @functools.cache
    def python_with_transports(self) -> Path:
        return environment.python_with_transports(self.environment_folder)

    @functools.cache
    def rust_peers(self) -> Path:
        return rust_peers.program(self.rust_folder)


@dataclass(frozen=True)
class Contender:
    name: str
    how: str
    """What moves the frame, for the table."""
    run: Callable[[str, Settings], Result]
    why_missing: Callable[[Settings], str | None] = lambda _settings: None
    across_wire: bool = True
    """Whether it can run, and means something, between two network namespaces."""
    moves_bytes: bool = True
    """Whether a frame's bytes are copied or touched. Where not, bytes a second say nothing: frames a second do."""
    group: str = USUAL_GROUP
    """Which of them it is measured with, unless it is named: `usual`, `local` (by one machine's memory) or `protected`."""


def _framewire(name: str, settings: Settings) -> Result:
    return _row(framewire_bench.run([name], settings), name)


def _framewire_spinning(name: str, settings: Settings) -> Result:
    sleeping = name.removesuffix("-spin")
    return _row(framewire_bench.run([sleeping], settings, ["--busy-poll"]), sleeping)


def _framewire_protected(name: str, settings: Settings) -> Result:
    # Beside the plain one, which is there too, it has a row of its own.
    plain = name.removesuffix("-protected")
    return _row(framewire_bench.run([plain], settings, [framewire_bench.PROTECT]), "protected")


def _row(results: dict[str, Result], name: str) -> Result:
    if name not in results:
        raise ContenderFailed(f"framewire's report has no row '{name}'")
    return results[name]


def _local(name: str, how: str, run: Callable[[str, Settings], Result], moves_bytes: bool) -> Contender:
    """What hands frames over on one machine alone. What is framewire bench's needs that program."""
    why_missing = framewire_bench.why_missing if run in (_framewire, _framewire_spinning) else lambda _settings: None
    return Contender(name, how, run, why_missing, across_wire=False, moves_bytes=moves_bytes, group=LOCAL_GROUP)


def _protected(name: str, how: str, run: Callable[[str, Settings], Result]) -> Contender:
    """What nobody on the way can read."""
    why_missing = framewire_bench.why_missing_protected if run is _framewire_protected else lambda _settings: None
    return Contender(name, how, run, why_missing, group=PROTECTED_GROUP)


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
    _protected("framewire-protected", "UDP, Noise, AES-128-GCM", _framewire_protected),
    _protected("zenoh-tls", "TLS 1.3 over TCP, payload not read", python_pair.run),
    _protected("zenoh-quic", "QUIC, payload not read", python_pair.run),
    _protected("imagezmq-curve", "CurveZMQ over TCP, REQ/REP", python_pair.run),
    _local("shm", "Framewire, handed over", _framewire, moves_bytes=False),
    _local("iceoryx2", "handed over, reader waits for its event", python_pair.run_in_rust, moves_bytes=False),
    _local("zenoh-rust", "handed over, shared memory from Rust", python_pair.run_in_rust, moves_bytes=False),
    _local("pipe", "a bare wake by a pipe, no frame", _framewire, moves_bytes=False),
    _local("shm-spin", "Framewire, handed over, reader spins", _framewire_spinning, moves_bytes=False),
    _local("iceoryx2-spin", "handed over, reader spins", python_pair.run_in_rust, moves_bytes=False),
    _local("shm-read", "Framewire, made and read in place", _framewire, moves_bytes=True),
    _local("iceoryx2-read", "made and read in place", python_pair.run_in_rust, moves_bytes=True),
    _local("zenoh-rust-read", "made and read in place", python_pair.run_in_rust, moves_bytes=True),
    _local("zenoh-rust-bytes", "made in place, copied, read", python_pair.run_in_rust, moves_bytes=True),
    _local("memory", "made and read by two threads of one process", _framewire, moves_bytes=True),
]

NAMES = [contender.name for contender in CONTENDERS]


def _names(group: str) -> list[str]:
    return [contender.name for contender in CONTENDERS if contender.group == group]


USUAL = _names(USUAL_GROUP)
LOCAL = [*_names(LOCAL_GROUP), "zenoh-shm-bytes", "imagezmq"]
"""What `--local` compares: hand-overs on one machine, and two Python peers for scale."""
PROTECTED = [*_names(PROTECTED_GROUP), "framewire", "zenoh-tcp", "imagezmq"]
"""What `--protected` compares: what is encrypted, and the same in the clear, which is what encryption costs each."""

