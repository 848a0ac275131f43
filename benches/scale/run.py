#!/usr/bin/env python3
"""Framewire beyond one machine, by its real programs on hosts that are network namespaces at one switch: each row of what it must reach, measured.

    cargo build --release -p framewire --bins
    sudo benches/scale/run.py                             # all rows, a quarter of an hour; --json for one object
    sudo benches/scale/run.py --only cluster,watchers     # of cluster, redis, relay, watchers, links, idle, discovery, clocks
    sudo benches/scale/run.py --short                     # all of them small, in a minute: facts alone decide, as in .ci/run

Needs root, ip, tc, unshare, nsenter (iproute2, util-linux) and redis-server; without them the short form says that it is skipped. Ends with 1 where something was not reached. Everything is in namespaces of its own,
so that nothing is left of it however it ends. --logs DIR keeps what every program wrote.

All hosts share this machine's processors: a sender pays for the receiver's share of the network, and what is measured is an upper limit.
"""

import sys

# Before the modules beside this file are imported: the source tree stays as it is.
sys.dont_write_bytecode = True

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import network
from programs import Programs
from report import Failed, Figure, Report, table
from rows import ROWS, Asked

AT_ONCE = 4
"""Rows beside each other in the short form: they mostly wait."""
WORKSPACE = Path(__file__).resolve().parents[2]


def main() -> int:
    # Whoever is started in the background may have been told to ignore interrupts, as are those whom it starts; the programs end by them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = parse_arguments()
    report = at_once(arguments) if len(arguments.only) > 1 and arguments.short else in_turn(arguments)
    if arguments.json:
        print(json.dumps({"figures": [dataclasses.asdict(figure) for figure in report.figures], "failures": report.failures}, indent=2))
    else:
        print(table(report))
    return 0 if report.is_reached(facts_alone=arguments.short) else 1


def at_once(arguments: argparse.Namespace) -> Report:
    """Several rows beside each other, each by a process of its own, as nobody looks at timings."""
    report = Report(lambda _: None)

    def row(name: str) -> dict:
        does = [sys.executable, *sys.argv, "--only", name, "--json"]
        done = subprocess.run(does, stdout=subprocess.PIPE, text=True, check=False)
        return json.loads(done.stdout) if done.stdout else {"figures": [], "failures": [f"{name}: it ended with {done.returncode}"]}
    with ThreadPoolExecutor(AT_ONCE) as rows:
        for told in rows.map(row, arguments.only):
            report.figures += [Figure(**figure) for figure in told["figures"]]
            report.failures += told["failures"]
    return report


def in_turn(arguments: argparse.Namespace) -> Report:
    network.go_inside()
    report = Report(say)
    for row in arguments.only:
        report.row = row
        started = time.monotonic()
        say(f"{row}: {ROWS[row].__doc__.strip().splitlines()[0]}")
        try:
            measure(row, arguments, report)
        except (Failed, OSError, LookupError, ValueError, ArithmeticError, subprocess.SubprocessError) as error:
            report.failed(f"{type(error).__name__}: {error}" if not isinstance(error, Failed) else str(error))
        say(f"  {time.monotonic() - started:.0f} s")
    return report


def measure(row: str, arguments: argparse.Namespace, report: Report) -> None:
    with ExitStack() as stack:
        if arguments.logs:
            logs = arguments.logs / row
            logs.mkdir(parents=True, exist_ok=True)
        else:
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fws-")))
        switch = stack.enter_context(network.Network())
        programs = stack.enter_context(Programs(arguments.programs.resolve(), logs))
        ROWS[row](Asked(switch, programs, report, arguments.short))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=WORKSPACE / "target/release", metavar="DIR",
                        help="where framewire, framewire-server and framewire-client are (default target/release)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ROWS), metavar="ROW,ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--short", action="store_true", help="small, and facts alone decide")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep what every program wrote")
    parser.add_argument("--json", action="store_true", help="print every figure")
    arguments = parser.parse_args()
    if unknown := [row for row in arguments.only if row not in ROWS]:
        parser.error(f"no row '{unknown[0]}'; there are {', '.join(ROWS)}")
    if missing := [name for name in ("framewire", "framewire-server", "framewire-client") if not (arguments.programs / name).exists()]:
        parser.error(f"{arguments.programs / missing[0]} is not there: cargo build --release -p framewire --bins, or --programs DIR")
    if reason := None if os.environ.get(network.INSIDE) == "1" else network.why_not():
        if arguments.short:
            skip(f"many servers, cameras and watchers: {reason}")
        parser.error(reason)
    return arguments


def skip(why: str) -> None:
    """Ends as a test does that cannot be done here and says so."""
    print(f"SKIPPED {why}")
    if counted := os.environ.get("FRAMEWIRE_SKIPPED"):
        with open(counted, "a") as file:
            print(1, file=file)
    sys.exit(0)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
