"""Both ways that frames come, as one fixture: every test that takes `way` runs over UDP and over shared memory."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Hubs of these tests alone, whose sockets have short paths. Before the package is loaded: children inherit it.
_RUNTIME = tempfile.mkdtemp(prefix="fwpy", dir="/tmp")
os.environ["XDG_RUNTIME_DIR"] = _RUNTIME

import framewire as fw  # noqa: E402

PATIENCE = 60.0
"""Seconds that whatever must come is waited for, on a machine that has much to do."""

PICTURE = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
"""A picture in which no two rows are equal."""

_numbers = itertools.count()


class Way:
    """How frames go from an output to a source; closes what it made."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._made: list[Any] = []

    def pair(
        self, array: Any = PICTURE, *, format: str | None = None, source: dict[str, Any] | None = None, **output: Any
    ) -> tuple[fw.Source, fw.Output]:
        """A source and an output of one stream, which has begun: its frames are like `array`."""
        output = {"delivery": "every", "format": format} | output
        out: fw.Output
        if self.kind == "udp":
            incoming: fw.Source = self.kept(fw.Receiver("127.0.0.1:0", **(source or {})))
            assert isinstance(incoming, fw.Receiver)
            out = self.kept(fw.Sender(incoming.address, **output))
            self._begin(out, array)
        else:
            name = self.name()
            out = self.kept(fw.Publisher(name, **output))
            self._begin(out, array)
            incoming = self.kept(fw.open(name, **({"wait": PATIENCE, "queue": 8} | (source or {}))))
        return incoming, out

    def kept(self, made: Any) -> Any:
        """Closes it after the test."""
        self._made.append(made)
        return made

    @staticmethod
    def name() -> str:
        """Of a stream that nobody else has."""
        return f"stream-{next(_numbers)}"

    @staticmethod
    def _begin(out: fw.Output, array: Any) -> None:
        out.frame(array.shape, dtype=array.dtype).discard()

    def close(self) -> None:
        for made in reversed(self._made):
            made.close()


@pytest.fixture(params=["udp", "shm"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    way = Way(request.param)
    yield way
    way.close()


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of Python in a process of its own to its end; says what it said where that is not 0."""

    def run(program: str | Path, *arguments: str, is_to_fail: bool = False) -> subprocess.CompletedProcess[str]:
        what = [str(program)] if isinstance(program, Path) else ["-c", program]
        done = subprocess.run([sys.executable, *what, *arguments], capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
        if not is_to_fail:
            assert done.returncode == 0, f"it ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def pytest_sessionfinish() -> None:
    shutil.rmtree(_RUNTIME, ignore_errors=True)
