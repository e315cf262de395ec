"""Checkpoints that were damaged, edited, or written by somebody who means harm: refused in one line, or the same."""

import contextlib
import copy
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from autograd_mini.cli import main
from nn import MLP, Adam, fit
from nn.callbacks import Callback, Checkpoint, EarlyStopping
from nn.checkpoint import FORMAT, _checksum, _text, load_checkpoint
from nn.schedules import CosineDecay, LinearWarmup
from trials.edits import edited, edits
from trials.watch import Violation, check_error, check_message, run_command

SAMPLES, TARGETS = [1.0, 2.0], [1.0, 3.0]
_TABLE = "x,kind\n" + "".join(f"{place},{'ab'[place % 2]}\n" for place in range(6))


@dataclass(frozen=True)
class Originals:
    """Whole files, and where others are to be written."""

    folder: Path
    files: dict[str, bytes]
    documents: list[dict[str, Any]]
    """The JSON of a training of one's own, and of one of the command's."""


def originals(folder: Path) -> Originals:
    """Written anew."""
    for suffix in (".json", ".safetensors"):
        _train(folder / f"original{suffix}", resume=None)
    table, command = folder / "table.csv", folder / "command.json"
    table.write_text(_TABLE)
    words = ["train", "--data", str(table), "--target", "kind", "--epochs", "2", "--hidden", "2"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*words, "--early-stopping", "3", "--output", str(command)]) == 0
    paths = [folder / "original.json", folder / "original.safetensors", command]
    documents = [json.loads(path.read_text()) for path in (paths[0], command)]
    return Originals(folder, {path.name: path.read_bytes() for path in paths}, documents)


def _train(path: Path, resume: Path | None, epochs: int = 2) -> MLP:
    model = MLP(1, [2, 1], "tanh", init="ones")
    optimizer = Adam(LinearWarmup(CosineDecay(0.01, 9), 3))
    callbacks: list[Callback] = [EarlyStopping(9), Checkpoint(path)]
    fit(
        model,
        SAMPLES,
        TARGETS,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=1,
        seed=0,
        callbacks=callbacks,
        resume=resume,
        engine="eager",
    )
    return model


# Bytes

# fmt: off
_TOKENS = [
    b"[", b"]", b"{", b"}", b'"', b",", b":", b"\\", b"\\ud800", b"\\u0000", b"null", b"NaN", b"-Infinity", b"1e999",
    b"-0", b"0.0", b"true", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b'"a":', b"1" * 5000, b"[" * 3000,
    b'{"a":' * 3000, b'"not finite":', b'{"not finite":"nan"}', b"9" * 400, b"\xf0\x9f\x98\x80", b'"__class__":',
    b"cos\nsystem\n(S'x'\ntR.",
]
# fmt: on

_EDITS = edits(_TOKENS, longest=300)
_NAMES = st.sampled_from(["original.json", "original.safetensors", "command.json"])

BYTES = st.one_of(
    st.tuples(_NAMES, _EDITS),
    st.tuples(_NAMES, _EDITS),
    st.tuples(_NAMES, _EDITS),
    st.tuples(_NAMES, st.binary(max_size=300)),
)
"""A whole file by its name, and edits of it; or other bytes under that name."""


def feed_bytes(whole: Originals, drawn: tuple[str, Any]) -> bool:
    """Load the file, and predict with it by the command. Returns whether it was accepted: it must say the same."""
    name, thing = drawn
    data = thing if isinstance(thing, bytes) else edited(whole.files[name], thing)
    path = whole.folder / f"hostile{Path(name).suffix}"
    path.write_bytes(data)
    is_loaded = _load(path)
    if is_loaded:
        expected, found = load_checkpoint(whole.folder / name), load_checkpoint(path)
        for part in ("architecture", "optimizer", "history", "random", "callbacks"):
            if getattr(found, part) != getattr(expected, part):
                raise Violation(f"a damaged file was accepted: {part} is another")
        if {key: array.tobytes() for key, array in found.parameters.items()} != {
            key: array.tobytes() for key, array in expected.parameters.items()
        }:
            raise Violation("a damaged file was accepted: a number is another")
    status = run_command(["predict", str(path), "--data", str(whole.folder / "table.csv")])
    return is_loaded and status in (0, 2)


