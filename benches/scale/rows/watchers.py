"""One camera in many places."""

import time

from network import Host
from programs import Program, wait_for
from report import percentile
from servers import Server

from .asked import Asked, lost

RATE = 30
FRAME_BYTES = 640 * 480


def watchers(asked: Asked) -> None:
    """One camera (VGA gray, 30 frames/s), 100 watchers on hosts of their own, one of which is stopped."""
    count, seconds = asked.of((100, 60), (6, 3))
    server = Server(asked.programs, asked.network.host()).listens()
    camera, places = asked.network.host(), asked.network.add(count)

    without, shares = watched(asked, server, camera, places, seconds, stopped=0)
    asked.report.fact("watchers that had frames", sum(summary["frames_delivered"] > 0 for summary in without), at_least=count)
    asked.report.measured("frames that the worst of them had", min(shares) * 100, "%", at_least=99.9)
    slowest = [summary["latency_ms"]["p99"] for summary in without]
    asked.report.measured("p99 of the slowest", max(slowest), "ms", at_most=33)

    beside, _ = watched(asked, server, camera, places, seconds, stopped=1)
    again, _ = watched(asked, server, camera, places, seconds, stopped=0)
    quiet = percentile([summary["latency_ms"]["p99"] for summary in without + again], 50)
    troubled = percentile([summary["latency_ms"]["p99"] for summary in beside], 50)
    asked.report.measured("one stopped: the others' p99", (troubled / quiet - 1) * 100, "% more", at_most=5.0)
    fewest = min(summary["frames_delivered"] for summary in beside)
    asked.report.fact("one stopped: frames that the worst of the others had", fewest, at_least=asked.of(RATE * seconds / 4, 1))


def watched(asked: Asked, server: Server, camera: Host, places: list[Host], seconds: float, stopped: int) -> tuple[list[dict], list[float]]:
    """The summaries of all that are not stopped, and each one's share of the frames of the seconds in which all were there.

    They come one after the other to a camera that films, and it goes before they do: that a hundred programs start, open and end beside each other on one machine
    is nothing that hosts of their own would feel.
    """
    filming = asked.programs.client("front", camera, "pattern:640x480:gray8", server.url, "--fps", str(RATE), "--delivery", "latest")
    watching: list[Program] = []
    for host in places:
        before = host.bytes_received()
        watching.append(asked.programs.watch("front", host, server.url))
        wait_for("frames at a watcher", lambda host=host, before=before: host.bytes_received() - before > 3 * FRAME_BYTES)
    # Who has just come is not yet sent every frame.
    wait_for("a second of frames at every watcher", lambda: all(sent >= RATE for sent, _ in sent_on(server).values()))
    for watcher in watching[:stopped]:
        watcher.freeze()
    begun = sent_on(server)
    time.sleep(seconds)
    passed = {address: [now - then for now, then in zip(counts, begun[address], strict=True)] for address, counts in sent_on(server).items()}
    for watcher in watching:
        # Where the stream is over, it may end by itself before it is told to.
        watcher.expected_to_end()
    filming.stop()
    wait_for("that the camera has gone", lambda: "front" not in server.own())
    for watcher in watching:
        watcher.interrupt()
    summaries = [watcher.end() for watcher in watching[stopped:]]
    for watcher in watching[:stopped]:
        watcher.kill()
    shares = []
    for host, summary in zip(places[stopped:], summaries, strict=True):
        sent, left_out = passed[host.address]
        # What was lost on its way at any time is counted as if it had been then; what was not sent for want of credit, the server has counted.
        on_its_way = lost(summary) - summary["frames_dropped"]["no_credit"]
        shares.append((sent - on_its_way) / max(1, sent + left_out))
    return summaries, shares


def sent_on(server: Server) -> dict[str, tuple[int, int]]:
    """Frames that were sent to each watcher by now, by its address, and those that gave way to newer ones."""
    return {watcher["address"]: (watcher["frames_sent"], watcher["frames_skipped"]) for watcher in server.own()["front"]["watchers"]}
