"""Long bytes in two files that take turns: replaced whole, read back in the same parts, never half of two of them.

The older of the two is written over in its place, which costs a fifth of a new file: the system has its pages already.
Its head is worth nothing until all is written, so a process that is killed loses nothing. Nothing is flushed to the
disk before a call returns: a power cut may leave the earlier one, none, or a file of which only some pages were
written. Whoever reads tells that by what it knows of the bytes, a seal or a signed root, and takes the earlier ones
then; nothing is hashed here that is hashed elsewhere. So only what costs a round and not a secret rests here, and it is
compared with what is durable. Refused: a file that is cut, or has other parts than it says.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from federation.errors import Unavailable

_MARK = b"federation/long/v4"
_HEAD = struct.Struct(">18sQQ")  # mark, number of the write (0: under way), of parts; their sizes are at the end
_COUNT = struct.Struct(">Q")
MOST_PARTS = 1 << 16


def write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Put `parts`, taken one after another, in the place of what was written before the last.

    Raises:
        Unavailable: the system will not.
    """
    slots = _slots(path)
    numbers = [_number(slot) for slot in slots]
    older = slots[numbers[1] < numbers[0]]
    try:
        # O_TRUNC would give the pages back, which is what costs.
        file = os.open(older, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            at = _put(file, memoryview(bytes(_HEAD.size)), 0)
            sizes = []
            for part in parts:
                view = memoryview(part).cast("B")
                sizes.append(_COUNT.pack(view.nbytes))
                at = _put(file, view, at)
            at = _put(file, memoryview(b"".join(sizes)), at)
            os.ftruncate(file, at)
            _put(file, memoryview(_HEAD.pack(_MARK, max(numbers) + 1, len(sizes))), 0)
        finally:
            os.close(file)
    except OSError as fault:
        raise Unavailable(
            f"{path.name} cannot be written: {fault.strerror}", hint="is the disk full, may this user write there?"
        ) from None


def read_each(path: Path) -> Iterator[tuple[bytes, ...]]:
    """Yield the parts that were written last, then those before them, if they are there and as long as they were."""
    for slot in sorted(_slots(path), key=_number, reverse=True):
        found = _read(slot)
        if found is not None:
            yield found


def remove(path: Path) -> None:
    """Remove the files; none is no error."""
    for slot in _slots(path):
        with contextlib.suppress(OSError):
            slot.unlink()


def erase(path: Path) -> None:
    """Overwrite the files with zeros and remove them; none is no error. Old blocks on the disk are beyond us."""
    for one in _slots(path):
        with contextlib.suppress(OSError):
            size = one.stat().st_size
            with one.open("r+b", 0) as file:
                while size > 0:
                    size -= file.write(bytes(min(size, 1 << 20)))
            one.unlink()


def _slots(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}.second")


def _put(file: int, data: memoryview, at: int) -> int:
    """Write all of `data` at a place; return where it ends."""
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written
    return at


def _number(slot: Path) -> int:
    """Return the number of the write that a file holds, 0 if it holds none."""
    try:
        with slot.open("rb", 0) as file:
            mark, number, _ = _HEAD.unpack(file.read(_HEAD.size))
    except (FileNotFoundError, struct.error):
        return 0
    except OSError as fault:
        raise _unreadable(slot, fault) from None
    return int(number) if mark == _MARK else 0


def _read(slot: Path) -> tuple[bytes, ...] | None:
    try:
        with slot.open("rb") as file:
            mark, number, count = _HEAD.unpack(file.read(_HEAD.size))
            if mark != _MARK or not number or count > MOST_PARTS:
                return None
            end = slot.stat().st_size - _COUNT.size * count
            if end < _HEAD.size:
                return None
            file.seek(end)
            sizes = file.read()
            lengths = [length for (length,) in _COUNT.iter_unpack(sizes)]
            if sum(lengths) != end - _HEAD.size:
                return None
            file.seek(_HEAD.size)
            parts = tuple(file.read(length) for length in lengths)
    except (FileNotFoundError, struct.error):
        return None
    except OSError as fault:
        raise _unreadable(slot, fault) from None
    return parts


def _unreadable(slot: Path, fault: OSError) -> Unavailable:
    return Unavailable(f"{slot.name} cannot be read: {fault.strerror}", hint="check the disk")
