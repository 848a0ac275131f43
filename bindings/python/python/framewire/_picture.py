"""A frame of any format as a picture for people: 8 bits gray or RGB, and as a PNG file. For looking at, not for measuring."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from framewire import Frame

WIDTH_MAX = 1024
"""Pixels across of what is shown; wider frames lose columns and rows."""

_SAMPLES = 40_000
"""Values that are looked at, about, to find which are black and white."""

_LUMA_OF_HD = 720
"""Rows from which colours are taken for those of BT.709, below for BT.601."""


def as_picture(frame: Frame, width_max: int = WIDTH_MAX) -> npt.NDArray[np.uint8] | None:
    """H x W or H x W x 3 (red first) of uint8, at most `width_max` wide. None of `bytes`, which are no picture.

    Of more than 8 bits and of depths, the 1st percentile is black and the 99th white; a depth of 0, or one that is no number, is black.
    """
    import numpy as np

    name = frame.format
    step = max(1, -(-frame.width // width_max))
    if name == "bytes":
        return None
    if name in ("rgb24", "rgba32"):
        return np.ascontiguousarray(frame.array[::step, ::step, :3])
    if name in ("bgr24", "bgra32"):
        return np.ascontiguousarray(frame.array[::step, ::step, 2::-1])
    if name == "gray8":
        return np.ascontiguousarray(frame.array[::step, ::step])
    if name.startswith("depth"):
        return _ranged(frame.array[::step, ::step], has_unknown=True)
    if name.startswith("gray"):
        return _ranged(frame.array[::step, ::step])
    if name.startswith("mono"):
        return _ranged(_unpacked(frame, name)[::step, ::step])
    if name.startswith("bayer_"):
        return _of_mosaic(frame, name, step)
    return _of_yuv(frame, name, step)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """H x W (gray) or H x W x 3 (red first) of uint8 as a PNG file."""
    import numpy as np

    height, width = picture.shape[:2]
    colours = 2 if picture.ndim == 3 else 0
    # Each row begins with how it is filtered: not at all.
    rows = np.zeros((height, 1 + width * (3 if colours else 1)), np.uint8)
    rows[:, 1:] = picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _ranged(values: npt.NDArray[Any], *, has_unknown: bool = False) -> npt.NDArray[np.uint8]:
    """Values with their darkest and lightest as black and white."""
    import numpy as np

    pixels = values.shape[0] * values.shape[1]
    step = max(1, round((pixels / _SAMPLES) ** 0.5))
    looked_at = values[::step, ::step].astype(np.float32).ravel()
    looked_at = looked_at[np.isfinite(looked_at)]
    if has_unknown:
        looked_at = looked_at[looked_at > 0]
    if not looked_at.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(looked_at, (1, 99))
    with np.errstate(invalid="ignore"):
        shown = (values.astype(np.float32) - low) * (255 / max(float(high - low), 1e-9))
    eight_bits: npt.NDArray[np.uint8] = np.nan_to_num(np.clip(shown, 0, 255)).astype(np.uint8)
    return eight_bits


def _unpacked(frame: Frame, name: str) -> npt.NDArray[np.uint16]:
    """Samples of 10 or 12 bits that lie without a gap, the lowest bit of the first one first, in words of 16."""
    import numpy as np

    bits = 10 if name.endswith("10p") else 12
    rows = np.unpackbits(np.asarray(frame.array), axis=1, bitorder="little")[:, : frame.width * bits]
    words = np.zeros((frame.height, frame.width, 16), np.uint8)
    words[:, :, :bits] = rows.reshape(frame.height, frame.width, bits)
    packed: npt.NDArray[np.uint16] = np.packbits(words, axis=2, bitorder="little").view("<u2")[:, :, 0]
    return packed


def _of_mosaic(frame: Frame, name: str, step: int) -> npt.NDArray[np.uint8]:
    """A pixel of each cell of four, in the size that is asked for."""
    import numpy as np

    mosaic: npt.NDArray[Any] = _unpacked(frame, name) if name.endswith("p") else frame.array
    if frame.width < 2 or frame.height < 2:
        return mosaic if mosaic.dtype == np.uint8 else _ranged(mosaic)
    mosaic = mosaic[: frame.height & ~1, : frame.width & ~1]
    # Cells are half as many as pixels already.
    cells = max(1, -(-step // 2))
    corners = [mosaic[row :: 2 * cells, column :: 2 * cells].astype(np.float32) for row in (0, 1) for column in (0, 1)]
    order = name.removeprefix("bayer_")[:4]
    greens = [corner for corner, colour in zip(corners, order, strict=True) if colour == "g"]
    picture = np.stack((corners[order.index("r")], (greens[0] + greens[1]) / 2, corners[order.index("b")]), axis=2)
    return picture.astype(np.uint8) if name.endswith("8") else _ranged(picture)


def _of_yuv(frame: Frame, name: str, step: int) -> npt.NDArray[np.uint8]:
    """Luma of each pixel, colour of the nearest one that has it. Samples are of the narrow range."""
    import numpy as np

    if name == "v210":
        luma, blue, red = _of_v210(frame)
        bits = 10
    elif name in ("yuyv", "uyvy"):
        first = 0 if name == "yuyv" else 1
        luma, chroma = frame.array[:, :, first], frame.array[:, :, 1 - first]
        blue, red = chroma[:, 0::2], chroma[:, 1::2]
        bits = 8
    elif name in ("nv12", "p010"):
        luma, pairs = frame.planes
        blue, red = pairs[:, :, 0], pairs[:, :, 1]
        # Its ten bits are the high ones of sixteen.
        bits = 8 if name == "nv12" else 16
    else:
        luma, blue, red = frame.planes
        bits = int(name.partition("p")[2] or 8)
    rows, columns = np.arange(0, frame.height, step), np.arange(0, frame.width, step)
    scale = 1 << (bits - 8)
    y = (luma[np.ix_(rows, columns)].astype(np.float32) / scale - 16) * (255 / 219)
    down, across = -(-frame.height // blue.shape[0]), -(-frame.width // blue.shape[1])
    nearest = np.ix_(rows // down, columns // across)
    u, v = ((plane[nearest].astype(np.float32) / scale - 128) * (255 / 224) for plane in (blue, red))
    of_red, of_blue = (0.2126, 0.0722) if frame.height >= _LUMA_OF_HD else (0.299, 0.114)
    r, b = y + 2 * (1 - of_red) * v, y + 2 * (1 - of_blue) * u
    g = (y - of_red * r - of_blue * b) / (1 - of_red - of_blue)
    return np.clip(np.stack((r, g, b), axis=2) + 0.5, 0, 255).astype(np.uint8)


def _of_v210(frame: Frame) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Luma and both colours of words of 32 bits that have three samples each: Cb Y Cr, Y Cb Y, Cr Y Cb, Y Cr Y."""
    import numpy as np

    words = np.ascontiguousarray(frame.array).view("<u4")
    samples = np.stack([(words >> shift) & 0x3FF for shift in (0, 10, 20)], axis=2).astype(np.uint16)
    samples = samples.reshape(frame.height, -1)
    chroma_columns = -(-frame.width // 2)
    luma, blue, red = samples[:, 1::2], samples[:, 0::4], samples[:, 2::4]
    return luma[:, : frame.width], blue[:, :chroma_columns], red[:, :chroma_columns]
