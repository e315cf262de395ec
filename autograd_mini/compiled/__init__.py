"""A recorded graph as fast array code."""

from autograd_mini.compiled.compiled_graph import CompiledGraph, compile_graph, trace
from autograd_mini.compiled.tracing import NotTraceableError

__all__ = ["CompiledGraph", "NotTraceableError", "compile_graph", "trace"]
