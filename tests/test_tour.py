"""The tour runs, and says what its file says."""

import json
import warnings
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="the tour is run by nbclient")
pytest.importorskip("ipykernel", reason="the tour is run by ipykernel")

from tour import TOUR, keep_small, run_tour


@pytest.fixture(scope="module")
def fresh() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that talk to the kernel
        return run_tour()


def texts(cell: dict[str, Any]) -> list[str]:
    """What a cell shows as plain text; of a picture only that it is one, as its ids and fonts may differ."""
    found = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {"text/plain": output.get("text", "")})
        text = data.get("text/plain", "")
        found.append("a picture" if "image/svg+xml" in data else "".join(text))
    return found


def test_every_cell_runs_and_shows_what_the_file_shows(fresh: Any) -> None:
    stored = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    assert len(stored) == len(fresh.cells) > 20
    for before, after in zip(stored, fresh.cells, strict=True):
        assert texts(before) == texts(after), "".join(before["source"])


def test_the_walkthrough_is_interactive_there(fresh: Any) -> None:
    pages = [
        output["data"]["text/html"]
        for cell in fresh.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert len(pages) == 1
    assert "<iframe" in pages[0]


def test_the_file_stays_small(fresh: Any) -> None:
    assert TOUR.stat().st_size < 150_000
    for cell in keep_small(fresh).cells:
        for output in cell.get("outputs", ()):
            assert "text/html" not in output.get("data", {})
