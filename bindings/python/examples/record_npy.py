"""Records frames into one .npy file, which NumPy opens without reading it: python record_npy.py [HOST:PORT FILE FRAMES]

Without an address it records 50 frames of its own into a temporary folder, looks at them, and ends.
"""

import sys
import tempfile
import threading
from pathlib import Path

import framewire as fw
import numpy as np


def main() -> None:
    if len(sys.argv) > 3:
        with fw.Receiver(sys.argv[1], queue=4) as receiver:
            record(receiver, Path(sys.argv[2]), int(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as folder, fw.Receiver("127.0.0.1:0") as receiver:
        threading.Thread(target=send_numbers, args=(receiver.address, 50)).start()
        file = Path(folder) / "frames.npy"
        record(receiver, file, 50)
        frames = np.load(file, mmap_mode="r")
        assert frames.shape == (50, 120, 160)
        assert all((frames[number] == number).all() for number in range(50))
        # The mapping is gone before its file.
        del frames


def record(receiver: fw.Receiver, file: Path, count: int) -> None:
    """Writes frames straight from their slots into the file's pages."""
    first = receiver.recv()
    frames = np.lib.format.open_memmap(file, mode="w+", dtype=first.array.dtype, shape=(count, *first.shape))
    frame = first
    for place in range(count):
        if place > 0:
            frame = receiver.recv()
        with frame:
            frames[place] = frame.array
    frames.flush()
    print(f"record_npy: {count} frames of {frames.shape[1:]} {frames.dtype} in {file.name}, {file.stat().st_size} bytes")


def send_numbers(address: str, count: int) -> None:
    with fw.Sender(address, format="gray8", delivery="every") as out:
        for number in range(count):
            out.send(np.full((120, 160), number, np.uint8), timeout=30)


if __name__ == "__main__":
    main()
