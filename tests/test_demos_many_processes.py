"""The demo of many processes: what they learn is what one does, and what is interrupted goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nn import load_checkpoint

pytest.importorskip("jax")
pytestmark = pytest.mark.one_build

DEMO = Path(__file__).parent.parent / "demos" / "many_processes.py"
ENVIRONMENT = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(DEMO), *options]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    losses = []
    for processes in (1, 2):
        options = "--epochs", "4", "--processes", str(processes)
        done = run(tmp_path, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{processes} processes, 4 epochs in " in done.stdout
        found = re.search(r"^loss ([\d.]+), ([\d.]+)% of 4,000 points right$", done.stdout, re.MULTILINE)
        assert found is not None
        losses.append(found[1])
        assert float(found[2]) > 90
        assert not list(tmp_path.rglob("training.json"))
    assert losses[0] == losses[1]


def test_they_go_on_after_ctrl_c(tmp_path: Path) -> None:
    """As in a terminal, where all of them hear of it."""
    pipe = subprocess.PIPE
    demo = subprocess.Popen(
        [sys.executable, str(DEMO), "--epochs", "100000"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    saved = tmp_path / "pictures" / "many_processes" / "training.json"
    for _ in range(600):
        if saved.exists():
            break
        time.sleep(0.1)
    os.killpg(demo.pid, signal.SIGINT)
    output, errors = demo.communicate(timeout=60)
    assert errors == ""
    assert demo.returncode in (0, 1)  # 1 where JAX did not come back from a computation
    assert "Ctrl-C: the same command goes on from pictures/many_processes/training.json" in output
    history = load_checkpoint(saved).history
    assert history is not None
    epochs = history.epochs
    done = run(tmp_path, "--epochs", str(epochs + 1))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"2 processes, {epochs + 1} epochs in " in done.stdout
    assert not saved.exists()


def test_they_say_what_is_wrong(tmp_path: Path) -> None:
    for options, text in (
        (("--processes", "0"), "expected --epochs and --processes to be 1 or more"),
        (("127.0.0.1:9000", "two", "0"), "expected HOST:PORT PROCESSES NUMBER, or nothing"),
        (("127.0.0.1:9000", "2", "5"), "join_process_group: expected process_id from 0 to 1, got 5"),
    ):
        done = run(tmp_path, *options)
        assert done.returncode > 0
        assert done.stderr.splitlines()[-1].endswith(text)
