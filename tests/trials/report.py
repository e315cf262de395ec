"""docs/trust.md, where each trial writes its own figures."""

import re
from importlib import metadata
from pathlib import Path

from autograd_mini import build_info
from autograd_mini.whole_files import write_whole

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"


def write(trial: str, lines: str, page: Path = PAGE) -> None:
    """Put Markdown between the marks of a trial.

    Raises ValueError where the page has no such marks.
    """
    start, end = f"<!-- {trial} -->", f"<!-- /{trial} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    text, count = pattern.subn(lambda _: f"{start}\n\n{lines.strip()}\n\n{end}", page.read_text())
    if count != 1:
        raise ValueError(f"trials: expected the marks of {trial} once in {page.name}, got them {count} times")
    write_whole(page, text)


def versions(*packages: str) -> str:
    """What a trial ran on, in words: the build, Python, and those of the packages that are installed."""
    found = [str(build_info())]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
