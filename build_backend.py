"""Builds the package with setuptools: `engine.py` compiled by mypyc where that can be done, everything else as it is.

Installing never fails for the lack of a compiler: then the engine stays interpreted, and `autograd-mini --version`
says so. AUTOGRAD_MINI_PURE=1 asks for that. An editable install follows the source, and so is interpreted.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Extension, build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks that stay setuptools' own
from setuptools.command.build_ext import build_ext

ENGINE = "autograd_mini/engine.py"
MYPYC = "mypy>=2.4,<3"

C_FLAGS = [
    # Values and gradients to the last bit as when interpreted: no multiplication and addition rounded together.
    "-ffp-contract=off",
    # Calls within the engine go straight to their function, which saves a few nanoseconds each.
    "-fvisibility=hidden",
    "-fno-semantic-interposition",
    "-include",
    "engine.h",
    # mypyc makes errors of warnings, and those that your own CFLAGS ask for would cost you the compiled engine.
    "-Wno-error",
]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What pip installs before it builds: mypy only where there is something for it to do."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *([] if reason_to_interpret() else [MYPYC])]


def reason_to_interpret() -> str | None:
    """Why the engine is not to be compiled here; None where it is."""
    if os.environ.get("AUTOGRAD_MINI_PURE", "0") not in ("", "0"):
        return "AUTOGRAD_MINI_PURE is set"
    if sys.implementation.name != "cpython":
        return f"mypyc compiles for CPython, this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "mypyc's code needs the global interpreter lock"
    if sys.platform == "win32":
        return "the engine's C flags are those of gcc and clang"
    return None if can_compile() else "there is no C compiler with Python's headers"


def can_compile() -> bool:
    """Whether a C program that includes Python.h can be compiled with the flags above."""
    from distutils.ccompiler import new_compiler  # setuptools brings it
    from distutils.errors import CCompilerError
    from distutils.sysconfig import customize_compiler

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.c")
        program.write_text("#include <Python.h>\nint answer(void) { return 42; }\n")
        compiler = new_compiler()
        customize_compiler(compiler)
        include = [sysconfig.get_paths()["include"], sysconfig.get_paths()["platinclude"]]
        try:
            compiler.compile([str(program)], output_dir=folder, include_dirs=include, extra_preargs=C_FLAGS)
        except (CCompilerError, OSError):
            return False
    return True


def extensions() -> list[Extension]:
    """The engine as C, written by mypyc; nothing where it is to be interpreted, and where no wheel is being built."""
    if "bdist_wheel" not in sys.argv:
        return []
    reason = reason_to_interpret()
    if reason:
        say(reason)
        return []
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--always-true=COMPILED"]
    try:
        from mypyc.build import mypycify

        modules: list[Extension] = mypycify([*options, ENGINE], opt_level="3", debug_level="0")
    except (Exception, SystemExit) as error:
        say(f"mypyc failed on it: {error}")
        return []
    for module in modules:
        module.extra_compile_args = [*(module.extra_compile_args or []), *C_FLAGS]
    return modules


class BuildEngine(build_ext):
    """Builds the engine, or leaves it interpreted where the compiler fails on it."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            say(f"compiling it failed: {error}")
            for path in map(Path, self.get_outputs()):
                path.unlink(missing_ok=True)
            self.extensions = []


def say(reason: str) -> None:
    print(f"autograd-mini: the engine stays interpreted, {reason}", file=sys.stderr)
