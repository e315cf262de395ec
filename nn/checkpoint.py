"""Checkpoints: a training in a file, as JSON or safetensors, written whole or not at all. No pickle is ever loaded.

A file holds the parameters as arrays (see `to_numpy`), the architecture of our own models, the states of optimizer,
callbacks and random numbers, the history, and a checksum of it all. What is read is checked before any of it is used.
"""

import hashlib
import json
import math
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini.whole_files import write_whole
from nn.checks import describe, on_one_line, shown
from nn.history import History
from nn.weights import prepare, to_numpy

FORMAT, VERSION = "autograd-mini checkpoint", 1

MOST_BYTES = 64 * 2**20
"""Above this no file is written or read: some three million numbers as JSON, eight as safetensors."""

Arrays: TypeAlias = dict[str, NDArray[np.float64]]
State: TypeAlias = dict[str, Any]
"""What JSON can hold."""


@dataclass(frozen=True, eq=False)
class SavedTraining:
    """What `load_checkpoint` found in a file; `fit(…, resume=saved)` goes on from it."""

    path: Path
    parameters: Arrays
    architecture: str | None
    """The repr of the model, if it was one of ours: it says which activations the weights are for."""
    optimizer: State | None
    history: History | None
    random: State | None
    callbacks: list[State]

    def restore(
        self,
        model: Any,
        optimizer: Any = None,
        *,
        random: np.random.Generator | None = None,
        callbacks: Iterable[object] | None = None,
    ) -> None:
        """Put what was saved back into a model, and into an optimizer, generator and callbacks if you give them.

        Raises ValueError that names the file and the trouble, with the model unchanged: for a model of another
        architecture, another kind of optimizer, and what the file does not hold.
        """
        where = f"restore: {self.path}"
        given = _architecture(model)
        if None not in (given, self.architecture) and given != self.architecture:
            wanted = on_one_line(str(self.architecture))
            raise ValueError(f"{where}: expected a model like the one saved, {wanted}, got {given}")
        put_in = prepare(where, model, self.parameters)
        stateful = [callback for callback in callbacks or () if has_state(callback)]
        if callbacks is not None:
            _check_kinds(where, "callbacks", [each["kind"] for each in self.callbacks], stateful)
        if optimizer is not None:
            if self.optimizer is None:
                raise ValueError(f"{where}: expected the state of an optimizer, got a checkpoint without one")
            _check_kinds(where, "optimizer", [self.optimizer["kind"]], [optimizer])
        if random is not None:
            self._restore_random(where, random)
        for callback, saved in zip(stateful, self.callbacks, strict=callbacks is not None):
            _load_state(where, callback, saved["state"])
        if optimizer is not None and self.optimizer is not None:
            _load_state(where, optimizer, self.optimizer["state"])
        put_in()

    def _restore_random(self, where: str, random: np.random.Generator) -> None:
        if self.random is None:
            raise ValueError(f"{where}: expected a state of random numbers, got a checkpoint without one")
        if type(random.bit_generator) is not np.random.PCG64:
            raise ValueError(f"{where}: expected random to be a generator of PCG64, got {describe(random)}")
        random.bit_generator.state = self.random  # type: ignore[assignment]  # checked when it was read


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Any,
    optimizer: Any = None,
    history: History | None = None,
    *,
    random: np.random.Generator | None = None,
    callbacks: Iterable[object] = (),
) -> None:
    """Write a model, and what else training needs to go on, to a file; an older one is replaced, or stays as it was.

    path: ends in .json, or in .safetensors, which needs `pip install 'autograd-mini[safetensors]'`.
    model: anything with parameters(); they must be finite.
    optimizer, callbacks: their state is saved where they have state_dict() and load_state_dict().
    random: the generator that shuffles, one of np.random.default_rng(…).

    Raises ValueError or TypeError that names the argument, OSError where the file cannot be written.
    """
    where = "save_checkpoint"
    path = check_path(where, path)
    parameters = to_numpy(model)
    for name, array in parameters.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{where}: expected finite parameters, got {describe(array.tolist())} in {name}")
    if random is not None and type(random.bit_generator) is not np.random.PCG64:
        raise ValueError(f"{where}: expected random to be a generator of PCG64, got {describe(random)}")
    content = {
        "architecture": _architecture(model),
        "optimizer": None if optimizer is None else _state(optimizer),
        "history": None if history is None else history.to_dict(),
        "random": None if random is None else random.bit_generator.state,
        "callbacks": [_state(callback) for callback in callbacks if has_state(callback)],
    }
    try:
        data = _FORMATS[path.suffix].write(_document(content, parameters), parameters)
    except TypeError as error:
        raise TypeError(f"{where}: expected states of numbers, texts, lists and dicts: {error}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{where}: expected a checkpoint of at most {MOST_BYTES:,} bytes, got {len(data):,}")
    write_whole(path, data)


