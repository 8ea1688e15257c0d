"""What a daemon frees serves it again, where the C library can be told so; elsewhere memory is left as it is."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = 64 << 20  # bytes; the C library gives such a block pages of its own unless it is told otherwise
RESIDENT = Path("/proc/self/statm")
DAEMON = f"""
import ctypes, gc, json, mmap, sys
from pathlib import Path
from clients.cli import memory

def resident():
    return int(Path("{RESIDENT}").read_text().split()[1]) * mmap.PAGESIZE

if sys.argv[1] == "elsewhere":
    ctypes.CDLL = lambda _: object()  # a C library without mallopt
kept = None if sys.argv[1] == "untold" else memory.keep()
before = resident()
block = b"1" * {BLOCK}
del block
print(json.dumps([kept, gc.get_freeze_count(), resident() - before]))
"""
pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not RESIDENT.exists(), reason="only glibc is told how to keep memory"
)


def measured(how: str) -> tuple[bool | None, int, int]:
    """Return what `keep` said in a fresh process, how many objects are frozen there, and bytes that a block left."""
    done = subprocess.run([sys.executable, "-c", DAEMON, how], capture_output=True, text=True, check=True)
    kept, frozen, left = json.loads(done.stdout)
    return kept, frozen, left


def test_what_a_daemon_frees_stays_with_it_and_what_it_imported_is_not_collected() -> None:
    kept, frozen, left = measured("told")
    assert kept is True
    assert frozen > 0
    assert left > BLOCK / 2


def test_a_process_that_is_not_told_gives_a_freed_block_back() -> None:
    kept, frozen, left = measured("untold")
    assert (kept, frozen) == (None, 0)
    assert left < BLOCK / 2


def test_another_c_library_is_left_as_it_is() -> None:
    kept, frozen, left = measured("elsewhere")
    assert kept is False
    assert frozen > 0
    assert left < BLOCK / 2
