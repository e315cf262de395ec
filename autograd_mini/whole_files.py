"""Files that are written whole or not at all."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

_ABANDONED = 3600
"""Seconds after which an unfinished file is nobody's: its process was killed. Writing one takes far less."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Write beside the file and then put it in place, so that a reader finds the old file or the new one whole.

    What processes that were killed left beside it is removed. Raises OSError that names the file.
    """
    data = content.encode() if isinstance(content, str) else content
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power failure may leave an empty file
        _remove_abandoned(path, unfinished.stat().st_mtime)
        os.replace(unfinished, path)
    except OSError as error:  # a full disk names no file, others the unfinished one, of which nobody knows
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from None
    finally:
        with suppress(OSError):  # what went wrong is said already
            unfinished.unlink()


def _remove_abandoned(path: Path, now: float) -> None:
    """Remove older unfinished files. The time is that of a file beside them: on a network drive clocks differ."""
    name = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{12}\.tmp")
    # A folder may not be listed, and another process may remove them first.
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and now - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED:
                os.unlink(entry)
