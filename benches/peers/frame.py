"""The frame that every contender sends, and the stamp at its start."""

import re
import struct
from dataclasses import dataclass

BYTES_PER_PIXEL = {"gray8": 1, "bgr24": 3}

STAMP = struct.Struct("<QQ")
"""The first 16 bytes of a frame: phase and number in one word, then CLOCK_MONOTONIC in nanoseconds."""

PHASE_SHIFT = 56
NUMBER_MASK = (1 << PHASE_SHIFT) - 1

# The phases of a run, in order. Numbers run on through all of them, so that a gap shows wherever it is.
WARM_UP, RATE, LATENCY, END = range(4)


@dataclass(frozen=True)
class FrameFormat:
    width: int
    height: int
    pixel: str

    @classmethod
    def parse(cls, text: str) -> "FrameFormat":
        """Reads `WxH:PIXEL`. Raises ValueError with what is wrong and what is right."""
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5}):(\w+)", text)
        if match is None:
            raise ValueError(f"'{text}' is not WxH:PIXEL, for example 1920x1080:gray8")
        width, height, pixel = int(match[1]), int(match[2]), match[3]
        if pixel not in BYTES_PER_PIXEL:
            raise ValueError(f"'{pixel}' is not one of {', '.join(BYTES_PER_PIXEL)}")
        frame = cls(width, height, pixel)
        if frame.size_bytes < STAMP.size:
            raise ValueError(f"'{text}' has {frame.size_bytes} bytes, fewer than the {STAMP.size} of the stamp")
        return frame

    @property
    def size_bytes(self) -> int:
        return self.width * self.height * BYTES_PER_PIXEL[self.pixel]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that OpenCV gives such a picture."""
        channels = BYTES_PER_PIXEL[self.pixel]
        return (self.height, self.width) if channels == 1 else (self.height, self.width, channels)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}:{self.pixel}"


def put_stamp(memory: bytearray, phase: int, number: int, now_ns: int) -> None:
    STAMP.pack_into(memory, 0, phase << PHASE_SHIFT | number, now_ns)


def read_stamp(memory) -> tuple[int, int, int]:
    """Phase, number and send time in nanoseconds."""
    word, sent_ns = STAMP.unpack_from(memory)
    return word >> PHASE_SHIFT, word & NUMBER_MASK, sent_ns
