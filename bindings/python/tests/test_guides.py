"""The programs of the guides and of the README, as they are written."""

from __future__ import annotations

import array
import os
import re
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE
from test_imagezmq import SHOWS, Output

FOLDER = Path(__file__).parent.parent


def programs(guide: str) -> list[str]:
    """Each block of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (FOLDER / guide).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Output]]:
    """Starts a program that is written on a page, and ends it."""
    (tmp_path / "sitecustomize.py").write_text(SHOWS)
    started: list[Output] = []

    def start(text: str, *arguments: str, before: str = "") -> Output:
        file = tmp_path / f"program{len(started)}.py"
        file.write_text(before + text)
        started.append(Output([sys.executable, str(file), *arguments], os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}))
        return started[-1]

    yield start
    for program in started:
        program.end()


def need_ports(*ports: int) -> None:
    """The pages have them in their text."""
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    taken.bind(("0.0.0.0", port))
                except OSError as error:
                    pytest.skip(f"SKIPPED: port {port}, which the page has in its text, is taken ({error})")


def test_every_program_of_every_page_is_tried_here():
    counts = {page: len(programs(page)) for page in ("README.md", "docs/from-imagezmq.md", "docs/from-opencv.md", "docs/from-ros.md")}
    assert counts == {"README.md": 2, "docs/from-imagezmq.md": 6, "docs/from-opencv.md": 2, "docs/from-ros.md": 2}
    assert {path.name for path in (FOLDER / "docs").glob("*.md")} == {"from-imagezmq.md", "from-opencv.md", "from-ros.md"}


def test_the_readme_shows_frames(start: Callable[..., Output]):
    pytest.importorskip("cv2", reason="SKIPPED: the README's program needs OpenCV")
    need_ports(9002)
    shows, sends = programs("README.md")
    viewer, _ = start(shows), start(sends)
    for _ in range(3):
        viewer.says(f"SHOWS camera (480, 640, 3) {480 * 640 * 3 * 90}")


def test_from_imagezmq_with_replies(start: Callable[..., Output]):
    pytest.importorskip("cv2", reason="SKIPPED: the guide's program needs OpenCV")
    need_ports(5555)
    hub, sender = programs("docs/from-imagezmq.md")[:2]
    sender = start(sender)
    hub = start(hub)
    for _ in range(3):
        hub.says(f"SHOWS {socket.gethostname()} (480, 640, 3)")
        sender.says("reply b'OK'")


def test_from_imagezmq_published(start: Callable[..., Output]):
    need_ports(5556)
    publisher, subscriber = programs("docs/from-imagezmq.md")[2:4]
    start(publisher)
    subscriber = start(subscriber)
    for _ in range(3):
        subscriber.says("image ")


def test_from_imagezmq_one_step_further(start: Callable[..., Output]):
    need_ports(5557)
    receives, sends = programs("docs/from-imagezmq.md")[4:6]
    receiver, _ = start(receives), start(sends)
    for _ in range(3):
        receiver.says("camera 1 (480, 640, 3)")


def test_from_opencv(start: Callable[..., Output], tmp_path: Path):
    cv2 = pytest.importorskip("cv2", reason="SKIPPED: the guide's programs need OpenCV")
    need_ports(9000)
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for number in range(60):
        writer.write(np.full_like(PICTURE, number))
    writer.release()
    viewer, camera = programs("docs/from-opencv.md")
    viewer = start(viewer)
    shown = 0
    while shown < 3:
        # The film ends; a camera does not.
        start(camera, str(film)).says("sent ")
        shown += viewer.has_said("SHOWS camera (48, 64, 3)")


ROS = textwrap.dedent("""
    # Stands in for ROS: what the programs of the guide use of it.
    import sys, types, array

    class Stamp:
        sec, nanosec = 0, 0

    class Header:
        def __init__(self):
            self.stamp, self.frame_id = Stamp(), ""

    class Image:
        def __init__(self):
            self.header, self.height, self.width, self.step, self.encoding, self.is_bigendian, self.data = Header(), 0, 0, 0, "", 0, array.array("B")

    def filled():
        message = Image()
        message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id = 5, 6, "front"
        message.height, message.width, message.step, message.encoding = 48, 64, 200, "rgb8"
        message.data = array.array("B", bytes((row * 3 + place) % 256 if place < 192 else 255 for row in range(48) for place in range(200)))
        return message

    class Publisher:
        def publish(self, message):
            assert isinstance(message.data, array.array) and len(message.data) == message.step * message.height
            print("PUBLISHED", message.encoding, message.width, message.height, message.step, sum(message.data), flush=True)

    class Node:
        def __init__(self, name):
            assert name
        def declare_parameter(self, name, value):
            return types.SimpleNamespace(value=value)
        def create_publisher(self, kind, topic, quality):
            assert (kind, topic) == (Image, "image_raw")
            return Publisher()
        def create_subscription(self, kind, topic, called, quality):
            assert (kind, topic) == (Image, "image_raw")
            self.called = called

    def spin(node):
        while True:
            node.called(filled())

    def module(name, **members):
        sys.modules[name] = types.ModuleType(name)
        for member, value in members.items():
            setattr(sys.modules[name], member, value)
        return sys.modules[name]

    qos = module("rclpy.qos", qos_profile_sensor_data="sensor data")
    module("rclpy.node", Node=Node)
    module("rclpy", init=lambda: None, ok=lambda: True, spin=spin, qos=qos)
    module("sensor_msgs")
    module("sensor_msgs.msg", Image=Image)
    """)


def test_from_ros_frames_into_a_topic(start: Callable[..., Output]):
    need_ports(9001)
    node = start(programs("docs/from-ros.md")[0], before=ROS)
    with fw.Sender("127.0.0.1:9001", fps=30) as out:
        while not node.has_said(f"PUBLISHED bgr8 64 48 192 {int(PICTURE.sum())}"):
            out.send(PICTURE)


def test_from_ros_a_topic_into_frames(start: Callable[..., Output]):
    need_ports(9001)
    with fw.Receiver("127.0.0.1:9001") as receiver:
        start(programs("docs/from-ros.md")[1], before=ROS)
        frame = receiver.recv(timeout=PATIENCE)
        assert frame.format == "rgb24" and frame.metadata == {"frame_id": "front", "stamp": [5, 6]}
        rows = [bytes((row * 3 + place) % 256 for place in range(192)) for row in range(48)]
        assert frame.array.tobytes() == b"".join(rows)
        assert array.array("B", bytes(frame)).tobytes() == b"".join(rows)
