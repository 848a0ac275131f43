"""Two hosts on one machine, and what pipelines between them are made of."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent / "target/release/examples"
PAINT = "videotestsrc is-live=true pattern=solid-color ! video/x-raw,format={format},width=1920,height=1080,framerate=60/1"
HOSTS = ("fwgst0", "fwgst1")
ADDRESSES = ("10.79.0.1", "10.79.0.2")


def two_hosts(left: ExitStack) -> None:
    """Two network namespaces at the ends of one cable, until `left` is left."""
    for host in HOSTS:
        if subprocess.run(["ip", "netns", "add", host], check=False).returncode != 0:
            raise SystemExit(f"there is no namespace {host} to be had: another run is under way, or one was cut off; then `ip netns del {host}` takes it away")
        # Only now: one that is there already is another run's.
        left.callback(subprocess.run, ["ip", "netns", "del", host], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["ip", "link", "add", "eth0", "netns", HOSTS[0], "type", "veth", "peer", "name", "eth0", "netns", HOSTS[1]], check=True)
    for host, address in zip(HOSTS, ADDRESSES, strict=True):
        for command in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "mtu", "1500", "up"], ["link", "set", "lo", "up"]):
            subprocess.run(["ip", "-n", host, *command], check=True)
