"""The program of the Rust peers (`rust/`), built when it is first needed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from result import ContenderFailed

PACKAGE = Path(__file__).with_name("rust")
PROGRAM = "framewire-peers"


def pinned_versions() -> dict[str, str]:
    """Crate to version, as Cargo.toml has them."""
    dependencies = tomllib.loads((PACKAGE / "Cargo.toml").read_text())["dependencies"]
    versions = {name: wanted["version"] if isinstance(wanted, dict) else wanted for name, wanted in dependencies.items()}
    return {name: version.removeprefix("=") for name, version in versions.items() if version.startswith("=")}


def program(target_folder: Path) -> Path:
    """The program, once it is up to date. A build from nothing takes some minutes."""
    print(f"building {', '.join(pinned_versions())} into {target_folder}", file=sys.stderr, flush=True)
    build = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", target_folder]
    try:
        done = subprocess.run(build, cwd=PACKAGE, capture_output=True, text=True)
    except FileNotFoundError:
        raise ContenderFailed("no cargo: a Rust toolchain is needed") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
        raise ContenderFailed(f"cargo could not build {PACKAGE.name}: {(errors or ['no reason given'])[0]}")
    built = target_folder / "release" / PROGRAM
    if not os.access(built, os.X_OK):
        raise ContenderFailed(f"cargo built no {built}")
    return built