def _load(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except ValueError as error:
        check_error(error, f"load_checkpoint: {path}: ")
        return False
    return True


# Documents, with the checksum that an attacker who has read our source would give them

# fmt: off
_HOSTILE_TEXTS = [
    "", "a\nb", "\x1b[2J", "\ud800", "\u202egnp.exe", "<script>", "a" * 5000, "none", "__class__", "Adam", "Plan",
    "é", "1,2", " 3", "\n3", "0" * 9 + "3", "9" * 5000, "relu", "inf", "nan", "1e999", "\0", "0.5", "16", "../../x",
]
# fmt: on
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 3),
        st.sampled_from([2**31, 2**53 + 1, 2**63, 2**64, 2**128, 2**200, 10**400, -(10**400), 10**4000]),
        st.floats(),
        st.sampled_from(_HOSTILE_TEXTS),
        st.text(max_size=6),
        st.sampled_from([{"kind": "Constant", "learning_rate": 1.0}, {"kind": "LinearWarmup"}, {"not finite": "inf"}]),
        st.integers(1, 80).map(lambda depth: json.loads("[" * depth + "1.0" + "]" * depth)),
        st.just(["x" * 10_000, *"y" * 1000]),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

_CHANGES = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["replace", "replace", "remove", "add", "double"]), JUNK),
    min_size=1,
    max_size=3,
)
DOCUMENTS = st.tuples(st.integers(0, 1), st.sampled_from([".json", ".json", ".safetensors"]), _CHANGES)
"""Which document, in which format, and what is changed in it."""


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or dict in a tree, with each of its keys."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def changed(document: dict[str, Any], changes: list[tuple[int, str, Any]]) -> dict[str, Any]:
    """A copy with these changes."""
    document = copy.deepcopy(document)
    for number, action, junk in changes:
        places = list(_places(document))
        if not places:
            break
        (part, key), junk = places[number % len(places)], copy.deepcopy(junk)
        if action == "replace":
            part[key] = junk
        elif action == "remove":
            del part[key]
        elif action == "double":
            part[key] = [part[key], copy.deepcopy(part[key])]
        elif isinstance(part, dict):
            part[str(junk)[:9]] = junk
        else:
            part.append(junk)
    return document


def sealed(document: dict[str, Any], suffix: str) -> bytes:
    """The file of a document, its checksum right as far as there is one for it."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
        arrays = {name: np.array(numbers, dtype=float) for name, numbers in document["parameters"].items()}
        document["sha256"] = _checksum(document["content"], arrays)
    if suffix == ".json":
        return _text(document).encode()
    parameters = document.pop("parameters", {})
    return _as_safetensors(parameters, _text(document))


def _as_safetensors(parameters: Any, text: str) -> bytes:
    """By hand, for the library would refuse to write what is wrong."""
    header: dict[str, Any] = {"__metadata__": {FORMAT: text}}
    data = b""
    for name, numbers in parameters.items() if isinstance(parameters, dict) else ():
        try:
            array = np.array(numbers, dtype="<f8")
        except (TypeError, ValueError, OverflowError):
            header[name] = (
                numbers if isinstance(numbers, dict) else {"dtype": "F64", "shape": numbers, "data_offsets": [0, 0]}
            )
            continue
        header[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    encoded = _text(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + data


def feed_document(whole: Originals, drawn: tuple[int, str, Any]) -> bool:
    """Go on with a training from the file, or predict and go on by the command. Returns whether it was accepted.

    What is refused has left the model as it was.
    """
    number, suffix, changes = drawn
    path = whole.folder / f"hostile{suffix}"
    path.write_bytes(sealed(changed(whole.documents[number], changes), suffix))
    if number == 1:
        data = ["--data", str(whole.folder / "table.csv")]
        statuses = [run_command(["predict", str(path), *data])]
        again = ["--epochs", "3", "--output", str(whole.folder / "again.json")]
        statuses.append(run_command(["train", *data, "--resume", str(path), *again]))
        return 0 in statuses
    if not _load(path):
        return False
    return _go_on(path)


def _go_on(path: Path) -> bool:
    """As `_train` does, but with a model at hand."""
    model = MLP(1, [2, 1], "tanh", init="ones")
    before = [parameter.data for parameter in model.parameters()]
    saved = load_checkpoint(path)
    try:
        saved.restore(model, Adam(LinearWarmup(CosineDecay(0.01, 9), 3)), callbacks=[EarlyStopping(9)])
    except ValueError as error:
        check_error(error, f"restore: {path}: ")
        if [parameter.data for parameter in model.parameters()] != before:
            raise Violation("restore changed the model, and then refused") from error
        return False
    if not all(math.isfinite(parameter.data) for parameter in model.parameters()):
        raise Violation("restore put in numbers that are not finite")
    try:
        _train(path.with_name("again.json"), resume=path, epochs=4)
    except (ValueError, FloatingPointError) as error:
        check_message(str(error))
    return True
