#!/usr/bin/env python3
"""What the Python package reaches beside Rust, imageZMQ, zenoh and a bare pipe: the same 1080p frames, in turns, medians of the rounds.

    rates.py --rust target/release/examples/pair [--rounds 5] [--seconds 2] [--only NAME,...] [--json]

To be run by a Python that has framewire, numpy, imagezmq and eclipse-zenoh; what it lacks is left out aloud. Frames are filled in place where the transport
lets a program do so, and read whole (copied out) at the other end. Each end is a process of its own.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RATES = {
    "rust-udp": None,
    "python-udp": "framewire",
    "imagezmq": "imagezmq",
    "rust-shm": None,
    "python-shm": "framewire",
    "zenoh-bytes": "zenoh",
}
OTHERS = ("hand-over", "busy")


def main() -> int:
    arguments = parse_arguments()
    chosen = arguments.only or [*RATES, *OTHERS]
    chosen = [name for name in chosen if is_there(name, arguments.rust)]
    figures: dict[str, list[dict[str, float]]] = {}
    for number in range(arguments.rounds):
        for name in chosen:
            figures.setdefault(name, []).append(measured(name, arguments))
            print(f"round {number + 1}: {name}: {figures[name][-1]}", file=sys.stderr, flush=True)
    medians = {name: median(rounds) for name, rounds in figures.items()}
    print(json.dumps(medians, indent=2) if arguments.json else table(medians))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rust", type=Path, help="the example `pair` of framewire-ends, in release; without it Rust is left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", type=lambda names: names.split(","))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def is_there(name: str, rust: Path | None) -> bool:
    needed = RATES.get(name, "framewire")
    there = bool(rust) if needed is None else importlib.util.find_spec(needed) is not None
    if not there:
        print(f"SKIPPED {name}: {'no --rust' if needed is None else 'no module ' + needed}", file=sys.stderr)
    return there


def measured(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    if name == "hand-over":
        return hand_over(arguments)
    if name == "busy":
        return busy(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if name.startswith("rust-"):
            ends = [[str(arguments.rust), role, name[5:]] for role in ("receive", "send")]
        else:
            ends = [[sys.executable, str(HERE / "ends.py"), role, name] for role in ("receive", "send")]
        figures = run(ends, folder, arguments.seconds)
    return {"frames/s": figures["frames"] / figures["seconds"], "recv us": figures["recv"] * 1e6}


def run(ends: list[list[str]], folder: str, seconds: float) -> dict[str, float]:
    """Starts both ends at one place, and says what the receiving one printed."""
    place = str(free_port()) if "shm" not in ends[0][-1] else os.path.join(folder, "hub.sock")
    receiver = subprocess.Popen([*ends[0], place, str(seconds)], stdout=subprocess.PIPE, text=True)
    # The sender is there for longer, so that it is measured at full rate.
    sender = subprocess.Popen([*ends[1], place, str(seconds + 5)])
    try:
        out, _ = receiver.communicate(timeout=seconds + 60)
    finally:
        sender.kill()
        sender.wait()
        receiver.kill()
    return json.loads(out)


def hand_over(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds from the writer's clock to the reader's at 60 frames a second, for a reader that sleeps meanwhile: in turns with a bare pipe."""
    figures = {}
    for way in ("pipe", "shm", "shm-async"):
        with tempfile.TemporaryDirectory() as folder:
            ends = [[sys.executable, str(HERE / "ends.py"), role, f"paced-{way}"] for role in ("receive", "send")]
            if way == "pipe":
                figures[way] = piped(ends, arguments.seconds)["age"] * 1e6
            else:
                figures[way] = run([[*end[:-1], end[-1]] for end in ends], folder, arguments.seconds)["age"] * 1e6
    return {f"{way} us": figure for way, figure in figures.items()} | {"shm/pipe": figures["shm"] / figures["pipe"]}


def piped(ends: list[list[str]], seconds: float) -> dict[str, float]:
    reading, writing = os.pipe()
    receiver = subprocess.Popen([*ends[0], str(reading), str(seconds)], stdout=subprocess.PIPE, text=True, pass_fds=[reading])
    sender = subprocess.Popen([*ends[1], str(writing), str(seconds + 5)], pass_fds=[writing])
    os.close(reading)
    os.close(writing)
    try:
        out, _ = receiver.communicate(timeout=seconds + 60)
    finally:
        sender.kill()
        sender.wait()
    return json.loads(out)


def busy(arguments: argparse.Namespace) -> dict[str, float]:
    """What a thread of Python alone does a second, with and without a receiver of 60 frames a second beside it in its process."""
    with tempfile.TemporaryDirectory() as folder:
        ends = [[sys.executable, str(HERE / "ends.py"), role, way] for role, way in (("receive", "busy-shm"), ("send", "paced-shm"))]
        figures = run(ends, folder, arguments.seconds)
    return {"speed kept": figures["kept"], "late us p50": figures["age"] * 1e6, "late us p90": figures["age_p90"] * 1e6}


def free_port() -> int:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}


def table(medians: dict[str, dict[str, float]]) -> str:
    rows = [f"{name:12} " + ", ".join(f"{key} {figure:.3g}" for key, figure in figures.items()) for name, figures in medians.items()]
    ratios = [("python-udp", "rust-udp"), ("python-udp", "imagezmq"), ("python-shm", "rust-shm"), ("python-shm", "zenoh-bytes"), ("python-shm", "imagezmq")]
    for one, other in ratios:
        if one in medians and other in medians:
            rows.append(f"{one} / {other}: {medians[one]['frames/s'] / medians[other]['frames/s']:.2f}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
