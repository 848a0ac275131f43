"""One end of a Python transport. Runs in the virtual environment, started by python_pair.py, reports in JSON lines."""

import argparse
import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy

import transports
from frame import END, LATENCY, RATE, WARM_UP, FrameFormat, put_stamp, read_stamp

WARM_UP_SECONDS = 0.5
SETTLE_SECONDS = 0.3
"""Between phases, so that what a transport has queued is delivered, and paid for, in the phase that sent it."""
QUIET_SECONDS = 5.0
"""The receiver gives up this long after the last frame, and reports what it has."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["send", "receive"])
    parser.add_argument("transport", choices=transports.MODULES)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--frame", type=FrameFormat.parse, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--latency-seconds", type=float, required=True)
    parser.add_argument("--latency-fps", type=float, required=True)
    parser.add_argument("--secrets", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    module, options = transports.load(arguments.transport)
    if arguments.transport in transports.PROTECTED:
        options = options | {"secrets": arguments.secrets}
    if arguments.role == "send":
        picture = Picture(arguments.frame)
        sender = module.Sender(arguments.host, arguments.port, picture, **options)
        report(send(sender, picture, arguments))
        # The other end may still be reading what this one has queued.
        sys.stdin.read()
        sender.close()
    else:
        size_bytes = arguments.frame.size_bytes
        receiver = module.Receiver(arguments.host, arguments.port, size_bytes, **options)
        report({"ready": True})
        report(receive(receiver, size_bytes))
        sys.stdin.read()
        receiver.close()


class Picture:
    """A frame in memory: `memory` and `array` are the same bytes."""

    def __init__(self, frame: FrameFormat):
        self.memory = bytearray(frame.size_bytes)
        self.array = numpy.frombuffer(self.memory, dtype=numpy.uint8).reshape(frame.shape)
        # Pages that were never written share one page of zeroes, which is cheaper to read than a picture.
        self.array[:] = numpy.random.default_rng(0).integers(0, 256, frame.shape, dtype=numpy.uint8)


def send(sender, picture: Picture, arguments: argparse.Namespace) -> dict:
    """Runs all phases. Gives the frames sent in all, and the CPU seconds that each phase cost this side."""
    number = 0

    def send_frame(phase: int) -> None:
        nonlocal number
        put_stamp(picture.memory, phase, number, time.monotonic_ns())
        sender.send()
        number += 1

    def send_at_full_rate(phase: int, phase_seconds: float) -> None:
        end = time.monotonic() + phase_seconds
        while time.monotonic() < end:
            send_frame(phase)
        time.sleep(SETTLE_SECONDS)

    send_at_full_rate(WARM_UP, WARM_UP_SECONDS)
    cpu_before = cpu_seconds()
    send_at_full_rate(RATE, arguments.seconds)
    cpu_of_rate = cpu_seconds() - cpu_before
    cpu_before = cpu_seconds()
    start = time.monotonic()
    fps = arguments.latency_fps
    for tick in range(round(arguments.latency_seconds * fps)):
        time.sleep(max(0.0, start + tick / fps - time.monotonic()))
        send_frame(LATENCY)
    cpu_of_latency = cpu_seconds() - cpu_before
    send_frame(END)
    return {"frames": number, "cpu_seconds": cpu_of_rate, "latency_cpu_seconds": cpu_of_latency}


class Tally:
    """What the receiver has seen."""

    def __init__(self, size_bytes: int):
        self._size_bytes = size_bytes
        self._frames = Counter()
        self._next_number = 0
        self._disordered = 0
        self._latencies_ms = []
        self._rate_first_ns = 0
        self._rate_last_ns = 0
        self._cpu_before_rate = 0.0
        self._cpu_after_rate = 0.0
        self._cpu_after_latency = 0.0
        self.last_ns = 0

    def take(self, stamp, length: int, now_ns: int) -> int:
        """Counts a frame and gives its phase."""
        if length != self._size_bytes:
            raise ValueError(f"a frame of {length} bytes arrived, {self._size_bytes} were sent")
        phase, number, sent_ns = read_stamp(stamp)
        self._disordered += number < self._next_number
        self._next_number = number + 1
        self._frames[phase] += 1
        self.last_ns = now_ns
        if phase == WARM_UP:
            self._cpu_before_rate = cpu_seconds()
        elif phase == RATE:
            self._rate_first_ns = self._rate_first_ns or now_ns
            self._rate_last_ns = now_ns
            self._cpu_after_rate = cpu_seconds()
        elif phase == LATENCY:
            self._latencies_ms.append((now_ns - sent_ns) / 1e6)
            self._cpu_after_latency = cpu_seconds()
        return phase

    def report(self) -> dict:
        return {
            "frames": self._frames.total(),
            "latency_frames": self._frames[LATENCY],
            "disordered": self._disordered,
            "rate_frames": self._frames[RATE],
            "rate_seconds": (self._rate_last_ns - self._rate_first_ns) / 1e9,
            "cpu_seconds": self._cpu_after_rate - self._cpu_before_rate,
            "latency_cpu_seconds": max(0.0, self._cpu_after_latency - self._cpu_after_rate),
            "latency_p50_ms": percentile(self._latencies_ms, 50),
            "latency_p99_ms": percentile(self._latencies_ms, 99),
        }


def receive(receiver, size_bytes: int) -> dict:
    """Receives until the last frame. Gives what was counted."""
    tally = Tally(size_bytes)

    def finish() -> dict:
        figures = tally.report()
        if hasattr(receiver, "shared_memory_share"):
            figures["shared_memory_share"] = receiver.shared_memory_share()
        return figures

    def give_up_when_quiet() -> None:
        # A transport that has lost the last frame waits for it for ever, most of them where nothing interrupts them.
        while not done.wait(1.0):
            if tally.last_ns and time.monotonic_ns() - tally.last_ns > QUIET_SECONDS * 1e9:
                report(finish())
                os._exit(0)

    done = threading.Event()
    watch = threading.Thread(target=give_up_when_quiet, daemon=True)
    watch.start()
    phase = WARM_UP
    while phase != END:
        stamp, length = receiver.receive()
        phase = tally.take(stamp, length, time.monotonic_ns())
        receiver.release()
    done.set()
    watch.join()
    return finish()


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def percentile(values: list[float], percent: int) -> float | None:
    """The smallest value that `percent` of the values do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def report(figures: dict) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
