"""What a frame says of itself, and what can be done with it."""

from __future__ import annotations

import datetime
import socket
import threading
import time

import framewire as fw
import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way


def test_a_frame_says_what_it_is(way: Way):
    source, out = way.pair(fps=30)
    before = time.monotonic()
    out.send(PICTURE, metadata={"exposure_us": 8000, "pose": [1, 2.5, None], "name": "front"}, captured=before)
    frame = source.recv(timeout=PATIENCE)
    assert frame.number == 0
    assert (frame.width, frame.height, frame.stride, frame.nbytes, len(frame)) == (64, 48, 192, PICTURE.nbytes, 48)
    assert frame.format == "bgr24", "three channels are blue, green, red, as OpenCV has them"
    assert frame.complete and frame.missing == []
    assert frame.metadata == {"exposure_us": 8000, "pose": [1, 2.5, None], "name": "front"}
    assert frame.metadata_kind == "json"
    assert b"exposure_us" in frame.metadata_bytes
    assert frame.captured == pytest.approx(before, abs=1e-6)
    assert frame.captured_ns == pytest.approx(before * 1e9, abs=1e3)
    stream = frame.stream
    assert (stream.format, stream.width, stream.height, stream.fps, stream.delivery) == ("bgr24", 64, 48, 30.0, "every")
    assert (stream.peer is None) == (way.kind == "shm")
    assert frame.slot >= 0 and not frame.is_copy and not frame.released
    assert "bgr24" in repr(frame) and "64" in repr(frame)


def test_a_frame_says_when_it_was_captured_and_how_old_it_came(way: Way):
    source, out = way.pair()
    deadline = time.monotonic() + PATIENCE
    # The clocks of both ends are compared while frames come.
    while True:
        out.send(PICTURE, timeout=PATIENCE)
        frame = source.recv(timeout=PATIENCE)
        if frame.latency is not None and frame.captured_utc is not None:
            break
        assert time.monotonic() < deadline, "the clocks are compared"
        time.sleep(0.02)
    assert 0 <= frame.latency < PATIENCE
    assert frame.captured_utc.tzinfo == datetime.UTC
    assert abs((datetime.datetime.now(datetime.UTC) - frame.captured_utc).total_seconds()) < PATIENCE


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [(None, None), (b"\x00\xff raw", "bytes"), ({"a": 1}, "json"), ([1, "two", None], "json"), ({}, "json")],
)
def test_metadata_arrives_as_it_was_given(way: Way, metadata, kind):
    source, out = way.pair()
    out.send(PICTURE, metadata=metadata)
    frame = source.recv(timeout=PATIENCE)
    assert (frame.metadata, frame.metadata_kind) == (metadata, kind)


def test_a_slot_takes_metadata_and_the_time_of_capture(way: Way):
    source, out = way.pair()
    with out.frame(timeout=PATIENCE) as slot:
        slot.array[...] = 5
        slot.metadata = {"gain": 2}
        slot.captured = 12.5
        assert slot.number is None
    assert slot.number == 0
    frame = source.recv(timeout=PATIENCE)
    assert frame.metadata == {"gain": 2}
    assert frame.captured == pytest.approx(12.5)
    assert (frame.array == 5).all()


def test_numbers_go_up_by_one_and_frames_come_in_order(way: Way):
    source, out = way.pair()
    for number in range(20):
        assert out.send(np.full_like(PICTURE, number)) == number
        frame = source.recv(timeout=PATIENCE)
        assert (frame.number, int(frame.array[0, 0, 0])) == (number, number)
    assert source.stats().taken == 20
    assert out.stats().sent == 20
    assert source.stats().as_dict()["taken"] == 20


def test_a_copy_is_writable_and_holds_no_slot(way: Way):
    source, out = way.pair()
    out.send(PICTURE, metadata={"a": 1})
    frame = source.recv(timeout=PATIENCE)
    copy = frame.copy()
    frame.release()
    assert source.stats().held == 0
    assert copy.is_copy and copy.slot == -1
    assert copy.metadata == {"a": 1} and copy.number == 0
    assert np.array_equal(copy.array, PICTURE)
    copy.array[...] = 0
    assert not copy.array.any()


def test_a_frame_cannot_be_written_to(way: Way):
    source, out = way.pair()
    out.send(PICTURE)
    frame = source.recv(timeout=PATIENCE)
    with pytest.raises(ValueError, match="read-only"):
        frame.array[0, 0, 0] = 1
    assert memoryview(frame).readonly
    with pytest.raises(ValueError, match="WRITEABLE"):
        frame.array.flags.writeable = True


def test_the_buffer_has_the_shape_of_the_array(way: Way):
    source, out = way.pair()
    out.send(PICTURE)
    view = memoryview(source.recv(timeout=PATIENCE))
    assert (view.shape, view.strides, view.format, view.nbytes) == ((48, 64, 3), (192, 3, 1), "B", PICTURE.nbytes)
    assert np.array_equal(np.asarray(view), PICTURE)


def test_dlpack_hands_over_the_pixels(way: Way):
    source, out = way.pair()
    out.send(PICTURE)
    frame = source.recv(timeout=PATIENCE)
    assert frame.__dlpack_device__() == (1, 0)
    array = np.from_dlpack(frame)
    assert np.array_equal(array, PICTURE)
    assert array.__array_interface__["data"][0] == frame.array.__array_interface__["data"][0]


