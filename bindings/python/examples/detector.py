"""A detector that is slower than the camera: it always has the newest frame, and the camera waits for nobody.

python detector.py [STREAM]: reads a stream that another process of this machine shares; without one it brings its own, and ends after 20 frames.
"""

import sys
import threading
from typing import Any

import framewire as fw
import numpy as np
import numpy.typing as npt

FRAMES_OF_ITS_OWN = 20


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else None
    done = threading.Event()
    if name is None:
        threading.Thread(target=publish_a_bright_spot, args=("detector-example", done)).start()
    seen = 0
    with fw.open(name or "detector-example", wait=30) as reader:
        for frame in reader:
            with frame:
                row, column = detect(frame.array)
                expected = frame.metadata
                print(f"frame {frame.number}: brightest at {column}, {row}" + (f", told {expected}" if expected else ""))
            seen += 1
            if name is None and seen == FRAMES_OF_ITS_OWN:
                break
        dropped = reader.stats().dropped
    done.set()
    print(f"detector: {seen} frames looked at, {dropped} newer ones took the place of others")


def detect(image: npt.NDArray[Any]) -> tuple[int, int]:
    """Row and column of the brightest pixel; in place, nothing is copied."""
    row, column = np.unravel_index(int(image.sum(axis=2, dtype=np.uint16).argmax()), image.shape[:2])
    return int(row), int(column)


def publish_a_bright_spot(name: str, done: threading.Event) -> None:
    with fw.Publisher(name, fps=200) as out:
        turn = 0
        while not done.wait(1 / 200):
            turn += 1
            with out.frame((480, 640, 3), timeout=10) as slot:
                slot.array[...] = 16
                row, column = turn * 3 % 480, turn * 7 % 640
                slot.array[row, column] = 255
                slot.metadata = {"x": column, "y": row}


if __name__ == "__main__":
    main()
