"""A program of its own that turns spacetime's `air.rda` into Parquet: converter.py SHA256 TARGET, the file in stdin.

R's own format holds data, and also programs: closures, bytecode, environments. Those are refused here, and nothing is
ever evaluated; of the rest only what `air` has is read. It imports nothing of ours, holds no key, no row of anybody's
and no connection, and ends afterwards. Format: R Internals 1.8, "Serialization Formats", version 2, XDR.
Exit 3: not the bytes that the SHA-256 names. Exit 4: a package lacks.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import sys
from typing import Any

CHANGED, LACKS = 3, 4
HEAD = b"RDX2\nX\n"
NIL, REFERENCE, SYMBOL, PAIRS, TEXT, S4 = 254, 255, 1, 2, 9, 25
WHOLE, REAL = (10, 13), 14  # logicals are whole numbers too
LISTS = (16, 19)  # of texts, of anything
HAS_ATTRIBUTES, HAS_TAG = 1 << 9, 1 << 10


class Reader:
    """Reads one serialized value after the other; a value with attributes is a pair (value, attributes)."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self.seen: list[Any] = []  # symbols are written once and then referred to

    def whole(self) -> int:
        """Return the next whole number."""
        (found,) = struct.unpack(">i", self.taken(4))
        return int(found)

    def taken(self, size: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= size <= len(self.content) - self.at:
            raise ValueError(f"byte {self.at}: {size} bytes are not there")
        self.at += size
        return self.content[self.at - size : self.at]

    def numbers(self, code: str) -> Any:  # noqa: ANN401 - an array of numpy
        """Return a counted array of numbers, which stand there with the greatest byte first."""
        import numpy as np

        return np.frombuffer(self.taken(self.whole() * int(code[1:])), dtype=f">{code}").astype(code)

    def value(self) -> Any:  # noqa: ANN401 - whatever stands there
        """Return the next value. Raises ValueError for anything that is not plain data."""
        flags = self.whole()
        kind = flags & 255
        if kind == NIL:
            return None
        if kind == REFERENCE:
            return self.seen[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.seen.append(self.value())
            return self.seen[-1]
        if kind == TEXT:
            length = self.whole()
            return None if length == -1 else self.taken(length).decode("latin-1")
        if kind == PAIRS:
            return self.pairs(flags)
        if kind == S4:
            return None, self.value()
        if kind in LISTS:
            found: Any = [self.value() for _ in range(self.whole())]
        elif kind in WHOLE or kind == REAL:
            found = self.numbers("f8" if kind == REAL else "i4")
        else:
            raise ValueError(f"byte {self.at}: R's type {kind} is none of those that hold plain data")
        return (found, self.value()) if flags & HAS_ATTRIBUTES else found

    def pairs(self, flags: int) -> dict[str, Any]:
        """Return a list of tagged values, the first of which has these flags."""
        found: dict[str, Any] = {}
        while flags & 255 == PAIRS:
            if flags & HAS_ATTRIBUTES:
                self.value()
            tag = self.value() if flags & HAS_TAG else str(len(found))
            found[tag] = self.value()
            flags = self.whole()
        return found


def table(content: bytes) -> dict[str, Any]:
    """Return station, day and PM10 (micrograms a cubic metre) of every value that `air` has, as columns."""
    import numpy as np

    raw = lzma.decompress(content)
    if not raw.startswith(HEAD):
        raise ValueError("not a file of R in version 2")
    reader = Reader(raw[len(HEAD) :])
    for _ in range(3):  # version, R that wrote it, R that can read it
        reader.whole()
    held = reader.value()
    values, shape = held["air"]
    days = np.asarray(held["dates"][0], dtype="datetime64[D]")
    stations = np.asarray(shape["dimnames"][0])
    matrix = values.reshape(len(days), len(stations))  # R has column by column: all stations of one day
    place, day = np.nonzero(~np.isnan(matrix.T))  # R's NA is a NaN
    return {"station": stations[place], "day": days[day].astype("datetime64[s]"), "pm10": matrix[day, place]}


def main(arguments: list[str]) -> int:
    """Check the bytes, then convert them."""
    sha256, target = arguments
    content = sys.stdin.buffer.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        print("changed", file=sys.stderr)
        return CHANGED
    try:
        import duckdb
    except ModuleNotFoundError as missing:
        print("lacks:", missing.name, file=sys.stderr)
        return LACKS
    columns = table(content)
    with duckdb.connect() as database:
        database.register("air", columns)
        database.table("air").write_parquet(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
