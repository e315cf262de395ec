"""Processes that train together, on the loopback address: the same training, and what becomes of it when one dies."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import group_member
import numpy as np
import pytest
from group_member import EPOCHS, LAST, X, Y
from support import free_port, run_in_threads
from trials.groups import ENVIRONMENT, kill_members, started, told

from nn import MLP, ProcessGroupError, fit, join_process_group, load_checkpoint
from nn.coordinator import Lines
from nn.process_group import InterruptedElsewhere, Line

jax: Any = pytest.importorskip("jax")
from nn.group import Group  # noqa: E402  # which is built on JAX

pytestmark = pytest.mark.one_build

SAME = 1e-9
"""How far a training may be off that of one device: what the documentation of `fit` says."""


# Trainings


def run_group(scenario: str, folder: Path, processes: int = 2) -> list[tuple[int, Any, str]]:
    """Of each process its exit status, what it says came of it, and its standard error."""
    return [told(member) for member in started(scenario, folder, processes)]


def in_floats(numbers: list[str]) -> list[float]:
    return list(map(float.fromhex, numbers))


@pytest.fixture(scope="module")
def one_device() -> Any:
    """The training of this process alone, on one device."""
    return group_member.train(Path(), [], devices=1)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two processes say that train one thing after the other."""
    folder = tmp_path_factory.mktemp("several")
    np.save(folder / "X.npy", X)
    np.save(folder / "a.npy", Y[:25])
    np.save(folder / "b.npy", Y[25:])
    found = run_group("several", folder)
    assert [(status, errors) for status, _, errors in found] == [(0, "")] * 2
    return [*[said for _, said, _ in found], sorted(path.name for path in folder.glob("*.json"))]


def test_two_processes_train_as_one_device_does(several: list[Any], one_device: Any) -> None:
    first, second = several[0][0], several[1][0]
    assert first == second
    assert first["story"] == f"all {EPOCHS} epochs run"
    np.testing.assert_allclose(in_floats(first["losses"]), in_floats(one_device["losses"]), rtol=SAME)
    parameters, expected = (in_floats(each["parameters"]) for each in (first, one_device))
    np.testing.assert_allclose(parameters, expected, rtol=SAME, atol=1e-12)


def test_files_of_which_each_reads_its_part(several: list[Any]) -> None:
    assert several[0][1] == several[1][1] == several[0][0]


def test_what_is_not_the_same_in_all_is_refused_in_all(several: list[Any]) -> None:
    text = "ValueError: fit: expected the same {} in every process of the group, got others in process 1{}"
    for said in several[:2]:
        assert said[2] == {"story": text.format("parameters", ": give the model a seed")}
        assert said[3] == {"story": text.format("epochs", "")}
        assert said[4] == {"story": text.format("data", "")}


def test_a_callback_that_stops_one_stops_all(several: list[Any]) -> None:
    assert [said[5]["story"] for said in several[:2]] == ["a callback in process 1", "enough"]
    assert several[0][5]["parameters"] == several[1][5]["parameters"]
    assert len(several[0][5]["losses"]) == LAST


def test_batches_that_are_not_those_of_the_others(several: list[Any]) -> None:
    text = (
        "ValueError: fit: expected the same size of batch 2 in every process of the group, got others in process 1:"
        " each is given all batches, and computes its part of every one"
    )
    for said in several[:2]:
        assert [said[6], said[7]] == [{"story": text}] * 2


def test_what_is_wrong_in_all_is_no_fault_of_the_others(several: list[Any]) -> None:
    for said in several[:2]:
        assert said[8]["story"].startswith("ValueError: to_jax: expected at most 2,000 array steps, got ")
        assert said[9]["story"].startswith("DivergenceError: fit: the loss is inf in epoch 1")


def test_one_process_writes_checkpoints(several: list[Any]) -> None:
    assert several[2] == ["0.json"]


