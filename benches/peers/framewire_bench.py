"""Runs `framewire bench`, which measures Framewire and, below it, the bare kernel."""

import json
import os
import subprocess
import time
from collections.abc import Sequence

from children import Children
from place import free_port
from result import ContenderFailed, Result

START_SECONDS = 15.0
REST_SECONDS = 120.0
"""What a round may take besides its phases; where 60 frames/s are not reached, they take longer."""

BUILD = "cargo build --release -p framewire"

PROTECT = "--protect"
"""What has `framewire bench` encrypt on loopback too."""


def why_missing(settings) -> str | None:
    program = settings.framewire
    if os.access(program, os.X_OK) and program.is_file():
        return None
    return f"there is no program {program}: build it with '{BUILD}', or name it with --framewire PATH"


def why_missing_protected(settings) -> str | None:
    """The same of a program that can protect what it measures: one of an earlier version cannot."""
    if (reason := why_missing(settings)) is not None:
        return reason
    try:
        said = subprocess.run([settings.framewire, "bench", "--help"], capture_output=True, text=True, timeout=START_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{settings.framewire} bench --help: {error}"
    return None if PROTECT in said else f"{settings.framewire} bench has no {PROTECT}: build it anew with '{BUILD}'"


def run(names: list[str], settings, more: Sequence[str] = ()) -> dict[str, Result]:
    """One round of the named contenders, which the program runs one after the other, with `more` arguments."""
    place, program = settings.place, str(settings.framewire)
    measure = [program, "bench", "--json", "--only", ",".join(names), "--frame", str(settings.frame), "--rounds", "1"]
    measure += ["--seconds", str(settings.seconds), "--latency-seconds", str(settings.latency_seconds), *more]
    with Children() as children:
        if place.across_wire:
            address = f"{place.receiver_address}:{free_port()}"
            receive = [program, "bench", "--receive", address, "--once"]
            receiver = children.start("the receiver", receive, place.receiver_namespace)
            port = int(address.rpartition(":")[2])
            receiver.wait_for_port("tcp", port, time.monotonic() + START_SECONDS)
            measure += ["--to", address]
        bench = children.start("framewire bench", measure, place.sender_namespace)
        printed = bench.output(time.monotonic() + settings.seconds + 3 * settings.latency_seconds + REST_SECONDS)
    return _results(printed, settings.frame.size_bytes)


def _results(printed: str, frame_bytes: int) -> dict[str, Result]:
    try:
        rows = json.loads(printed[printed.index("{") :])["contenders"]
        return {row["name"]: _result(row, frame_bytes) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise ContenderFailed(f"framewire's report is not as expected: {error!r}") from None


def _result(row: dict, frame_bytes: int) -> Result:
    latency, cpu = row.get("latency_ms") or {}, row.get("cpu_us_per_frame") or {}
    frames, lost = row.get("frames"), row.get("frames_lost")
    return Result(
        # The report has none where no byte is moved: frames are compared there, and the peers count them so.
        gigabytes_per_second=float(row.get("gigabytes_per_second", row["frames_per_second"] * frame_bytes / 1e9)),
        cpu_seconds_per_gigabyte=row.get("cpu_seconds_per_gigabyte"),
        latency_p50_ms=latency.get("p50"),
        latency_p99_ms=latency.get("p99"),
        frames=frames,
        lost=lost,
        frames_per_second=row.get("frames_per_second"),
        cpu_us_per_frame=cpu.get("full_rate"),
        steady_cpu_us_per_frame=cpu.get("steady"),
        lost_share=lost / (frames + lost) if frames and lost is not None else None,
    )
