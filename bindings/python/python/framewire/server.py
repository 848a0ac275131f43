"""The programs beside this one: `framewire-server`, for a `Receiver` that clients reach by HTTP, and where the programs are.

`Receiver(address, http="127.0.0.1:8080")` starts a `Server` and reads its streams in place; it ends with the receiver.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from framewire import _native

__all__ = ["Server", "program"]

_READY_WITHIN = 30.0
"""Seconds. It listens within a tenth of one where the machine has nothing else to do."""

_ENDS_WITHIN = 10.0
"""Seconds until a server that was asked to end is killed."""

_VERSION_WITHIN = 30.0
"""Seconds until a program that was asked for its version is taken for one that has none."""

_LISTENING = re.compile(r"listening on (https?://\S+) \(Socket\.IO\) and UDP (\S+)")
_LINES_KEPT = 12


def program(name: str) -> str:
    """The path of one of Framewire's programs: `framewire`, `framewire-server`, `framewire-client`.

    It is looked for beside this interpreter, among the files of the package framewire-cli, and in PATH.

    Raises SystemLack, which says how they are installed.
    """
    for path in _places(name):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    found = shutil.which(name)
    if found is None:
        text = (
            f"the program {name} is not installed here ({sys.prefix}), nor is it in PATH; install it with: pip install 'framewire[server]'"
        )
        raise _error(_native.SystemLack, "no-programs", text)
    return found


def _places(name: str) -> Iterator[Path]:
    # As it was called: the interpreter of a virtual environment is a link to another one's.
    if sys.executable:
        yield Path(sys.executable).parent / name
    yield Path(sysconfig.get_path("scripts")) / name
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.distribution("framewire-cli").files or ():
            if file.name == name:
                yield Path(str(file.locate()))


def _check_version(path: str) -> None:
    """SystemLack where the program is of another version than this package. What cannot say its version is told of when it starts."""
    try:
        said = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_WITHIN, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    found = re.match(r"framewire-server (\S+)", said.decode(errors="replace"))
    if found and found[1] != _native.__version__:
        text = (
            f"{path} is framewire-server {found[1]}, and this package is framewire {_native.__version__}; "
            "have both of one version with: pip install -U 'framewire[server]'"
        )
        raise _error(_native.SystemLack, "other-version", text)


class Server:
    """`framewire-server` as a child of this process, for as long as somebody wants its streams.

    It ends with `close()`, when nothing refers to it any more, at the end of the interpreter, and when this process is gone, however it ended.
    Ctrl-C in a terminal is for this program, not for the server. Variables such as `FRAMEWIRE_TOKEN_FILE` and `FRAMEWIRE_CONFIG` say what the
    arguments do not.
    """

    def __init__(
        self,
        address: str,
        http: str,
        *,
        partial: bool = False,
        protection: str = "auto",
        memory: int | None = None,
    ) -> None:
        path = program("framewire-server")
        _check_version(path)
        command = [path, "--until-input-ends", "--udp", address, "--listen", http]
        if partial:
            command.append("--partial")
        if protection == "off":
            command.append("--insecure")
        elif protection == "on":
            command.append("--protect")
        if memory is not None:
            command += ["--memory", f"{memory}B", "--stream-memory", f"{memory}B"]
        # Where its streams are shared is for this program to know.
        environment = {name: value for name, value in os.environ.items() if name != "FRAMEWIRE_SHARE"}
        # Read as long as it lives, so that it never waits for anybody who reads it; kept for whoever asks why it ended.
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listens = threading.Event()
        self._at = ("", "")
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise _error(_native.SystemLack, "no-programs", f"{command[0]} cannot be started: {error}") from error
        self._path = path
        self._process = process
        _running.add(process)
        self._end = weakref.finalize(self, _end, process, os.getpid())
        reader = threading.Thread(target=_read, args=(weakref.ref(self), process), name="framewire-server", daemon=True)
        reader.start()
        self._reader = reader
        try:
            self._wait_until_it_listens(address, http)
        except BaseException:
            self.close()
            raise

    @property
    def http(self) -> str:
        """The URL of its page, with the real port, such as http://127.0.0.1:8080."""
        return self._at[0]

    @property
    def udp(self) -> str:
        """HOST:PORT that frames are sent to, with the real port."""
        return self._at[1]

    @property
    def port(self) -> int:
        """The port of `udp`, by which its hub is found."""
        return int(self.udp.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def failure(self) -> Exception | None:
        """Interrupted with the exit code and what the server said last; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Its memory is given up a moment before its exit code is known.
            self._process.wait(timeout=1.0)
        if self.running:
            return None
        return _error(_native.Interrupted, "server-ended", f"framewire-server has ended ({self._how()}){self._last_words()}")

    def close(self) -> None:
        """Asks it to end, and waits for it; one that does not is killed after 10 s. Twice is once."""
        self._end()

    def _wait_until_it_listens(self, address: str, http: str) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not self._listens.wait(0.1):
            if self._process.poll() is not None:
                kind = _native.ArgumentError if self._process.returncode == 2 else _native.Refused
                text = f"{self._path} did not start on UDP {address} and http {http} ({self._how()}){self._last_words()}"
                raise _error(kind, "server-ended", text)
            if time.monotonic() >= deadline:
                text = f"{self._path} did not listen within {_READY_WITHIN:.0f} s; is this machine very busy?{self._last_words()}"
                raise _error(_native.Timeout, "server-silent", text)

    def _how(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def _last_words(self) -> str:
        self._reader.join(timeout=1.0)
        said = "\n".join(self._said)
        return f"; it said last:\n{said}" if said else ""

    def _heard(self, line: str) -> None:
        self._said.append(line)
        found = _LISTENING.search(line)
        if found and not self._listens.is_set():
            self._at = (found[1], found[2])
            self._listens.set()


def _read(server: weakref.ref[Server], process: subprocess.Popen[bytes]) -> None:
    """Takes what it says, a line at a time, for as long as there is anybody to take it for."""
    assert process.stderr is not None
    with process.stderr as lines:
        for line in lines:
            heard_by = server()
            if heard_by is not None:
                heard_by._heard(line.decode(errors="replace").rstrip("\n"))
            del heard_by


_running: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def _let_go() -> None:
    # A server runs until its input ends, which it does not while a child that was forked has it too.
    for process in _running:
        if process.stdin is not None:
            process.stdin.close()


os.register_at_fork(after_in_child=_let_go)


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    # A child that was forked from this process has no server of its own.
    if os.getpid() != owner:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _error(kind: type[_native.Error], code: str, text: str) -> _native.Error:
    error = kind(text)
    error.code = code
    return error
