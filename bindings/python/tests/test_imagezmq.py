"""imageZMQ's calls: both forms, any array, hubs and senders that come back, and imageZMQ's own programs."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE
from framewire.imagezmq import ImageHub, ImageSender


def free_port() -> int:
    """A port that nobody has, for TCP and for UDP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


@pytest.fixture
def address() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


class Calls:
    """Calls of a sender in a thread of its own: those of REQ/REP wait for the hub."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], Any] | None] = queue.Queue()
        self._results: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._results.put(call())
            except BaseException as error:
                self._results.put(error)

    def begin(self, call: Callable[[], Any]) -> None:
        self._calls.put(call)

    def result(self) -> Any:
        result = self._results.get(timeout=PATIENCE)
        if isinstance(result, BaseException):
            raise result
        return result

    def is_waiting(self) -> bool:
        return self._results.empty()

    def end(self) -> None:
        self._calls.put(None)
        self._thread.join(PATIENCE)


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.end()


IMAGES = [
    PICTURE,
    np.arange(48 * 64, dtype=np.uint32).astype(np.uint8).reshape(48, 64),
    np.zeros((10, 12, 4), np.uint8),
    np.arange(120, dtype=np.uint16).reshape(10, 12),
    np.linspace(0, 1, 120).reshape(10, 12),
    np.arange(60, dtype=np.int64).reshape(3, 4, 5),
    np.arange(10, dtype=np.float32),
    np.zeros((4, 4, 1), np.uint8),
    np.array(7),
    np.zeros((5, 5), bool),
    PICTURE[::-1, ::2],
]


def test_images_of_any_shape_are_sent_and_replied_to(address: str, calls: Calls):
    with ImageHub(address) as hub, ImageSender(address) as sender:
        for number, image in enumerate(IMAGES):
            calls.begin(lambda image=image, number=number: sender.send_image(f"image {number}", image))
            message, received = hub.recv_image()
            assert message == f"image {number}"
            assert (received.shape, received.dtype) == (image.shape, image.dtype)
            assert np.array_equal(received, image)
            assert received.flags.writeable, "people draw on it"
            assert calls.is_waiting(), "it waits for the reply"
            hub.send_reply(b"reply %d" % number)
            assert calls.result() == b"reply %d" % number


def test_with_a_key_images_are_protected_in_both_forms(address: str, calls: Calls):
    key = fw.Key.random()
    with ImageHub(address, key=key) as hub, ImageSender(address, key=key) as sender:
        calls.begin(lambda: sender.send_image("cam", PICTURE))
        message, image = hub.recv_image()
        assert message == "cam" and np.array_equal(image, PICTURE)
        hub.send_reply(b"seen")
        assert calls.result() == b"seen"
    with ImageSender(f"tcp://127.0.0.1:{(port := free_port())}", REQ_REP=False, key=key) as sender:
        with ImageHub(f"tcp://127.0.0.1:{port}", REQ_REP=False, key=key) as hub:
            assert np.array_equal(published(sender, hub, "cam", PICTURE), PICTURE)


def test_a_hub_with_a_key_takes_no_image_without_it(address: str, calls: Calls):
    with ImageHub(address, key=fw.Key.random()) as hub, ImageSender(address) as sender:
        calls.begin(lambda: sender.send_image("cam", PICTURE))
        hub.zmq_socket.setsockopt(27, 50)
        while calls.is_waiting():
            with pytest.raises(fw.Timeout):
                hub.recv_image()
        with pytest.raises(fw.Refused) as told:
            calls.result()
    assert told.value.code == "refused-needs-key"


@pytest.mark.parametrize("message", ["", "Kamera 1 ü", {"a": [1, None, 2.5]}, 17, None, ["x", {}], "long " * 5000])
def test_messages_are_whatever_json_can_say(address: str, calls: Calls, message: Any):
    with ImageHub(address) as hub, ImageSender(address) as sender:
        for send, take in ((sender.send_image, hub.recv_image), (sender.send_jpg, hub.recv_jpg)):
            calls.begin(lambda send=send: send(message, PICTURE[:, :, 0].copy() if send == sender.send_image else b"file"))
            said, data = take()
            assert said == message
            assert np.array_equal(data, PICTURE[:, :, 0]) if isinstance(data, np.ndarray) else data == b"file"
            hub.send_reply()
            assert calls.result() == b"OK"


def test_files_are_bytes_of_any_length(address: str, calls: Calls):
    files = [b"\xff\xd8" + bytes(10), np.frombuffer(b"array of them", np.uint8).reshape(-1, 1), bytes(700_000), b"x"]
    with ImageHub(address) as hub, ImageSender(address) as sender:
        for file in files:
            calls.begin(lambda file=file: sender.send_jpg("camera", file))
            message, received = hub.recv_jpg()
            assert message == "camera"
            assert received == bytes(file)
            hub.send_reply()
            calls.result()


def test_an_image_is_not_taken_for_a_file(address: str, calls: Calls):
    with ImageHub(address) as hub, ImageSender(address) as sender:
        calls.begin(lambda: sender.send_jpg("camera", b"file"))
        with pytest.raises(fw.FormatError, match="recv_jpg"):
            hub.recv_image()
        hub.send_reply(b"sorry")
        assert calls.result() == b"sorry"


def test_several_senders_have_the_replies_that_are_theirs(address: str):
    everyone = [Calls() for _ in range(4)]
    with ImageHub(address) as hub:
        senders = [ImageSender(address) for _ in everyone]
        for place, (calls, sender) in enumerate(zip(everyone, senders, strict=True)):
            image = np.full((10 + place, 20, 3), place, np.uint8)
            for turn in range(3):
                calls.begin(lambda sender=sender, place=place, turn=turn, image=image: sender.send_image([place, turn], image))
        for _ in range(12):
            (place, turn), image = hub.recv_image()
            assert image.shape == (10 + place, 20, 3) and (image == place).all()
            hub.send_reply(f"{place} {turn}".encode())
        for place, calls in enumerate(everyone):
            assert [calls.result() for _ in range(3)] == [f"{place} {turn}".encode() for turn in range(3)]
            calls.end()
        for sender in senders:
            sender.close()


def test_a_hub_that_comes_later_has_the_image(address: str, calls: Calls):
    with ImageSender(address) as sender:
        calls.begin(lambda: sender.send_image("early", PICTURE))
        with ImageHub(address) as hub:
            message, image = hub.recv_image()
            assert message == "early" and np.array_equal(image, PICTURE)
            hub.send_reply()
            assert calls.result() == b"OK"


def test_a_hub_that_restarts_has_frames_again(address: str, calls: Calls):
    with ImageSender(address) as sender:
        for turn in range(3):
            hub = ImageHub(address)
            calls.begin(lambda turn=turn: sender.send_image(turn, PICTURE))
            assert hub.recv_image()[0] == turn
            if turn == 1:
                # It ends between an image and its reply: imageZMQ's senders wait for ever then.
                hub.close()
                began = time.monotonic()
                hub = ImageHub(address)
                assert hub.recv_image()[0] == turn
                print(f"frames again after {time.monotonic() - began:.3f} s")
            hub.send_reply()
            assert calls.result() == b"OK"
            hub.close()


def test_calls_out_of_turn_are_told(address: str, calls: Calls):
    with ImageHub(address) as hub, ImageSender(address) as sender:
        with pytest.raises(fw.ArgumentError, match="recv_image"):
            hub.send_reply()
        calls.begin(lambda: sender.send_image("one", PICTURE))
        hub.recv_image()
        with pytest.raises(fw.ArgumentError, match="send_reply"):
            hub.recv_image()
        hub.send_reply()
        assert calls.result() == b"OK"
        with pytest.raises(fw.ArgumentError, match="REQ_REP=False"):
            sender.send_image_pubsub("two", PICTURE)


@pytest.mark.parametrize("wrong", ["127.0.0.1:5555", "tcp://127.0.0.1", "ipc:///tmp/x", "tcp://:5555", "tcp://*:70000", ""])
def test_an_address_that_is_none_is_told(wrong: str):
    for end in (ImageHub, ImageSender):
        with pytest.raises(fw.ArgumentError, match="tcp://"):
            end(wrong)


def test_an_address_that_is_taken_is_told(address: str):
    with ImageHub(address), pytest.raises(fw.Refused, match=address.rpartition(":")[2]):
        ImageHub(address)


def test_times_to_wait_are_set_as_with_zeromq(address: str):
    with ImageSender(address) as sender:
        sender.zmq_socket.setsockopt(27, 100)
        with pytest.raises(fw.Timeout, match="no hub"):
            sender.send_image("nobody", PICTURE)
        with ImageHub(address) as hub:
            hub.zmq_socket.setsockopt(27, 0)
            with pytest.raises(fw.Timeout):
                hub.recv_image()
            hub.zmq_socket.setsockopt(27, -1)
            with pytest.raises(fw.Timeout, match="reply"):
                sender.send_image("unanswered", PICTURE)
            assert hub.recv_image()[0] == "unanswered"
            hub.send_reply(b"too late")
            sender.zmq_socket.setsockopt(27, -1)
            calls = Calls()
            calls.begin(lambda: sender.send_image("answered", PICTURE))
            assert hub.recv_image()[0] == "answered"
            hub.send_reply(b"in time")
            assert calls.result() == b"in time", "not the reply to what was given up"
            calls.end()


def test_what_cannot_be_sent_is_told(address: str):
    with ImageSender(address) as sender:
        with pytest.raises(fw.FormatError, match="list is no image"):
            sender.send_image("x", [1, 2])
        with pytest.raises(fw.FormatError, match="int is no file"):
            sender.send_jpg("x", 5)
        for message in ({1, 2}, b"bytes", object()):
            with pytest.raises(fw.ArgumentError, match="JSON cannot say"):
                sender.send_image(message, PICTURE)


def test_without_numpy_it_is_said_how_it_is_installed(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with ImageSender(address) as sender, pytest.raises(ImportError, match=r"pip install 'framewire\[numpy\]'"):
        sender.send_jpg("x", b"file")


def test_closed_ends_say_so_and_closing_twice_is_once(address: str):
    hub, sender = ImageHub(address), ImageSender(address)
    for end in (hub, sender):
        end.close()
        end.close()
        end.zmq_context.term()
        assert end.zmq_socket.closed
    with pytest.raises(fw.Closed):
        hub.recv_image()
    with pytest.raises(fw.Closed):
        sender.send_image("x", PICTURE)


def test_strangers_at_the_port_disturb_nobody(address: str, calls: Calls):
    host, port = "127.0.0.1", int(address.rpartition(":")[2])
    with ImageHub(address) as hub, ImageSender(address) as sender, fw.Sender(f"{host}:{port}") as stranger:
        lines = [socket.create_connection((host, port)) for _ in range(5)]
        lines[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        lines[1].sendall(b"fw-ima")
        lines[2].sendall(b"\xff\0\0\0\0\0\0\0\1\x7f")
        for metadata in (
            {"msg": "forged"},
            {"msg": 1, "reply": 3, "asked": "x"},
            {"head": 1 << 40},
            {"msg": 1, "dtype": "O", "shape": [1]},
            b"\0",
            None,
        ):
            stranger.send(PICTURE, metadata=metadata, timeout=PATIENCE)
            stranger.wait_settled(timeout=PATIENCE)
        calls.begin(lambda: sender.send_image("mine", PICTURE))
        assert hub.recv_image()[0] == "mine"
        hub.send_reply()
        assert calls.result() == b"OK"
        for line in lines:
            line.close()


def published(sender: ImageSender, hub: ImageHub, message: Any, image: Any) -> Any:
    """Sends an image until the hub has it: who is not subscribed yet has none."""
    hub.zmq_socket.setsockopt(27, 50)
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline
        sender.send_image(message, image)
        try:
            said, received = hub.recv_image()
        except fw.Timeout:
            continue
        if said == message:
            return received


def test_images_are_published_to_whoever_subscribes(address: str):
    with ImageSender(address, REQ_REP=False) as sender:
        assert sender.send_image("nobody", PICTURE) is None
        with ImageHub(address, REQ_REP=False) as one, ImageHub(address, REQ_REP=False) as two:
            for number, image in enumerate(IMAGES[:5]):
                for hub in (one, two):
                    assert np.array_equal(published(sender, hub, f"image {number}", image), image)
            with pytest.raises(fw.ArgumentError, match="PUB/SUB"):
                one.send_reply()


def test_a_hub_subscribes_to_several_senders():
    addresses = [f"tcp://127.0.0.1:{free_port()}" for _ in range(3)]
    senders = [ImageSender(address, REQ_REP=False) for address in addresses]
    with ImageHub(addresses[0], REQ_REP=False) as hub:
        for address in addresses[1:]:
            hub.connect(address)
        for place, sender in enumerate(senders):
            assert (published(sender, hub, place, np.full((8, 8, 3), place, np.uint8)) == place).all()
    for sender in senders:
        sender.close()


def test_either_end_of_a_publication_may_come_back(address: str):
    sender = ImageSender(address, REQ_REP=False)
    hub = ImageHub(address, REQ_REP=False)
    published(sender, hub, "first", PICTURE)
    hub.close()
    hub = ImageHub(address, REQ_REP=False)
    published(sender, hub, "hub is back", PICTURE)
    sender.close()
    sender = ImageSender(address, REQ_REP=False)
    published(sender, hub, "sender is back", PICTURE)
    sender.close()
    hub.close()


def test_images_in_place_are_read_only(address: str, calls: Calls):
    with ImageHub(address, in_place=True) as hub, ImageSender(address) as sender:
        calls.begin(lambda: sender.send_image("in place", PICTURE))
        _, image = hub.recv_image()
        assert not image.flags.writeable and np.array_equal(image, PICTURE)
        hub.send_reply()
        calls.result()


# imageZMQ's own programs, as they are in its source distribution: fetched when they are run, with the import changed.

SHOWS = """
import sys
try:
    import cv2
