"""Streams of a server, watched by their names. The server is the real program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE
from framewire.server import program

OTHER = "framewire://127.0.0.1:9#kCpVUAk0lZlcKPXqdcE7gQ.LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM"
"""A line of another server."""


class Server:
    """`framewire-server` at an address that stays its own when it starts anew, and the cameras at it. Nothing goes by shared memory."""

    def __init__(self, folder: Path, *more: str, host: str = "127.0.0.1") -> None:
        with socket.socket() as taken:
            taken.bind((host, 0))
            port = taken.getsockname()[1]
        self.join, self.url = folder / "join", f"http://{host}:{port}"
        self._folder = folder
        self._does = ["--listen", f"{host}:{port}", "--udp", f"{host}:0", "--share", "off", *more]
        self._started: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        self.join.unlink(missing_ok=True)
        files = ["--state-directory", str(self._folder / "state"), "--join-file", str(self.join)]
        self._process = self._run("framewire-server", *self._does, *(files if "--protect" in self._does else []))
        listens = threading.Event()
        threading.Thread(target=self._hear, args=(self._process, listens), daemon=True).start()
        assert listens.wait(PATIENCE), "it listens"

    def camera(self, name: str, source: str = "pattern:64x48:gray8", fps: int = 50) -> subprocess.Popen[bytes]:
        return self._run("framewire-client", source, "--server", self.url, "--name", name, "--fps", str(fps))

    def figure(self, name: str) -> float:
        """One of its metrics, over all streams."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PATIENCE) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)

    def reaches(self, **figures: float) -> None:
        """Waits until its metrics say so, which are looked at now and then."""
        deadline = time.monotonic() + PATIENCE
        while (now := {name: self.figure(name) for name in figures}) != figures:
            assert time.monotonic() < deadline, now

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEWIRE_")}
        started = subprocess.Popen([program(name), *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        self._started.append(started)
        return started

    @staticmethod
    def _hear(process: subprocess.Popen[bytes], listens: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if b"listening on" in line:
                listens.set()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait(PATIENCE)
            if process.stderr is not None:
                process.stderr.close()


def started(folder: Path, *more: str, **place: Any) -> Iterator[Server]:
    try:
        program("framewire-server")
    except fw.SystemLack:
        pytest.skip("SKIPPED: the programs of framewire-cli are not installed")
    server = Server(folder, *more, **place)
    yield server
    server.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Server]:
    yield from started(tmp_path)


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Server]:
    yield from started(tmp_path, "--protect")


class Camera(threading.Thread):
    """Sends one picture again and again to a protected server."""

    def __init__(self, server: Server, name: str, picture: Any = PICTURE) -> None:
        super().__init__(daemon=True)
        self._join, self._name, self._picture = server.join, name, picture
        self._ends = threading.Event()
        self.start()

    def run(self) -> None:
        with fw.Sender(join=self._join, name=self._name, fps=50) as out:
            while not self._ends.wait(0.02):
                out.send(self._picture, metadata={"of": self._name})

    def end(self) -> None:
        self._ends.set()
        self.join(PATIENCE)


def test_frames_of_a_protected_server_come_as_they_were_sent_and_are_protected(protected: Server):
    camera = Camera(protected, "front")
    line = protected.join.read_text().strip()
    for join in (line, str(protected.join), protected.join):
        with fw.Receiver.watch("front", join=join) as watched:
            assert isinstance(watched, fw.Receiver)
            frame = watched.recv(timeout=PATIENCE)
            assert np.array_equal(frame.array, PICTURE) and frame.metadata == {"of": "front"}
            assert frame.stream.name == "front" and frame.stream.protection in ("AES-128-GCM", "ChaCha20-Poly1305")
            assert frame.captured_utc is not None and watched.recv(timeout=PATIENCE).number > frame.number
            assert watched.stats().taken == 2 and [stream.name for stream in watched.streams()] == ["front"]
            assert line.partition("#")[2] not in repr(watched) and "front" in repr(watched)
        assert watched.closed
    camera.end()


def test_frames_of_a_server_that_nothing_protects_come_on_this_machine(plain: Server):
    plain.camera("front")
    with fw.Receiver.watch("front", server=plain.url) as watched:
        frame = watched.recv(timeout=PATIENCE)
        assert (frame.width, frame.height, frame.format, frame.stream.protection) == (64, 48, "gray8", None)
        assert watched.address.startswith("127.0.0.1:")


def test_a_stream_that_is_not_there_is_waited_for_and_the_nearest_is_told(plain: Server):
    plain.camera("front-left")
    with fw.Receiver.watch("front-left", server=plain.url) as there:
        there.recv(timeout=PATIENCE)
    with fw.Receiver.watch("front-lefd", server=plain.url) as watched:
        said = ""
        deadline = time.monotonic() + PATIENCE
        while "front-left" not in said:
            assert time.monotonic() < deadline, said
            with pytest.raises(fw.Timeout) as told:
                watched.recv(timeout=0.1)
            said = str(told.value)
        plain.camera("front-lefd")
        assert watched.recv(timeout=PATIENCE).stream.name == "front-lefd"


def test_a_server_that_comes_later_is_waited_for(plain: Server):
    plain.kill()
    with fw.Receiver.watch("front", server=plain.url) as watched:
        with pytest.raises(fw.Timeout, match="'front' within"):
            watched.recv(timeout=0.3)
        plain.start()
        plain.camera("front")
        assert watched.recv(timeout=PATIENCE).width == 64


def test_a_stream_that_ends_is_the_end_or_waited_for(protected: Server):
    camera = Camera(protected, "front")
    with (
        fw.Receiver.watch("front", join=protected.join, reconnect=False) as once,
        fw.Receiver.watch("front", join=protected.join) as again,
    ):
        once.recv(timeout=PATIENCE)
        again.recv(timeout=PATIENCE)
        camera.end()
        for frame in once:
            assert np.array_equal(frame.array, PICTURE)
        # Another one of the same name: the same wish.
        other = np.flip(PICTURE, 0)[:24].copy()
        camera = Camera(protected, "front", other)
        deadline = time.monotonic() + PATIENCE
        while again.recv(timeout=PATIENCE).shape != other.shape:
            assert time.monotonic() < deadline
        assert np.array_equal(again.recv(timeout=PATIENCE).array, other)
        assert again.stats().streams == 2
        camera.end()


def test_a_server_that_starts_anew_sends_again(protected: Server):
    camera = Camera(protected, "front")
    with fw.Receiver.watch("front", join=protected.join) as watched:
        watched.recv(timeout=PATIENCE)
        protected.kill()
        protected.start()
        deadline = time.monotonic() + PATIENCE
        while watched.stats().streams < 2:
            assert time.monotonic() < deadline
            try:
                watched.recv(timeout=1)
            except fw.Timeout:
                continue
        assert np.array_equal(watched.recv(timeout=PATIENCE).array, PICTURE)
    camera.end()


def test_every_frame_comes_to_who_keeps_up(protected: Server):
    with fw.Receiver.watch("film", join=protected.join, delivery="every") as watched:
        with fw.Sender(join=protected.join, name="film", delivery="every") as out:
            first = None
            deadline = time.monotonic() + PATIENCE
            # Whoever comes later has what comes later.
            while first is None:
                assert time.monotonic() < deadline
                out.send(PICTURE, timeout=PATIENCE)
                with contextlib.suppress(fw.Timeout):
                    first = watched.recv(timeout=0.05).number
            for number in range(first + 1, first + 30):
                out.send(PICTURE, timeout=PATIENCE)
                assert watched.recv(timeout=PATIENCE).number == number
            assert watched.streams()[0].delivery == "every"
    assert watched.stats().lost == 0


def test_no_more_frames_a_second_come_than_are_wanted(plain: Server):
    plain.camera("fast", fps=100)
    with fw.Receiver.watch("fast", server=plain.url, max_fps=10) as watched:
        numbers = [watched.recv(timeout=PATIENCE).number for _ in range(11)]
    # Every tenth where nobody is held up.
    assert numbers[-1] - numbers[1] >= 9 * 3, numbers


def test_an_asyncio_program_watches(plain: Server):
    plain.camera("front")

    async def main() -> None:
        async with asyncio.timeout(PATIENCE), fw.Receiver.watch("front", server=plain.url) as watched:
            frame = await watched.recv_async()
            async for newer in watched:
                assert newer.number > frame.number
                break
        with pytest.raises(fw.Closed):
            await watched.recv_async()

    asyncio.run(main())


WATCHES = """
import sys, framewire as fw
source = fw.Receiver.watch("front", server=sys.argv[1])
source.recv(timeout=60)
print("reads", flush=True)
for frame in source:
    pass
"""


def test_a_watcher_that_is_killed_is_let_go_and_was_counted(plain: Server):
    plain.camera("front")
    with subprocess.Popen([sys.executable, "-c", WATCHES, plain.url], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "reads\n"
        plain.reaches(framewire_watchers=1, framewire_watches_total=1)
        watcher.kill()
    plain.reaches(framewire_watchers=0)
    assert plain.figure("framewire_relay_frames_sent_total") >= 1
    # The next one is one more, and has what it wants.
    with fw.Receiver.watch("front", server=plain.url) as watched:
        watched.recv(timeout=PATIENCE)
        plain.reaches(framewire_watchers=1, framewire_watches_total=2)


FORKS = """
import os, sys, warnings, framewire as fw
warnings.simplefilter("ignore")
source = fw.Receiver.watch("front", server=sys.argv[1])
number = source.recv(timeout=60).number
address = source.address
child = os.fork()
if child == 0:
    told = 0
    for use in (lambda: source.recv(timeout=60), source.fileno, lambda: next(iter(source))):
        try:
            use()
        except fw.Forked:
            told += 1
    # What it has is given up without harm, and the wish is the parent's.
    is_told = told == 3 and source.address == address and source.streams() == []
    source.close()
    del source
    os._exit(0 if is_told else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert all(source.recv(timeout=60).number > number for _ in range(20))
print("the parent goes on")
"""


def test_a_fork_of_a_watcher_is_told_and_its_parent_goes_on(plain: Server, run: Any):
    plain.camera("front")
    assert run(FORKS, plain.url).stdout == "the parent goes on\n"
    plain.reaches(framewire_watchers=0, framewire_watches_total=1)


def test_who_takes_frames_is_told_of_the_closing_by_another_thread(plain: Server):
    plain.camera("front")
    watched = fw.Receiver.watch("front", server=plain.url)
    taken = threading.Event()
    told: list[type[fw.Error]] = []

    def take() -> None:
        try:
            while True:
                watched.recv()
                taken.set()
        except fw.Error as error:
            told.append(type(error))

    takers = [threading.Thread(target=take) for _ in range(3)]
    for taker in takers:
        taker.start()
    assert taken.wait(PATIENCE)
    watched.close()
    for taker in takers:
        taker.join(PATIENCE)
    assert told == [fw.Closed] * 3


def test_that_no_datagram_comes_in_is_in_the_text_with_what_helps(plain: Server):
    plain.camera("front")
    # Nothing is sent there: the server sends to where it was asked from.
    with fw.Receiver.watch("front", server=plain.url, udp="127.0.0.3:0") as watched:
        said = ""
        deadline = time.monotonic() + PATIENCE
        while "nothing of it comes in" not in said:
            assert time.monotonic() < deadline, said
            with pytest.raises(fw.Timeout) as told:
                watched.recv(timeout=0.1)
            said = str(told.value)
        assert f"UDP {watched.address}" in said and "udp ':PORT'" in said


def test_frames_come_in_at_the_port_that_is_named(plain: Server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain.camera("front")
    with fw.Receiver.watch("front", server=plain.url, udp=f"127.0.0.1:{port}") as watched:
        assert watched.recv(timeout=PATIENCE).width == 64 and watched.address == f"127.0.0.1:{port}"


def test_who_waits_is_told_of_the_closing(plain: Server):
    watched = fw.Receiver.watch("nothing", server=plain.url)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            watched.recv()
        except fw.Error as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    watched.close()
    watched.close()
    waiting.join(PATIENCE)
    assert [type(error) for error in told] == [fw.Closed]
    with pytest.raises(fw.Closed):
        watched.recv(timeout=0)


@pytest.mark.parametrize("wrong", ["token", "pin"])
def test_another_token_and_another_server_are_refused(protected: Server, wrong: str):
    place, _, secrets = protected.join.read_text().strip().partition("#")
    token, _, pin = secrets.partition(".")
    other_token, _, other_pin = OTHER.partition("#")[2].partition(".")
    line = f"{place}#{other_token}.{pin}" if wrong == "token" else f"{place}#{token}.{other_pin}"
    with fw.Receiver.watch("front", join=line) as watched:
        for _ in range(2):
            with pytest.raises(fw.Refused) as told:
                watched.recv(timeout=PATIENCE)
            assert token not in str(told.value) and other_token not in str(told.value)


def test_plain_text_from_another_machine_is_taken_where_that_is_said_alone(tmp_path: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            # No datagram leaves: it is only asked by which address one would.
            route.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("SKIPPED: this machine has no address but those of loopback")
        host = route.getsockname()[0]
    for server in started(tmp_path, "--insecure", host=host):
        server.camera("front")
        with fw.Receiver.watch("front", server=server.url) as watched, pytest.raises(fw.Refused, match='protection="off"'):
            watched.recv(timeout=PATIENCE)
        with fw.Receiver.watch("front", server=server.url, protection="off") as watched:
            assert watched.recv(timeout=PATIENCE).width == 64


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"server": "http://127.0.0.1:9", "join": OTHER},
        {"server": "127.0.0.1:9"},
        {"server": "http://127.0.0.1:9", "max_fps": 0.0},
        {"server": "http://127.0.0.1:9", "max_fps": float("nan")},
        {"server": "http://127.0.0.1:9", "delivery": "some"},
        {"server": "http://127.0.0.1:9", "slots": 65},
        {"server": "http://127.0.0.1:9", "queue": 0},
        {"server": "http://127.0.0.1:9", "protection": "perhaps"},
        {"server": "http://127.0.0.1:9", "udp": "nowhere"},
        {"server": "http://127.0.0.1:9", "udp": ":70000"},
        {"join": OTHER, "protection": "off"},
        {"join": OTHER[:-1]},
        {"join": "/no/such/file"},
    ],
)
def test_what_cannot_be_is_told_at_once(given: dict[str, Any]):
    with pytest.raises(fw.ArgumentError) as told:
        fw.Receiver.watch("front", **given)
    assert "kCpVUAk0" not in str(told.value)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 1000])
def test_a_name_that_no_stream_has_is_told(name: str):
    with pytest.raises(fw.ArgumentError):
        fw.Receiver.watch(name, server="http://127.0.0.1:9")


def test_a_program_that_is_told_to_end_while_it_waits_ends(run):
    done = run(
        "import framewire as fw, os, signal, threading\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    fw.Receiver.watch('front', server='http://127.0.0.1:9').recv()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert done.stdout == "interrupted\n"
