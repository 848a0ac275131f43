"""The real programs, on hosts: started, heard, frozen, killed, and what they say at their end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from network import Host
from report import Failed

PATIENCE = 60.0
"""Seconds that anything may take on a machine that is busy."""
TICKS = os.sysconf("SC_CLK_TCK")


_started: "list[Program]" = []
"""Those that nobody has ended."""


def wait_for(what: str, look: Callable[[], Any], seconds: float = PATIENCE, pause: float = 0.05) -> Any:
    """What `look` finds, once it finds something. Fails where a program has ended by itself, which nothing may come of any more."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        for program in _started:
            if program.process.poll() is not None:
                raise program.ended()
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


class Program:
    """A process on a host. What it writes goes into two files, so that no pipe is ever full."""

    def __init__(self, name: str, host: Host, command: list[str], folder: Path):
        self.name, self.host = name, host
        self._out, self.log_path = folder / f"{name}.out", folder / f"{name}.log"
        with open(self._out, "wb") as out, open(self.log_path, "wb") as log:
            state = {"XDG_RUNTIME_DIR": str(folder / name), "XDG_STATE_HOME": str(folder / name)}
            (folder / name).mkdir(mode=0o700, exist_ok=True)
            self.process = subprocess.Popen(
                host.command(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**os.environ, **state})
        _started.append(self)

    def expected_to_end(self) -> "Program":
        """From now on it may."""
        if self in _started:
            _started.remove(self)
        return self

    def ended(self) -> Failed:
        return Failed(f"{self.name} ended with {self.process.returncode}: {self.log().strip()[-600:]}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def said(self, words: str, seconds: float = PATIENCE) -> str:
        """The first line of its log with these words in it, once it is there."""
        def look() -> str | None:
            return next((line for line in self.log().splitlines() if words in line), None)
        return wait_for(f"'{words}' of {self.name}", look, seconds)

    def cpu_seconds(self) -> float:
        """That it has taken so far."""
        return _cpu(Path(f"/proc/{self.process.pid}/stat"))

    def cpu_seconds_of(self, thread: str) -> float:
        """That its threads of this name, which stay, have taken so far."""
        found = [task for task in Path(f"/proc/{self.process.pid}/task").iterdir() if _name(task).startswith(thread)]
        if not found:
            raise Failed(f"{self.name} has no thread {thread}")
        return sum(_cpu(task / "stat") for task in found)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would."""
        self.expected_to_end()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        self.expected_to_end()
        if self.process.poll() is None:
            self.signal(signal.SIGINT)

    def end(self, seconds: float = PATIENCE) -> dict:
        """Its summary, once it has ended."""
        self.expected_to_end()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.name} did not end within {seconds:g} s") from error
        text = self._out.read_text()
        try:
            return json.loads(text.splitlines()[-1])
        except (IndexError, ValueError) as error:
            raise Failed(f"{self.name} ended with {self.process.returncode} and no summary: {self.log().strip()[-600:]}") from error

    def stop(self) -> dict:
        """Its summary, once it has been asked to end."""
        self.interrupt()
        return self.end()


class Programs:
    """The programs of a block, all of which end with it."""

    def __init__(self, folder: Path, logs: Path):
        self.folder, self.logs = folder, logs
        self._started: list[Program] = []

    def __enter__(self) -> "Programs":
        return self

    def start(self, name: str, host: Host, program: str, *arguments: str) -> Program:
        path = self.folder / program
        unique = f"{name}.{sum(started.name.startswith(name) for started in self._started)}"
        started = Program(unique, host, [str(path) if path.exists() else program, *arguments], self.logs)
        self._started.append(started)
        return started

    def client(self, name: str, host: Host, source: str, server: str, *arguments: str) -> Program:
        """A camera; its stream goes by its name."""
        return self.start(name, host, "framewire-client", source, "--server", server, "--name", name, "--json", *arguments)

    def watch(self, name: str, host: Host, server: str, *arguments: str, as_: str = "watcher") -> Program:
        return self.start(as_, host, "framewire", "watch", name, "--server", server, "--insecure", "--json", *arguments)

    def __exit__(self, *_) -> None:
        for program in self._started:
            if program.expected_to_end().process.poll() is None:
                program.process.kill()
        for program in self._started:
            program.process.wait()


def _name(task: Path) -> str:
    """A thread's name; nothing of one that has ended meanwhile."""
    try:
        return (task / "comm").read_text()
    except OSError:
        return ""


def _cpu(stat: Path) -> float:
    # The name may have anything in it; behind its bracket the fields are counted from the third.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
