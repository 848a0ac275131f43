"""What a notebook shows of frames, statistics and streams. Loaded when it asks."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any

from framewire._picture import as_picture, png

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from framewire import Frame, OutputStats, SourceStats, Stream

_FILES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))
"""How files begin that a browser shows as they are."""

_QUALITY = 90
"""Of JPEG, 0 to 100."""


def frame_png(frame: Frame) -> bytes | None:
    """The frame as a PNG file, at most 1,024 pixels wide; None where it is no picture, or was released."""
    picture = None if frame.released or not _has_numpy() else as_picture(frame)
    return None if picture is None else png(picture)


def frame_mimebundle(frame: Frame) -> dict[str, Any]:
    """The frame as a picture, and in words: as JPEG where OpenCV or Pillow is loaded already, else as PNG. A frame of `bytes` that is a file of
    one of these kinds is that file. Without NumPy, in words alone."""
    bundle: dict[str, Any] = {"text/plain": repr(frame)}
    if frame.released:
        return bundle
    if frame.format == "bytes":
        start = bytes(memoryview(frame)[:8])
        for magic, kind in _FILES:
            if start.startswith(magic):
                bundle[kind] = bytes(frame)
        return bundle
    picture = as_picture(frame) if _has_numpy() else None
    if picture is None:
        return bundle
    jpeg = _jpeg(picture)
    bundle["image/png" if jpeg is None else "image/jpeg"] = png(picture) if jpeg is None else jpeg
    return bundle


def _has_numpy() -> bool:
    try:
        import numpy  # noqa: F401
    except ImportError:
        return False
    return True


def stats_html(stats: SourceStats | OutputStats) -> str:
    """A row for each count."""
    return _table((), stats.as_dict().items())


def stream_html(stream: Stream) -> str:
    """A table of one row."""
    return streams_html([stream])


def streams_html(streams: list[Stream]) -> str:
    """A row for each stream."""
    rows = (
        (
            stream.name,
            stream.format,
            f"{stream.width} x {stream.height}",
            "" if stream.fps is None else f"{stream.fps:g}",
            stream.delivery,
            stream.peer or "this machine",
        )
        for stream in streams
    )
    return _table(("name", "format", "pixels", "frames/s", "delivery", "from"), rows)


def _table(heads: tuple[str, ...], rows: Any) -> str:
    # What a stream is called is a stranger's word.
    def cells(tag: str, values: Any) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values) + "</tr>"

    head = f"<thead>{cells('th', heads)}</thead>" if heads else ""
    return f"<table>{head}<tbody>{''.join(cells('td', row) for row in rows)}</tbody></table>"


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes | None:
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        blue_first = picture if picture.ndim == 2 else picture[:, :, ::-1]
        worked, file = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return file.tobytes() if worked else None
    image = sys.modules.get("PIL.Image")
    if image is not None:
        import io

        file = io.BytesIO()
        image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()
    return None
