"""Many servers, one page."""

import time
from concurrent.futures import ThreadPoolExecutor

from programs import wait_for
from report import percentile
from servers import Redis, Server
from servers import cluster as joined

from .asked import Asked

LOOK_PAUSE = 0.1
"""Seconds between two looks at a page: by so much a time may be too long. Each costs a server what it knows of all streams."""


def cluster(asked: Asked) -> None:
    """8 servers with 25 streams each (VGA gray, 10 frames/s) and a Redis: new streams on every page, a server that is killed, what the directory takes."""
    count, each = asked.of(8, 3), asked.of(25, 2)
    rate = 10
    redis = Redis(asked.programs, asked.network.host()).start()
    ring = joined(asked.programs, redis)
    servers = [Server(asked.programs, host, *ring, "--node-name", f"hall-{number}", name=f"hall-{number}")
               for number, host in enumerate(asked.network.add(count))]
    for server in servers:
        server.listens()
    cameras = asked.network.host()
    clients = []
    for number in range(count * each):
        home = servers[number % count]
        # Each has another place to go to, and not all the same.
        away = servers[(number + 1 + number // count % (count - 1)) % count]
        both = f"{home.url},{away.url}"
        clients.append(asked.programs.client(f"cam-{number}", cameras, "pattern:640x480:gray8", both, "--fps", str(rate)))
    everything = {f"cam-{number}" for number in range(count * each)}
    wait_for("every stream on every page", lambda: all({stream["name"] for stream in server.everywhere()} >= everything for server in servers), pause=0.5)

    new_stream(asked, servers, cameras)
    what_it_takes(asked, redis, servers)
    killed(asked, servers, clients)


def new_stream(asked: Asked, servers: list[Server], cameras) -> None:
    took = []
    for number in range(asked.of(20, 2)):
        name = f"late-{number}"
        home = servers[number % len(servers)]
        client = asked.programs.client(name, cameras, "pattern:640x480:gray8", home.url, "--fps", "10")
        wait_for(f"{name} at its own server", lambda: name in home.own(), pause=LOOK_PAUSE)
        began = time.monotonic()
        with ThreadPoolExecutor(len(servers)) as at_once:
            def seen(server: Server) -> None:
                wait_for(f"{name} on every page", lambda: server.shows(name), pause=LOOK_PAUSE)
            list(at_once.map(seen, servers))
        took.append(time.monotonic() - began)
        client.stop()
    asked.report.measured("a new stream on every page, p99", percentile(took, 99), "s", at_most=1.0)


def what_it_takes(asked: Asked, redis: Redis, servers: list[Server]) -> None:
    seconds = asked.of(20, 2)
    threads = [directory_threads(server) for server in servers]
    moved, began = redis.bytes_moved(), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    a_server = (redis.bytes_moved() - moved) / passed / len(servers)
    asked.report.measured("the directory, a server", a_server / 1000, "kB/s", at_most=100)
    shares = [(directory_threads(server) - before) / passed for server, before in zip(servers, threads, strict=True)]
    asked.report.measured("the directory, a server, of a core", sum(shares) / len(shares) * 100, "%", at_most=1.0)


def directory_threads(server: Server) -> float:
    return server.program.cpu_seconds_of("fw-directory")


def killed(asked: Asked, servers: list[Server], clients: list) -> None:
    dead, others = servers[0], servers[1:]
    names = set(wait_for("the streams of the server that is to be killed", dead.own))
    dead.program.kill()
    began = time.monotonic()

    def is_fresh(stream: dict) -> bool:
        # One that was just taken over may not have had a frame yet.
        return stream["age_seconds"] is not None and stream["age_seconds"] < 5

    def all_elsewhere() -> bool:
        there: set[str] = set()
        for server in others:
            there |= {name for name, stream in server.own().items() if is_fresh(stream)}
        return names <= there
    wait_for("the cameras of the killed server at others", all_elsewhere, pause=LOOK_PAUSE)
    asked.report.measured(f"its {len(names)} cameras elsewhere", time.monotonic() - began, "s", at_most=2.0)

    def is_not_live(server: Server) -> bool:
        # Its entry is gone, or said not to be live.
        return not any(stream["state"] == "live" and stream["url"].rstrip("/") == dead.url for stream in server.everywhere())
    wait_for("the killed server stale on every page", lambda: all(is_not_live(server) for server in others), pause=LOOK_PAUSE)
    asked.report.measured("a killed server stale on every page", time.monotonic() - began, "s", at_most=7.0)
    alive = sum(client.process.poll() is None for client in clients)
    asked.report.fact("clients that go on", alive, at_least=len(clients))
