"""A model in ONNX while it is written: its inputs, constants and nodes, and the names of what they compute."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini.installation import build_info

if TYPE_CHECKING:
    from onnx import ModelProto

Array: TypeAlias = NDArray[Any]

OPSET, IR_VERSION = 17, 8
"""Of 2022, so that runtimes of the years since read the files. Nothing newer is needed."""


@dataclass(frozen=True)
class Samples:
    """A tensor with numbers for each sample: of shape (batch, *sizes)."""

    name: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that all samples share."""

    numbers: Array
    name: str = "constant"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Their shape."""
        return self.numbers.shape


Tensor: TypeAlias = Samples | Constant


class OnnxGraph:
    """Collects what a model consists of. Raises ImportError where onnx is not installed."""

    def __init__(self, dtype: str, output: str) -> None:
        self.dtype = dtype
        self.inputs: list[Samples] = []
        self._nodes: list[Any] = []
        self._initializers: dict[tuple[Any, ...], Any] = {}
        self._counts: Counter[str] = Counter()
        self._output = self._new_name(output)
        try:
            import onnx.checker
            import onnx.helper
            import onnx.numpy_helper
        except ImportError:
            raise ImportError("to_onnx: needs onnx: pip install 'autograd-mini[onnx]'") from None
        self._onnx = onnx

    def add_input(self, name: str, sizes: tuple[int, ...]) -> Samples:
        """An input of the model."""
        self.inputs.append(Samples(self._new_name(name), sizes))
        return self.inputs[-1]

    def add_lanes(self, operator: str, operands: Sequence[Tensor], **attributes: Any) -> Samples:
        """A node that works number by number, and repeats its operands as NumPy does."""
        sizes = np.broadcast_shapes(*[operand.sizes for operand in operands])
        return self.add_node(operator, operands, sizes, **attributes)

    def add_node(self, operator: str, operands: Sequence[Tensor], sizes: tuple[int, ...], **attributes: Any) -> Samples:
        """A node, and its result of these sizes."""
        names = [each.name if isinstance(each, Samples) else self._initializer(each) for each in operands]
        name = self._new_name(operator)
        self._nodes.append(self._onnx.helper.make_node(operator, names, [name], name, **attributes))
        return Samples(name, sizes)

    def model(self, output: Samples) -> "ModelProto":
        """The model that computes this."""
        if output in self.inputs:
            output = self.add_node("Identity", [output], output.sizes)
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._output if name == output.name else name for name in names]
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            "compiled_graph",
            [self._described(each.name, each.sizes) for each in self.inputs],
            [self._described(self._output, output.sizes)],
            list(self._initializers.values()),
        )
        model: ModelProto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="autograd-mini",
            producer_version=build_info().version,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _described(self, name: str, sizes: tuple[int, ...]) -> Any:
        kinds = self._onnx.TensorProto
        kind = kinds.FLOAT if self.dtype == "float32" else kinds.DOUBLE
        return self._onnx.helper.make_tensor_value_info(name, kind, ["batch", *sizes])

    def _initializer(self, constant: Constant) -> str:
        numbers = constant.numbers
        if numbers.dtype.kind == "f":
            with np.errstate(over="ignore"):  # beyond float32 they are infinite
                numbers = numbers.astype(self.dtype)
        key = constant.name, numbers.dtype, numbers.shape, numbers.tobytes()
        if key not in self._initializers:
            self._initializers[key] = self._onnx.numpy_helper.from_array(numbers, self._new_name(constant.name))
        name: str = self._initializers[key].name
        return name

    def _new_name(self, name: str) -> str:
        """The name, or one with a number where it is taken."""
        new = name
        while new in self._counts:
            self._counts[name] += 1
            new = f"{name}_{self._counts[name]}"
        self._counts[new] += 1
        return new
