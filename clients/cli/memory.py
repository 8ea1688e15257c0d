"""How a daemon keeps its memory: what a round frees serves the next one, and goes back to the system within a minute.

The C library gives every long vector fresh pages and returns them at once, and the system clears each page anew: a
quarter of the processor time of a round of ten million parameters. What was imported lives as long as the process, so
the collector of cycles need not walk through it either. Where the C library is another one than glibc, nothing is
changed.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from typing import Final

# glibc, malloc.h: the parameters of mallopt(3).
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_ARENA_MAX: Final = -8
_NEVER: Final = 2**31 - 1
TRIMMED_S: Final = 60.0


def keep() -> bool:
    """Let this process keep freed pages for up to a minute; return whether its C library does so.

    To be called once, when everything is imported and before threads are started.
    """
    gc.collect()
    gc.freeze()
    try:
        libc = ctypes.CDLL(None)
        options, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError):  # macOS, musl
        return False
    # No pages of their own for long blocks, one heap for all threads: what one of them frees another one uses.
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1)):
        if not options(option, value):
            return False
    threading.Thread(target=_trim, args=(trim,), name="memory", daemon=True).start()
    return True


def _trim(trim: ctypes._NamedFuncPointer) -> None:
    while True:
        time.sleep(TRIMMED_S)
        trim(0)
