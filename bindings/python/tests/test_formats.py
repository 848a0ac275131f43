"""Every pixel format, over both ways: its shape, what its items are, equal bytes, in place."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import PATIENCE, Way

HEIGHT, WIDTH = 8, 96

_GRAY = {f"gray{bits}": (np.uint8 if bits == 8 else np.uint16, (HEIGHT, WIDTH)) for bits in (8, 10, 12, 16)}
_COLOURS = {name: (np.uint8, (HEIGHT, WIDTH, int(name[-2:]) // 8)) for name in ("rgb24", "bgr24", "rgba32", "bgra32")}
_PLANAR = {
    f"yuv{kind}p{bits or ''}": (np.uint16 if bits else np.uint8, shape)
    for kind, shape in (("420", (HEIGHT * 3 // 2, WIDTH)), ("422", (HEIGHT * 2, WIDTH)), ("444", (3, HEIGHT, WIDTH)))
    for bits in (0, 10, 12, 16)
}
_SEMI_PLANAR = {"nv12": (np.uint8, (HEIGHT * 3 // 2, WIDTH)), "p010": (np.uint16, (HEIGHT * 3 // 2, WIDTH))}
_PACKED_YUV = {"yuyv": (np.uint8, (HEIGHT, WIDTH, 2)), "uyvy": (np.uint8, (HEIGHT, WIDTH, 2)), "v210": (np.uint8, (HEIGHT, 256))}
_BAYER = {
    f"bayer_{order}{bits}": (np.uint8 if bits == 8 else np.uint16, (HEIGHT, WIDTH))
    for bits in (8, 10, 12, 16)
    for order in ("rggb", "grbg", "gbrg", "bggr")
}
_DEPTH = {"depth16": (np.uint16, (HEIGHT, WIDTH)), "depth32f": (np.float32, (HEIGHT, WIDTH))}
_PACKED = {
    f"{name}{bits}p": (np.uint8, (HEIGHT, WIDTH * bits // 8))
    for bits in (10, 12)
    for name in ("mono", "bayer_rggb", "bayer_grbg", "bayer_gbrg", "bayer_bggr")
}
FORMATS = _GRAY | _COLOURS | _PLANAR | _SEMI_PLANAR | _PACKED_YUV | _BAYER | _DEPTH | _PACKED | {"bytes": (np.uint8, (HEIGHT * WIDTH,))}


def picture(name: str) -> np.ndarray:
    kind, shape = FORMATS[name]
    items = int(np.prod(shape))
    return np.frombuffer(np.random.default_rng(7).bytes(items * np.dtype(kind).itemsize), kind).reshape(shape)


def test_there_are_as_many_as_the_transport_has():
    assert len(FORMATS) == 54


@pytest.mark.parametrize("name", FORMATS)
def test_a_frame_of_every_format_arrives_as_its_array_equal_and_in_place(way: Way, name: str):
    sent = picture(name)
    source, out = way.pair(sent, format=name)
    assert out.send(sent, metadata={"format": name}) == 0
    frame = source.recv(timeout=PATIENCE)
    assert (frame.format, frame.shape, frame.nbytes) == (name, sent.shape, sent.nbytes)
    if name != "bytes":
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    array = frame.array
    assert (array.shape, array.dtype) == (sent.shape, sent.dtype)
    assert array.tobytes() == sent.tobytes() == bytes(frame)
    assert not array.flags.writeable
    assert frame.metadata == {"format": name}
    # The array, the buffer and the first plane begin where the slot does, which is in the memory that frames arrive in.
    address = array.__array_interface__["data"][0]
    assert np.asarray(frame).__array_interface__["data"][0] == address
    assert frame.planes[0].__array_interface__["data"][0] == address
    assert mapped_file(address), "the array is no copy on the heap"
    assert sum(plane.nbytes for plane in frame.planes) == sent.nbytes


@pytest.mark.parametrize("name", FORMATS)
def test_a_slot_of_every_format_is_written_in_place_and_sent(way: Way, name: str):
    sent = picture(name)
    source, out = way.pair(sent, format=name)
    with out.frame(timeout=PATIENCE) as slot:
        assert (slot.array.shape, slot.array.dtype, slot.format) == (sent.shape, sent.dtype, name)
        assert slot.array.flags.writeable
        slot.array[...] = sent
    frame = source.recv(timeout=PATIENCE)
    assert frame.array.tobytes() == sent.tobytes()


@pytest.mark.parametrize("name", ["nv12", "yuv420p", "yuv422p", "yuv444p", "p010", "yuv420p10"])
def test_planes_are_those_of_the_format(way: Way, name: str):
    sent = picture(name)
    source, out = way.pair(sent, format=name)
    out.send(sent)
    frame = source.recv(timeout=PATIENCE)
    down = {"422": 1, "444": 1}.get(name[3:6], 2)
    across = 1 if "444" in name else 2
    chroma = (HEIGHT // down, WIDTH // across)
    expected = [(HEIGHT, WIDTH), (*chroma, 2)] if name in ("nv12", "p010") else [(HEIGHT, WIDTH), chroma, chroma]
    assert [plane.shape for plane in frame.planes] == expected
    assert b"".join(plane.tobytes() for plane in frame.planes) == sent.tobytes()


def mapped_file(address: int) -> str:
    """The name of the file that is mapped there, empty of memory that is none's."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(side, 16) for side in line.split(maxsplit=1)[0].split("-"))
            if start <= address < end:
                parts = line.split(maxsplit=5)
                return parts[5].strip() if len(parts) > 5 and not parts[5].startswith("[") else ""
    return ""
