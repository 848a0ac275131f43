"""Servers that find each other by themselves."""

import json
import subprocess
import time

from programs import wait_for
from report import Failed
from servers import Server

from .asked import Asked


def discovery(asked: Asked) -> None:
    """100 servers on one network by mDNS: all found, and one that is killed gone."""
    count = asked.of(100, 5)
    servers = [Server(asked.programs, host, "--discover=on", name=f"found-{number}") for number, host in enumerate(asked.network.add(count))]
    for server in servers:
        server.listens()
    looker = asked.network.host()
    expected = {server.authority for server in servers}

    # The longest it may look; what it says when is what counts.
    began = time.monotonic()
    wait_for("all servers", lambda: listed(asked, looker) >= expected)
    asked.report.measured("all found by one who comes new", time.monotonic() - began, "s", at_most=3.0)

    servers[0].program.kill()
    began = time.monotonic()
    wait_for("the killed one gone, and no other", lambda: listed(asked, looker) & expected == expected - {servers[0].authority})
    asked.report.measured("a killed one gone", time.monotonic() - began, "s", at_most=7.0)


def listed(asked: Asked, host) -> set[str]:
    """The addresses that framewire ls finds."""
    command = host.command(str(asked.programs.folder / "framewire"), "ls", "--json")
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if said.returncode != 0:
        raise Failed(f"framewire ls ended with {said.returncode}: {said.stderr.strip()}")
    text = json.dumps(json.loads(said.stdout))
    return {f"{there.address}:8080" for there in asked.network.hosts if f"{there.address}:8080" in text}
