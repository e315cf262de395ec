"""A tiny GPT: a character-level transformer, written one scalar at a time, that learns words and invents new ones.

It is built like Andrej Karpathy's microgpt: 16 numbers stand for a letter, and 16 for its position; then come attention
with 4 heads and a network 16-64-16, each after an RMS norm; in the end every letter gets a score for coming next. The
words are those of the Python reference, which help() shows, of three to nine letters.

The program is ordinary loops over single numbers. `compile_graph` calls it once, on `Value`s, finds sums of products in
what they recorded, and makes array code of it, which computes many words at once, and their gradients.

`python demos/tiny_gpt.py short` trains less. Ctrl-C ends the training, and what was learnt invents words.
"""

import re
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from math import log, prod
from pydoc_data.topics import topics
from typing import Any

import numpy as np

from autograd_mini import compile_graph, exp, logsumexp, relu, value_and_grad
from nn import Adam, CosineDecay

LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # a dot begins and ends each word
LONGEST = 9
HEADS = 4
SIZE = 16
SHAPES = {
    "letter": (SIZE, len(LETTERS)),
    "position": (LONGEST + 1, SIZE),
    "query": (SIZE, SIZE),
    "key": (SIZE, SIZE),
    "value": (SIZE, SIZE),
    "attended": (SIZE, SIZE),
    "hidden": (4 * SIZE, SIZE),
    "output": (SIZE, 4 * SIZE),
    "next": (len(LETTERS), SIZE),
}
HELD_OUT = 200
BATCH_SIZE = 64
LEARNING_RATE = 0.01
TEMPERATURE = 0.7  # below 1, likely letters are taken even more often
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None

Numbers = Sequence[Any]
"""Floats, `Value`s or what else can be added and multiplied."""


# The model, for one word


def word_loss(parameters: dict[str, Any], letters: Sequence[Numbers], targets: Sequence[Numbers]) -> Any:
    """The cross-entropy of what comes next: each row of targets says how much each letter counts."""
    loss: Any = 0.0
    for scores, target in zip(next_letter_scores(parameters, letters), targets, strict=True):
        total = logsumexp(scores)
        loss += dot([total - score for score in scores], target)  # total − score is −log(probability)
    return loss


