"""A link that is never oversold."""

import time

from programs import Program, wait_for
from servers import Server

from .asked import Asked, lost, skipped

FRAME_BYTES = 640 * 480
RESERVED = 1.128
"""Bytes that a server reckons for each of a frame, at an MTU of 1,500: with headers, tags and room for metadata, whether there are any or not."""


def links(asked: Asked) -> None:
    """10 cameras that fill 95 % of a link of 1 Gbit/s, one more that does not fit, and one that goes before the others."""
    count, seconds, rate = asked.of((10, 20, "1gbit"), (3, 3, "100mbit"))
    gigabits = asked.of(1.0, 0.1)
    fps = gigabits * 1e9 * 0.95 / count / (FRAME_BYTES * 8 * RESERVED)
    full(asked, count, seconds, rate, fps, gigabits)
    first(asked, count, seconds, rate, fps, gigabits)


def full(asked: Asked, count: int, seconds: float, rate: str, fps: float, gigabits: float) -> None:
    host = asked.network.host()
    host.limit(rate)
    server = Server(asked.programs, host, "--link", f"eth0={gigabits * 1000:g}M:0.95", name="full").listens()
    cameras: list[Program] = [
        asked.programs.client(f"cam-{number}", asked.network.host(), "pattern:640x480:gray8", server.url, "--fps", f"{fps:.3f}")
        for number in range(count)]
    wait_for("all cameras", lambda: len(server.own()) == count)
    begun = {name: stream["frames_delivered"] for name, stream in server.own().items()}
    time.sleep(seconds)
    frames = [stream["frames_delivered"] - begun[name] for name, stream in server.own().items()]
    asked.report.measured("Jain's index", sum(frames) ** 2 / (len(frames) * sum(frame * frame for frame in frames)), at_least=0.99)

    # One more than fits.
    more = asked.programs.client("one-more", asked.network.host(), "pattern:640x480:gray8", server.url, "--fps", f"{fps:.3f}").expected_to_end()
    # It may wait for room.
    said = wait_for("that one more does not fit", lambda: more.log() if " is full: " in more.log() or more.process.poll() is not None else None)
    asked.report.fact("one camera more is refused with the sum", float(" is full: " in said and "one-more" not in server.own()), at_least=1)
    more.kill()
    summaries = [camera.stop() for camera in cameras]
    asked.report.measured("frames lost", sum(lost(summary) for summary in summaries), at_most=0)
    delivered = sum(summary["frames_delivered"] for summary in summaries)
    # Where the thread is late by what the link leaves free of an interval, a frame gives way to the next.
    left_out = sum(skipped(summary) for summary in summaries) / max(1, delivered)
    asked.report.measured("frames skipped at their source", left_out * 100, "%", at_most=0.1)
    asked.report.fact("frames delivered", delivered, at_least=asked.of(count * fps * seconds / 2, count))
    server.program.stop()


def first(asked: Asked, count: int, seconds: float, rate: str, fps: float, gigabits: float) -> None:
    """A camera of a high priority: among as many others as the link carries with it, and among one more, which are thinned for it."""
    host = asked.network.host()
    host.limit(rate)
    server = Server(asked.programs, host, "--link", f"eth0={gigabits * 1000:g}M:0.95", name="first").listens()

    def others(number: int) -> None:
        for one in range(sum(name.startswith("low-") for name in server.own()), number):
            asked.programs.client(f"low-{one}", asked.network.host(), "pattern:640x480:gray8", server.url, "--fps", f"{fps:.3f}", "--priority", "1")
        wait_for("the others", lambda: sum(name.startswith("low-") for name in server.own()) == number)

    def run_first() -> dict:
        mine = asked.programs.client("first", asked.network.host(), "pattern:640x480:gray8", server.url, "--fps", f"{fps:.3f}", "--priority", "9")
        wait_for("the first camera", lambda: server.own().get("first", {}).get("frames_delivered", 0) > 10)
        time.sleep(seconds)
        summary = mine.stop()
        wait_for("that it has gone", lambda: "first" not in server.own())
        return summary
    others(count - 1)
    full = run_first()
    others(count)
    over = run_first()
    asked.report.measured("one that goes first: its p99 where the link is full", full["latency_ms"]["p99"], "ms")
    asked.report.measured("the same among too many", (over["latency_ms"]["p99"] / full["latency_ms"]["p99"] - 1) * 100, "% more", at_most=10)
    asked.report.measured("one that goes first: frames of it lost", lost(full) + lost(over), at_most=0)
