"""Hosts on one switch: network namespaces whose cables end at a bridge. All of it is in namespaces of this process alone, so that the kernel clears it away
however the process ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

INSIDE = "SCALE_INSIDE"
SWITCH = "fws"
NAMES = Path("/run/netns")
TOOLS = ["ip", "tc", "unshare", "nsenter", "redis-server"]
OWN = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
"""Namespaces of networks, for the switch; of processes, so that nothing outlives this one; of mounts, so that the hosts' names go with it."""
TRIED = """ip link add one type bridge
ip link add two type veth peer name three
tc qdisc replace dev two root tbf rate 1gbit burst 128kb latency 50ms
unshare --time true"""
"""What rows need of the kernel."""


def why_not() -> str | None:
    """What keeps this machine from having hosts; None where nothing does."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"{', '.join(missing)} is not there: apt install iproute2 util-linux redis-server"
    if os.geteuid() != 0:
        return "network namespaces take root"
    tried = subprocess.run([*OWN, "sh", "-ec", TRIED], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"this kernel gives no network of hosts here: {tried.stderr.strip() or tried.returncode}"
    return None


def go_inside() -> None:
    """Goes on in namespaces of its own."""
    if os.environ.get(INSIDE) != "1":
        os.execvpe(OWN[0], [*OWN, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    NAMES.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "hosts", str(NAMES))
    # What was there says what the cables of another namespace carry.
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "link", "set", "lo", "up")


def run(*command: str) -> None:
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise OSError(f"{' '.join(command)}: {said.stderr.strip() or said.returncode}")


class Host:
    """A machine by itself, as far as its network goes, and its clock where it has one."""

    def __init__(self, number: int, clock: subprocess.Popen | None):
        self.name = f"{SWITCH}{number}"
        self.address = f"10.78.{number // 200}.{number % 200 + 10}"
        self._clock = clock

    def command(self, *command: str) -> list[str]:
        """What runs a program there; the process is the program's own."""
        there = ["ip", "netns", "exec", self.name, *command]
        if self._clock is None:
            return there
        [held] = Path(f"/proc/{self._clock.pid}/task/{self._clock.pid}/children").read_text().split()
        return ["nsenter", "--target", held, "--time", *there]

    def limit(self, rate: str) -> None:
        """What the cable carries towards it, as tc writes it: 1gbit. A switch waits in its port, and drops what waits for longer than 50 ms."""
        run("tc", "qdisc", "replace", "dev", f"{self.name}p", "root", "tbf", "rate", rate, "burst", "128kb", "latency", "50ms")

    def bytes_received(self) -> int:
        """Over its cable, by now."""
        return int(Path(f"/sys/class/net/{self.name}p/statistics/tx_bytes").read_text())


class Network:
    """A switch, and the hosts at it. This process is at it, too, by 10.78.255.1."""

    def __init__(self):
        self.hosts: list[Host] = []
        self._clocks: list[subprocess.Popen] = []

    def __enter__(self) -> "Network":
        # Whoever asks for a group would not be heard for minutes by a switch that has nobody who asks: such a switch floods, as one without snooping does.
        run("ip", "link", "add", SWITCH, "type", "bridge", "mcast_snooping", "0")
        run("ip", "addr", "add", "10.78.255.1/16", "dev", SWITCH)
        run("ip", "link", "set", SWITCH, "up")
        return self

    def host(self, clock_ahead_seconds: int = 0) -> Host:
        """One more; its monotonic clock is ahead of this machine's by so much."""
        clock = None
        if clock_ahead_seconds:
            ahead = ["--monotonic", str(clock_ahead_seconds), "--boottime", str(clock_ahead_seconds)]
            clock = subprocess.Popen(["unshare", "--time", *ahead, "--fork", "--kill-child", "sleep", "infinity"])
            self._clocks.append(clock)
            while not Path(f"/proc/{clock.pid}/task/{clock.pid}/children").read_text().strip():
                if clock.poll() is not None:
                    raise OSError("unshare --time gives no host a clock of its own here")
        host = Host(len(self.hosts), clock)
        run("ip", "netns", "add", host.name)
        self.hosts.append(host)
        run("ip", "link", "add", f"{host.name}p", "type", "veth", "peer", "name", "eth0", "netns", host.name)
        run("ip", "link", "set", f"{host.name}p", "master", SWITCH, "up")
        run("ip", "-n", host.name, "addr", "add", f"{host.address}/16", "brd", "+", "dev", "eth0")
        run("ip", "-n", host.name, "link", "set", "lo", "up")
        run("ip", "-n", host.name, "link", "set", "eth0", "up")
        return host

    def add(self, count: int) -> list[Host]:
        return [self.host() for _ in range(count)]

    def __exit__(self, *_) -> None:
        for clock in self._clocks:
            clock.kill()
            clock.wait()
        for host in self.hosts:
            # A namespace is cleared away later than its name: the cable goes first.
            subprocess.run(["ip", "link", "del", f"{host.name}p"], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", SWITCH], capture_output=True, check=False)
