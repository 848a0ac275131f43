"""Senders that join a protected server, which is the real program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import framewire as fw
import pytest
from conftest import PATIENCE, PICTURE
from framewire.server import program

LINE = "framewire://127.0.0.1:9#kCpVUAk0lZlcKPXqdcE7gQ.LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM"
"""As a server prints it; of none that is there."""


class Protected:
    """`framewire-server --protect` on a port that stays its own when it starts anew."""

    def __init__(self, folder: Path, *more: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = taken.getsockname()[1]
        self.join = folder / "join"
        self._folder, self._more = folder, more
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.join.unlink(missing_ok=True)
        command = [program("framewire-server"), "--protect", "--listen", f"127.0.0.1:{self._port}", "--udp", "127.0.0.1:0"]
        command += ["--state-directory", str(self._folder / "state"), "--join-file", str(self.join), *self._more]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEWIRE_")}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        listens = threading.Event()
        threading.Thread(target=self._hear, args=(self._process, listens), daemon=True).start()
        assert listens.wait(PATIENCE), "it listens"

    @staticmethod
    def _hear(process: subprocess.Popen[bytes], listens: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if b"listening on" in line:
                listens.set()

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE)

    @property
    def line(self) -> str:
        return self.join.read_text().strip()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Protected]:
    try:
        program("framewire-server")
    except fw.SystemLack:
        pytest.skip("SKIPPED: the programs of framewire-cli are not installed")
    # Frames go by UDP, though both are on one machine.
    server = Protected(tmp_path, "--share", "off")
    yield server
    server.kill()


def until(what, sender: fw.Sender) -> None:
    """Sends until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        sender.send(PICTURE)
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["line", "file", "path"])
def test_frames_go_to_a_server_that_is_joined_and_are_protected(server: Protected, kind: str):
    join = {"line": server.line, "file": str(server.join), "path": server.join}[kind]
    with fw.Sender(join=join, name="front", delivery="every") as out:
        for number in range(5):
            assert out.send(PICTURE, timeout=PATIENCE) == number
        out.wait_open(timeout=PATIENCE)
        out.wait_settled(timeout=PATIENCE)
        assert out.stats().delivered == 5
        assert out.stats().protection in ("AES-128-GCM", "ChaCha20-Poly1305")
        assert out.address.endswith(server.line.partition("#")[0].rpartition(":")[2])
        for shown in (repr(out), out.address):
            assert server.line.partition("#")[2] not in shown
        assert out.close(timeout=PATIENCE)


def test_a_server_that_starts_anew_has_frames_again(server: Protected):
    with fw.Sender(join=server.line, name="front") as out:
        until(lambda: out.stats().delivered > 0, out)
        server.kill()
        server.start()
        before = out.stats().delivered
        until(lambda: out.stats().delivered > before + 3, out)
        assert out.stats().protection is not None


def test_a_server_that_comes_later_is_waited_for_and_the_reason_is_told(tmp_path: Path, server: Protected):
    line = server.line
    server.kill()
    with fw.Sender(join=line, name="front", delivery="every") as out:
        with pytest.raises(fw.Timeout, match="no slot came free on the way to 127.0.0.1"):
            out.send(PICTURE, timeout=0.3)
        server.start()
        assert out.send(PICTURE, timeout=PATIENCE) is not None
        out.wait_settled(timeout=PATIENCE)


@pytest.mark.parametrize("wrong", ["token", "pin"])
def test_another_token_and_another_server_are_refused(server: Protected, wrong: str):
    place, _, secrets = server.line.partition("#")
    token, _, pin = secrets.partition(".")
    other_token, _, other_pin = LINE.partition("#")[2].partition(".")
    line = f"{place}#{other_token}.{pin}" if wrong == "token" else f"{place}#{token}.{other_pin}"
    with fw.Sender(join=line, name="front", delivery="every") as out, pytest.raises(fw.Refused) as told:
        out.send(PICTURE, timeout=PATIENCE)
    assert token not in str(told.value) and other_token not in str(told.value)


@pytest.mark.parametrize(
    "join", ["", "framewire://", LINE[:-1], LINE.replace("#", "/"), LINE.partition(".LHD")[0], "http://127.0.0.1:8080", "/no/such/file"]
)
def test_what_is_no_join_string_is_told_and_not_repeated(join: str):
    with pytest.raises(fw.ArgumentError) as told:
        fw.Sender(join=join)
    assert "kCpVUAk0" not in str(told.value)


def test_a_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path):
    file = tmp_path / "join"
    file.write_text(LINE)
    file.chmod(0o644)
    with pytest.raises(fw.ArgumentError, match="chmod 600"):
        fw.Sender(join=file)


@pytest.mark.parametrize(
    "given", [{}, {"address": "127.0.0.1:9", "join": LINE}, {"join": LINE, "key": fw.Key.random()}, {"join": LINE, "protection": "off"}]
)
def test_what_cannot_be_said_together_is_told(given):
    with pytest.raises(fw.ArgumentError):
        fw.Sender(**given)
