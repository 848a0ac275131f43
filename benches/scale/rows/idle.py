"""Cameras that nobody looks at."""

import time

from page import Page
from programs import wait_for
from servers import Server

from .asked import Asked

RATE = 10


def idle(asked: Asked) -> None:
    """A camera (1080p gray, 10 frames/s) without sink, reader, watcher or page: what it still sends, and how soon it is awake."""
    seconds = asked.of(20, 3)
    for does in ("release", "throttle"):
        host = asked.network.host()
        server = Server(asked.programs, host, name=does).listens()
        camera = asked.programs.client(does, asked.network.host(), "pattern:1920x1080:gray8", server.url, "--fps", str(RATE), "--on-demand", does)
        wait_for("the camera at the server", lambda server=server, does=does: does in server.own())
        frame = 1920 * 1080
        # It is told to be idle some time after it came.
        def is_quiet(host=host) -> bool:
            before = host.bytes_received()
            time.sleep(1)
            return host.bytes_received() - before < RATE * frame / 4
        wait_for(f"an idle camera ({does})", is_quiet)
        before, began = host.bytes_received(), time.monotonic()
        time.sleep(seconds)
        share = (host.bytes_received() - before) / (time.monotonic() - began) / (RATE * frame)
        asked.report.measured(f"{does}: of its rate", share * 100, "%", at_most=1.0)
        awake(asked, server, does, host)
        asked.report.fact(f"{does}: its client goes on", float(camera.process.poll() is None), at_least=1)
        server.program.stop()


def awake(asked: Asked, server: Server, does: str, host) -> None:
    """From the moment when a page looks."""
    took = []
    for _ in range(asked.of(5, 1)):
        page = Page(server.host.address, server.own()[does]["id"])
        before, began = host.bytes_received(), time.monotonic()
        page.start()
        # The first whole frame, on the cable.
        wait_for("a frame for a page that looks", lambda before=before: host.bytes_received() - before >= 1920 * 1080, pause=0.002)
        took.append(time.monotonic() - began)
        page.close()
        def is_quiet() -> bool:
            before = host.bytes_received()
            time.sleep(1)
            return host.bytes_received() - before < RATE * 1920 * 1080 / 4
        wait_for("an idle camera again", is_quiet)
    asked.report.measured(f"{does}: awake, the slowest", max(took) * RATE, "intervals", at_most=2.0)
