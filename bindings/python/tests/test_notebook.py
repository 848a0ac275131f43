"""What a notebook shows: frames as pictures, statistics and streams as tables."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from conftest import PATIENCE, PICTURE, Way
from test_formats import FORMATS, HEIGHT, WIDTH, picture


def decoded(file: bytes) -> np.ndarray:
    """The picture in a PNG file as this package writes it."""
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(file):
        (length,), kind = struct.unpack(">I", file[at : at + 4]), file[at + 4 : at + 8]
        data = file[at + 8 : at + 8 + length]
        assert struct.unpack(">I", file[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    width, height, bits, colours = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert bits == 8
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape((height, width, 3) if colours == 2 else (height, width))


def shown(sent: np.ndarray, format: str | None = None, **options: object) -> np.ndarray | None:
    way = Way("udp")
    try:
        source, out = way.pair(sent, format=format, **options)
        out.send(sent)
        file = source.recv(timeout=PATIENCE)._repr_png_()
        return None if file is None else decoded(file)
    finally:
        way.close()


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "bytes"])
def test_a_frame_of_every_format_shows_itself(name: str):
    seen = shown(picture(name), name)
    assert seen is not None
    sizes = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2)]
    assert seen.shape[:2] in sizes


RED = (230, 30, 40)


def full(shape: tuple[int, ...], value: float, kind: type = np.uint8) -> np.ndarray:
    return np.full(shape, value, kind)


def yuv(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    """Of the narrow range, as BT.601 has it."""
    r, g, b = rgb
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return 16 + y * 219 / 255, 128 + (b - y) / 1.772 * 224 / 255, 128 + (r - y) / 1.402 * 224 / 255


def coloured(name: str) -> np.ndarray:
    """A red picture."""
    r, g, b = RED
    height, width = 8, 96
    y, u, v = yuv(RED)
    if name in ("rgb24", "bgr24", "rgba32", "bgra32"):
        pixel = [r, g, b, 255] if name.startswith("rgb") else [b, g, r, 255]
        return np.tile(np.array(pixel[: int(name[-2:]) // 8], np.uint8), (height, width, 1))
    if name.startswith("yuv4"):
        bits = int(name.partition("p")[2] or 8)
        kind = np.uint8 if bits == 8 else np.uint16
        across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[name[3:6]]
        planes = [full((height, width), y * (1 << bits - 8), kind)]
        planes += [full((height // down, width // across), value * (1 << bits - 8), kind) for value in (u, v)]
        return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(FORMATS[name][1])
    if name in ("nv12", "p010"):
        kind, scale = (np.uint8, 1) if name == "nv12" else (np.uint16, 256)
        pairs = np.tile(np.array([u * scale, v * scale], kind), height // 2 * width // 2)
        return np.concatenate((full((height * width,), y * scale, kind), pairs)).reshape(height * 3 // 2, width)
    if name in ("yuyv", "uyvy"):
        order = [y, u, y, v] if name == "yuyv" else [u, y, v, y]
        return np.tile(np.array(order, np.uint8), height * width // 2).reshape(height, width, 2)
    if name == "v210":
        y, u, v = (int(value * 4) for value in (y, u, v))
        words = [u | y << 10 | v << 20, y | u << 10 | y << 20, v | y << 10 | u << 20, y | v << 10 | y << 20]
        return np.tile(np.array(words, "<u4"), height * width // 6).view(np.uint8).reshape(height, -1)
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    ["rgb24", "bgr24", "rgba32", "bgra32", "nv12", "p010", "yuyv", "uyvy", "v210", *(name for name in FORMATS if name.startswith("yuv4"))],
)
def test_red_is_red(name: str):
    seen = shown(coloured(name), name)
    assert seen is not None and seen.shape == (8, 96, 3)
    assert np.abs(seen.astype(int) - RED).max() <= 4, seen[0, 0]


@pytest.mark.parametrize("order", ["rggb", "grbg", "gbrg", "bggr"])
@pytest.mark.parametrize("bits", ["8", "16", "12p"])
def test_a_mosaic_has_its_colours(order: str, bits: str):
    # Red above, green below, so that there are a darkest and a lightest value.
    mosaic = np.zeros((8, 96), np.uint16)
    for place, colour in enumerate(order):
        rows = mosaic[place // 2 :: 2, place % 2 :: 2]
        rows[:2] = 4000 if colour == "r" else 0
        rows[2:] = 4000 if colour == "g" else 0
    if bits == "8":
        sent = (mosaic // 16).astype(np.uint8)
    elif bits == "16":
        sent = mosaic
    else:
        bit = np.unpackbits(mosaic.astype("<u2").view(np.uint8).reshape(8, 96, 2), axis=2, bitorder="little")[:, :, :12]
        sent = np.packbits(bit.reshape(8, -1), axis=1, bitorder="little")
    seen = shown(sent, f"bayer_{order}{bits}")
    assert seen is not None and seen.shape == (4, 48, 3)
    assert (seen[:2] > 240).all(axis=(0, 1)).tolist() == [True, False, False]
    assert (seen[2:] > 240).all(axis=(0, 1)).tolist() == [False, True, False]


def test_depths_that_are_not_known_are_black_and_the_others_are_spread():
    depth = np.linspace(1000, 1100, 96 * 8).reshape(8, 96).astype(np.float32)
    depth[0, :4] = [0, np.nan, np.inf, -1]
    seen = shown(depth)
    assert seen is not None and seen.shape == (8, 96)
    assert seen[0, 0] == 0 and seen[0, 1] == 0
    assert seen[1, 0] < 60 and seen[7, 95] == 255


def test_ten_bits_of_sixteen_are_seen():
    seen = shown(np.linspace(0, 1023, 96 * 8).reshape(8, 96).astype(np.uint16), "gray10")
    assert seen is not None and seen[0, 0] == 0 and seen[7, 95] == 255


def test_a_wide_frame_is_shown_at_most_1024_wide():
    seen = shown(np.zeros((20, 2500, 3), np.uint8))
    assert seen is not None and seen.shape == (7, 834, 3)


def test_a_frame_shows_itself_in_words_too(way: Way):
    source, out = way.pair()
    out.send(PICTURE)
    frame = source.recv(timeout=PATIENCE)
    bundle = frame._repr_mimebundle_()
    assert bundle["text/plain"] == repr(frame)
    (kind,) = set(bundle) - {"text/plain"}
    assert kind in ("image/png", "image/jpeg")
    copy = frame.copy()
    frame.release()
    assert frame._repr_png_() is None
    assert set(frame._repr_mimebundle_()) == {"text/plain"}
    assert decoded(copy._repr_png_()).shape == (48, 64, 3)


def test_without_numpy_a_frame_shows_itself_in_words(way: Way, monkeypatch: pytest.MonkeyPatch):
    source, out = way.pair()
    out.send(PICTURE)
    frame = source.recv(timeout=PATIENCE)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert frame._repr_png_() is None
    assert frame._repr_mimebundle_() == {"text/plain": repr(frame)}


def test_a_file_in_a_frame_shows_itself_and_other_bytes_do_not(way: Way):
    source, out = way.pair(np.zeros(100, np.uint8), format="bytes")
    out.send(b"\xff\xd8\xff rest")
    assert source.recv(timeout=PATIENCE)._repr_mimebundle_()["image/jpeg"] == b"\xff\xd8\xff rest"
    out.send(b"nothing to see")
    frame = source.recv(timeout=PATIENCE)
    assert set(frame._repr_mimebundle_()) == {"text/plain"} and frame._repr_png_() is None


def test_statistics_and_streams_are_tables(way: Way):
    source, out = way.pair(fps=30)
    out.send(PICTURE)
    source.recv(timeout=PATIENCE)
    for stats in (source.stats(), out.stats()):
        table = stats._repr_html_()
        for name, value in stats.as_dict().items():
            assert f"<td>{name}</td><td>{value}</td>" in table
    (stream,) = source.streams()
    table = stream._repr_html_()
    assert "<td>bgr24</td>" in table and "<td>64 x 48</td>" in table and "<td>30</td>" in table


def test_what_a_stream_is_called_is_no_html():
    from framewire._notebook import _table

    assert "<script>" not in _table(("<b>",), [["<script>alert(1)</script>"]])


def test_importing_takes_neither_numpy_nor_asyncio(run: Callable[..., subprocess.CompletedProcess[str]]):
    late = ("numpy", "asyncio", "zlib", "html", "framewire._notebook", "framewire._picture")
    run(
        f"import sys; before = set(sys.modules); import framewire; early = (set(sys.modules) - before) & set({late!r}); assert not early, early"
    )
