"""Servers on hosts, what they say of themselves and of each other, and the Redis between them."""

import http.client
import json
import socket
import subprocess
import time

from network import Host
from programs import PATIENCE, Program, Programs, wait_for
from report import Failed

PORT = 8080
REDIS_PORT = 6379


class Server:
    """A framewire-server, and a connection to its page."""

    def __init__(self, programs: Programs, host: Host, *arguments: str, name: str | None = None):
        self.host, self.name = host, name or f"on-{host.name}"
        self.authority = f"{host.address}:{PORT}"
        self.url = f"http://{self.authority}"
        does = ["--listen", self.authority, "--udp", f"{host.address}:12345", "--insecure", "--share", "off", "--json"]
        self.program: Program = programs.start(f"server-{self.name}", host, "framewire-server", *does, *arguments)
        self._connection: http.client.HTTPConnection | None = None

    def listens(self) -> "Server":
        self.program.said("listening on")
        return self

    def ask(self, path: str, seconds: float = 5.0) -> bytes | None:
        """What the page answers; None where nobody does, or it answers with an error."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.host.address, PORT, timeout=seconds)
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            body = answer.read()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            self.forget()
            return None

    def forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def own(self) -> dict[str, dict]:
        """The streams that come in here, by name."""
        # On a machine that is busy an answer may be late.
        said = self.ask("/api/streams") or self.ask("/api/streams", seconds=PATIENCE)
        if said is None:
            raise Failed(f"{self.name} does not answer")
        return {stream["name"]: stream for stream in json.loads(said)["streams"]}

    def everywhere(self) -> list[dict]:
        """The streams of the whole cluster, as this server has them: each with node, url and state."""
        said = self.ask("/api/streams?scope=cluster")
        return json.loads(said)["streams"] if said else []

    def view(self) -> set[tuple[str, str, str]]:
        """Which streams are live, and where."""
        return {(stream["name"], stream["url"].rstrip("/"), stream["state"]) for stream in self.everywhere()}

    def shows(self, name: str) -> bool:
        """Whether its page has a stream of this name, wherever it is."""
        said = self.ask("/api/streams?scope=cluster")
        return said is not None and f'"name":"{name}"'.encode() in said

    def healthz_seconds(self) -> float | None:
        """How long it took to say that it is well; None where it did not."""
        started = time.monotonic()
        return time.monotonic() - started if self.ask("/healthz") else None


class Redis:
    """Debian's, on a host of its own, with nothing on disk."""

    def __init__(self, programs: Programs, host: Host):
        self._programs, self.host = programs, host
        self.url = f"redis://{host.address}:{REDIS_PORT}"
        self.program: Program | None = None

    def start(self) -> "Redis":
        does = ["--bind", self.host.address, "--port", str(REDIS_PORT), "--protected-mode", "no", "--save", "", "--appendonly", "no"]
        self.program = self._programs.start("redis", self.host, "redis-server", *does)
        wait_for("Redis", lambda: self.ask("PING") == "PONG")
        return self

    def ask(self, command: str) -> str | None:
        """The answer to a command of one line; None where nobody answers."""
        try:
            with socket.create_connection((self.host.address, REDIS_PORT), timeout=2) as connection:
                connection.sendall(command.encode() + b"\r\n")
                said = connection.makefile("rb")
                head = said.readline().decode().strip()
                return said.read(int(head[1:])).decode() if head.startswith("$") else head[1:]
        except (OSError, ValueError):
            return None

    def bytes_moved(self) -> int:
        """To and from it, by now."""
        said = dict(line.split(":", 1) for line in (self.ask("INFO stats") or "").splitlines() if ":" in line)
        return int(said["total_net_input_bytes"]) + int(said["total_net_output_bytes"])


def cluster(programs: Programs, redis: Redis) -> list[str]:
    """What has a server take part: the engine, and the key by which nodes know each other."""
    key = programs.logs / "cluster-key"
    if not key.exists():
        subprocess.run([programs.folder / "framewire", "token", "--file", key], check=True, capture_output=True)
    return ["--cluster", redis.url, "--cluster-key-file", str(key), "--discover=off"]
