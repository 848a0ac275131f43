"""A reader with the calls of `cv2.VideoCapture`, so that only the line that makes it changes.

    from framewire.opencv import VideoCapture
    capture = VideoCapture("udp://127.0.0.1:9000")
    while capture.isOpened():
        ok, image = capture.read()

It does not need OpenCV, but for the colours of YUV and Bayer frames. It hands out the newest frame, not the oldest of a queue.
"""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import framewire

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["VideoCapture"]

READ_TIMEOUT = 30.0
"""Seconds that `read` waits for a frame before it says that there is none, as OpenCV does with streams."""

_POS_MSEC, _POS_FRAMES, _WIDTH, _HEIGHT, _FPS, _FRAME_COUNT, _CONVERT_RGB, _BUFFERSIZE, _READ_TIMEOUT_MSEC = 0, 1, 3, 4, 5, 7, 16, 38, 54
"""OpenCV's numbers of what can be asked for (`cv2.CAP_PROP_...`)."""

_CODES = {
    "yuv420p": "COLOR_YUV2BGR_I420",
    "nv12": "COLOR_YUV2BGR_NV12",
    "yuyv": "COLOR_YUV2BGR_YUY2",
    "uyvy": "COLOR_YUV2BGR_UYVY",
    # OpenCV names a mosaic by the second row and column.
    "bayer_rggb": "COLOR_BayerBG2BGR",
    "bayer_grbg": "COLOR_BayerGB2BGR",
    "bayer_gbrg": "COLOR_BayerGR2BGR",
    "bayer_bggr": "COLOR_BayerRG2BGR",
}


