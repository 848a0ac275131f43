"""`python -m framewire`: Framewire's programs. Alone, the demo: both ends on this machine, for three seconds; else any command, such as `ls` or `bench`."""

from __future__ import annotations

import os
import sys

from framewire import Error
from framewire.server import program


def main() -> None:
    """Becomes the program `framewire`."""
    try:
        path = program("framewire")
    except Error as error:
        sys.exit(f"framewire: {error}")
    os.execv(path, ["framewire", *sys.argv[1:]])


if __name__ == "__main__":
    main()
