"""A headless Chromium for the tests of what is shown in a browser; they are skipped where there is none.

`page` is an empty page; `open_page(color_scheme="dark", …)` gives more of them, with options of a browser context. A
page that logs an error or a warning, throws an error, or asks the network for anything fails its test. Long tables
of numbers travel as text, see `to_javascript` and `from_javascript`: JSON has no NaN, no infinity and no -0.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

OpenPage: TypeAlias = "Callable[..., Page]"

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",  # containers that run tests as root have none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL = ("file:", "data:", "about:")
TIMEOUT = 10_000
"""Milliseconds that a page may take to show what a test waits for."""


def find_chromium() -> str | None:
    """The program that the environment variable CHROMIUM names, or the first that is installed."""
    found = map(shutil.which, filter(None, [os.environ.get("CHROMIUM"), *PROGRAMS]))
    return next(filter(None, found), None)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One browser for all tests."""
    reason = "needs playwright (pip install playwright) and Chromium (installed, or named by CHROMIUM)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    program = find_chromium()
    if program is None:
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[OpenPage]:
    """Opens pages, each in a browser context of its own with the options given, and watches all of them."""
    with watched(browser) as open_page:
        yield open_page


@pytest.fixture
def page(open_page: OpenPage) -> "Page":
    """An empty page, watched."""
    return open_page()


@contextmanager
def watched(browser: "Browser") -> Iterator[OpenPage]:
    """What the fixtures stand on. Raises AssertionError at its end with all that went wrong in the pages."""
    faults: list[str] = []
    contexts: list[tuple[BrowserContext, bool]] = []

    def open_page(**options: Any) -> "Page":
        context = browser.new_context(**options)
        contexts.append((context, options.get("java_script_enabled", True)))
        context.set_default_timeout(TIMEOUT)
        context.set_offline(True)  # what asks for the network is a fault, and must not reach it
        _watch(context, faults)
        return context.new_page()

    try:
        yield open_page
    finally:
        for context, has_scripts in contexts:
            for page in context.pages if has_scripts else ():
                _let_speak(page)
            context.close()
    if faults:
        raise AssertionError("\n".join(["in the browser:", *faults]))


def _let_speak(page: "Page") -> None:
    """Wait until what its scripts have begun is done and heard of."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 20))")


def _watch(context: "BrowserContext", faults: list[str]) -> None:
    def hear(message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning", "assert"):
            faults.append(f"console: {message.text}")

    def ask(request: "Request") -> None:
        if not request.url.startswith(LOCAL):
            faults.append(f"network: {request.url[:200]}")

    def watch_page(page: "Page") -> None:
        page.on("websocket", lambda socket: faults.append(f"network: {socket.url[:200]}"))

    context.on("console", hear)
    context.on("weberror", lambda error: faults.append(f"error: {error.error}"))
    context.on("request", ask)
    context.on("page", watch_page)


# Numbers in bulk


def to_javascript(rows: Iterable[Sequence[float]]) -> str:
    """Rows of numbers as text; READ_NUMBERS is what makes of it an array of arrays."""
    return json.dumps([[_number_text(float(number)) for number in row] for row in rows])


def _number_text(number: float) -> str:
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number).replace("nan", "NaN")


READ_NUMBERS = "(text) => JSON.parse(text).map((row) => row.map(Number))"
WRITE_NUMBERS = "(rows) => JSON.stringify(rows.map((row) => row.map((x) => (Object.is(x, -0) ? '-0' : String(x)))))"


def from_javascript(text: str) -> list[list[float]]:
    """The rows of numbers that WRITE_NUMBERS wrote."""
    return [[float(number) for number in row] for row in json.loads(text)]
