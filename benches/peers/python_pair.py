"""Runs a transport as two processes, receiver and sender, in Python (node.py) or in Rust (rust/), and puts their figures together."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from children import Children
from place import free_port
from result import ContenderFailed, Result

NODE = Path(__file__).with_name("node.py")

TRANSPORTS = ["zenoh-tcp", "imagezmq", "tcp"]
"""Those that cross a network."""

START_SECONDS = 15.0
REST_SECONDS = 30.0
"""What a run may take besides its phases."""


def run(name: str, settings) -> Result:
    sent, received = measure(name, settings)
    return _result(sent, received, settings.frame.size_bytes)


def run_in_rust(name: str, settings) -> Result:
    place = settings.place

    def node(role: str, port: int) -> list[str]:
        phases = [settings.frame.size_bytes, settings.seconds, settings.latency_seconds, settings.latency_fps]
        return [str(part) for part in (settings.rust_peers(), role, name, place.receiver_address, port, *phases)]

    port = free_port()
    try:
        sent, received = _measure(node, port, settings)
    finally:
        _remove_iceoryx2(port)
    return _result(sent, received, settings.frame.size_bytes)


def _remove_iceoryx2(port: int) -> None:
    """iceoryx2 leaves files behind when its last process has ended; those of these two ends are named by their port."""
    name = f"framewire_peers_{port}_"
    for path in Path("/dev/shm").glob(f"{name}*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(Path(tempfile.gettempdir()) / f"{name}iceoryx2", ignore_errors=True)


def measure(name: str, settings) -> tuple[dict, dict]:
    """What the two ends report."""
    place, frame = settings.place, settings.frame
    phases = ["--frame", str(frame), "--seconds", settings.seconds, "--latency-seconds", settings.latency_seconds]
    phases += ["--latency-fps", settings.latency_fps]

    with tempfile.TemporaryDirectory(prefix="framewire-peers-") as secrets:
        phases += ["--secrets", secrets]

        def node(role: str, port: int) -> list[str]:
            # -B: the source tree stays as it is.
            python = settings.python_with_transports()
            return [str(part) for part in (python, "-B", NODE, role, name, place.receiver_address, port, *phases)]

        return _measure(node, free_port(), settings)


def _measure(node: Callable[[str, int], list[str]], port: int, settings) -> tuple[dict, dict]:
    place = settings.place
    with Children() as children:
        receiver = children.start("the receiver", node("receive", port), place.receiver_namespace)
        children.lines([receiver], time.monotonic() + START_SECONDS)
        sender = children.start("the sender", node("send", port), place.sender_namespace)
        deadline = time.monotonic() + settings.seconds + settings.latency_seconds + REST_SECONDS
        sent, received = map(json.loads, children.lines([sender, receiver], deadline))
    if received["disordered"]:
        raise ContenderFailed(f"{received['disordered']} frames arrived out of order or twice")
    return sent, received


def _result(sent: dict, received: dict, size_bytes: int) -> Result:
    if received["rate_frames"] < 2:
        raise ContenderFailed(f"{received['rate_frames']} frames arrived at full rate: too few to tell a rate")
    lost = sent["frames"] - received["frames"]
    # The first frame opens the clock, so its bytes are not in the time.
    timed_bytes = (received["rate_frames"] - 1) * size_bytes
    delivered_gigabytes = received["rate_frames"] * size_bytes / 1e9
    cpu_us_per_frame = 1e6 * (sent["cpu_seconds"] + received["cpu_seconds"]) / received["rate_frames"]
    steady_cpu = sent["latency_cpu_seconds"] + received["latency_cpu_seconds"]
    return Result(
        gigabytes_per_second=timed_bytes / received["rate_seconds"] / 1e9,
        cpu_seconds_per_gigabyte=(sent["cpu_seconds"] + received["cpu_seconds"]) / delivered_gigabytes,
        latency_p50_ms=received["latency_p50_ms"],
        latency_p99_ms=received["latency_p99_ms"],
        frames=received["frames"],
        lost=lost,
        lost_share=lost / sent["frames"],
        frames_per_second=(received["rate_frames"] - 1) / received["rate_seconds"],
        cpu_us_per_frame=cpu_us_per_frame,
        steady_cpu_us_per_frame=1e6 * steady_cpu / received["latency_frames"] if received["latency_frames"] else None,
        shared_memory_share=received.get("shared_memory_share"),
    )
