"""Medians over the rounds, as a table and as JSON."""

from dataclasses import dataclass, field
from statistics import median

from contenders import Contender
from result import Result

REFERENCE = "framewire"


@dataclass
class Row:
    """A contender's rounds: round number to result."""

    contender: Contender
    results: dict[int, Result] = field(default_factory=dict)
    failed: str | None = None
    skipped: str | None = None

    def medians(self, reference: "Row | None") -> dict:
        """The figures of the row, as `--json` prints them. What is not known is absent."""
        figures = {"name": self.contender.name, "how": self.contender.how, "rounds": len(self.results)}
        figures["moves_bytes"] = self.contender.moves_bytes
        if self.skipped is not None:
            return figures | {"skipped": self.skipped}
        if self.failed is not None:
            figures["failed"] = self.failed
        if not self.results:
            return figures
        rates = self._values("gigabytes_per_second")
        figures["gigabytes_per_second"] = {"median": median(rates), "min": min(rates), "max": max(rates)}
        # Round by round: what slows the machine for a while slows both.
        ratios = [
            result.gigabytes_per_second / reference.results[number].gigabytes_per_second
            for number, result in self.results.items()
            if reference is not None and number in reference.results
        ]
        if ratios:
            figures["ratio_to_framewire"] = median(ratios)
        more = ("cpu_seconds_per_gigabyte", "frames_per_second", "cpu_us_per_frame", "steady_cpu_us_per_frame")
        for name in (*more, "shared_memory_share"):
            if values := self._values(name):
                figures[name] = median(values)
        latency = {key: median(values) for key in ("p50", "p99") if (values := self._values(f"latency_{key}_ms"))}
        if latency:
            figures["latency_ms"] = latency
        for name in ("frames", "lost"):
            if values := self._values(name):
                figures[name] = sum(values)
        if values := self._values("lost_share"):
            figures["lost_share"] = median(values)
        return figures

    def _values(self, name: str) -> list[float]:
        return [value for result in self.results.values() if (value := getattr(result, name)) is not None]


def all_medians(rows: list[Row]) -> list[dict]:
    reference = next((row for row in rows if row.contender.name == REFERENCE), None)
    return [row.medians(reference) for row in rows]


HEADINGS = [
    "contender", "GB/s", "range", "× framewire", "CPU s/GB", "frames/s", "CPU µs/frame", "at 60/s", "p50 ms", "p99 ms", "lost", "how",
]


def table(rows: list[dict]) -> str:
    cells = [HEADINGS] + [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    last = len(HEADINGS) - 1
    lines = []
    for line in cells:
        # Names and words to the left, figures to the right.
        padded = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cells(row: dict) -> list[str]:
    outcome = next((f"{kind}: {row[kind]}" for kind in ("failed", "skipped") if kind in row), "")
    if "gigabytes_per_second" not in row:
        return [row["name"], *["–"] * (len(HEADINGS) - 2), outcome]
    rate, latency = row["gigabytes_per_second"], row.get("latency_ms", {})
    how = row["how"]
    if row.get("shared_memory_share"):
        how += f" ({row['shared_memory_share']:.0%} of frames so)"
    if outcome:
        how += f"; then {outcome}"
    frames = row.get("frames_per_second")
    bytes_cells = [
        f"{rate['median']:.2f}",
        f"{rate['min']:.2f}–{rate['max']:.2f}",
        _figure(row.get("ratio_to_framewire")),
        _figure(row.get("cpu_seconds_per_gigabyte")),
    ]
    return [
        row["name"],
        *(bytes_cells if row["moves_bytes"] else ["–"] * len(bytes_cells)),
        "–" if frames is None else f"{frames:.0f}",
        _figure(row.get("cpu_us_per_frame"), 1),
        _figure(row.get("steady_cpu_us_per_frame"), 1),
        _figure(latency.get("p50")),
        _figure(latency.get("p99")),
        _lost(row),
        how,
    ]


def _figure(value: float | None, digits: int = 2) -> str:
    """With as many digits more as a small one needs."""
    return "–" if value is None else f"{value:.{digits if value >= 0.1 or value == 0 else 4}f}"


def _lost(row: dict) -> str:
    if "lost" not in row:
        return "–"
    return f"{row['lost']} ({row['lost_share']:.1%})" if row["lost"] and "lost_share" in row else str(row["lost"])