def next_letter_scores(parameters: dict[str, Any], letters: Sequence[Numbers]) -> list[Numbers]:
    """After each letter so far, a score for each that may come next: the logarithm of its odds.

    parameters: matrices by their names in SHAPES. letters: a row for each position, 1 for its letter and else 0.
    """
    keys: list[Numbers] = []
    values: list[Numbers] = []
    all_scores = []
    for letter, position in zip(letters, parameters["position"], strict=False):
        x = normalized(plus(linear(parameters["letter"], letter), position))

        seen = normalized(x)
        query = linear(parameters["query"], seen)
        keys.append(linear(parameters["key"], seen))
        values.append(linear(parameters["value"], seen))
        attended: list[Any] = []
        for start in range(0, SIZE, SIZE // HEADS):
            head = slice(start, start + SIZE // HEADS)
            attended += attend(query[head], [key[head] for key in keys], [value[head] for value in values])
        x = plus(x, linear(parameters["attended"], attended))

        hidden = [relu(number) for number in linear(parameters["hidden"], normalized(x))]
        x = plus(x, linear(parameters["output"], hidden))
        all_scores.append(linear(parameters["next"], x))
    return all_scores


def attend(query: Numbers, keys: Sequence[Numbers], values: Sequence[Numbers]) -> list[Any]:
    """The values of all positions so far, mixed by how well their keys fit the query."""
    fits = [dot(key, query) / len(query) ** 0.5 for key in keys]
    total = logsumexp(fits)
    shares = [exp(fit - total) for fit in fits]
    return [dot(shares, numbers) for numbers in zip(*values, strict=True)]


def normalized(x: Numbers) -> Numbers:
    """The RMS norm: x with a mean square of 1."""
    mean_square = dot(x, x) / len(x)
    scale = (mean_square + 1e-5) ** -0.5
    return [scale * number for number in x]


def linear(matrix: Iterable[Numbers], x: Numbers) -> Numbers:
    return [dot(row, x) for row in matrix]


def dot(a: Numbers, b: Numbers) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def plus(a: Numbers, b: Numbers) -> Numbers:
    return [x + y for x, y in zip(a, b, strict=True)]


# The words


def reference_words() -> list[str]:
    text = " ".join(topics.values())
    return sorted(set(re.findall(rf"\b[a-z]{{3,{LONGEST}}}\b", text)))


def encode(words: list[str]) -> tuple[Any, Any]:
    """The letters and the targets of `word_loss`, of shape (positions, letters, words); 0 beyond the end of a word."""
    letters = np.zeros((LONGEST + 1, len(LETTERS), len(words)))
    targets = np.zeros_like(letters)
    for place, word in enumerate(words):
        for position, (letter, following) in enumerate(pairwise(f".{word}.")):
            letters[position, LETTERS.index(letter), place] = 1
            targets[position, LETTERS.index(following), place] = 1 / (len(word) + 1)
    return letters, targets


def invent(parameters: dict[str, Any], rng: np.random.Generator) -> str:
    """A new word, letter by letter: the function that was compiled, called with plain numbers."""
    one_hot = np.eye(len(LETTERS)).tolist()
    rows = {name: matrix.tolist() for name, matrix in parameters.items()}
    word = "."
    while len(word) <= LONGEST:
        scores = next_letter_scores(rows, [one_hot[LETTERS.index(letter)] for letter in word])[-1]
        scores = [score / TEMPERATURE for score in scores]
        total = logsumexp(scores)
        letter = rng.choice(list(LETTERS), p=[exp(score - total) for score in scores])
        if letter == ".":
            break
        word += letter
    return word[1:]


# Training


def main(steps: int, n_invented: int) -> None:
    print(__doc__.split("\n`python")[0])
    rng = np.random.default_rng(0)
    words = rng.permutation(reference_words()).tolist()
    letters, targets = encode(words[HELD_OUT:])
    numbers = rng.normal(0, 0.08, sum(map(prod, SHAPES.values())))
    parameters = named(numbers)
    print(f"{len(words)} words, such as {', '.join(words[:8])}; {len(numbers)} parameters")

    began = time.perf_counter()
    compiled = compile_graph(word_loss, parameters, letters[..., 0], targets[..., 0])
    print(f"compiled in {time.perf_counter() - began:.1f} s")
    compare(compiled, parameters, letters[..., :BATCH_SIZE], targets[..., :BATCH_SIZE])

    print(f"\nThe loss; it is {log(len(LETTERS)):.3f} where all {len(LETTERS)} letters are equally likely")
    optimizer = Adam(CosineDecay(LEARNING_RATE, steps))
    losses: list[float] = []
    began = time.perf_counter()
    try:
        for step in progress(range(1, steps + 1)):
            batch = rng.choice(letters.shape[-1], BATCH_SIZE, replace=False)
            loss, gradients = compiled.value_and_grad(
                parameters, letters.take(batch, axis=-1), targets.take(batch, axis=-1)
            )
            optimizer.move(numbers, np.concatenate([gradients[name].ravel() for name in SHAPES]))
            losses.append(loss)
            if step == 1 or step % (steps // 10) == 0:
                print(f"  step {step:5}: {np.mean(losses):.3f}")
                losses.clear()
    except KeyboardInterrupt:
        print("  Ctrl-C")
    print(f"{optimizer.step_count} of {steps} steps in {time.perf_counter() - began:.1f} s")
    print(f"The loss of {HELD_OUT} held-out words: {compiled.value(parameters, *encode(words[:HELD_OUT])):.3f}")

    invented = [invent(parameters, rng) for _ in range(n_invented)]
    print(f"\nInvented: {' '.join(invented)}")
    print(f"{sum(word not in words for word in invented)} of these {n_invented} are not among the words.")


def named(numbers: Any) -> dict[str, Any]:
    """The parameters as matrices that share their memory with the flat array of all their numbers."""
    ends = np.cumsum([prod(shape) for shape in SHAPES.values()])
    parts = np.split(numbers, ends[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


def compare(compiled: Any, parameters: dict[str, Any], letters: Any, targets: Any) -> None:
    """The gradient of a word with `Value`s, and how much faster the array code computes a batch of them."""
    n_words = letters.shape[-1]
    began = time.perf_counter()
    _, expected = value_and_grad(word_loss)(parameters, letters[..., 0].tolist(), targets[..., 0].tolist())
    eager = time.perf_counter() - began
    _, found = compiled.value_and_grad(parameters, letters[..., 0], targets[..., 0])
    difference = max(abs(found[name] - expected[name]).max() for name in SHAPES)
    compiled.value_and_grad(parameters, letters, targets)  # the first call makes the arrays
    began = time.perf_counter()
    compiled.value_and_grad(parameters, letters, targets)
    compiled_time = (time.perf_counter() - began) / n_words
    print(f"loss and gradient of a word with `Value`s: {eager * 1e3:.0f} ms")
    each = f"{compiled_time * 1e3:.3f} ms each, {eager / compiled_time:.0f} times as fast"
    print(f"the same compiled, {n_words} words at once: {each}")
    print(f"the gradients differ by at most {difference:.1e}")


def progress(steps: range) -> Iterable[int]:
    if not SHOWS_PROGRESS:
        return steps
    from rich.progress import track

    return track(steps, description="training")


if __name__ == "__main__":
    if "short" in sys.argv[1:]:
        main(steps=200, n_invented=20)
    else:
        main(steps=2000, n_invented=40)