def test_other_engines_train_each_for_itself(several: list[Any]) -> None:
    assert several[0][11] == several[1][11]
    np.testing.assert_allclose(in_floats(several[0][11]["losses"]), in_floats(several[0][0]["losses"]), rtol=SAME)


@pytest.mark.parametrize(
    ("scenario", "dead", "number"),
    [("the last one dies", 1, signal.SIGTERM), ("the first one dies", 0, signal.SIGKILL)],
)
def test_a_process_that_dies_ends_the_others_and_a_restart_goes_on(
    scenario: str, dead: int, number: int, tmp_path: Path, several: list[Any]
) -> None:
    start = time.monotonic()
    found = run_group(scenario, tmp_path)
    assert time.monotonic() - start < 60  # JAX by itself waits for 100 seconds, or ends the others without a word
    assert found[dead][0] == -number
    status, said, errors = found[1 - dead]
    assert status in (0, 1)
    assert errors == ""
    assert said[0]["story"] == (
        f"ProcessGroupError: fit: process {dead} (of 2, from 0) has ended, in epoch {LAST + 1}; the parameters are"
        f" those of epoch {LAST}: start all processes again, with the last checkpoint as resume"
    )
    assert said[0]["losses"] == several[0][0]["losses"][:LAST]
    saved = load_checkpoint(tmp_path / "saved.json")
    assert saved.history is not None
    assert saved.history.epochs == (LAST if dead else group_member.EVERY)  # whoever is left saves what was learnt
    assert [path.name for path in tmp_path.iterdir()] == ["saved.json"]
    for status, again, errors in run_group("a restart", tmp_path):
        assert (status, errors) == (0, "")
        assert again == [several[0][0]]  # to the last bit


def test_a_process_that_fails_ends_the_others_and_the_group(tmp_path: Path) -> None:
    (status, said, _), (other_status, other, _) = run_group("one fails", tmp_path)
    assert status in (0, 1)
    assert other_status == 0
    assert other[0] == {"story": "RuntimeError: a mistake"}
    assert said[0]["story"].startswith(
        f"ProcessGroupError: fit: process 1 (of 2, from 0) has ended, in epoch {LAST + 1};"
    )
    broken = "ProcessGroupError: fit: a training of this group broke off: start all processes again"
    assert [each[1]["story"] for each in (said, other)] == [broken, broken]


def test_ctrl_c_in_one_process_is_ctrl_c_in_all(tmp_path: Path) -> None:
    (status, said, errors), (other_status, other, other_errors) = run_group("one is interrupted", tmp_path)
    assert (errors, other_errors) == ("", "")
    assert {status, other_status} <= {0, 1}
    assert [each[0]["story"] for each in (said, other)] == ["Ctrl-C in process 1", "Ctrl-C"]
    epochs = [len(each[0]["losses"]) for each in (said, other)]
    assert LAST <= min(epochs) <= max(epochs) <= min(epochs) + 1
    assert said[0]["losses"][: min(epochs)] == other[0]["losses"][: min(epochs)]
    assert (said[0]["parameters"] == other[0]["parameters"]) == (epochs[0] == epochs[1])
    saved = load_checkpoint(tmp_path / "saved.json")
    assert saved.history is not None
    assert saved.history.epochs == epochs[0]


def test_ctrl_c_is_heard_of_by_who_is_late(tmp_path: Path) -> None:
    """It was in a callback, and the other process has ended since."""
    (status, said, errors), (other_status, other, _) = run_group("one is interrupted in a callback", tmp_path)
    assert (errors, other_status) == ("", 0)
    assert status in (0, 1)
    assert said[0]["parameters"] == other[0]["parameters"]
    assert len(said[0]["losses"]) == LAST
    assert [each[0]["story"] for each in (said, other)] == ["Ctrl-C in process 1", "Ctrl-C"]


