"""Sources written for micrograd, and training scripts in its style, run with nothing changed but the import.

What is promised: data, grad, backward(), + - * / ** and unary minus, relu(), exp(), log(), sum() over lists, and
numbers on either side of an operator. Private names such as _prev, _op or _backward are not.
"""

import math
from types import SimpleNamespace
from typing import Any

import pytest

import nn
from autograd_mini import Value, ops

# micrograd's own engine tests, without what they ask of PyTorch (test/test_engine.py, MIT license).
SANITY_CHECK = """
from micrograd.engine import Value

x = Value(-4.0)
z = 2 * x + 2 + x
q = z.relu() + z * x
h = (z * z).relu()
y = h + q + q * x
y.backward()
"""
MORE_OPS = """
from micrograd.engine import Value

a = Value(-4.0)
b = Value(2.0)
c = a + b
d = a * b + b**3
c += c + 1
c += 1 + c + (-a)
d += d * 2 + (b + a).relu()
d += 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2.0
g += 10.0 / f
g.backward()
"""

# A small network in the manner of micrograd's nn and of its demo: modules, a max-margin loss, gradient descent.
NETWORK = """
import random
from micrograd.engine import Value

random.seed(1337)

class Neuron:
    def __init__(self, nin, nonlin=True):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x):
        act = sum((wi*xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self):
        return self.w + [self.b]

layers = [[Neuron(2) for _ in range(6)], [Neuron(6) for _ in range(6)], [Neuron(6, nonlin=False)]]
parameters = [p for layer in layers for neuron in layer for p in neuron.parameters()]

def model(x):
    for layer in layers:
        x = [neuron(x) for neuron in layer]
    return x[0]

inputs = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(20)]
labels = [1 if x[0] * x[1] > 0 else -1 for x in inputs]
history = []
for k in range(15):
    scores = [model(list(map(Value, x))) for x in inputs]
    losses = [(1 + -yi*scorei).relu() for yi, scorei in zip(labels, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    alpha = 1e-4
    reg_loss = alpha * sum((p*p for p in parameters))
    total_loss = data_loss + reg_loss
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(labels, scores)]
    for p in parameters:
        p.grad = 0
    total_loss.backward()
    learning_rate = 1.0 - 0.9*k/100
    for p in parameters:
        p.data -= learning_rate * p.grad
    history.append(total_loss.data)
"""

# A language model of a few letters in the manner of microgpt: embeddings, attention, normalisation, cross-entropy.
LANGUAGE_MODEL = """
import random
random.seed(42)

docs = ["anna", "hanna", "nina"]
chars = sorted(set("".join(docs)))
BOS = len(chars)
vocab_size, n_embd, block_size = len(chars) + 1, 4, 8
matrix = lambda nout, nin: [[Value(random.gauss(0, 0.3)) for _ in range(nin)] for _ in range(nout)]
state = {'wte': matrix(vocab_size, n_embd), 'wpe': matrix(block_size, n_embd), 'lm_head': matrix(vocab_size, n_embd)}
for name in ('wq', 'wk', 'wv', 'wo'):
    state[name] = matrix(n_embd, n_embd)
params = [p for mat in state.values() for row in mat for p in row]

def linear(x, w):
    return [sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]

def softmax(logits):
    max_val = max(val.data for val in logits)
    exps = [(val - max_val).exp() for val in logits]
    total = sum(exps)
    return [e / total for e in exps]

def rmsnorm(x):
    ms = sum(xi * xi for xi in x) / len(x)
    scale = (ms + 1e-5) ** -0.5
    return [xi * scale for xi in x]

def gpt(token_id, pos_id, keys, values):
    x = [t + p for t, p in zip(state['wte'][token_id], state['wpe'][pos_id])]
    x = rmsnorm(x)
    residual = x
    q, k, v = linear(x, state['wq']), linear(x, state['wk']), linear(x, state['wv'])
    keys.append(k)
    values.append(v)
    logits = [sum(qi * ki for qi, ki in zip(q, kt)) / n_embd**0.5 for kt in keys]
    weights = softmax(logits)
    heads = [sum(w * vt[j] for w, vt in zip(weights, values)) for j in range(n_embd)]
    x = [a + b for a, b in zip(linear(heads, state['wo']), residual)]
    x = [xi.relu() for xi in x]
    return linear(x, state['lm_head'])

def loss_of(doc):
    tokens = [BOS] + [chars.index(ch) for ch in doc] + [BOS]
    keys, values, losses = [], [], []
    for pos_id in range(len(tokens) - 1):
        probs = softmax(gpt(tokens[pos_id], pos_id, keys, values))
        losses.append(-probs[tokens[pos_id + 1]].log())
    return (1 / len(losses)) * sum(losses)
"""
TRAINING = """
learning_rate, beta1, beta2, eps_adam = 0.05, 0.85, 0.99, 1e-8
m, v = [0.0] * len(params), [0.0] * len(params)
history = []
for step in range(36):
    loss = loss_of(docs[step % len(docs)])
    loss.backward()
    for i, p in enumerate(params):
        m[i] = beta1 * m[i] + (1 - beta1) * p.grad
        v[i] = beta2 * v[i] + (1 - beta2) * p.grad ** 2
        m_hat = m[i] / (1 - beta1 ** (step + 1))
        v_hat = v[i] / (1 - beta2 ** (step + 1))
        p.data -= learning_rate * m_hat / (v_hat ** 0.5 + eps_adam)
        p.grad = 0
    history.append(loss.data)
"""


