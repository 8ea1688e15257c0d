"""What the daemon and a confined worker say to each other over two pipes: raw arrays with their lengths before them.

A request is a kind, a head of plain JSON and arrays; the worker believes it. An answer is a status and vectors of
float32, or of int64 for a tally; the daemon believes nothing of it, and knows before it reads how long it may be.
Refused here: answers whose lengths do not add up. Nothing in either direction can carry an object or code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from io import BufferedReader
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.domain.job import Value
from federation.errors import JobFailed

MAGIC: Final = b"FBW1"
ANSWER: Final = struct.Struct(">4sBQ")  # magic, status, bytes that follow
_REQUEST: Final = struct.Struct(">4sBI")  # magic, kind, bytes of the head
_COUNT: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">Q")
_KINDS: Final = ("<f4", "<i8")

Array: TypeAlias = NDArray[np.float32] | NDArray[np.int64]
Plain: TypeAlias = Value | Sequence["Plain"] | Mapping[str, "Plain"]


class Kind(IntEnum):
    """What is asked."""

    JOB = 1  # take the rows of a job; the first request
    UPDATE = 2
    TALLY = 3


class Status(IntEnum):
    """How it went, all that a worker can say besides numbers."""

    DONE = 0
    RAN_AWAY = 1  # our own descent refused: a value that is not finite, or a schedule that does not fit
    FAILED = 2  # the bundle's code raised an error
    OTHER_TENSORS = 3  # the module does not have the tensors of its manifest


def request(kind: Kind, head: Mapping[str, Plain], arrays: Sequence[Array] = ()) -> Iterator[bytes | memoryview]:
    """Yield the pieces of a request; arrays are not copied unless they lie in another order."""
    laid = [np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")) for array in arrays]
    shapes = [[array.dtype.str, list(array.shape)] for array in laid]
    text = json.dumps({**head, "arrays": shapes}, allow_nan=False).encode()
    yield _REQUEST.pack(MAGIC, kind, len(text)) + text
    for array in laid:
        yield _LENGTH.pack(array.nbytes)
        if array.nbytes:
            yield array.reshape(-1).view(np.uint8).data


def read_request(stream: BufferedReader) -> tuple[Kind, dict[str, Value], list[Array]] | None:
    """Return the next request of the daemon, None when it has hung up; lists become tuples."""
    start = stream.read(_REQUEST.size)
    if len(start) < _REQUEST.size:
        return None
    _, kind, length = _REQUEST.unpack(start)
    head = json.loads(stream.read(length))
    arrays: list[Array] = []
    for dtype, shape in head.pop("arrays"):
        size = _LENGTH.unpack(stream.read(_LENGTH.size))[0]
        array = np.empty(shape, dtype=_KINDS[_KINDS.index(dtype)])
        if array.nbytes != size or (size and stream.readinto(array.reshape(-1).view(np.uint8).data) != size):
            return None
        arrays.append(array)
    return Kind(kind), {name: _plain(value) for name, value in head.items()}, arrays


def _plain(value: object) -> Value:
    match value:
        case list():
            return tuple(map(_plain, value))
        case dict():
            return tuple((str(name), _plain(item)) for name, item in value.items())
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"JSON has no {type(value).__name__}")


def answer(status: Status, vectors: Sequence[Array] = ()) -> Iterator[bytes]:
    """Yield the pieces of an answer."""
    laid = [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in vectors]
    length = _COUNT.size + sum(_LENGTH.size + len(one) for one in laid)
    yield ANSWER.pack(MAGIC, status, length) + _COUNT.pack(len(laid))
    for one in laid:
        yield _LENGTH.pack(len(one))
        yield one


def largest(*sizes: int) -> int:
    """Return the most bytes after the first ones of an answer of vectors of so many bytes each."""
    return _COUNT.size + sum(_LENGTH.size + size for size in sizes)


def vectors_of(body: bytes, *, most: int, who: str) -> list[memoryview]:
    """Return the vectors of an answer as bytes.

    Args:
        most: vectors that there may be.
        who: is blamed.

    Raises:
        JobFailed: lengths that do not add up, or too many.
    """
    found, end = [], _COUNT.size
    count = _COUNT.unpack_from(body)[0] if len(body) >= end else most + 1
    if count > most:
        raise garbled(who, f"at most {most} vectors")
    for _ in range(count):
        size = _LENGTH.unpack_from(body, end)[0] if len(body) >= end + _LENGTH.size else len(body)
        end += _LENGTH.size
        if size > len(body) - end:
            raise garbled(who, "as many bytes as it says")
        found.append(memoryview(body)[end : end + size])
        end += size
    if end != len(body):
        raise garbled(who, "as many bytes as it says")
    return found


def garbled(who: str, expected: str) -> JobFailed:
    """Return the error of an answer that is none; it quotes nothing of it."""
    return JobFailed(
        f"{who} did not answer {expected}",
        hint="the code broke its contract: withdraw the bundle, and tell those who signed it",
    )
