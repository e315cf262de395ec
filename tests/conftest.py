"""Fixtures that several test files use."""

from browser import browser, open_page, page

__all__ = ["browser", "open_page", "page"]
