"""Runs demos/tour.ipynb; `make tour` also keeps its outputs in the file, but for the large interactive ones."""

import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat

TOUR = Path(__file__).parent.parent / "demos" / "tour.ipynb"

KEPT = ("image/svg+xml", "text/plain")
"""An interactive page is large, and nobody's notebook viewer runs it: its static text stands in the file instead."""


def run_tour() -> Any:
    """The notebook with fresh outputs, in a kernel of its own."""
    notebook = nbformat.read(TOUR, as_version=4)  # type: ignore[no-untyped-call]
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}}
    )
    return client.execute()


def keep_small(notebook: Any) -> Any:
    """The same notebook with the outputs that a file should hold."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        for output in cell.get("outputs", ()):
            if "data" in output:
                kept = KEPT[:1] if KEPT[0] in output.data else KEPT  # the text of a picture is only its address
                output.data = {kind: output.data[kind] for kind in kept if kind in output.data}
                output.metadata = {}
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    nbformat.write(keep_small(run_tour()), TOUR)  # type: ignore[no-untyped-call]
    print(f"ran {TOUR.name}: {TOUR.stat().st_size / 1000:.0f} kB", file=sys.stderr)
