"""The examples, each to its end, and their types."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
_NEEDS = {"viewer": "cv2"}


def test_they_are_there():
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_ends_by_itself_and_says_so(example: Path, run: Callable[..., subprocess.CompletedProcess[str]]):
    if module := _NEEDS.get(example.stem):
        pytest.importorskip(module, reason=f"SKIPPED: {example.stem} needs {module}")
    done = run(example, is_to_fail=True)
    said = (done.stdout + done.stderr).strip().splitlines()
    if "SKIPPED" in said[-1]:
        pytest.skip(said[-1])
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert said[-1].startswith(f"{example.stem}: "), said


def test_the_types_of_the_examples_are_right(tmp_path: Path):
    pytest.importorskip("mypy", reason="SKIPPED: mypy is not there")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *map(str, EXAMPLES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
