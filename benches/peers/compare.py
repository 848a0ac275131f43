#!/usr/bin/env python3
"""Compares Framewire with other transports: the same frames, on one machine, in turns. README.md explains it."""

import sys

# Before the modules beside this file are imported: the source tree stays as it is.
sys.dont_write_bytecode = True

import argparse
import json
import os
import platform
import signal
from contextlib import nullcontext
from pathlib import Path

import place
import plot
import report
import rust_peers
from contenders import CONTENDERS, LOCAL, NAMES, PROTECTED, USUAL, Settings
from environment import pinned_versions
from frame import FrameFormat
from result import ContenderFailed

WORKSPACE = Path(__file__).resolve().parents[2]

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        with place.two_namespaces() if arguments.namespaces else nullcontext(place.LOOPBACK) as where:
            settings = Settings(
                frame=arguments.frame,
                seconds=arguments.seconds,
                latency_seconds=arguments.latency_seconds,
                place=where,
                framewire=arguments.framewire,
                environment_folder=WORKSPACE / "target" / "peers-venv",
                rust_folder=WORKSPACE / "target" / "peers-rust",
            )
            rows = compare(arguments, settings)
    except KeyboardInterrupt:
        say("interrupted")
        return EXIT_INTERRUPTED
    except OSError as error:
        say(f"error: {error}")
        return EXIT_FAILED
    figures = report.all_medians(rows)
    everything = setting_figures(arguments) | {"contenders": figures}
    if arguments.json:
        print(json.dumps(everything, indent=2), flush=True)
    else:
        print(heading(arguments))
        print(report.table(figures), flush=True)
    measured = any(row.results for row in rows)
    if arguments.plot and measured:
        try:
            arguments.plot.write_text(plot.draw(everything))
        except OSError as error:
            say(f"error: the picture cannot be written: {error}")
            return EXIT_FAILED
    return EXIT_FAILED if any(row.failed for row in rows) or not measured else EXIT_OK


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frame", type=frame_format, default="1920x1080:gray8", metavar="WxH:PIXEL",
                        help="gray8 or bgr24 (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="every contender once a round (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="N",
                        help="time at full rate, each round (default %(default)s)")
    parser.add_argument("--latency-seconds", type=float, default=3.0, metavar="N",
                        help="time at 60 frames/s, each round (default %(default)s)")
    parser.add_argument("--only", type=contender_names, default=USUAL, metavar="A,B", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--local", action="store_const", const=LOCAL, dest="only",
                        help="what hands frames over on one machine, by its memory; the others are what a network carries, too")
    parser.add_argument("--protected", action="store_const", const=PROTECTED, dest="only",
                        help="what is encrypted, beside the same in the clear")
    parser.add_argument("--framewire", type=Path, default=WORKSPACE / "target/release/framewire", metavar="PATH",
                        help="the program to measure (default target/release/framewire)")
    parser.add_argument("--namespaces", action="store_true",
                        help="across a veth pair of MTU 1,500 between two network namespaces; needs root")
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg",
                        help="draw rate, processor time and latency; plot.py draws them from --json's object")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: at least 1")
    if not (arguments.seconds > 0 and arguments.latency_seconds > 0):
        parser.error("--seconds and --latency-seconds: more than 0")
    # Said before minutes are spent on measuring.
    if arguments.plot and (arguments.plot.is_dir() or not arguments.plot.absolute().parent.is_dir()):
        parser.error(f"--plot {arguments.plot}: name a file in a folder that is there")
    if arguments.namespaces and (reason := place.why_no_namespaces()):
        parser.error(reason)
    return arguments


def frame_format(text: str) -> FrameFormat:
    try:
        return FrameFormat.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def contender_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"no contender '{unknown[0]}'; there are {', '.join(NAMES)}")
    return names


def compare(arguments: argparse.Namespace, settings: Settings) -> list[report.Row]:
    chosen = [contender for contender in CONTENDERS if contender.name in arguments.only]
    if settings.place.across_wire:
        if local := [contender.name for contender in chosen if not contender.across_wire]:
            say(f"left out, only on one machine: {', '.join(local)}")
        chosen = [contender for contender in chosen if contender.across_wire]
    rows = [report.Row(contender) for contender in chosen]
    for row in rows:
        row.skipped = row.contender.why_missing(settings)
        if row.skipped is not None:
            say(f"{row.contender.name} skipped: {row.skipped}")
    for number in range(1, arguments.rounds + 1):
        for row in rows:
            # One that failed would fail again, and its absence changes what the others have of the machine.
            if row.skipped is None and row.failed is None:
                run_once(row, number, arguments.rounds, settings)
    return rows


def run_once(row: report.Row, number: int, rounds: int, settings: Settings) -> None:
    label = f"round {number}/{rounds}  {row.contender.name}"
    try:
        result = row.contender.run(row.contender.name, settings)
    except (ContenderFailed, OSError) as error:
        row.failed = str(error)
        say(f"{label}  failed: {error}")
        return
    row.results[number] = result
    latency = "" if result.latency_p50_ms is None else f", p50 {result.latency_p50_ms:.2f} ms"
    lost = f", {result.lost} lost" if result.lost else ""
    say(f"{label}  {result.gigabytes_per_second:.2f} GB/s{latency}{lost}")


def heading(arguments: argparse.Namespace) -> str:
    where = f"between two namespaces, MTU {place.WIRE_MTU}" if arguments.namespaces else "on loopback"
    rounds = "1 round" if arguments.rounds == 1 else f"medians of {arguments.rounds} rounds"
    return f"{arguments.frame}, {arguments.frame.size_bytes} bytes, {where}, {rounds}, {machine()}"


def setting_figures(arguments: argparse.Namespace) -> dict:
    return {
        "frame": str(arguments.frame),
        "frame_bytes": arguments.frame.size_bytes,
        "namespaces": arguments.namespaces,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "latency_seconds": arguments.latency_seconds,
        "machine": machine(),
        "versions": {"python": platform.python_version(), **pinned_versions(), **rust_peers.pinned_versions()},
    }


def machine() -> str:
    return f"{os.cpu_count()} cores, Linux {platform.release()}"


def interrupt(_number, _frame) -> None:
    # A second one must not interrupt the clearing up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
