"""What a relay adds."""

import time

from programs import Program, wait_for
from servers import Server

from .asked import Asked

RATE = 60
SOURCE = "pattern:1920x1080:gray8"
FRAME_GB = 1920 * 1080 / 1e9


def relay(asked: Asked) -> None:
    """1080p gray at 60 frames/s from a camera to a server and on to watchers on other hosts: the hop's latency, and what a watcher costs the server."""
    seconds = asked.of(20, 2)
    server = Server(asked.programs, asked.network.host()).listens()
    asked.programs.client("front", asked.network.host(), SOURCE, server.url, "--fps", str(RATE), "--delivery", "latest")
    wait_for("the camera at the server", lambda: server.own().get("front"))

    [watched] = watch_for(asked, server, 1, seconds)
    [near] = [stream["latency_ms"] for stream in server.own().values()]
    far = watched["latency_ms"]
    # Both are from the capture on; what lies between is the hop.
    asked.report.measured("a hop, p50", far["p50"] - near["p50"], "ms", at_most=2.0)
    asked.report.measured("a hop, p99", far["p99"] - near["p50"], "ms", at_most=4.0)
    asked.report.fact("a hop: frames that arrived", watched["frames_delivered"], at_least=asked.of(RATE * seconds / 4, 1))

    def costs(count: int) -> float:
        began = server.program.cpu_seconds()
        watch_for(asked, server, count, seconds)
        return server.program.cpu_seconds() - began
    few, many = asked.of((4, 8), (1, 2))
    more = costs(many) - costs(few)
    gigabytes = (many - few) * seconds * RATE * FRAME_GB
    asked.report.measured(f"a watcher more, from {few} to {many}", more / gigabytes, "CPU s/GB", at_most=0.32)


def watch_for(asked: Asked, server: Server, count: int, seconds: float) -> list[dict]:
    watchers: list[Program] = [asked.programs.watch("front", asked.network.host(), server.url) for _ in range(count)]
    for watcher in watchers:
        wait_for("the watcher's frames", lambda host=watcher.host: host.bytes_received() > 20_000_000, pause=0.01)
    time.sleep(seconds)
    return [watcher.stop() for watcher in watchers]