def test_torch_has_a_tensor_of_its_own_memory(way: Way):
    torch = pytest.importorskip("torch", reason="SKIPPED: torch is not there")
    source, out = way.pair()
    out.send(PICTURE)
    frame = source.recv(timeout=PATIENCE)
    tensor = frame.torch()
    assert tensor.data_ptr() != frame.array.__array_interface__["data"][0]
    assert torch.equal(tensor, torch.from_numpy(PICTURE.copy()))


def test_the_newest_frame_is_taken_of_those_that_wait(way: Way):
    source, out = way.pair()
    for number in range(3):
        out.send(np.full_like(PICTURE, number))
    if way.kind == "udp":
        # All three have arrived.
        out.wait_settled(timeout=PATIENCE)
    assert source.latest(timeout=PATIENCE).number == 2


def test_arrays_of_any_order_are_sent_and_what_that_cost_is_counted(way: Way):
    source, out = way.pair()
    for sent, reordered in ((PICTURE, 0), (PICTURE[::-1], 0), (np.asfortranarray(PICTURE), 1), (PICTURE[:, ::-1], 2)):
        out.send(sent)
        assert np.array_equal(source.recv(timeout=PATIENCE).array, sent)
        assert out.stats().reordered == reordered


def test_whatever_has_a_buffer_can_be_sent(way: Way):
    source, out = way.pair(np.zeros(1000, np.uint8), format="bytes")
    for data in (b"\x01\x02\x03", bytearray(b"abc"), memoryview(b"abcdef")[::2]):
        out.send(data)
        assert bytes(source.recv(timeout=PATIENCE)) == bytes(data)


def test_frames_of_bytes_differ_in_length(way: Way):
    source, out = way.pair(np.zeros(1000, np.uint8), format="bytes")
    with out.frame(timeout=PATIENCE) as slot:
        slot.array[:5] = 7
        slot.set_length(5)
    frame = source.recv(timeout=PATIENCE)
    assert frame.array.tolist() == [7] * 5


def test_a_discarded_slot_is_not_sent_and_neither_is_one_whose_block_raises(way: Way):
    source, out = way.pair()
    with out.frame(timeout=PATIENCE) as slot:
        slot.discard()
    with pytest.raises(KeyError, match="camera"), out.frame(timeout=PATIENCE) as slot:
        raise KeyError("camera")
    # All slots are free again.
    for _ in range(20):
        out.frame(timeout=PATIENCE).discard()
    with out.frame(timeout=PATIENCE) as slot:
        slot.array[...] = 9
    frame = source.recv(timeout=PATIENCE)
    assert (frame.array == 9).all()
    assert out.stats().sent == 1


def test_a_loop_ends_with_the_stream(way: Way):
    source, out = way.pair(source={"reconnect": False})
    out.send(PICTURE)
    numbers = []
    for frame in source:
        numbers.append(frame.number)
        # The last one has been taken.
        out.close(timeout=PATIENCE)
    assert numbers == [0]
    with pytest.raises(fw.Ended):
        source.recv(timeout=PATIENCE)


def test_streams_are_listed(way: Way):
    source, out = way.pair(fps=25)
    out.send(PICTURE)
    source.recv(timeout=PATIENCE)
    (stream,) = source.streams()
    assert (stream.format, stream.width, stream.height, stream.fps) == ("bgr24", 64, 48, 25.0)
    assert stream.metadata_max == 4096
    if way.kind == "shm":
        assert stream.name in [shared.name for shared in fw.streams()]
        assert isinstance(out, fw.Publisher) and out.stats().readers == 1 and len(out.readers) == 1


def test_a_frame_that_did_not_arrive_whole_says_what_is_missing():
    sent = np.full((480, 640, 3), 7, np.uint8)
    with fw.Receiver("127.0.0.1:0", partial=True) as source, Lossy(source.address) as lossy, fw.Sender(lossy.address) as out:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline, "one of the frames lacks something"
            out.send(sent, timeout=PATIENCE)
            try:
                frame = source.recv(timeout=0.2)
            except fw.Timeout:
                continue
            assert frame.complete == (frame.missing == [])
            if not frame.complete:
                break
        arrived = np.ones(frame.nbytes, bool)
        for start, stop in frame.missing:
            assert 0 <= start < stop <= frame.nbytes
            arrived[start:stop] = False
        assert (frame.array.reshape(-1)[arrived] == 7).all()


class Lossy:
    """A network between a sender and a receiver of which every twentieth datagram is lost, where it is a long one."""

    def __init__(self, receiver: str) -> None:
        host, port = receiver.split(":")
        self._near, self._far = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        self._near.bind(("127.0.0.1", 0))
        self._far.connect((host, int(port)))
        self.address = f"127.0.0.1:{self._near.getsockname()[1]}"
        self._sender: object = None
        self._count = 0
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(way,)) for way in (self._there, self._back)]

    def _run(self, way) -> None:
        while not self._is_over.is_set():
            try:
                way()
            except (TimeoutError, ConnectionError):
                continue

    def _there(self) -> None:
        self._count += 1
        datagram, self._sender = self._near.recvfrom(1 << 16)
        if len(datagram) < 1000 or self._count % 20:
            self._far.send(datagram)

    def _back(self) -> None:
        datagram = self._far.recv(1 << 16)
        if self._sender:
            self._near.sendto(datagram, self._sender)

    def __enter__(self):
        for end in (self._near, self._far):
            end.settimeout(0.2)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._near.close()
        self._far.close()
