"""Child processes: started in groups of their own, and all ended when their block is left, however it is left."""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from result import ContenderFailed

POLITE_SECONDS = 3.0
"""How long a child may take to end by itself, and again after SIGTERM."""


class Child:
    def __init__(self, name: str, command: Sequence[str], namespace: str | None):
        self.name = name
        self._pending = b""
        self._errors = tempfile.TemporaryFile()
        # The kernel ends the child if this process is killed and cannot. A group of its own keeps the terminal's Ctrl-C
        # from it: this process decides the order in which children end.
        wrapped = ["setpriv", "--pdeathsig", "KILL"]
        if namespace is not None:
            wrapped += ["ip", "netns", "exec", namespace]
        self.process = subprocess.Popen(
            [*wrapped, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    def output(self, deadline: float) -> str:
        """All that the child prints, once it has ended well."""
        try:
            output, _ = self.process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ContenderFailed(f"{self.name} did not end in time") from None
        if self.process.returncode != 0:
            raise self.failure()
        return output.decode(errors="replace")

    def failure(self) -> ContenderFailed:
        """Why the child, which has ended, did so: its exit code and the line of its errors that says most."""
        code = self.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        named = [line for line in lines if line.lower().startswith(("error", "iperf3: error"))]
        reason = (named or lines[-1:] or ["it printed no error"])[0]
        return ContenderFailed(f"{self.name} {how}: {reason}")

    def wait_for_port(self, protocol: str, port: int, deadline: float) -> None:
        """Waits until the child's network namespace has a socket bound to `port`; `protocol` is `tcp` or `udp`."""
        bound = re.compile(rf"^\s*\d+: [0-9A-F]+:{port:04X} ", re.MULTILINE)
        tables = [Path(f"/proc/{self.process.pid}/net/{protocol}{family}") for family in ("", "6")]
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise self.failure()
            if any(bound.search(table.read_text()) for table in tables if table.exists()):
                return
            time.sleep(0.02)
        raise ContenderFailed(f"{self.name} did not open {protocol} port {port} in time")

    def take_line(self) -> str | None:
        """A line that has arrived, or None."""
        line, newline, rest = self._pending.partition(b"\n")
        if not newline:
            return None
        self._pending = rest
        return line.decode(errors="replace")

    def read_available(self) -> bool:
        """Takes in what the child has printed. False at the end of its output."""
        data = os.read(self.process.stdout.fileno(), 65536)
        self._pending += data
        return bool(data)

    def shared_memory(self) -> set[Path]:
        """The files in /dev/shm that the child has mapped."""
        try:
            maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        except OSError:
            return set()
        return {Path(path) for path in re.findall(r"(/dev/shm/\S+)$", maps, re.MULTILINE)}

    def signal_group(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def close_files(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self._errors.close()


class Children:
    """A block's child processes. Leaving the block ends them and removes the shared memory they leave behind."""

    def __init__(self):
        self._children: list[Child] = []

    def __enter__(self) -> "Children":
        return self

    def start(self, name: str, command: Sequence[str], namespace: str | None = None) -> Child:
        child = Child(name, command, namespace)
        self._children.append(child)
        return child

    def lines(self, children: Sequence[Child], deadline: float) -> list[str]:
        """Waits until each of `children` has printed a line; gives the lines. Fails when a child ends without one."""
        lines: dict[Child, str] = {}
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                selector.register(child.process.stdout, selectors.EVENT_READ, child)
            while True:
                for child in children:
                    if child not in lines and (line := child.take_line()) is not None:
                        lines[child] = line
                if len(lines) == len(children):
                    return [lines[child] for child in children]
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    silent = " and ".join(child.name for child in children if child not in lines)
                    raise ContenderFailed(f"{silent} did not report in time")
                for key, _ in ready:
                    if key.data.read_available():
                        continue
                    if key.data not in lines:
                        raise key.data.failure()
                    selector.unregister(key.data.process.stdout)

    def __exit__(self, kind, *_) -> None:
        # Some libraries leave their shared memory behind even when they are closed, and what they leave stays until the
        # machine restarts. Only what these children have mapped is theirs.
        leftovers = set().union(*(child.shared_memory() for child in self._children))
        if kind is None:
            for child in self._children:
                child.process.stdin.close()
            self._wait(POLITE_SECONDS)
        for child in self._children:
            child.signal_group(signal.SIGTERM)
        self._wait(POLITE_SECONDS)
        for child in self._children:
            child.signal_group(signal.SIGKILL)
            child.process.wait()
            child.close_files()
        for path in leftovers:
            path.unlink(missing_ok=True)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return
