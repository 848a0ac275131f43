"""What was measured, beside what it must reach."""

from dataclasses import dataclass


class Failed(Exception):
    """A row that came to no figure."""


@dataclass
class Figure:
    """One measure. A fact holds on any machine, however busy; anything else is a timing, and only of interest on a quiet one."""

    row: str
    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    is_fact: bool = False

    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (self.at_least is None or self.value >= self.at_least)


class Report:
    """The figures so far, of the row that is being measured."""

    def __init__(self, say):
        self.figures: list[Figure] = []
        self.failures: list[str] = []
        self.row = ""
        self._say = say

    def measured(self, what: str, value: float, unit: str = "", **limits: float) -> None:
        self._add(Figure(self.row, what, value, unit, **limits))

    def fact(self, what: str, value: float, unit: str = "", **limits: float) -> None:
        self._add(Figure(self.row, what, value, unit, is_fact=True, **limits))

    def failed(self, why: str) -> None:
        self.failures.append(f"{self.row}: {why}")
        self._say(f"  FAILED {why}")

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        self._say("  " + " ".join(line(figure)).rstrip())

    def is_reached(self, facts_alone: bool) -> bool:
        counted = [figure for figure in self.figures if figure.is_fact or not facts_alone]
        return not self.failures and all(figure.holds() for figure in counted)


def line(figure: Figure) -> list[str]:
    limits = [(figure.at_most, "<="), (figure.at_least, ">=")]
    asked = " ".join(f"{sign} {shown(limit)}" for limit, sign in limits if limit is not None)
    holds = "" if not asked else "ok" if figure.holds() else "MISSED"
    return [figure.row, figure.what, f"{shown(figure.value)} {figure.unit}".strip(), asked, holds]


def shown(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def table(report: Report) -> str:
    lines = [["row", "measure", "measured", "must be", ""], *(line(figure) for figure in report.figures)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(5)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in lines]
    return "\n".join([*rows, *(f"FAILED  {why}" for why in report.failures)])


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent are not above; the largest of few."""
    ordered = sorted(values)
    if not ordered:
        raise Failed("nothing was measured")
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
