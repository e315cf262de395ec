"""Fixtures that several test files use, and how long a property may take."""

import os

from browser import browser, open_page, page
from hypothesis import settings

__all__ = ["browser", "open_page", "page"]

# Where JAX is tested it has eight devices, as many as it is told on one machine, and no other than its processors.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# An example may be slow on a busy machine; that is no failure, and no test of ours is about time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
