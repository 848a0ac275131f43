#!/usr/bin/env python3
"""Draws what compare.py has measured: rate, processor time and latency beside each other, as an SVG for light and dark pages."""

import json
import math
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH = 1000
ROW = 26
BAR = 14
LABELS = 182
"""Where the bars of the first panel begin: names are to the left of them."""
PANELS = [(LABELS, 110), (350, 190), (668, 210)]
"""Where each panel begins, and how long its longest bar is: behind that is room for its figures."""
TOP = 56
TITLE = 24
"""From a group's title to its headings."""
GROUP_GAP = 40

TITLES = {
    "shm": "Framewire",
    "shm-spin": "Framewire, spinning",
    "shm-read": "Framewire",
    "iceoryx2": "iceoryx2, its event",
    "iceoryx2-spin": "iceoryx2, spinning",
    "iceoryx2-read": "iceoryx2, its event",
    "zenoh-rust": "zenoh, in Rust",
    "zenoh-rust-read": "zenoh, in Rust, in place",
    "zenoh-rust-bytes": "zenoh, in Rust, copied",
    "zenoh-shm": "zenoh, in Python",
    "zenoh-shm-bytes": "zenoh, in Python, copied",
    "imagezmq": "imageZMQ",
    "pipe": "a pipe's wake, no frame",
    "memory": "two threads, 1 process",
    "framewire": "Framewire over UDP",
    "kernel": "bare kernel over UDP",
    "tcp": "TCP socket, in Python",
}
OURS = ("framewire", "shm", "shm-spin", "shm-read")
FLOORS = ("pipe", "memory", "kernel")

STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
  .head { font-weight: 600 }
  .title { font-weight: 600; font-size: 15px }
  .unit, .note { fill: #59636e; font-size: 12px }
  .ours { fill: #0969da } .peer { fill: #afb8c1 } .floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
  .tail { stroke: #59636e; stroke-width: 1.5 }
  .rule { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .unit, .note { fill: #9198a1 }
    .ours { fill: #4493f8 } .peer { fill: #59636e } .floor { stroke: #9198a1 }
    .tail { stroke: #9198a1 }
    .rule { stroke: #3d444d }
  }
"""


def main() -> int:
    if len(sys.argv) != 3:
        print(f"usage: {Path(sys.argv[0]).name} FIGURES.json PICTURE.svg", file=sys.stderr)
        return 2
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
    return 0


def draw(figures: dict) -> str:
    """The picture of what `compare.py --json` prints."""
    rows = sorted((row for row in figures["contenders"] if "gigabytes_per_second" in row), key=_place)
    handed = [row for row in rows if not row["moves_bytes"]]
    moved = [row for row in rows if row["moves_bytes"]]
    parts, y = [], TOP
    groups = [(moved, "Every byte of a frame made and read", _rate_in_gigabytes)]
    groups += [(handed, "Hand-over alone, no byte of a frame touched", _rate_in_frames)]
    for group, title, rate in groups:
        if group:
            parts += _group(y, group, title, rate)
            y += ROW * len(group) + TITLE + GROUP_GAP
    rounds = figures["rounds"]
    machine = re.sub(r"(Linux \d+\.\d+)\S*", r"\1", figures["machine"])
    notes = [
        f"{figures['frame']} ({figures['frame_bytes'] / 1e6:.1f} MB) between two processes, {machine}; "
        f"{'one round' if rounds == 1 else f'medians of {rounds} rounds, all in turns'}. "
        "Latency: from sent until the receiving call",
        "has returned, both ends asleep between frames unless one spins. Dashed: floors. All scales but GB/s are logarithmic.",
    ]
    height = y + 16
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        "<title>Frames between two processes of one machine: rate, processor time, latency</title>",
        f"<style>{STYLE}</style>",
        *parts,
        *(f'<text class="note" x="8" y="{height - 28 + 18 * line}">{escape(note)}</text>' for line, note in enumerate(notes)),
        "</svg>",
        "",
    ])


def _place(row: dict) -> tuple:
    """Framewire first, then its peers, the faster before the slower, floors, and those that spin."""
    name = row["name"]
    return name.endswith("-spin"), name in FLOORS, name not in OURS, -row["gigabytes_per_second"]["median"]


class _Panel:
    """A column of bars: its heading, the figure of a row, a second one where there is one, and how it is written."""

    def __init__(self, heading, unit, figure, written, logarithmic, tail=lambda _row: None):
        self.heading, self.unit, self.figure, self.written = heading, unit, figure, written
        self.logarithmic, self.tail = logarithmic, tail

    def scale(self, rows: list[dict], width: float):
        """Gives the length of a bar for a value."""
        values = [value for row in rows for value in (self.figure(row), self.tail(row)) if value]
        most = max(values, default=1.0)
        if not self.logarithmic:
            return lambda value: width * value / most
        # From a decade below the least, so that every bar can be seen.
        least = 10 ** (math.floor(math.log10(min(values, default=1.0)) * 2) / 2 - 0.5)
        span = math.log10(most / least)
        return lambda value: width * max(0.0, math.log10(value / least)) / span


def _rate_in_gigabytes() -> _Panel:
    return _Panel("Rate", "GB/s", lambda row: row["gigabytes_per_second"]["median"], lambda v: f"{v:.1f}", False)


def _rate_in_frames() -> _Panel:
    return _Panel("Rate", "frames/s", lambda row: row.get("frames_per_second"), _counted, True)


def _group(y: int, rows: list[dict], title: str, rate) -> list[str]:
    cpu = _Panel(
        "Processor", "µs a frame: full rate / 60 frames/s",
        lambda row: row.get("cpu_us_per_frame"), _short, True, tail=lambda row: row.get("steady_cpu_us_per_frame"),
    )
    latency = _Panel(
        "Latency at 60 frames/s", "µs: p50 / p99",
        lambda row: _micros(row, "p50"), _short, True, tail=lambda row: _micros(row, "p99"),
    )
    parts = [f'<text class="title" x="8" y="{y - TITLE - 10}">{escape(title)}</text>']
    for panel, (x, width) in zip([rate(), cpu, latency], PANELS):
        parts.append(
            f'<text x="{x}" y="{y - 8}"><tspan class="head">{panel.heading}</tspan>'
            f'<tspan class="unit" dx="6">{panel.unit}</tspan></text>'
        )
        bottom = y + ROW * len(rows)
        parts.append(f'<line class="rule" x1="{x}" y1="{y}" x2="{x}" y2="{bottom}"/>')
        length = panel.scale(rows, width)
        for place, row in enumerate(rows):
            parts += _bar(panel, row, x, y + place * ROW, length)
    for place, row in enumerate(rows):
        name = TITLES.get(row["name"], row["name"])
        weight = ' class="head"' if row["name"] in OURS else ""
        parts.append(f'<text{weight} x="{LABELS - 10}" y="{y + place * ROW + 18}" text-anchor="end">{escape(name)}</text>')
    return parts


def _bar(panel: _Panel, row: dict, x: float, y: float, length) -> list[str]:
    value, tail = panel.figure(row), panel.tail(row)
    if not value:
        return [f'<text class="unit" x="{x + 6}" y="{y + 18}">–</text>']
    kind = "ours" if row["name"] in OURS else "floor" if row["name"] in FLOORS else "peer"
    end = length(value)
    top = y + (ROW - BAR) / 2
    parts = [f'<rect class="{kind}" x="{x:.1f}" y="{top}" width="{end:.1f}" height="{BAR}" rx="2"/>']
    written = panel.written(value)
    if tail and tail > value:
        middle, far = top + BAR / 2, length(tail)
        parts.append(
            f'<path class="tail" fill="none" d="M{x + end:.1f} {middle}H{x + far:.1f}M{x + far:.1f} {middle - 4}v8"/>'
        )
        end, written = far, f"{written} / {panel.written(tail)}"
    parts.append(f'<text x="{x + end + 6:.1f}" y="{y + 18}">{written}</text>')
    return parts


def _micros(row: dict, part: str) -> float | None:
    value = row.get("latency_ms", {}).get(part)
    return None if value is None else 1e3 * value


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def _counted(value: float) -> str:
    return f"{value / 1e3:,.0f} k" if value >= 1e4 else f"{value / 1e3:.1f} k" if value >= 1e3 else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(main())
