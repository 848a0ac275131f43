"""Two processes of one machine: the first shares frames, the second reads them in place, in the memory that the first wrote them into.

python shared_memory.py: starts the second itself, and ends after 100 frames.
"""

import subprocess
import sys

import framewire as fw

NAME = "shared-memory-example"
FRAMES = 100


def share() -> None:
    with fw.Publisher(NAME, fps=100) as out:
        # The stream begins with its format: readers can come.
        out.frame((1080, 1920, 3)).discard()
        reader = subprocess.Popen([sys.executable, __file__, "read"])
        number = 0
        while reader.poll() is None:
            with out.frame(timeout=10) as slot:
                slot.array[...] = number % 251
                slot.metadata = {"value": number % 251}
            number += 1
        print(f"shared_memory: {out.stats().sent} frames shared, the reader ended with {reader.returncode}")
        sys.exit(reader.returncode)


def read() -> None:
    with fw.open(NAME, wait=30) as reader:
        for read, frame in enumerate(reader, start=1):
            with frame:
                image = frame.array
                assert not image.flags.writeable
                assert (image == frame.metadata["value"]).all(), "a frame is never half of another one"
                del image
            if read == FRAMES:
                print(f"shared_memory: {read} frames read in place, {reader.stats().dropped} given up for newer ones")
                return


if __name__ == "__main__":
    read() if sys.argv[1:] == ["read"] else share()
