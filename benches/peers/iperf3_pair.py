"""Runs iperf3, which moves bytes and has no frames: no latency, and losses counted in datagrams."""

import json
import resource
import shutil
import time

from children import Children
from place import free_port
from result import ContenderFailed, Result

DATAGRAM_BYTES = 65507
START_SECONDS = 15.0
REST_SECONDS = 20.0

MODES = {
    "iperf3-udp": ["--udp", "--bitrate", "0", "--length", str(DATAGRAM_BYTES)],
    "iperf3-tcp": [],
}


def why_missing(_settings) -> str | None:
    return None if shutil.which("iperf3") else "iperf3 is not installed: apt-get install iperf3"


def run(name: str, settings) -> Result:
    place = settings.place
    port = free_port()
    # No --omit for a warm-up: with UDP, iperf3 then reports more datagrams lost than sent.
    client_command = ["iperf3", "--client", place.receiver_address, "--port", str(port), "--json", "--interval", "0"]
    client_command += ["--time", str(max(1, round(settings.seconds))), *MODES[name]]
    cpu_before = _cpu_seconds_of_ended_children()
    with Children() as children:
        server_command = ["iperf3", "--server", "--one-off", "--port", str(port)]
        server = children.start("the iperf3 server", server_command, place.receiver_namespace)
        server.wait_for_port("tcp", port, time.monotonic() + START_SECONDS)
        client = children.start("the iperf3 client", client_command, place.sender_namespace)
        printed = client.output(time.monotonic() + settings.seconds + REST_SECONDS)
        server.output(time.monotonic() + REST_SECONDS)
    # iperf3's own percentages leave out part of the time; what the kernel counted for both processes does not.
    cpu_seconds = _cpu_seconds_of_ended_children() - cpu_before
    return _result(printed, cpu_seconds)


def _cpu_seconds_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _result(printed: str, cpu_seconds: float) -> Result:
    try:
        end = json.loads(printed)["end"]
        received = end["sum_received"]
        gigabytes, seconds = received["bytes"] / 1e9, received["seconds"]
        sent = end.get("sum_sent", {}).get("packets")
    except (ValueError, KeyError, TypeError) as error:
        raise ContenderFailed(f"iperf3's report is not as expected: {error!r}") from None
    if gigabytes == 0 or seconds == 0:
        raise ContenderFailed("iperf3 received nothing")
    lost = 0 if sent is None else sent - round(received["bytes"] / DATAGRAM_BYTES)
    return Result(
        gigabytes_per_second=gigabytes / seconds,
        cpu_seconds_per_gigabyte=cpu_seconds / gigabytes,
        lost=lost,
        lost_share=lost / sent if sent else 0.0,
    )
