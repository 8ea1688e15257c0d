"""Puts many masks on a vector, or takes them off, in place and one cache-sized chunk at a time.

Every seed is the seed of one keystream that starts at byte 0 of the vector, so a seed is used for one vector and never
again: two vectors under one mask show their difference. Chunks do not depend on each other, so a run of them can be
done beside another one, each stream entered at its own place. This room starts no thread: whoever has a pool lends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from federation.crypto.prg import Keystream, room
from federation.crypto.ring import CHUNK_BYTES, Ring, Tally
from federation.errors import Misuse

T = TypeVar("T")

CHUNK_WORDS = CHUNK_BYTES // 8
# Chunks times streams below which a run is not worth handing over: each costs some 40 us, waking a thread up to 100 us.
LEAST_WORTH_SPREADING = 16


# Carries out runs, at once or one after another: the `map` of a pool of threads is one, and so is the builtin `map`.
# Ciphers, numpy and hashlib let another thread run while they work on a chunk.
Spread = Callable[[Callable[[range], None], Sequence[range]], Iterable[None]]
_LENT: list[Spread] = []


def lend(spread: Spread) -> Callable[[], None]:
    """Let long vectors of this process use a pool's threads; what is computed does not depend on it.

    Returns:
        What takes it back, to be called before the pool is closed: another one that is still lent is used then. Several
        members may live in one process, and whoever leaves must not leave a closed pool behind.
    """
    _LENT.append(spread)
    return lambda: _LENT.remove(spread) if spread in _LENT else None


def lent() -> Spread | None:
    """Return what was lent last to this process, for other work that comes in many equal parts."""
    return _LENT[-1] if _LENT else None


def blind(
    words: NDArray[np.uint64],
    ring: Ring,
    *,
    add: Sequence[bytes] = (),
    subtract: Sequence[bytes] = (),
    terms: Sequence[Sequence[bytes]] = (),
    finish: Callable[[memoryview], T] | None = None,
    threads: int | None = None,
    spread: Spread | None = None,
) -> list[T]:
    """Add and subtract the keystreams of these seeds to `words`, in place.

    Args:
        words: flat, writable, little-endian; whole elements of `ring`.
        add: 32-byte seeds, each used for this vector only.
        subtract: likewise.
        terms: vectors of this length, which are added as well, in pieces of CHUNK_BYTES; the last may be shorter.
        finish: is called once for the bytes of every finished chunk (all have CHUNK_BYTES, the last may be shorter),
            while they are in the cache; from several threads at once if `spread` has several.
        threads: how many runs the vector is cut into at most; as many as `spread` can do at once, two unless told.
        spread: carries the runs out; by default what was lent, and without that one run, in the caller's thread.

    Returns:
        What `finish` returned, in the order of the chunks; nothing without it.

    Raises:
        Misuse: words, seeds or terms of another form, or no thread at all.
        Exception: what `finish` raised, once no run writes into `words` any more; these are then worth nothing.
    """
    ring.check(words)
    if not words.flags.writeable or (threads is not None and threads < 1):
        raise Misuse("words that can be written, and at least one thread, are needed")
    if any(len(seed) != 32 for seed in (*add, *subtract)):
        raise Misuse("the seed of a mask has 32 bytes")
    chunks = range(-(-len(words) // CHUNK_WORDS))
    sizes = [min(CHUNK_BYTES, words.nbytes - place * CHUNK_BYTES) for place in chunks]
    if any([len(piece) for piece in term] != sizes for term in terms):  # numpy would spread a short one over a chunk
        raise Misuse("terms as long as the vector, in pieces of CHUNK_BYTES, are needed")

    spread = spread or lent()
    done: dict[int, list[T]] = {}
    faults: dict[int, Exception] = {}

    def work(run: range) -> None:
        try:
            done[run.start] = _blinded(words, ring, (add, subtract), terms, finish, run)
        except Exception as fault:  # noqa: BLE001 - raised below, when no other run writes any more
            faults[run.start] = fault

    worth = spread is not None and len(chunks) * (len(add) + len(subtract) + len(terms)) >= LEAST_WORTH_SPREADING
    runs = _cut(chunks, (threads or 2) if worth else 1)
    for _ in (map if spread is None else spread)(work, runs):
        pass
    if faults:
        raise faults[min(faults)]
    return [result for run in runs for result in done[run.start]]


def _cut(chunks: range, most: int) -> list[range]:
    """Return at most `most` runs of nearly equal length that follow each other, none of them empty."""
    count = min(most, len(chunks))
    ends = [len(chunks) * i // count for i in range(count + 1)] if count else []
    return [chunks[start:end] for start, end in pairwise(ends)]


def _blinded(
    words: NDArray[np.uint64],
    ring: Ring,
    seeds: tuple[Sequence[bytes], Sequence[bytes]],
    terms: Sequence[Sequence[bytes]],
    finish: Callable[[memoryview], T] | None,
    run: range,
) -> list[T]:
    buffer = room(min(CHUNK_BYTES, words.nbytes))  # one for all streams: hundreds of them stay in the cache
    added, subtracted = ([Keystream(seed, run.start * CHUNK_BYTES, buffer=buffer) for seed in some] for some in seeds)
    done: list[T] = []
    for place in run:
        chunk = words[place * CHUNK_WORDS : (place + 1) * CHUNK_WORDS]
        tally = Tally(ring, chunk)
        for term in terms:
            tally.add(np.frombuffer(term[place], dtype="<u8"))
        for stream in added:
            tally.add(stream.words(chunk.nbytes))
        for stream in subtracted:
            tally.subtract(stream.words(chunk.nbytes))
        tally.settle()
        if finish is not None:
            done.append(finish(chunk.data.cast("B").toreadonly()))
    return done
