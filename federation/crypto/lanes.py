"""Numbers into lanes of 64-bit words, or of pairs of words, and back.

By numpy, and for long vectors by compiled loops where there are any: `make kernel` compiles lanes.c beside this file;
nobody needs it. One pass over memory does what takes numpy eight, and lets other threads run; it is used after it gave
what numpy does in this process, to the bit. Refused: arrays that do not fit each other, since memory beyond them is
nobody's. Whether numbers make sense is judged by `encoding`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.crypto.compiled import LeftOut
from federation.errors import Misuse

REVISION = 4
WIDE = (5, 7, 9)  # so many lanes lie in a pair of words, 128 bits, low word first
LEAST = 4096  # entries; shorter vectors take numpy a few microseconds, and whoever sums only those loads nothing
FILE = __file__.removesuffix("lanes.py") + "_lanes.so"
_PLACE, _INT, _LONG, _REAL = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_double
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an entry becomes: rint(min(max(entry * shrink, -clip), clip) * factor + middle), ties to even."""

    shrink: float
    clip: float
    factor: float
    middle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What lanes hold.

    Attributes:
        total: sum of all, modulo 2^64.
        low: the least of those that hold an entry.
        high: the greatest of them.
        spare: the greatest of the others, in the last word or pair; 0 if there are none.
        beyond: whether a bit is set that belongs to no lane.
    """

    total: int
    low: int
    high: int
    spare: int
    beyond: bool


def pack(numbers: NDArray[np.float64], lanes: int, words: Words) -> None:
    """Write whole numbers into the lanes of `words`, of which the last, or the last pair, is zero."""
    if lanes in WIDE:
        whole = np.zeros(lanes * len(words) // 2, dtype=np.uint64)
        np.copyto(whole[: len(numbers)].view(np.int64), numbers, casting="unsafe")
        words[:] = 0
        for lane, start in _starts(lanes):
            _shifted_into(words[::2], whole[lane::lanes], start)
            _shifted_into(words[1::2], whole[lane::lanes], start - 64)
    elif lanes in (1, 2):
        np.copyto(words.view("<i8" if lanes == 1 else "<i4")[: len(numbers)], numbers, casting="unsafe")
    elif lanes == 4:
        np.copyto(words.view("<u2")[: len(numbers)], numbers.astype(np.int32), casting="unsafe")
    else:
        whole = np.zeros(3 * len(words), dtype=np.uint64)
        np.copyto(whole[: len(numbers)].view(np.int64), numbers, casting="unsafe")
        np.left_shift(whole[2::3], 21, out=words)
        np.add(words, whole[1::3], out=words)
        np.left_shift(words, 21, out=words)
        np.add(words, whole[::3], out=words)


def unpack(words: Words, lanes: int) -> NDArray[Any]:
    """Return the lanes of `words` as unsigned integers, in the order of the entries."""
    if lanes in WIDE:
        found = np.empty(lanes * len(words) // 2, dtype=np.uint64)
        mask = np.uint64((1 << 128 // lanes) - 1)
        for lane, start in _starts(lanes):
            number = np.zeros(len(words) // 2, dtype=np.uint64)
            _shifted_into(number, words[::2], -start)
            _shifted_into(number, words[1::2], 64 - start)
            np.bitwise_and(number, mask, out=found[lane::lanes])
        return found
    if lanes != 3:
        return words.view({1: "<u8", 2: "<u4", 4: "<u2"}[lanes])
    found = np.empty(3 * len(words), dtype=np.uint64)
    for lane in range(3):
        np.bitwise_and(words >> np.uint64(21 * lane), np.uint64((1 << 21) - 1), out=found[lane::3])
    return found


def _starts(lanes: int) -> Iterator[tuple[int, int]]:
    """Yield (lane, its lowest bit in a pair of words)."""
    return ((lane, 128 // lanes * lane) for lane in range(lanes))


def _shifted_into(into: Words, numbers: Words, places: int) -> None:
    """Set the bits of `numbers`, shifted up by so many places, or down; beyond a word nothing of them is left."""
    if -64 < places < 64:
        into |= numbers << np.uint64(places) if places >= 0 else numbers >> np.uint64(-places)


def held_by(words: Words, numbers: NDArray[Any], lanes: int, entries: int) -> Held:
    """Return what lanes hold, by numpy.

    Args:
        words: flat.
        numbers: in all their lanes, unsigned, in the order of the entries.
        lanes: 1 to 4, or one of `WIDE`.
        entries: how many of these numbers are entries, the first of them.
    """
    own, spare = numbers[:entries], numbers[entries:]
    return Held(
        total=int(numbers.sum(dtype=np.uint64)),
        low=int(own.min()) if len(own) else 0,
        high=int(own.max(initial=0)),
        spare=int(spare.max(initial=0)),
        beyond=bool(_beyond(lanes))
        and bool(int(np.bitwise_or.reduce(words[_unit(lanes) - 1 :: _unit(lanes)])) & _beyond(lanes)),
    )


class Kernel:
    """The compiled loops.

    Args:
        library: what `make kernel` compiled; anything with its functions.
    """

    __slots__ = ("_library",)

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - functions of a CDLL have no types
        self._library = library

    def fill(self, entries: NDArray[Any], lanes: int, rule: Rule, words: Words) -> tuple[int, int] | None:
        """Write what `entries` become into `words`, zeros into lanes that are left over.

        Args:
            entries: flat, float32 or float64; every number becomes one that fits a lane.
            lanes: 1 to 4, or one of `WIDE`.
            rule: with what.
            words: flat, as many as the entries need.

        Returns:
            (sum of the numbers, how many entries were clipped), or None if an entry is not finite.

        Raises:
            Misuse: arrays that do not fit.
        """
        wide = entries.dtype == np.float64
        if entries.ndim != 1 or not (wide or entries.dtype == np.float32) or not words.flags.writeable:
            raise Misuse("flat entries in float32 or float64, and words that can be written, are needed")
        _fit(words, lanes, len(entries))
        entries = np.ascontiguousarray(entries)
        seen, given = (ctypes.c_uint64 * 3)(), (_REAL * 4)(rule.shrink, rule.clip, rule.factor, rule.middle)
        self._library.encode(entries.ctypes.data, wide, lanes, len(entries), given, words.ctypes.data, seen)
        total, clipped, bad = seen
        return None if bad else (total, clipped)

    def read(self, words: Words, lanes: int, middle: float, steps: float, out: NDArray[np.float32]) -> Held:
        """Write (number - middle) / steps into `out` for as many numbers as it has room for; return what was there.

        Args:
            words: flat, at any address; as many as hold so many numbers.
            lanes: 1 to 4, or one of `WIDE`.
            middle: of all contributors.
            steps: to a unit.
            out: flat, at least one entry.

        Raises:
            Misuse: arrays that do not fit.
        """
        if out.ndim != 1 or not len(out) or out.dtype != np.float32 or not out.flags.carray:
            raise Misuse("room for at least one float32 is needed")
        _fit(words, lanes, len(out))
        held = (ctypes.c_uint64 * 5)()
        self._library.decode(words.ctypes.data, lanes, len(out), middle, steps, out.ctypes.data, held)
        total, low, high, spare, beyond = held
        return Held(total=total, low=low, high=high, spare=spare, beyond=bool(beyond))

    def add(self, words: Words, terms: Words, *, minus: bool = False) -> None:
        """Add `terms` to `words` as numbers of Z_2^128, two words each, low word first; or subtract them.

        Raises:
            Misuse: arrays that are not flat, of equal and even length, or that cannot be written.
        """
        _fit(words, 9, len(words) // 2 * 9)
        _fit(terms, 9, len(words) // 2 * 9)
        if not words.flags.writeable:
            raise Misuse("words that can be written are needed")
        self._library.add(words.ctypes.data, terms.ctypes.data, len(words) // 2, minus)


def kernel(entries: int) -> Kernel | None:
    """Return the compiled loops, or None without them, and for a vector of so few entries that nobody would notice."""
    return None if LeftOut.depth or entries < LEAST else loaded()


@lru_cache(maxsize=4)
def loaded(file: str = FILE) -> Kernel | None:
    """Return the compiled loops, if they are there and give what numpy does."""
    try:
        library = ctypes.CDLL(file)
        if library.revision() != REVISION:
            return None
        library.encode.argtypes = [_PLACE, _INT, _INT, _LONG, _PLACE, _PLACE, _PLACE]
        library.decode.argtypes = [_PLACE, _INT, _LONG, _REAL, _REAL, _PLACE, _PLACE]
        library.add.argtypes = [_PLACE, _PLACE, _LONG, _INT]
        library.encode.restype = library.decode.restype = library.add.restype = None
    except (OSError, AttributeError):
        return None
    found = Kernel(library)
    return found if agrees(found) else None


def agrees(kernel: Kernel) -> bool:
    """Return whether the compiled loops give what numpy does: halves, which a fused product would tell, and edges."""
    tried = (
        _encodes(kernel, lanes, bits) and _decodes(kernel, lanes, bits, parties) for lanes, bits, parties in _TRIED
    )
    return all(tried) and _adds(kernel)


_TRIED = ((1, 31, (1 << 22) - 1), (2, 22, 1023), (3, 17, 15), (4, 12, 16), (5, 22, 8), (7, 16, 4), (9, 12, 4))


def _encodes(kernel: Kernel, lanes: int, bits: int) -> bool:
    top, clip = (1 << bits) - 1, 0.3
    middle, factor = top / 2, top / (2 * clip)
    halves = (np.linspace(0, top, 700).round() + 0.5 - middle) / factor
    edges = [0.0, -0.0, clip, -clip, *np.nextafter([clip, -clip], [1, -1]), 3e38, -3e38, 1e-45, -1e-45]
    both = np.concatenate([edges, halves, np.nextafter(halves, 1), edges])
    for entries in (both, both.astype(np.float32), both[:0], *(both[start : 3 * start] for start in range(1, 9))):
        for shrink in (1.0, 0.7):
            rule = Rule(shrink=shrink, clip=clip, factor=factor, middle=middle)
            words = np.full(_unit(lanes) * -(-len(entries) // lanes), 7, "<u8")
            expected, total, clipped = _plainly(entries, lanes, rule)
            if kernel.fill(entries, lanes, rule, words) != (total, clipped) or not np.array_equal(words, expected):
                return False
    whole = Rule(shrink=1.0, clip=clip, factor=factor, middle=middle)
    for kind, wrong, place in ((kind, wrong, place) for kind in "fd" for wrong in _WRONG for place in (0, 40, -1)):
        entries = np.zeros(50, kind)
        entries[place] = wrong
        if kernel.fill(entries, lanes, whole, np.empty(_unit(lanes) * -(-50 // lanes), "<u8")) is not None:
            return False
    return True


_WRONG = (float("nan"), float("inf"), float("-inf"))


def _decodes(kernel: Kernel, lanes: int, bits: int, parties: int) -> bool:
    top = (1 << bits) - 1
    most = np.uint64(parties * top)
    rising = np.linspace(0, float(most), 630).astype(np.uint64)
    rows = np.concatenate([rising, most - rising]).reshape(-1, lanes).tolist()
    shifts, size = range(0, 128, 64 * _unit(lanes) // lanes)[:lanes], 8 * _unit(lanes)
    elements = (sum(q << shift for q, shift in zip(row, shifts, strict=True)) for row in rows)
    fair = np.frombuffer(b"".join(element.to_bytes(size, "little") for element in elements), "<u8")
    noise = np.arange(1, 91, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # times an odd number: all bits vary
    last = np.array([5, 5 + (1 << 63)], np.uint64)  # beyond three lanes, in the word that may have some to spare
    tie = np.array([49 * ((1 << 24) + 3), 0], np.uint64)[
        : _unit(lanes)
    ]  # over 49 halfway between two float32: not so times 1 / 49
    for words, middle in (
        (tie, 0.0),
        (fair, parties * top / 2),
        (noise, 0.5),
        (noise[:4] >> np.uint64(1), 3.0),
        (last, 1.0),
    ):
        room = len(words) // _unit(lanes) * lanes
        for entries in range(room - lanes + 1, room + 1):
            for steps in (top / 0.6, 1e-3, 49.0):
                mean, plain = np.empty(entries, np.float32), unpack(words, lanes)
                held = kernel.read(words, lanes, middle, steps, mean)
                expected = (plain[:entries].astype(np.float64) - middle) / steps
                if mean.tobytes() != expected.astype(np.float32).tobytes():
                    return False
                if held != held_by(words, plain, lanes, entries):
                    return False
    alone, room = np.diag(np.full(8, 1 << 63, np.uint64)), 8 // _unit(lanes) * lanes  # one bit set, in each word
    return all(
        kernel.read(words, lanes, 0.0, 1.0, np.empty(room, np.float32))
        == held_by(words, unpack(words, lanes), lanes, room)
        for words in alone
    )


def _adds(kernel: Kernel) -> bool:
    edges = (0, 1, (1 << 64) - 1, 1 << 64, (1 << 128) - 1, (1 << 128) - (1 << 64), 0x9E3779B97F4A7C15 << 40)
    both = [(one, other) for one in edges for other in edges]
    held, terms = (b"".join(pair[place].to_bytes(16, "little") for pair in both) for place in (0, 1))
    for minus in (False, True):
        words = np.frombuffer(held, "<u8").copy()
        kernel.add(words, np.frombuffer(b"?" + terms, "<u1")[1:].view("<u8"), minus=minus)  # at an odd address
        expected = ((one - other if minus else one + other) % (1 << 128) for one, other in both)
        if words.tobytes() != b"".join(number.to_bytes(16, "little") for number in expected):
            return False
    return True


def _plainly(entries: NDArray[Any], lanes: int, rule: Rule) -> tuple[Words, int, int]:
    """Return (words, sum of the numbers, how many entries were clipped): what `Kernel.fill` is compared with."""
    numbers = entries.astype(np.float64) * rule.shrink
    clipped = np.count_nonzero(np.abs(numbers) > rule.clip)
    whole = np.rint(np.clip(numbers, -rule.clip, rule.clip) * rule.factor + rule.middle)
    words = np.zeros(_unit(lanes) * -(-len(whole) // lanes), "<u8")
    pack(whole, lanes, words)
    return words, int(whole.astype(np.uint64).sum()), int(clipped)


def _fit(words: Words, lanes: int, entries: int) -> None:
    if words.dtype != np.dtype("<u8") or words.ndim != 1 or not words.flags.c_contiguous:
        raise Misuse("flat contiguous little-endian uint64 words expected")
    if not (1 <= lanes <= 4 or lanes in WIDE) or len(words) != _unit(lanes) * -(-entries // lanes):
        raise Misuse(f"{entries} entries do not take {len(words)} words of {lanes} lanes")


def _unit(lanes: int) -> int:
    """Return how many words these lanes lie in."""
    return 2 if lanes in WIDE else 1


def _beyond(lanes: int) -> int:
    """Return the bits of the last of these words that belong to no lane."""
    bits = 64 * _unit(lanes)
    return ((1 << bits) - (1 << bits // lanes * lanes)) >> (bits - 64)
