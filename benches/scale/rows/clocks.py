"""Hosts whose clocks differ."""

import time

from programs import wait_for
from servers import Server

from .asked import Asked

RATE = 30


def clocks(asked: Asked) -> None:
    """A camera, a server and a watcher whose monotonic clocks differ by minutes: the latency is that of hosts whose clocks are one."""
    seconds = asked.of(15, 3)
    one = latencies(asked, "one", (0, 0, 0), seconds)
    apart = latencies(asked, "apart", (1000, 0, 5000), seconds)
    for where, alike, differing in zip(("server", "watcher"), one, apart, strict=True):
        asked.report.measured(f"at the {where}, one clock, p50", alike, "ms")
        # What is off by the clocks is off by a quarter of an hour.
        asked.report.fact(f"at the {where}, clocks that differ, p50", differing, "ms", at_least=0.0, at_most=10_000.0)
        asked.report.measured(f"at the {where}, beyond that of one clock", abs(differing - alike), "ms", at_most=max(0.5, alike))


def latencies(asked: Asked, name: str, ahead: tuple[int, int, int], seconds: float) -> tuple[float, float]:
    """The p50 at the server and at the watcher, in ms; the camera's, the server's and the watcher's clock are ahead by so much."""
    camera, middle, far = (asked.network.host(clock) for clock in ahead)
    server = Server(asked.programs, middle, name=name).listens()
    client = asked.programs.client(name, camera, "pattern:640x480:gray8", server.url, "--fps", str(RATE))
    wait_for("the camera at the server", lambda: server.own().get(name, {}).get("frames_delivered", 0) > 5)
    watcher = asked.programs.watch(name, far, server.url)
    wait_for("the watcher's frames", lambda: far.bytes_received() > 20 * 640 * 480)
    time.sleep(seconds)
    watched, came = watcher.stop(), server.own()[name]
    client.stop()
    server.program.stop()
    return came["latency_ms"]["p50"], watched["latency_ms"]["p50"]
