"""Long bytes in a file of their own: replaced whole, and read back in the same parts, never half of two of them.

Not flushed to the disk before a call returns: a process that is killed loses nothing, a power cut may leave an earlier
file or none. So only what costs a round and not a secret rests here; whoever reads compares it with what is durable.
Refused: a file that is cut or has other parts than it says.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from federation.errors import Unavailable

_MARK = b"federation/long/v1"
_COUNT = struct.Struct(">Q")
MOST_PARTS = 64


def write(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Put `parts` in the place of what the file holds. Raises Unavailable where the system will not."""
    fresh = path.with_suffix(".new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb", 0) as file:
            sizes = [part.nbytes if isinstance(part, memoryview) else len(part) for part in parts]
            file.write(_MARK + b"".join(map(_COUNT.pack, (len(sizes), *sizes))))
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[file.write(rest) :]
        fresh.replace(path)
    except OSError as fault:
        raise Unavailable(
            f"{path.name} cannot be written: {fault.strerror}", hint="is the disk full, may this user write there?"
        ) from None


def read(path: Path) -> tuple[bytes, ...] | None:
    """Return the parts that were written last; None where there is no such file, or it is cut."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MARK)) != _MARK:
                return None
            (count,) = _COUNT.unpack(file.read(_COUNT.size))
            if count > MOST_PARTS:
                return None
            sizes = [_COUNT.unpack(file.read(_COUNT.size))[0] for _ in range(count)]
            if sum(sizes) != path.stat().st_size - file.tell():
                return None
            return tuple(file.read(size) for size in sizes)
    except (FileNotFoundError, struct.error):
        return None
    except OSError as fault:
        raise Unavailable(f"{path.name} cannot be read: {fault.strerror}", hint="check the disk") from None


def erase(path: Path) -> None:
    """Overwrite the file with zeros and remove it; none is no error. What the disk keeps of old blocks is beyond us."""
    for one in (path, path.with_suffix(".new")):
        with contextlib.suppress(OSError):
            size = one.stat().st_size
            with one.open("r+b", 0) as file:
                while size > 0:
                    size -= file.write(bytes(min(size, 1 << 20)))
            one.unlink()