def test_ctrl_c_in_another_before_there_is_a_training_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_first(group: Group, text: str) -> str:
        raise InterruptedElsewhere(1)

    monkeypatch.setattr(Group, "of_first", of_first)
    with pytest.raises(KeyboardInterrupt):
        fit(MLP(3, [1]), X, Y, engine="jax", devices=1)


def test_a_group_that_jax_alone_has_made(tmp_path: Path, several: list[Any]) -> None:
    program = (
        "import sys, json, pathlib, jax; sys.argv[1:1] = ['', '', '', '']; import group_member;"
        " jax.distributed.initialize(sys.argv[6], 2, int(sys.argv[5])); group_member.NUMBER = int(sys.argv[5]);"
        " print(json.dumps([group_member.train(pathlib.Path(), [])]))"
    )
    address = f"127.0.0.1:{free_port()}"
    folder = Path(group_member.__file__).parent
    members = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number), address],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for member in members:
        output, errors = member.communicate(timeout=60)
        assert member.returncode == 0, errors
        assert json.loads(output.splitlines()[-1]) == [several[0][0]]


# Joining


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("127.0.0.1", 2, 0), ValueError, "coordinator_address to be host and port, as '10.0.0.1:9000', got str '127"),
        ((":9000", 2, 0), ValueError, "coordinator_address to be host and port, as '10.0.0.1:9000', got str ':9000'"),
        (("::1:9000", 2, 0), ValueError, "coordinator_address to be host and port, as '10.0.0.1:9000', got str '::1:9"),
        ((9000, 2, 0), ValueError, "coordinator_address to be host and port, as '10.0.0.1:9000', got int 9000"),
        (("h:65535", 2, 0), ValueError, "coordinator_address to be host and port, as '10.0.0.1:9000', got str 'h:65"),
        (("h:9000", 0, 0), ValueError, "num_processes to be a positive int, got 0"),
        (("h:9000", 2, 2), ValueError, "process_id from 0 to 1, got 2"),
        (("h:9000", 2, True), TypeError, "process_id to be an int, got bool True"),
    ],
)
def test_case_22_wrong_arguments(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        join_process_group(*arguments)
    assert str(raised.value).startswith(f"join_process_group: expected {text}")


@pytest.mark.parametrize(
    ("timeout", "error", "text"),
    [
        (0, ValueError, "to be above 0 and at most 86400 s, got 0"),
        (float("inf"), ValueError, "to be above 0 and at most 86400 s, got inf"),
        (float("nan"), ValueError, "to be above 0 and at most 86400 s, got nan"),
        ("60", TypeError, "to be a number of seconds, got str '60'"),
    ],
)
def test_wrong_timeouts(timeout: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        join_process_group("127.0.0.1:9000", 2, 1, timeout=timeout)
    assert str(raised.value) == f"join_process_group: expected timeout {text}"


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not used JAX yet."""
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)


def test_too_late() -> None:
    """Here, for JAX would find it out when the others are waiting, and end them."""
    jax.devices()
    with pytest.raises(RuntimeError, match=r"^join_process_group: expected a process that has not used JAX yet, got"):
        join_process_group("127.0.0.1:9000", 2, 0)


@pytest.mark.usefixtures("unused")
def test_nobody_there() -> None:
    with pytest.raises(
        ConnectionError, match=r"^join_process_group: expected the coordinator at .*: does process 0 run"
    ):
        join_process_group(f"127.0.0.1:{free_port()}", 2, 1, timeout=0.2)


@pytest.mark.usefixtures("unused")
@pytest.mark.parametrize("place", [0, 1])
def test_ports_that_are_taken(place: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - place
        with pytest.raises(OSError, match=rf"^join_process_group: expected the ports {port} and {port + 1} to be free"):
            join_process_group(f"127.0.0.1:{port}", 2, 0)


@pytest.mark.usefixtures("unused")
def test_a_coordinator_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It finds the modules that this process finds, and says what is wrong with them."""
    (tmp_path / "selectors.py").write_text("raise ValueError('not the one of Python')")
    monkeypatch.chdir(tmp_path)  # where there is nothing that this process would find
    with pytest.raises(ConnectionError, match=r"expected 2 processes to join in time, got 1$"):
        join_process_group(f"127.0.0.1:{free_port()}", 2, 0, timeout=3)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match=r"^join_process_group: expected the coordinator to start, got: ValueError"):
        join_process_group(f"127.0.0.1:{free_port()}", 2, 0)


@pytest.mark.usefixtures("unused")
def test_some_are_missing() -> None:
    """Without the clear error JAX would end this process."""
    with pytest.raises(ConnectionError, match=r"^join_process_group: expected 2 processes to join in time, got 1$"):
        join_process_group(f"127.0.0.1:{free_port()}", 2, 0, timeout=3)


# The coordinator's lines


@pytest.fixture
def address() -> Iterator[Any]:
    """Of lines for three processes, served until all are closed."""
    read, write = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, read:
        thread = threading.Thread(target=Lines(listener, 3).serve, args=(read.fileno(),))
        thread.start()
        yield listener.getsockname()
        write.close()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def closing() -> Iterator[Callable[[socket.socket], socket.socket]]:
    """Closes sockets at the end of a test."""
    with ExitStack() as stack:
        yield stack.enter_context


def heard(line: Line, is_enough: Any) -> Any:
    for _ in range(600):
        if is_enough(line):
            return line.listen()
        line.listen(0.1)
    raise AssertionError(vars(line))


def test_lines_tell_who_is_here_and_who_is_gone(
    address: Any, closing: Callable[[socket.socket], socket.socket]
) -> None:
    connections = [closing(socket.create_connection(address)) for _ in range(3)]
    lines = [Line(connection, number, 3) for number, connection in enumerate(connections)]
    for line in lines:
        assert heard(line, lambda line: line.n_here == 3) == {}
    begun = []
    run_in_threads(lambda number: begun.append(lines[number].begin_training()), 3)
    lines[1].leave("interrupted")
    assert heard(lines[0], lambda line: line.listen()) == {1: "interrupted"}
    run_in_threads(lambda number: begun.append(lines[number].begin_training()), 3)
    assert lines[0].listen() == {}  # of this training nobody has said anything
    lines[2].give_up()
    lines[1].leave("ended")
    assert not lines[2].begin_training()
    assert not lines[0].begin_training()
    connections[1].close()
    assert heard(lines[0], lambda line: len(line.listen()) == 2) == {1: "ended", 2: "ended"}
    assert begun == [True] * 6


def test_lines_refuse_what_does_not_belong(address: Any) -> None:
    with socket.create_connection(address) as one, socket.create_connection(address) as two:
        first = Line(one, 0, 3)
        heard(first, lambda line: line.n_here == 1)
        assert heard(Line(two, 0, 3), lambda line: line.refusal) == {}
        with socket.create_connection(address) as three:
            other = Line(three, 1, 4)
            heard(other, lambda line: line.refusal)
            assert other.refusal == "num_processes to be 3, as in process 0, got 4"
        with socket.create_connection(address) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n")
            assert stranger.recv(100).startswith(b"refused")
        with socket.create_connection(address) as stranger, suppress(ConnectionError):
            stranger.sendall(b"x" * 100_000)
            assert stranger.recv(100) == b""
        assert first.listen(0.1) == {}


def test_the_trial_kills_and_finds_nothing_lost(tmp_path: Path) -> None:
    figures = kill_members(1, tmp_path, seed=1)
    assert figures.runs == 1
    assert len(figures.seconds) == figures.kills <= 1


def test_what_is_promised_is_said() -> None:
    assert issubclass(ProcessGroupError, RuntimeError)
    assert "ProcessGroupError" in (fit.__doc__ or "")
