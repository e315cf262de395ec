"""What is installed here: the version, and whether the engine is compiled."""

import platform
from dataclasses import dataclass
from importlib.metadata import version

from autograd_mini.engine import COMPILED


@dataclass(frozen=True)
class BuildInfo:
    """One installation of this package."""

    version: str
    compiled: bool
    """Whether mypyc compiled the engine when the package was built; if not, Python interprets the same source."""
    python: str
    """The interpreter, as in "CPython 3.11.7"."""

    def __str__(self) -> str:
        return f"autograd-mini {self.version}, {'compiled' if self.compiled else 'interpreted'}, {self.python}"


def build_info() -> BuildInfo:
    """Which build this is: both do the same to the last bit, the compiled one several times as fast."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return BuildInfo(version("autograd-mini"), COMPILED, python)