def run(source: str, **names: Any) -> SimpleNamespace:
    """Execute a script; its variables come back."""
    exec(compile(source, "script", "exec"), names)
    return SimpleNamespace(**names)


def ours(source: str) -> SimpleNamespace:
    """A script written for micrograd, with its import changed."""
    changed = source.replace("from micrograd.engine import Value", "from autograd_mini import Value")
    assert changed != source
    return run(changed)


def test_micrograds_sanity_check() -> None:
    """By hand: z = 3x + 2 = -10, q = 0 + zx = 40, h = z² = 100, y = h + q + qx = -20.

    Then z' = 3, h' = 2zz' = -60, q' = z'x + z = -22 and y' = h' + q' + q'x + q = -60 - 22 + 88 + 40 = 46.
    """
    script = ours(SANITY_CHECK)
    assert (script.y.data, script.x.grad) == (-20.0, 46.0)


def test_micrograds_more_ops() -> None:
    """By hand: c = 4(a + b) + 3 - a = -1, d = 12(ab + b³) + (b - a) = 6, as relu(a + b) is 0; e = -7, f = 49.

    g = f/2 + 10/f, so dg/de = 2e (1/2 - 10/f²) = -7 + 140/2401. By a: c' = 3 and d' = 12b - 1 = 23, so e' = -20.
    By b: c' = 4 and d' = 12(a + 3b²) + 1 = 97, so e' = -93.
    """
    script = ours(MORE_OPS)
    slope = -7 + 140 / 2401
    assert script.g.data == pytest.approx(24.5 + 10 / 49, rel=1e-15)
    assert (script.a.grad, script.b.grad) == pytest.approx((-20 * slope, -93 * slope), rel=1e-14)
    assert script.g.data == pytest.approx(24.70408163265306, rel=1e-15)
    assert (script.a.grad, script.b.grad) == pytest.approx((138.83381924198252, 645.5772594752186), rel=1e-14)


@pytest.mark.parametrize(("source", "names"), [(SANITY_CHECK, "xzqhy"), (MORE_OPS, "abcdefg")])
def test_micrograds_tests_beside_micrograd(source: str, names: str) -> None:
    pytest.importorskip("micrograd")
    mine, theirs = ours(source), run(source)
    for name in names:
        assert getattr(mine, name).data == pytest.approx(getattr(theirs, name).data, rel=1e-14)
        assert getattr(mine, name).grad == pytest.approx(getattr(theirs, name).grad, rel=1e-14)


def test_a_network_in_micrograds_manner_learns() -> None:
    script = ours(NETWORK)
    assert script.history[-1] < 0.5 * script.history[0]
    assert all(math.isfinite(loss) for loss in script.history)


