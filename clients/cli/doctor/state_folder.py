"""Looks at a state folder without touching what is in it: who holds it, whether it can be written, how much fits."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
from pathlib import Path
from typing import Final

from federation.errors import FederationError, Misuse, Refused
from federation.identity import control

SEALED_LOCK: Final = "sealed.lock"  # flock of a jurisdiction's sealed memory, with the process id in it
STORE: Final = "events.db"  # the coordinator's store, which SQLite locks
_TRIAL_BYTES: Final = 4096
_FLOCK: Final = "hhqqi"  # struct flock of Linux: type, whence, start, length, process


def running(folder: Path, wait_s: float) -> dict[str, object] | None:
    """Return the status of the daemon that runs on the folder, None if nobody answers its control socket."""
    try:
        return control.ask(folder, "status", wait_s=wait_s)
    except (FederationError, ValueError):
        return None


def not_held(folder: Path) -> None:
    """Check that no process holds the folder that nobody answers for. Raises Refused, rule "state folder"."""
    holder = _of_memory(folder / SEALED_LOCK) or _of_store(folder / STORE)
    if holder:
        raise Refused(
            f"the state folder {folder} is held by process {holder}, which does not answer",
            rule="state folder",
            hint=f"it hangs, or runs on this folder from another file: kill {holder}, then start again",
        )


def written(folder: Path) -> bool:
    """Write a few bytes that leave nothing behind; return False if the folder is still to be made.

    Raises:
        Misuse: it is no folder.
        OSError: the system refuses, the disk is full.
    """
    there = existing(folder)
    if not there.is_dir():
        raise Misuse(f"{there} is not a folder", hint="set `state` to another folder")
    with tempfile.TemporaryFile(dir=there, buffering=0) as trial:
        trial.write(b"\0" * _TRIAL_BYTES)
        os.fsync(trial.fileno())
    return there == folder


def free_bytes(folder: Path) -> int:
    """Return how much this user can still write there."""
    found = os.statvfs(existing(folder))
    return found.f_bavail * found.f_frsize


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    absolute = folder.absolute()
    return next((path for path in (absolute, *absolute.parents) if os.path.lexists(path)), absolute)


def _of_memory(path: Path) -> str:
    """Return the process that holds a jurisdiction's memory, "" for none."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when it is closed
    except BlockingIOError:
        return os.pread(opened, 20, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(opened)
    return ""


def _of_store(path: Path) -> str:
    """Return the process that holds a coordinator's store, "" for none; asks the system, locks nothing."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(opened, fcntl.F_GETLK, asked))
    finally:
        os.close(opened)
    return "" if kind == fcntl.F_UNLCK else str(process)
