#!/usr/bin/env python3
"""Latency on a bad network: the same frames, in turns, between two network namespaces that lose packets or have a slow link.

    sudo benches/peers/lab.py --loss 5                                    # beside imageZMQ and a TCP socket
    sudo benches/peers/lab.py --link 500mbit --fps 60 --only framewire

Framewire runs as its real programs, in `latest`. README.md says what is measured of the others. All offloads are off, so
that every packet is lost or carried on its own. Needs root, ip, tc, nft and ethtool, and target/release built.
"""

import sys

# Before the modules beside this file are imported: the source tree stays as it is.
sys.dont_write_bytecode = True

import argparse
import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import place
import python_pair
from children import Children
from contenders import Settings
from frame import FrameFormat
from result import ContenderFailed

WORKSPACE = Path(__file__).resolve().parents[2]
START_SECONDS = 15.0
REST_SECONDS = 30.0
"""What a run may take besides its frames."""


def main() -> int:
    arguments = parse_arguments()
    figures: dict[str, list[dict]] = {name: [] for name in arguments.only}
    failed = False
    with suppress(KeyboardInterrupt):
        for number in range(1, arguments.rounds + 1):
            for name in arguments.only:
                try:
                    figures[name].append(run(name, arguments))
                except (ContenderFailed, OSError) as error:
                    failed = True
                    say(f"round {number}/{arguments.rounds}  {name}  failed: {error}")
                else:
                    say(f"round {number}/{arguments.rounds}  {name}  {figures[name][-1]}")
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print(table(figures))
    return 1 if failed or not any(figures.values()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=float, default=0.0, metavar="PERCENT", help="of the packets, either way (default none)")
    parser.add_argument("--link", metavar="RATE", help="what the wire carries, as tc writes it: 500mbit (default: all)")
    parser.add_argument("--fps", type=float, default=30.0, metavar="N", help="frames a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="N", help="each run's (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default %(default)s)")
    parser.add_argument("--frame", type=FrameFormat.parse, default="1920x1080:gray8", metavar="WxH:PIXEL")
    parser.add_argument("--only", type=lambda text: text.split(","), default=["framewire", "imagezmq", "tcp"], metavar="A,B",
                        help="of framewire, imagezmq, tcp, zenoh-tcp (default framewire,imagezmq,tcp)")
    parser.add_argument("--fec", default="auto", metavar="off|auto|PERCENT", help="Framewire's parity (default auto)")
    parser.add_argument("--programs", type=Path, default=WORKSPACE / "target/release", metavar="FOLDER",
                        help="where framewire-server and framewire-client are (default target/release)")
    parser.add_argument("--json", action="store_true", help="print every run's figures")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.only if name not in ("framewire", *python_pair.TRANSPORTS)]:
        parser.error(f"no contender '{unknown[0]}' that crosses a network")
    if reason := place.why_no_namespaces("this", ["tc", "nft", "ethtool"]):
        parser.error(reason)
    return arguments


def run(name: str, arguments: argparse.Namespace) -> dict:
    with place.two_namespaces() as where:
        place.without_offloads(where)
        if arguments.loss:
            place.with_losses(where, arguments.loss)
        if arguments.link:
            place.with_link(where, arguments.link)
        return framewire(where, arguments) if name == "framewire" else peer(name, where, arguments)


def framewire(where: place.Place, arguments: argparse.Namespace) -> dict:
    frames = round(arguments.fps * arguments.seconds)
    address = f"{where.receiver_address}:{place.free_port()}"
    client_does = [
        f"pattern:{arguments.frame}", "--server", f"http://{address}", "--delivery", "latest", "--fps", f"{arguments.fps:g}",
        "--frames", str(frames), "--fec", arguments.fec, "--json",
    ]
    with Children() as children:
        server_does = ["--listen", address, "--udp", f"{where.receiver_address}:0", "--insecure", "--json"]
        server = children.start("the server", [str(arguments.programs / "framewire-server"), *server_does],
                                where.receiver_namespace)
        server.wait_for_port("tcp", int(address.rpartition(":")[2]), time.monotonic() + START_SECONDS)
        client = children.start("the client", [str(arguments.programs / "framewire-client"), *client_does],
                                where.sender_namespace)
        sent = json.loads(client.output(time.monotonic() + arguments.seconds + REST_SECONDS))
        server.process.send_signal(signal.SIGINT)
        received = json.loads(server.output(time.monotonic() + START_SECONDS))
    latency = received["latency_ms"] or {}
    return {
        "sent": sent["frames_sent"], "delivered": received["frames_delivered"],
        "p50": latency.get("p50"), "p99": latency.get("p99"),
        "resent": sent.get("slices_resent"), "parity": sent.get("slices_parity"), "dropped": sent["frames_dropped"],
    }


def peer(name: str, where: place.Place, arguments: argparse.Namespace) -> dict:
    settings = Settings(
        frame=arguments.frame,
        # After half a second's warm-up at full rate, nothing but the frames at theirs.
        seconds=0.0,
        latency_seconds=arguments.seconds,
        place=where,
        framewire=arguments.programs / "framewire",
        environment_folder=WORKSPACE / "target" / "peers-venv",
        latency_fps=arguments.fps,
    )
    _, received = python_pair.measure(name, settings)
    return {
        "sent": round(arguments.fps * arguments.seconds), "delivered": received["latency_frames"],
        "p50": received["latency_p50_ms"], "p99": received["latency_p99_ms"],
    }


def table(figures: dict[str, list[dict]]) -> str:
    lines = [f"{'':<12}{'frames':>16}{'p50 ms':>9}{'p99 ms':>9}  medians of the rounds"]
    for name, runs in figures.items():
        if not runs:
            lines.append(f"{name:<12}{'–':>16}")
            continue
        frames = f"{sum(run['delivered'] for run in runs)} of {sum(run['sent'] for run in runs)}"
        lines.append(f"{name:<12}{frames:>16}" + "".join(f"{middle(runs, key):>9}" for key in ("p50", "p99")))
    return "\n".join(lines)


def middle(runs: list[dict], key: str) -> str:
    values = [run[key] for run in runs if run[key] is not None]
    return f"{median(values):.2f}" if values else "–"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