def load_checkpoint(path: str | os.PathLike[str]) -> SavedTraining:
    """Read and check a checkpoint; its `restore` puts it into a model. Nothing in the file is ever executed.

    Raises ValueError that names the file and the trouble: a file that is truncated, changed since it was written,
    larger than 64 MiB, nested too deep, of another version, or no checkpoint at all. Raises OSError where it cannot
    be read, ImportError without the library for safetensors.
    """
    path = check_path("load_checkpoint", path)
    if not path.exists():
        raise FileNotFoundError(f"load_checkpoint: {path}: expected a file, got a path where there is none")
    if not path.is_file():  # a pipe would wait for ever, a device would never end
        raise ValueError(f"load_checkpoint: {path}: expected a file, got something else")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"load_checkpoint: {path}: expected at most {MOST_BYTES:,} bytes, got {size:,}")
    try:
        document, parameters = _FORMATS[path.suffix].read(path)
        content = _checked_content(document, parameters)
        return SavedTraining(path, parameters, **content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"load_checkpoint: {path}: {error}") from None
    except RecursionError:
        raise ValueError(f"load_checkpoint: {path}: expected a checkpoint, got lists nested too deep for one") from None


def check_path(where: str, path: str | os.PathLike[str]) -> Path:
    """The path, if its ending says how to write it, and the library for that is there."""
    checked = Path(path)
    if checked.suffix not in _FORMATS:
        raise ValueError(f"{where}: expected path to end in {' or '.join(_FORMATS)}, got {os.fspath(path)!r}")
    _FORMATS[checked.suffix].check_library(where)
    return checked


# States


def _architecture(model: object) -> str | None:
    """The repr of a model of `nn.modules`; what others' say is not ours to compare."""
    return repr(model) if getattr(type(model).__repr__, "__module__", "") == "nn.modules" else None


def has_state(thing: object) -> bool:
    """Whether it gives its state and takes it back, as an optimizer or a callback may."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def _state(thing: Any) -> State:
    return {"kind": type(thing).__name__, "state": thing.state_dict() if has_state(thing) else None}


def _check_kinds(where: str, name: str, saved: list[str], given: list[object]) -> None:
    kinds = [type(thing).__name__ for thing in given]
    if kinds != saved:
        raise ValueError(
            f"{where}: expected {name} {on_one_line(', '.join(saved)) or 'none'}, as saved,"
            f" got {', '.join(kinds) or 'none'}"
        )


def _load_state(where: str, thing: Any, state: State | None) -> None:
    if (state is not None) != has_state(thing):
        raise ValueError(f"{where}: expected a state for {type(thing).__name__} if and only if it takes one")
    if state is None:
        return
    try:
        thing.load_state_dict(state)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{where}: {error}") from None


# The document: everything but the parameters


def _document(content: State, parameters: Arrays) -> State:
    return {"format": FORMAT, "version": VERSION, "sha256": _checksum(content, parameters), "content": content}


def _checksum(content: State, parameters: Arrays) -> str:
    digest = hashlib.sha256(_text(content).encode())
    for name in sorted(parameters):
        digest.update(f"{name!r} {parameters[name].shape}".encode())
        digest.update(parameters[name].astype("<f8").tobytes())
    return digest.hexdigest()


def _checked_content(document: Any, parameters: Arrays) -> State:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("expected a checkpoint of autograd-mini, got something else")
    if document.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, got {describe(document.get('version'))}")
    _check_keys("the document", document, ("format", "version", "sha256", "content"))
    content = document["content"]
    _check_keys("content", content, ("architecture", "optimizer", "history", "random", "callbacks"))
    for name, array in parameters.items():
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ValueError(f"expected finite float64 numbers in {shown(name)}, got {describe(array.tolist())}")
    if document["sha256"] != _checksum(content, parameters):
        raise ValueError("expected the checksum that it was written with, got another: damaged, or edited by hand")
    if not isinstance(content["architecture"], str | None):
        raise ValueError(f"expected architecture to be a text or nothing, got {describe(content['architecture'])}")
    if not isinstance(content["callbacks"], list):
        raise ValueError(f"expected callbacks to be a list, got {describe(content['callbacks'])}")
    for name, state in [("optimizer", content["optimizer"]), *(("callbacks", each) for each in content["callbacks"])]:
        _check_state(name, state)
    if content["random"] is not None:
        _check_random(content["random"])
    return {**content, "history": None if content["history"] is None else History(content["history"])}


def _check_keys(name: str, thing: object, keys: tuple[str, ...]) -> None:
    if not isinstance(thing, dict) or set(thing) != set(keys):
        got = f"the keys {describe(list(thing))}" if isinstance(thing, dict) else describe(thing)
        raise ValueError(f"expected {name} to be a dict of {', '.join(keys)}, got {got}")


def _check_state(name: str, state: Any) -> None:
    if state is None and name == "optimizer":
        return
    _check_keys(name, state, ("kind", "state"))
    if not isinstance(state["kind"], str):
        raise ValueError(f"expected the kind of {name} to be a text, got {describe(state['kind'])}")
    if not isinstance(state["state"], dict | None):
        raise ValueError(f"expected the state of {name} to be a dict or nothing, got {describe(state['state'])}")


def _check_random(state: object) -> None:
    try:
        np.random.PCG64().state = state  # type: ignore[assignment]  # it says whether it is one
    except Exception:  # whatever NumPy raises for numbers and keys that are wrong
        raise ValueError(f"expected random to be a state of PCG64, got {describe(state)}") from None


# JSON. Numbers that are not finite, of which it knows nothing, stand as {"not finite": "inf"}.

_NOT_FINITE = "not finite"


def _text(tree: Any) -> str:
    try:
        return json.dumps(tree, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_named(tree), allow_nan=False, separators=(",", ":"))


def _named(tree: Any) -> Any:
    """The tree with its numbers that are not finite by name."""
    if isinstance(tree, float) and not math.isfinite(tree):
        return {_NOT_FINITE: repr(float(tree))}
    if isinstance(tree, Mapping):
        return {key: _named(item) for key, item in tree.items()}
    return [_named(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _parsed(text: bytes | str) -> Any:
    """JSON, and nothing that Python's parser takes besides: NaN, 1e999, and a key that is there twice."""
    try:
        return json.loads(
            text.decode() if isinstance(text, bytes) else text,
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"expected whole JSON, got a damaged file: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if pairs and pairs[0][0] == _NOT_FINITE:
        if len(pairs) != 1 or pairs[0][1] not in ("inf", "-inf", "nan"):
            raise ValueError(f"expected the name of a number that is not finite, got {describe(dict(pairs))}")
        return float(pairs[0][1])
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"expected every key once, got one twice among {describe([key for key, _ in pairs])}")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"expected numbers within the floats, got {describe(text)}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected numbers, got {name}")