def test_a_network_in_micrograds_manner_beside_micrograd() -> None:
    """Fifteen steps of training: the same losses, the same parameters."""
    pytest.importorskip("micrograd")
    mine, theirs = ours(NETWORK), run(NETWORK)
    assert mine.history == pytest.approx(theirs.history, rel=1e-9)
    assert [p.data for p in mine.parameters] == pytest.approx([p.data for p in theirs.parameters], rel=1e-9)


class Dual:
    """A number and its derivative in one direction: forward mode, sharing nothing with the engine."""

    def __init__(self, data: float, slope: float = 0.0) -> None:
        self.data, self.slope = data, slope

    @staticmethod
    def of(thing: "Dual | float") -> "Dual":
        return thing if isinstance(thing, Dual) else Dual(thing)

    def __add__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        return Dual(self.data + other.data, self.slope + other.slope)

    def __mul__(self, other: "Dual | float") -> "Dual":
        other = Dual.of(other)
        return Dual(self.data * other.data, self.slope * other.data + self.data * other.slope)

    def __pow__(self, power: float) -> "Dual":
        return Dual(self.data**power, power * self.data ** (power - 1) * self.slope)

    def __truediv__(self, other: "Dual | float") -> "Dual":
        return self * Dual.of(other) ** -1

    def __neg__(self) -> "Dual":
        return self * -1

    def __sub__(self, other: "Dual | float") -> "Dual":
        return self + -Dual.of(other)

    def exp(self) -> "Dual":
        return Dual(math.exp(self.data), math.exp(self.data) * self.slope)

    def log(self) -> "Dual":
        return Dual(math.log(self.data), self.slope / self.data)

    def relu(self) -> "Dual":
        return self if self.data > 0 else Dual(0.0)

    __radd__ = __add__
    __rmul__ = __mul__


def test_a_language_model_in_microgpts_manner_has_the_gradients_of_forward_mode() -> None:
    """The same script on numbers that carry one derivative each, once for every third parameter."""
    mine = run(LANGUAGE_MODEL, Value=Value)
    loss = mine.loss_of("hanna")
    loss.backward()
    dual = run(LANGUAGE_MODEL, Value=Dual)
    assert len(mine.params) == len(dual.params) == 136  # 72 of embeddings and output, 4 matrices of 16
    for index in range(0, len(mine.params), 3):
        dual.params[index].slope = 1.0
        result = dual.loss_of("hanna")
        dual.params[index].slope = 0.0
        assert loss.data == pytest.approx(result.data, rel=1e-13)
        assert mine.params[index].grad == pytest.approx(result.slope, rel=1e-10, abs=1e-16)
    assert sum(p.grad != 0 for p in mine.params) > 80


def test_a_language_model_in_microgpts_manner_learns() -> None:
    script = run(LANGUAGE_MODEL + TRAINING, Value=Value)
    assert script.history[0] == pytest.approx(math.log(5), rel=0.3)
    assert script.history[-1] < 0.5 * script.history[0]


def test_the_drawing_function_of_the_notebooks_of_micrograd() -> None:
    """Its `trace` and `draw_dot` read `_prev` and `_op`."""
    a, b = Value(2.0), Value(-3.0)
    root = (a * b + a).tanh()
    nodes: set[Value] = set()
    edges: set[tuple[Value, Value]] = set()

    def build(value: Value) -> None:
        if value not in nodes:
            nodes.add(value)
            for child in value._prev:
                edges.add((child, value))
                build(child)

    build(root)
    assert len(nodes) == 5
    assert len(edges) == 5
    assert sorted("op " + node._op for node in nodes) == ["op ", "op ", "op +", "op tanh", "op ×"]


def test_the_layers_of_micrograd() -> None:
    """micrograd.nn's own signatures: Neuron(nin, nonlin=True), Layer(nin, nout, **kwargs), MLP(nin, nouts)."""
    assert nn.Neuron(3, nonlin=False)([1.0, 2.0, 3.0]).op is ops.ADD
    assert nn.Neuron(3, nonlin=True)([1.0, 2.0, 3.0]).op is ops.RELU
    assert [output.op for output in nn.Layer(2, 2, nonlin=False)([1.0, 2.0])] == [ops.ADD, ops.ADD]
    assert len(nn.MLP(3, [4, 4, 1]).parameters()) == 41
