"""A trial run with each build of the engine, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = {"interpreted": ROOT, "compiled": ROOT / "build" / "compiled"}
"""Where each stands: `make build/compiled/installed` makes the second."""


def figures_of(build: str, trial: str, *words: str, timeout: float | None = None) -> Any:
    """What `python -m trials.<trial> <words>` prints, which is JSON, with this build.

    Raises CalledProcessError where it fails, and TimeoutExpired after so many seconds.
    """
    path = os.pathsep.join([str(FOLDERS[build]), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", f"trials.{trial}", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=timeout)
    return json.loads(done.stdout)


def figures_of_each(trial: str, *words: str) -> dict[str, Any]:
    """The figures of each build that there is."""
    there_are = [build for build, folder in FOLDERS.items() if (folder / "autograd_mini").exists()]
    return {build: figures_of(build, trial, "--figures", *words) for build in there_are}