def _write_json(document: State, parameters: Arrays) -> bytes:
    return _text({**document, "parameters": {name: array.tolist() for name, array in parameters.items()}}).encode()


def _read_json(path: Path) -> tuple[Any, Arrays]:
    with path.open("rb") as file:
        document = _parsed(file.read(MOST_BYTES + 1))
    if not isinstance(document, dict) or not isinstance(document.get("parameters"), dict):
        raise ValueError("expected a checkpoint of autograd-mini, got something else")
    parameters = {name: _array(name, numbers) for name, numbers in document.pop("parameters").items()}
    return document, parameters


def _array(name: str, numbers: object) -> NDArray[np.float64]:
    if _kinds(numbers) != {float}:  # NumPy would make every text as long as the longest, which fills the memory
        raise ValueError(f"expected numbers in {shown(name)}, got {describe(numbers)}")
    try:
        return np.array(numbers, dtype=np.float64)
    except ValueError:
        raise ValueError(f"expected rows of equal length in {shown(name)}, got {describe(numbers)}") from None


def _kinds(tree: object) -> set[type]:
    """The types of what stands in nested lists."""
    kinds: set[type] = set()
    level = [tree]
    while level:
        kinds.update(map(type, level))
        level = list(chain.from_iterable(each for each in level if isinstance(each, list)))
    return kinds - {list}


# safetensors: https://huggingface.co/docs/safetensors; the document is a text among its metadata


def _check_safetensors(where: str) -> None:
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError:
        raise ImportError(
            f"{where}: .safetensors needs safetensors: pip install 'autograd-mini[safetensors]'"
        ) from None


def _write_safetensors(document: State, parameters: Arrays) -> bytes:
    from safetensors.numpy import save

    return save(parameters, metadata={FORMAT: _text(document)})


def _read_safetensors(path: Path) -> tuple[Any, Arrays]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            document = (file.metadata() or {}).get(FORMAT, "null")
            for name in file.keys():  # noqa: SIM118  # it is no dict
                if file.get_slice(name).get_dtype() != "F64":
                    kind = file.get_slice(name).get_dtype()
                    raise ValueError(f"expected float64 numbers in {shown(name)}, got {kind}")
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        reason = textwrap.shorten(str(error).encode("unicode_escape").decode(), 150, placeholder=" …")
        raise ValueError(f"expected a whole safetensors file, got a damaged one: {reason}") from None
    return _parsed(document), parameters


@dataclass(frozen=True)
class _Format:
    write: Callable[[State, Arrays], bytes]
    read: Callable[[Path], tuple[Any, Arrays]]
    check_library: Callable[[str], None]


_FORMATS = {
    ".json": _Format(_write_json, _read_json, lambda where: None),
    ".safetensors": _Format(_write_safetensors, _read_safetensors, _check_safetensors),
}
