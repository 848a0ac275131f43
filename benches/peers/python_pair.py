"""Runs a Python transport: node.py as the receiver, node.py as the sender, and their figures put together."""

import json
import time
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


def measure(name: str, settings) -> tuple[dict, dict]:
    """What the two ends report."""
    place, frame = settings.place, settings.frame
    phases = ["--frame", str(frame), "--seconds", settings.seconds, "--latency-seconds", settings.latency_seconds]
    phases += ["--latency-fps", settings.latency_fps]

    def node(role: str) -> list[str]:
        # -B: the source tree stays as it is.
        python = settings.python_with_transports()
        return [str(part) for part in (python, "-B", NODE, role, name, place.receiver_address, port, *phases)]

    with Children() as children:
        port = free_port()
        receiver = children.start("the receiver", node("receive"), place.receiver_namespace)
        children.lines([receiver], time.monotonic() + START_SECONDS)
        sender = children.start("the sender", node("send"), place.sender_namespace)
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
    return Result(
        gigabytes_per_second=timed_bytes / received["rate_seconds"] / 1e9,
        cpu_seconds_per_gigabyte=(sent["cpu_seconds"] + received["cpu_seconds"]) / delivered_gigabytes,
        latency_p50_ms=received["latency_p50_ms"],
        latency_p99_ms=received["latency_p99_ms"],
        frames=received["frames"],
        lost=lost,
        lost_share=lost / sent["frames"],
        shared_memory_share=received.get("shared_memory_share"),
    )