class VideoCapture:
    """Frames of a UDP address of this machine, or of a stream that another of its processes shares, by OpenCV's calls.

    `source`: `"udp://HOST:PORT"` or `"HOST:PORT"` to listen on, `"shm://NAME"` or `"NAME"` of a stream to read, `"shm://"` for the only one there is. `timeout`:
    seconds that `read` waits, None without end. `copy`: whether an image is a writable one of its own (the default), as OpenCV's are, or where nothing is
    to be converted a read-only array in place, which holds its slot. `convert`: whether images are made H x W x 3 blue first where their format is of 8 bits
    and has colours, as OpenCV does; else they are as they came. `apiPreference` is OpenCV's and changes nothing.
    `options` are those of `framewire.Receiver` or `framewire.open`; off loopback it takes `key=`, or `protection="off"` on a network that you trust.

    As OpenCV's, it is made even where the stream is not there: ask `isOpened()`; `error` says why. What cannot be an address or an option is an ArgumentError.
    """

    def __init__(
        self,
        source: str,
        apiPreference: int = 0,
        *,
        timeout: float | None = READ_TIMEOUT,
        copy: bool = True,
        convert: bool = True,
        **options: Any,
    ) -> None:
        self._timeout, self._copy, self._convert = timeout, copy, convert
        self._source: framewire.Source | None = None
        self._grabbed: framewire.Frame | None = None
        self._is_waiting = False
        self._first: float | None = None
        self._has_ended = False
        self.error: framewire.Error | None = None
        """Why it is not opened, or why there was no frame."""
        try:
            self._source = _opened(source, options)
        except framewire.ArgumentError:
            raise
        except framewire.Error as error:
            self.error = error

    def isOpened(self) -> bool:
        """Whether there may be frames: false where it could not be opened, after the stream's end, and after `release()`."""
        return self._source is not None and not self._source.closed and not self._has_ended

    def read(self, image: npt.NDArray[Any] | None = None) -> tuple[bool, npt.NDArray[Any] | None]:
        """Whether there is a frame, and its image. With `image`, an array of the right shape, the pixels are written there."""
        return self.retrieve(image) if self.grab() else (False, None)

    def grab(self) -> bool:
        """Takes the next frame; `retrieve` is its image."""
        if self._is_waiting:
            self._is_waiting = False
            return True
        return self._take()

    def retrieve(self, image: npt.NDArray[Any] | None = None, flag: int = 0) -> tuple[bool, npt.NDArray[Any] | None]:
        """The image of the frame that was grabbed last."""
        if self._grabbed is None:
            return False, None
        array = self._grabbed.array
        shown = _blue_first(self._grabbed, array) if self._convert else array
        if image is not None:
            image[...] = shown
            return True, image
        if shown is array and self._copy:
            shown = array.copy()
        return True, shown

    @property
    def frame(self) -> framewire.Frame | None:
        """The frame that was grabbed last, with all that OpenCV has no call for: its number, metadata, times. It holds a slot until the next is grabbed."""
        return self._grabbed

    def get(self, propId: int) -> float:
        """By OpenCV's numbers: CAP_PROP_FRAME_WIDTH, _HEIGHT (pixels) and _FPS, for which the first frame is waited for; _POS_FRAMES (the next frame's
        number), _POS_MSEC (milliseconds since the first), _CONVERT_RGB, _BUFFERSIZE, _READ_TIMEOUT_MSEC. 0 for what is not known or has no meaning here."""
        if propId == _CONVERT_RGB:
            return float(self._convert)
        if propId == _BUFFERSIZE:
            return 1.0
        if propId == _READ_TIMEOUT_MSEC:
            return -1.0 if self._timeout is None else self._timeout * 1000
        if propId == _FRAME_COUNT:
            # A live stream has no end that is known.
            return -1.0
        if propId not in (_POS_MSEC, _POS_FRAMES, _WIDTH, _HEIGHT, _FPS):
            return 0.0
        if self._grabbed is None and self.isOpened():
            self._is_waiting = self._take()
        frame = self._grabbed
        if frame is None:
            return 0.0
        if propId == _POS_MSEC:
            return (frame.captured - (frame.captured if self._first is None else self._first)) * 1000
        if propId == _POS_FRAMES:
            return float(frame.number + (not self._is_waiting))
        if propId == _FPS:
            return frame.stream.fps or 0.0
        return float(frame.width if propId == _WIDTH else frame.height)

    def set(self, propId: int, value: float) -> bool:
        """False: what a stream is like is its sender's to say."""
        return False

    def getBackendName(self) -> str:
        """What hands out the frames."""
        return "FRAMEWIRE"

    def release(self) -> None:
        """Closes it. Twice is once."""
        self._grabbed, self._is_waiting = None, False
        if self._source is not None:
            self._source.close()

    def _take(self) -> bool:
        if self._source is None or not self.isOpened():
            return False
        self._grabbed = None
        try:
            self._grabbed = self._source.recv(timeout=self._timeout)
        except framewire.Timeout as error:
            self.error = error
            return False
        except (framewire.Ended, framewire.Closed, framewire.Interrupted, framewire.Refused) as error:
            self.error, self._has_ended = error, True
            return False
        if self._first is None:
            self._first = self._grabbed.captured
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _opened(source: str, options: dict[str, Any]) -> framewire.Source:
    if not isinstance(source, str):
        text = f"{source!r} is no stream of Framewire; use 'udp://127.0.0.1:9000' or 'shm://NAME', and cv2.VideoCapture for a camera or file of this machine"
        raise _error(framewire.ArgumentError, "invalid-address", text)
    scheme, separator, rest = source.partition("://")
    if separator and scheme not in ("udp", "shm"):
        text = f"'{source[:80]}' begins with neither udp:// nor shm://; use 'udp://127.0.0.1:9000' or 'shm://NAME', and cv2.VideoCapture for files and URLs"
        raise _error(framewire.ArgumentError, "invalid-address", text)
    if not separator:
        # A name has no port.
        scheme, rest = "udp" if re.search(r":\d+$", source) else "shm", source
    if scheme == "udp":
        # OpenCV's users write an at sign for an address to listen on.
        return framewire.Receiver(rest.removeprefix("@").rstrip("/"), **options)
    return framewire.open(rest or None, **options)


def _blue_first(frame: framewire.Frame, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As OpenCV hands images out: H x W x 3, blue first; the array itself where it is that, or has no colours that could be made so."""
    import numpy as np

    name = frame.format
    if name == "rgb24":
        return np.ascontiguousarray(array[:, :, ::-1])
    if name == "rgba32":
        return np.ascontiguousarray(array[:, :, 2::-1])
    if name == "bgra32":
        return np.ascontiguousarray(array[:, :, :3])
    if name == "gray8":
        return np.repeat(array[:, :, np.newaxis], 3, axis=2)
    code = _CODES.get(name.removesuffix("8")) if name.startswith("bayer_") else _CODES.get(name)
    if code is None:
        return array
    cv2 = sys.modules.get("cv2") or _cv2(name)
    return cv2.cvtColor(array, getattr(cv2, code))  # type: ignore[no-any-return]


def _cv2(name: str) -> Any:
    try:
        import cv2
    except ImportError:
        text = f"colours of {name} are made by OpenCV, which is not there: pip install opencv-python-headless, or say convert=False to have frames as they are"
        raise _error(framewire.FormatError, "no-opencv", text) from None
    return cv2


def _error(kind: type[framewire.Error], code: str, text: str) -> framewire.Error:
    error = kind(text)
    error.code = code
    return error
