"""What a row is given."""

from dataclasses import dataclass
from typing import Any

from network import Network
from programs import Programs
from report import Report


@dataclass
class Asked:
    """Where it is measured, with what, and how much of it."""

    network: Network
    programs: Programs
    report: Report
    is_short: bool

    def of(self, whole: Any, short: Any) -> Any:
        """A size, by whether all of it is asked for."""
        return short if self.is_short else whole


def lost(summary: dict) -> int:
    """Frames that were sent and did not arrive, whatever the cause."""
    return sum(count for cause, count in summary["frames_dropped"].items() if cause != "skipped_at_source")


def skipped(summary: dict) -> int:
    """Frames that their source did not begin to send: the one before was on its way still, on a machine that has too much to do, or a link that is full."""
    return summary["frames_dropped"]["skipped_at_source"]
