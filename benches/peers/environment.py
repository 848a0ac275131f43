"""The virtual environment of the Python transports."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from result import ContenderFailed

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def pinned_versions() -> dict[str, str]:
    """Package to version, as requirements.txt has them."""
    lines = (line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def python_with_transports(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, which is made first if it is missing or out of date."""
    python = folder / "bin" / "python"
    # Written last, so that an interrupted installation is not taken for a whole one.
    mark = folder / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return python
    print(f"installing {', '.join(pinned_versions())} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError:
        raise ContenderFailed("no virtual environment: apt-get install python3-venv") from None
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ContenderFailed(f"pip could not install {REQUIREMENTS.name}: {(lines or ['no reason given'])[-1]}")
    mark.write_text(wanted)
    return python
