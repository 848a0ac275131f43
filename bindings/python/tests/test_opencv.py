"""The reader with OpenCV's calls."""

from __future__ import annotations

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way
from framewire.opencv import VideoCapture


class Both:
    """A capture and an output for each way."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def pair(self, array: np.ndarray = PICTURE, *, format: str | None = None, fps: float | None = None, **options):
        if self.way.kind == "udp":
            capture = VideoCapture("udp://127.0.0.1:0", timeout=PATIENCE, **options)
            assert isinstance(capture._source, fw.Receiver)
            out = self.way.kept(fw.Sender(capture._source.address, delivery="every", format=format, fps=fps))
            out.frame(array.shape, dtype=array.dtype).discard()
        else:
            name = self.way.name()
            out = self.way.kept(fw.Publisher(name, delivery="every", format=format, fps=fps))
            out.frame(array.shape, dtype=array.dtype).discard()
            capture = VideoCapture(f"shm://{name}", timeout=PATIENCE, wait=PATIENCE, **options)
        return capture, out


@pytest.fixture
def both(way: Way) -> Both:
    return Both(way)


def test_images_are_read_as_with_opencv(both: Both):
    capture, out = both.pair(fps=30)
    assert capture.isOpened()
    out.send(PICTURE)
    # The width is asked for before the first image, whose frame is not lost.
    assert [capture.get(number) for number in (3, 4, 5)] == [64, 48, 30]
    assert capture.get(1) == 0
    ok, image = capture.read()
    assert ok and np.array_equal(image, PICTURE)
    image[...] = 0
    assert capture.get(1) == 1
    out.send(PICTURE, metadata={"a": 1})
    assert capture.grab()
    ok, image = capture.retrieve()
    assert ok and np.array_equal(image, PICTURE)
    assert capture.frame.metadata == {"a": 1}
    assert capture.get(0) >= 0
    assert not capture.set(3, 1280)
    assert capture.getBackendName() == "FRAMEWIRE"
    capture.release()
    capture.release()
    assert not capture.isOpened() and capture.read() == (False, None) and capture.get(3) == 0


def test_images_in_place_are_read_only(both: Both):
    capture, out = both.pair(copy=False)
    with capture:
        out.send(PICTURE)
        _, image = capture.read()
        assert not image.flags.writeable and np.array_equal(image, PICTURE)
        assert image.__array_interface__["data"][0] == capture.frame.array.__array_interface__["data"][0]
    assert not capture.isOpened()


def test_an_image_is_written_where_it_is_asked_for(both: Both):
    capture, out = both.pair()
    out.send(PICTURE)
    place = np.zeros_like(PICTURE)
    ok, image = capture.read(place)
    assert ok and image is place and np.array_equal(place, PICTURE)


@pytest.mark.parametrize(
    ("format", "sent", "expected"),
    [
        ("rgb24", PICTURE, PICTURE[:, :, ::-1]),
        ("bgra32", np.dstack((PICTURE, PICTURE[:, :, :1])), PICTURE),
        ("rgba32", np.dstack((PICTURE, PICTURE[:, :, :1])), PICTURE[:, :, ::-1]),
        ("gray8", PICTURE[:, :, 0].copy(), np.repeat(PICTURE[:, :, :1], 3, axis=2)),
        ("gray16", PICTURE[:, :, 0].astype(np.uint16), PICTURE[:, :, 0].astype(np.uint16)),
    ],
)
def test_colours_are_blue_first(both: Both, format: str, sent: np.ndarray, expected: np.ndarray):
    capture, out = both.pair(sent, format=format)
    out.send(sent)
    ok, image = capture.read()
    assert ok and np.array_equal(image, expected) and image.flags.writeable


@pytest.mark.parametrize("format", ["nv12", "yuv420p", "yuyv", "uyvy", "bayer_rggb8", "bayer_grbg8", "bayer_gbrg8", "bayer_bggr8"])
def test_colours_of_cameras_are_made_by_opencv(both: Both, format: str):
    pytest.importorskip("cv2", reason="SKIPPED: colours of cameras need OpenCV")
    from test_formats import FORMATS
    from test_notebook import RED, coloured

    if format.startswith("bayer"):
        order = format[6:10]
        sent = np.zeros((8, 96), np.uint8)
        for place, colour in enumerate(order):
            sent[place // 2 :: 2, place % 2 :: 2] = RED["rgb".index(colour)]
    else:
        sent = coloured(format)
    assert sent.shape == FORMATS[format][1]
    capture, out = both.pair(sent, format=format)
    out.send(sent)
    ok, image = capture.read()
    assert ok and image.shape == (8, 96, 3)
    assert np.abs(image[4, 48].astype(int)[::-1] - RED).max() <= 6
    out.send(sent)
    capture._convert = False
    assert np.array_equal(capture.read()[1], sent)


def test_no_image_in_time_is_not_ok(way: Way):
    with VideoCapture("127.0.0.1:0", timeout=0.05) as capture:
        assert capture.isOpened() and capture.read() == (False, None)
        assert isinstance(capture.error, fw.Timeout) and capture.isOpened()
        assert capture.get(3) == 0


def test_the_loop_that_people_have_ends_with_the_stream(both: Both):
    capture, out = both.pair(reconnect=False)
    out.send(PICTURE)
    seen = 0
    while capture.isOpened():
        ok, _ = capture.read()
        if not ok:
            break
        seen += 1
        out.close(timeout=PATIENCE)
    assert seen == 1 and isinstance(capture.error, fw.Ended) and not capture.isOpened()


def test_a_stream_that_is_not_there_is_not_opened():
    capture = VideoCapture("nobody")
    assert not capture.isOpened() and capture.read() == (False, None)
    assert isinstance(capture.error, fw.Error)
    capture.release()


def test_the_only_stream_needs_no_name(way: Way):
    name = way.name()
    out = way.kept(fw.Publisher(name))
    out.send(PICTURE)
    with VideoCapture(name) as capture:
        assert capture.isOpened()


@pytest.mark.parametrize("wrong", [0, "rtsp://camera/stream", "udp://nowhere", "udp://127.0.0.1:70000", "udp://0.0.0.0:0"])
def test_what_is_no_stream_is_told(wrong):
    with pytest.raises(fw.ArgumentError):
        VideoCapture(wrong)


def test_off_loopback_it_wants_to_be_told_that_this_is_meant():
    with VideoCapture("udp://@0.0.0.0:0", protection="off") as capture:
        assert capture.isOpened()


def test_numbers_are_opencvs():
    cv2 = pytest.importorskip("cv2", reason="SKIPPED: OpenCV is not there")
    from framewire import opencv

    names = {
        "_POS_MSEC": "POS_MSEC", "_POS_FRAMES": "POS_FRAMES", "_WIDTH": "FRAME_WIDTH", "_HEIGHT": "FRAME_HEIGHT", "_FPS": "FPS",
        "_FRAME_COUNT": "FRAME_COUNT", "_CONVERT_RGB": "CONVERT_RGB", "_BUFFERSIZE": "BUFFERSIZE", "_READ_TIMEOUT_MSEC": "READ_TIMEOUT_MSEC",
    }  # fmt: skip
    for ours, theirs in names.items():
        assert getattr(opencv, ours) == getattr(cv2, f"CAP_PROP_{theirs}")
    for name in opencv._CODES.values():
        assert hasattr(cv2, name)


def test_opencvs_backend_is_accepted():
    capture = VideoCapture("127.0.0.1:0", 1900)
    assert capture.isOpened()
    capture.release()