except ImportError:
    pass
else:
    # Wherever there is a screen or not: says what would be seen.
    cv2.imshow = lambda name, image: print("SHOWS", name, image.shape, int(image.sum()), flush=True)
    cv2.waitKey = lambda milliseconds=0: -1
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """imageZMQ's folder of tests."""
    pytest.importorskip("cv2", reason="SKIPPED: imageZMQ's programs need OpenCV")
    folder = tmp_path_factory.mktemp("imagezmq")
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "imagezmq==1.2.0", "--no-binary", ":all:", "--no-deps", "-q", "-d", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    files = list(folder.glob("imagezmq-1.2.0.tar.gz"))
    if not files:
        pytest.skip(f"SKIPPED: pip cannot fetch imageZMQ's programs: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(files[0]) as archive:
        archive.extractall(folder, filter="data")
    (folder / "sitecustomize.py").write_text(SHOWS)
    return folder / "imagezmq-1.2.0" / "tests"


class Output:
    """A program, and what it says."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        self._said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            self._said.put(line.rstrip())
        self._said.put("it has ended")

    def says(self, beginning: str) -> str:
        """Its next line that begins so."""
        said = []
        while True:
            said.append(self._said.get(timeout=PATIENCE))
            if said[-1].startswith(beginning):
                return said[-1]
            assert said[-1] != "it has ended", said

    def has_said(self, beginning: str) -> int:
        """How many lines that begin so it has said since it was asked last."""
        count = 0
        while not self._said.empty():
            line = self._said.get()
            assert line != "it has ended"
            count += line.startswith(beginning)
        return count

    def interrupt(self) -> None:
        self._program.send_signal(signal.SIGINT)
        self._program.wait(PATIENCE)

    def end(self) -> None:
        self._program.kill()
        self._program.wait()


class Program(Output):
    """One of them, as it is but for the import and the addresses of its author's machines."""

    def __init__(self, folder: Path, name: str) -> None:
        text, count = re.subn(r"^import imagezmq$", "from framewire import imagezmq", (folder / name).read_text(), flags=re.MULTILINE)
        assert count == 1
        changed = folder / f"changed_{name}"
        changed.write_text(re.sub(r"192\.168\.86\.\d+", "127.0.0.1", text))
        environment = os.environ | {"PYTHONPATH": str(folder.parent.parent), "PYTHONUNBUFFERED": "1"}
        super().__init__([sys.executable, str(changed)], environment)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


@pytest.fixture
def port_5555() -> None:
    """They have it in their text."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("0.0.0.0", 5555))
            except OSError as error:
                pytest.skip(f"SKIPPED: port 5555, which imageZMQ's programs have, is taken ({error})")


def test_programs_of_imagezmq_send_and_receive(programs: Path, port_5555: None):
    with Program(programs, "test_receive_images.py") as hub, Program(programs, "test_send_num_images.py") as sender:
        shown = [hub.says("SHOWS Images from Sender (400, 400, 3)") for _ in range(3)]
        assert len(set(shown)) == 3, "each has another number on it"
        sender.says("Sending 3")
        # The hub ends, and comes back: imageZMQ's sender would wait for ever.
        hub.interrupt()
        with Program(programs, "test_receive_images.py") as again:
            again.says("SHOWS Images from Sender (400, 400, 3)")
            again.says("SHOWS")


def test_programs_of_imagezmq_publish_and_subscribe(programs: Path, port_5555: None):
    with Program(programs, "test_pub_send_num_images.py") as sender, Program(programs, "test_sub_receive_num_images.py") as hub:
        sender.says("Sending 1")
        for _ in range(2):
            hub.says("SHOWS From Sender (400, 400, 3)")


def test_a_program_of_imagezmq_receives_files(programs: Path, port_5555: None, calls: Calls):
    cv2 = pytest.importorskip("cv2")
    _, file = cv2.imencode(".jpg", PICTURE)
    with Program(programs, "test_receive_jpgs.py") as hub, ImageSender() as sender:
        for _ in range(3):
            calls.begin(lambda: sender.send_jpg("camera", file))
            hub.says("SHOWS camera (48, 64, 3)")
            assert calls.result() == b"OK"
