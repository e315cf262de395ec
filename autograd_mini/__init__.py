"""A scalar automatic-differentiation engine: record a computation with `Value`s, then call `backward()`."""

from autograd_mini import functions
from autograd_mini.anomaly import Anomaly, AnomalyError, detect_anomaly, find_anomaly
from autograd_mini.check import Coordinate, Report, Verdict, assert_gradients, check_gradients
from autograd_mini.compiled import CompiledGraph, NotTraceableError, compile_graph, trace
from autograd_mini.draw import draw
from autograd_mini.draw_network import draw_network
from autograd_mini.drawing import Drawing, RendererNotFound
from autograd_mini.functional import grad, hessian, jacobian, value_and_grad
from autograd_mini.functions import *
from autograd_mini.graph import topological_order
from autograd_mini.installation import BuildInfo, build_info
from autograd_mini.ops import TABLE, Op
from autograd_mini.paths import Provenance, provenance
from autograd_mini.renderer import RendererTimedOut
from autograd_mini.value import Value, apply
from autograd_mini.walkthrough import Walkthrough, walkthrough

__all__ = [
    "TABLE",
    "Anomaly",
    "AnomalyError",
    "BuildInfo",
    "CompiledGraph",
    "Coordinate",
    "Drawing",
    "NotTraceableError",
    "Op",
    "Provenance",
    "RendererNotFound",
    "RendererTimedOut",
    "Report",
    "Value",
    "Verdict",
    "Walkthrough",
    "apply",
    "assert_gradients",
    "build_info",
    "check_gradients",
    "compile_graph",
    "detect_anomaly",
    "draw",
    "draw_network",
    "find_anomaly",
    "grad",
    "hessian",
    "jacobian",
    "provenance",
    "topological_order",
    "trace",
    "value_and_grad",
    "walkthrough",
]
__all__ += functions.__all__
