"""Fixtures that several test files use, and how long a property may take."""

from browser import browser, open_page, page
from hypothesis import settings

__all__ = ["browser", "open_page", "page"]

# An example may be slow on a busy machine; that is no failure, and no test of ours is about time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
