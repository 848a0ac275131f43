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
    """Frames that a camera made and nobody has, whatever the cause."""
    return sum(summary["frames_dropped"].values())
