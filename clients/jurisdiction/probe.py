"""Tries, from inside a sandbox, what code must not be able to do there; imports nothing but Python's own.

`clients.jurisdiction.sandbox` runs it before it lets any code in: a sandbox that lets one of these through is none. It
says "confined", or the first thing that it could do.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

CONFINED = "confined"


def leaks(hidden: list[Path]) -> Iterator[str]:
    """Yield what could be done.

    Args:
        hidden: paths that are there outside.
    """
    yield from (f"it shows {path.name}" for path in hidden if os.path.lexists(path))
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        with contextlib.suppress(OSError), socket.socket(family):
            yield "it lets code open sockets"
    with contextlib.suppress(OSError):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        yield "it lets code start processes"
    with contextlib.suppress(OSError):
        if any(path.name.isdigit() for path in Path("/proc").iterdir()):
            yield "it shows processes"
    for folder in (Path("/"), Path("/dev"), Path("/dev/shm"), Path(os.__file__).parent, Path(__file__).parent):  # noqa: S108 - must not be writable
        written = folder / f".probe-{os.getpid()}"
        with contextlib.suppress(OSError):
            written.touch(exist_ok=False)
            written.unlink()
            yield f"it lets code write in {folder}"


if __name__ == "__main__":
    sys.stdout.write(next(leaks([Path(path) for path in sys.argv[1:]]), CONFINED))
