"""What becomes of streams when the directory's Redis does not do as it should."""

import threading
import time

from programs import Program, wait_for
from servers import Redis, Server
from servers import cluster as joined

from .asked import Asked, lost, skipped

RATE = 30


def redis(asked: Asked) -> None:
    """Redis killed, frozen, emptied, restarted, and missing at the start, while streams run: nothing may come of it but a banner."""
    seconds = asked.of(60, 3)
    engine = Redis(asked.programs, asked.network.host())
    servers = [Server(asked.programs, host, *joined(asked.programs, engine), name=f"hall-{number}") for number, host in enumerate(asked.network.add(3))]
    for server in servers:
        server.listens()
    cameras = asked.network.host()

    # Missing at the start: the servers serve.
    quiet = streams_through(asked, servers, cameras, "missing at the start", asked.of(20, 2), lambda: None)
    engine.start()
    views_agree(asked, servers, "found after a start without it")
    quiet = streams_through(asked, servers, cameras, "well", asked.of(20, 2), lambda: None)

    def killed() -> None:
        engine.program.kill()

    def emptied() -> None:
        for _ in range(3):
            engine.ask("FLUSHALL")
            time.sleep(seconds / 6)

    def restarted() -> None:
        engine.program.kill()
        time.sleep(seconds / 6)
        engine.start()

    for what, does, mends in (
        ("frozen", lambda: engine.program.freeze(), lambda: engine.program.thaw()),
        ("killed", killed, engine.start),
        ("emptied", emptied, lambda: None),
        ("restarted", restarted, lambda: None),
    ):
        troubled = streams_through(asked, servers, cameras, what, seconds, does)
        asked.report.measured(f"{what}: p99 beside that without", troubled - quiet, "ms", at_most=max(1.0, quiet))
        mends()
        views_agree(asked, servers, what)


def streams_through(asked: Asked, servers: list[Server], cameras, what: str, seconds: float, does) -> float:
    """Streams while that is done; the p99 of their latency in ms."""
    slug = what.replace(" ", "-")
    clients = [asked.programs.client(f"{slug}-{number}", cameras, "pattern:640x480:gray8", server.url, "--fps", str(RATE), "-v")
               for number, server in enumerate(servers)]
    for client, server in zip(clients, servers, strict=True):
        name = client.name.rpartition(".")[0]
        wait_for(f"{name} at its server", lambda: server.own().get(name, {}).get("frames_delivered", 0) > 5)
    with Listening(clients) as listening:
        # What began before counts for nothing.
        time.sleep(0.5)
        listening.begin()
        done = threading.Thread(target=does)
        done.start()
        deadline = time.monotonic() + seconds
        slowest = 0.0
        while time.monotonic() < deadline:
            for server in servers:
                took = server.healthz_seconds()
                slowest = max(slowest, took if took is not None else float("inf"))
            time.sleep(0.2)
        done.join()
        gap = listening.longest_gap()
    summaries = [client.stop() for client in clients]
    asked.report.measured(f"{what}: frames lost", sum(lost(summary) for summary in summaries), at_most=0)
    asked.report.measured(f"{what}: frames skipped at their source", sum(skipped(summary) for summary in summaries), at_most=0)
    asked.report.fact(f"{what}: frames delivered", sum(summary["frames_delivered"] for summary in summaries), at_least=asked.of(len(clients) * RATE * seconds / 2, len(clients)))
    asked.report.measured(f"{what}: feedback beyond an interval late", max(0.0, gap * 1000 - 1000 / RATE), "ms", at_most=100)
    asked.report.measured(f"{what}: /healthz answered within", slowest * 1000, "ms", at_most=1000)
    return max(summary["latency_ms"]["p99"] for summary in summaries)


def views_agree(asked: Asked, servers: list[Server], what: str) -> None:
    """Streams that are there now are on all pages, and the same on all."""
    cameras = asked.network.hosts[-1]
    names = [f"after-{len(asked.report.figures)}-{number}" for number in range(len(servers))]
    began = time.monotonic()
    clients = [asked.programs.client(name, cameras, "pattern:640x480:gray8", server.url, "--fps", "5") for name, server in zip(names, servers, strict=True)]

    def agree() -> bool:
        views = [{(name, url) for name, url, state in server.view() if state == "live"} for server in servers]
        return all(view == views[0] for view in views) and {name for name, _ in views[0]} >= set(names)
    wait_for(f"equal views after Redis was {what}", agree)
    asked.report.measured(f"{what}: equal views", time.monotonic() - began, "s", at_most=5.0)
    for client in clients:
        client.stop()


class Listening:
    """When each client heard of its frames, from the lines that it prints of it."""

    ACKNOWLEDGED = "feedback: "

    def __init__(self, clients: list[Program]):
        self._clients = clients
        self._ends = threading.Event()
        self._gaps = [0.0] * len(clients)
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Listening":
        self._thread.start()
        return self

    def begin(self) -> None:
        self._gaps = [0.0] * len(self._clients)

    def longest_gap(self) -> float:
        return max(self._gaps)

    def _listen(self) -> None:
        files = [open(client.log_path, "rb") for client in self._clients]
        heard = [time.monotonic()] * len(files)
        while not self._ends.is_set():
            for number, file in enumerate(files):
                now = time.monotonic()
                if self.ACKNOWLEDGED in file.read().decode(errors="replace"):
                    heard[number] = now
                self._gaps[number] = max(self._gaps[number], now - heard[number])
            time.sleep(0.002)
        for file in files:
            file.close()

    def __exit__(self, *_) -> None:
        self._ends.set()
        self._thread.join()
