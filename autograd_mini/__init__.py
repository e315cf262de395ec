"""A scalar automatic-differentiation engine: record a computation with `Value`s, then call `backward()`."""

from autograd_mini import functions
from autograd_mini.functions import *
from autograd_mini.ops import Op
from autograd_mini.value import Value, apply

__all__ = ["Op", "Value", "apply"]
__all__ += functions.__all__
