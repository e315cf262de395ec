"""Takes the README's pictures of the walkthrough's page: `make screenshots`."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from browser import FLAGS, find_chromium, watched
from playwright.sync_api import sync_playwright

from autograd_mini import Value, Walkthrough, walkthrough
from nn import MLP

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).parent.parent / "docs"


def worked_example() -> Walkthrough:
    """Gill & Gill, section 5.1."""
    network = MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    return walkthrough(network([Value(2.0, "x₁"), Value(4.0, "x₂"), Value(3.0, "x₃")]))


def step_to(page: "Page", level: str, step: int) -> None:
    """Choose a level, and go to a step by the keyboard."""
    page.check(f"#levels input[value={level}]", force=True)
    page.evaluate("() => document.activeElement.blur()")  # there, the arrows would choose another level
    page.keyboard.press("Home")
    for _ in range(step - 1):
        page.keyboard.press("ArrowRight")


def main() -> None:
    """Take both."""
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        path = worked_example().save(Path(folder) / "page.html")
        browser = driver.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        with watched(browser) as open_page:
            wide = open_page(viewport={"width": 1600, "height": 1000}, reduced_motion="reduce")
            wide.goto(path.as_uri())
            step_to(wide, "neuron", 42)
            wide.locator("#provenance tbody button").first.hover()
            wide.screenshot(path=DOCS / "page.png")
            phone = open_page(
                viewport={"width": 375, "height": 800},
                device_scale_factor=2,
                has_touch=True,
                color_scheme="dark",
                reduced_motion="reduce",
            )
            phone.goto(path.as_uri())
            step_to(phone, "layer", 5)
            phone.screenshot(path=DOCS / "page_on_a_phone.png")
        browser.close()
    print(f"wrote {DOCS.name}/page.png and {DOCS.name}/page_on_a_phone.png", file=sys.stderr)


if __name__ == "__main__":
    main()
