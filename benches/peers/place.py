"""Where a contender's two ends run: both on loopback, or each in a network namespace with a wire between them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

WIRE_MTU = 1500


@dataclass(frozen=True)
class Place:
    receiver_address: str
    receiver_namespace: str | None = None
    sender_namespace: str | None = None

    @property
    def across_wire(self) -> bool:
        return self.receiver_namespace is not None


LOOPBACK = Place("127.0.0.1")


def free_port() -> int:
    """A port that nothing has bound, for TCP or UDP. The namespaces are new, so what is free here is free there."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("0.0.0.0", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


PACKAGES = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "ethtool": "ethtool"}


def why_no_namespaces(what: str = "--namespaces", tools: Sequence[str] = ()) -> str | None:
    """Why `what`, which needs `tools` too, cannot have them; None where it can."""
    if os.geteuid() != 0:
        return f"{what} needs root: run it with sudo"
    for tool in ("ip", *tools):
        if shutil.which(tool) is None:
            return f"{what} needs {tool}: apt-get install {PACKAGES[tool]}"
    return None


@contextmanager
def two_namespaces() -> Iterator[Place]:
    """Two network namespaces joined by a veth pair of MTU 1,500. Removed at the end, however the block ends."""
    # The process id makes the names unique; both fit the 15 characters of an interface name.
    sender, receiver = f"fwpeer{os.getpid()}s", f"fwpeer{os.getpid()}r"
    try:
        for name in (sender, receiver):
            _ip("netns", "add", name)
        _ip(
            *("link", "add", sender, "netns", sender, "mtu", str(WIRE_MTU), "type", "veth"),
            *("peer", "name", receiver, "netns", receiver, "mtu", str(WIRE_MTU)),
        )
        for name, address in ((sender, "10.77.0.1"), (receiver, "10.77.0.2")):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", name)
            _ip("-n", name, "link", "set", name, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield Place("10.77.0.2", receiver_namespace=receiver, sender_namespace=sender)
    finally:
        # The veth pair goes with its namespaces.
        for name in (sender, receiver):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, start_new_session=True)


def without_offloads(place: Place) -> None:
    """Every packet crosses the wire on its own, as between two machines."""
    for name in (place.sender_namespace, place.receiver_namespace):
        off = ["tx-udp-segmentation", "off", "gso", "off", "tso", "off", "gro", "off"]
        _run("ip", "netns", "exec", name, "ethtool", "-K", name, *off)


def with_losses(place: Place, percent: float) -> None:
    """So many of all TCP and UDP packets vanish, either way."""
    rule = (
        "table inet loss { chain in { type filter hook prerouting priority 0; "
        f"meta l4proto {{ tcp, udp }} numgen random mod 10000 < {round(percent * 100)} drop; }}; }}"
    )
    for name in (place.sender_namespace, place.receiver_namespace):
        _run("ip", "netns", "exec", name, "nft", rule)


def with_link(place: Place, rate: str) -> None:
    """The wire towards the receiver carries so much, and queues 50 ms of it."""
    slow = ["root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
    _run("ip", "netns", "exec", place.sender_namespace, "tc", "qdisc", "add", "dev", place.sender_namespace, *slow)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
